"""Owns the proof that one job key is one outside job, whatever happens to the host in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.testing.fake_service import FakeService
from tests.host.peer import DEADLINE_S, Peer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow]
FAKE = "meson-fakeservice"


def test_a_job_is_submitted_waited_for_and_its_result_returned(tmp_path: Path) -> None:
    with FakeService.running() as service, Peer.running(tmp_path) as host:
        number = host.order("fake_job", distribution=FAKE, inputs={"x": 1}, job="k", socket=service.socket)
        end = host.end(number)
        report = service.report()

    assert end == {"f": "succeeded", "outputs": {"result": {"x": 1}, "job": "job-1"}}
    assert (report.submissions, report.jobs) == ({"k": 1}, {"k": ["job-1"]})


@pytest.mark.parametrize(
    ("kind", "deduplicates", "finds", "submissions"), [("fake_job", True, False, 2), ("fake_job_found", False, True, 1)]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_in_the_gap_makes_no_second_job(
    tmp_path: Path, kind: str, deduplicates: bool, finds: bool, submissions: int, when: str
) -> None:
    """The submission is on its way, or has happened, and nobody has remembered it yet."""
    with FakeService.running(deduplicates=deduplicates, finds=finds) as service:
        service.stall("submit", when)
        with Peer.running(tmp_path) as host:
            number = host.order(kind, distribution=FAKE, job="k", socket=service.socket)
            intent = host.next("fact", n=number)
            assert intent["fact"] == {"f": "submitting", "job": "k", "recoverable": True}
            host.send("acked", id=intent["id"])
            service.wait_for("submit")
            host.process.kill()
            host.process.wait(DEADLINE_S)
        service.release()
        with Peer.running(tmp_path) as host:
            end = host.end(host.order(kind, distribution=FAKE, job="k", socket=service.socket))
        report = service.report()

    assert end["f"] == "succeeded"
    assert report.submissions == {"k": submissions}
    assert report.jobs == {"k": ["job-1"]}


def test_without_either_the_step_says_so_before_it_submits(tmp_path: Path) -> None:
    """So a crash in the gap is for a person to settle, and never a second submission."""
    with FakeService.running(deduplicates=False, finds=False) as service, Peer.running(tmp_path) as host:
        number = host.order("fake_job_blind", distribution=FAKE, job="k", socket=service.socket)
        intent = host.next("fact", n=number)

        assert intent["fact"] == {"f": "submitting", "job": "k", "recoverable": False}
        assert service.report().submissions == {}


def test_a_step_knows_its_service_better_than_its_kind(tmp_path: Path) -> None:
    with Peer.running(tmp_path) as host:
        number = host.order("submits_to_another_service")
        for recoverable in (False, True):
            intent = host.next("fact", n=number)
            assert intent["fact"]["recoverable"] is recoverable
            host.send("acked", id=intent["id"])

        assert host.end(number)["f"] == "succeeded"


def test_a_job_that_is_remembered_is_found_again(tmp_path: Path) -> None:
    with FakeService.running(deduplicates=False, finds=False) as service:
        with Peer.running(tmp_path) as host:
            number = host.order("fake_job_blind", distribution=FAKE, job="k", socket=service.socket, seconds=None)
            for _ in range(2):
                host.send("acked", id=host.next("fact", n=number)["id"])
            service.wait_for("wait")
            host.process.kill()
        with Peer.running(tmp_path) as host:
            number = host.order(
                "fake_job_blind", distribution=FAKE, job="k", remembered="job-1", socket=service.socket, seconds=None
            )
            service.wait_for("wait", 2)
            service.finish("k", {"stars": 4})
            end = host.end(number)
        report = service.report()

    assert end["outputs"] == {"result": {"stars": 4}, "job": "job-1"}
    assert report.submissions == {"k": 1}
    assert report.kills == []


def test_a_step_that_is_stopped_stops_its_job(tmp_path: Path) -> None:
    with FakeService.running() as service, Peer.running(tmp_path) as host:
        number = host.order("fake_job", distribution=FAKE, job="k", socket=service.socket, seconds=None)
        for _ in range(2):
            host.send("acked", id=host.next("fact", n=number)["id"])
        service.wait_for("wait")
        host.send("kill", n=number, grace_s=DEADLINE_S)

        assert host.end(number) == {"f": "killed"}
        assert service.report().states == {"job-1": "killed"}


def test_a_step_that_is_stopped_in_the_gap_stops_its_job(tmp_path: Path) -> None:
    with FakeService.running() as service, Peer.running(tmp_path) as host:
        service.stall("submit", "after")
        number = host.order("fake_job", distribution=FAKE, job="k", socket=service.socket, seconds=None)
        host.send("acked", id=host.next("fact", n=number)["id"])
        service.wait_for("submit")
        host.send("kill", n=number, grace_s=DEADLINE_S)

        assert host.end(number) == {"f": "killed"}
        assert service.report().states == {"job-1": "killed"}


def test_a_service_that_is_overloaded_is_not_the_users_fault(tmp_path: Path) -> None:
    with FakeService.running() as service, Peer.running(tmp_path) as host:
        service.refuse("submit")
        end = host.failure(host.order("fake_job", distribution=FAKE, socket=service.socket))
        again = host.end(host.order("fake_job", distribution=FAKE, socket=service.socket))

    assert (end["cause"], end["final"]) == ("platform", False)
    assert end["failure"]["message"] == "the service is overloaded"
    assert again["f"] == "succeeded"


def test_a_job_that_fails_is(tmp_path: Path) -> None:
    with FakeService.running() as service, Peer.running(tmp_path) as host:
        end = host.failure(host.order("fake_job", distribution=FAKE, socket=service.socket, error="no such table"))

    assert (end["cause"], end["failure"]["message"]) == ("user", "RuntimeError: job-1 failed: no such table")


def test_a_service_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with Peer.running(tmp_path) as host:
        end = host.failure(host.order("fake_job", distribution=FAKE, socket="/nowhere"))

    assert (end["cause"], end["final"]) == ("platform", False)
    assert end["failure"]["message"].startswith("the service does not answer: ")
