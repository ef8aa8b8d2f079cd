"""Tests of reading logs through the client: named, chosen, merged over executors, and followed to the end."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from meson_core.commands import Change
from meson_core.errors import StoreError, UnknownNameError
from meson_core.events import RunPaused
from meson_core.spec.states import RunState, State
from meson_executor.logs import LOGGER, MESON, STDERR, STDOUT, Logs
from tests.store.building import NOW, Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meson_core.client import Client

TRAIN = 2


@pytest.fixture
def written(folder: Path) -> Iterator[Logs]:
    """The logs of an executor of this machine."""
    logs = Logs(str(folder / "logs"), "here.1", pytest.fail)
    yield logs
    logs.close()


def say(
    logs: Logs, instance: tuple[int, ...], text: str, *, at: float = NOW, stream: str = STDOUT, attempt: int = 1
) -> None:
    logs.write(("run1", instance, attempt), stream, at, text.encode())
    logs.flush()


def texts(client: Client, **options: object) -> list[str]:
    return [line.text for line in client.logs("run1", **options)]  # type: ignore[arg-type]


def test_lines_have_names(client: Client, log: Log, written: Logs) -> None:
    for at, (stream, text) in enumerate(((STDOUT, "a"), (STDERR, "b"), (LOGGER, "c"), (MESON, "d"))):
        say(written, (TRAIN, 3), text + "\n", at=NOW + at, stream=stream, attempt=2)
    found = list(client.logs("run1"))

    assert [(line.stream, line.text) for line in found] == [("out", "a"), ("err", "b"), ("log", "c"), ("meson", "d")]
    assert {(line.step, line.instance, line.attempt) for line in found} == {("train", (TRAIN, 3), 2)}
    assert found[1].at == pytest.approx(NOW + 1)


def test_lines_of_all_executors_are_merged(client: Client, log: Log, folder: Path, written: Logs) -> None:
    other = Logs(str(folder / "logs"), "there.1", pytest.fail)
    for at in range(6):
        say(other if at % 2 else written, (TRAIN, at), f"line {at}\n", at=NOW + at)
    other.close()

    assert texts(client) == [f"line {at}" for at in range(6)]


def test_lines_are_chosen(client: Client, log: Log, written: Logs) -> None:
    say(written, (0,), "prepare\n")
    for index in range(4):
        say(written, (TRAIN, index), f"train {index}\n", at=NOW + 1 + index)
    log.write(
        [RunPaused(NOW, "a")],
        [Change((TRAIN, index), State.running, State.failed, 1) for index in (1, 3)]
        + [Change((TRAIN, 0), State.running, State.cancelled, 1)],
    )

    assert texts(client, steps=["prepare"]) == ["prepare"]
    assert texts(client, steps=["train", "prepare"]) == ["prepare", "train 0", "train 1", "train 2", "train 3"]
    assert texts(client, instance=(TRAIN, 2)) == ["train 2"]
    assert texts(client, failed=True) == ["train 1", "train 3"]
    assert texts(client, failed=True, steps=["prepare"]) == []
    with pytest.raises(UnknownNameError, match="has no step 'trian'"):
        client.logs("run1", steps=["trian"])


def test_what_has_no_newline_is_told_at_the_end(client: Client, log: Log, written: Logs) -> None:
    say(written, (0,), "whole\nhal")
    say(written, (0,), "f", at=NOW + 1)

    assert texts(client) == ["whole", "half"]


def test_the_end_of_what_an_attempt_has_written(client: Client, log: Log, written: Logs) -> None:
    for number in range(5):
        say(written, (TRAIN, 1), f"line {number}\n", at=NOW + number, attempt=number // 3 + 1)

    assert [line.text for line in client.tail("run1", (TRAIN, 1), 1, count=2)] == ["line 1", "line 2"]
    assert [line.text for line in client.tail("run1", (TRAIN, 1), 2, count=20)] == ["line 3", "line 4"]


def test_nothing_was_written(client: Client, log: Log) -> None:
    assert texts(client) == []


def test_logs_that_cannot_be_read(client: Client, log: Log, folder: Path, written: Logs) -> None:
    """That nothing was written would be wrong: the words of the steps are lost, and whoever reads must know."""
    say(written, (TRAIN, 3), "lost\n")
    run = folder / "logs" / "run1"
    for path in run.iterdir():
        path.write_bytes(b"\0" * 100)
    with pytest.raises(StoreError, match=f"the logs in {run} are damaged: nothing in them can be read"):
        texts(client)
    assert texts(client, steps=["prepare"]) == []

    shutil.rmtree(folder / "logs")
    (folder / "logs").write_text("a file")
    with pytest.raises(StoreError, match=f"the logs in {run} cannot be read: Not a directory"):
        texts(client)


def test_following_goes_on_until_the_run_has_ended(client: Client, log: Log, written: Logs) -> None:
    """What was written before the end is told, even when it came in the last moment."""
    say(written, (0,), "first\n")
    follower = client.logs("run1", follow=True)
    assert next(follower).text == "first"
    say(written, (0,), "second\n", at=NOW + 1)

    def end() -> None:
        say(written, (0,), "last", at=NOW + 2)
        log.write([RunPaused(NOW, "a")], state=RunState.failed)

    thread = threading.Thread(target=end)
    thread.start()
    assert [line.text for line in follower] == ["second", "last"]
    thread.join()


def test_following_the_failures_finds_those_that_come(client: Client, log: Log, written: Logs) -> None:
    """Who has failed is asked anew each time; what an instance wrote before it failed must not be passed over."""
    say(written, (TRAIN, 1), "before it failed\n")
    say(written, (TRAIN, 2), "went well\n")
    follower = client.logs("run1", failed=True, follow=True)

    def fail() -> None:
        log.write([RunPaused(NOW, "a")], [Change((TRAIN, 1), State.running, State.failed, 1)])
        log.write([RunPaused(NOW, "a")], state=RunState.failed)

    thread = threading.Timer(0.2, fail)
    thread.start()
    assert [line.text for line in follower] == ["before it failed"]
    thread.join()
