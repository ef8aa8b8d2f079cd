"""Owns the promises of the fake service, on which the proofs about outside jobs stand."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.testing.fake_service import FakeService

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow]


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService.running() as found:
        yield found


def ask(service: FakeService, what: str, **fields: Any) -> Any:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(service.socket)
        connection.sendall(json.dumps({"t": what, **fields}).encode() + b"\n")
        return json.loads(connection.makefile().readline())


def test_it_runs_jobs_and_counts(service: FakeService) -> None:
    assert ask(service, "submit", key="a", result=[1]) == {"id": "job-1"}
    assert ask(service, "wait", id="job-1") == {"state": "succeeded", "result": [1]}
    assert ask(service, "submit", key="b", error="oh")["id"] == "job-2"
    assert ask(service, "wait", id="job-2") == {"state": "failed", "result": "oh"}
    report = service.report()

    assert report.submissions == {"a": 1, "b": 1}
    assert report.jobs == {"a": ["job-1"], "b": ["job-2"]}
    assert report.states == {"job-1": "succeeded", "job-2": "failed"}
    assert report.running() == report.twice == []


@pytest.mark.parametrize("deduplicates", [True, False])
def test_it_deduplicates_if_it_is_told_to(deduplicates: bool) -> None:
    with FakeService.running(deduplicates=deduplicates) as service:
        for _ in range(2):
            ask(service, "submit", key="a", seconds=None)
        report = service.report()

    assert report.submissions == {"a": 2}
    assert report.twice == ([] if deduplicates else ["a"])
    assert len(report.running()) == (1 if deduplicates else 2)


def test_it_finds_jobs_if_it_is_told_to(service: FakeService) -> None:
    assert ask(service, "find", key="a") == {"id": None}
    ask(service, "submit", key="a")
    assert ask(service, "find", key="a") == {"id": "job-1"}
    assert service.report().lookups == {"a": 2}
    with FakeService.running(finds=False) as blind:
        assert ask(blind, "find", key="a") == {"refused": "jobs cannot be looked up by key here", "retryable": False}


def test_jobs_end_by_hand_or_by_a_kill_and_only_once(service: FakeService) -> None:
    for key in "abc":
        ask(service, "submit", key=key, seconds=None)
    service.finish("a", result="done")
    service.finish("b", error="broken")
    ask(service, "kill", key="c")
    ask(service, "kill", id="job-1")
    ask(service, "kill", id="job-99")

    assert service.report().states == {"job-1": "succeeded", "job-2": "failed", "job-3": "killed"}
    assert service.report().kills == ["job-3", "job-1"]
    with pytest.raises(RuntimeError, match="there is no job of the key 'z'"):
        service.finish("z")


@pytest.mark.parametrize(("when", "jobs"), [("before", {}), ("after", {"a": ["job-1"]})])
async def test_it_stalls_and_goes_on(service: FakeService, when: str, jobs: dict[str, list[str]]) -> None:
    service.stall("submit", when)
    reader, writer = await asyncio.open_unix_connection(service.socket)
    writer.write(b'{"t": "submit", "key": "a"}\n')
    service.wait_for("submit")
    report = service.report()
    service.release()
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert (report.jobs, report.held) == (jobs, 1)
    assert json.loads(answer) == {"id": "job-1"}
    assert service.report().held == 0


def test_it_refuses_as_often_as_it_is_told(service: FakeService) -> None:
    service.refuse("submit", 2)
    answers = [ask(service, "submit", key="a") for _ in range(3)]

    assert answers[:2] == [{"refused": "the service is overloaded", "retryable": True}] * 2
    assert answers[2] == {"id": "job-1"}


def test_what_it_does_not_know_is_refused(service: FakeService) -> None:
    assert ask(service, "dance") == {"refused": "there is no request 'dance'", "retryable": False}
    assert ask(service, "status", id="job-9") == {"refused": "there is no job 'job-9'", "retryable": False}


def test_a_client_that_dies_leaves_its_request_behind(service: FakeService) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(service.socket)
        connection.sendall(b'{"t": "submit", "key": "a", "seconds": null}\n')
    service.wait_for("submit")

    assert service.report().states == {"job-1": "running"}


def test_it_leaves_nothing_behind() -> None:
    with FakeService.running() as service:
        folder = Path(service.socket).parent
        assert folder.exists()

    assert not folder.exists()
    with pytest.raises(FileNotFoundError):
        service.report()
