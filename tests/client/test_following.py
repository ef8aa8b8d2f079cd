"""Tests of following a run: every event once and in order, woken and not by looking again and again, to its end."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from meson_core.commands import Change
from meson_core.events import RunPaused, RunReopened, Selection
from meson_core.spec.states import RunState, State
from tests.store.building import NOW, Log, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.client import Client
    from meson_core.store.store import Store

FRAMES = 40


class Writer(threading.Thread):
    """Writes a run to its end, as fast as it can."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def run(self) -> None:
        for number in range(FRAMES):
            self._log.write(*many(2, 3, first=3 * number))
        self._log.write([RunPaused(NOW, "a")], state=RunState.succeeded)


@pytest.fixture
def writer(log: Log) -> Iterator[Writer]:
    thread = Writer(log)
    yield thread
    if thread.ident is not None:
        thread.join()


LENGTH = 1 + FRAMES * 6 + 1


def test_every_event_comes_once_until_the_end(client: Client, writer: Writer) -> None:
    seen = []
    follower = client.follow("run1")
    seen.append(next(follower).seq)
    writer.start()
    seen.extend(row.seq for row in follower)

    assert list(range(1, LENGTH + 1)) == seen
    assert [row.seq for row in client.follow("run1", after_seq=LENGTH - 2)] == [LENGTH - 1, LENGTH]
    assert len(client.events("run1", after_seq=5, limit=7)) == 7


async def test_the_same_in_an_event_loop(client: Client, writer: Writer) -> None:
    seen = []
    async for row in client.follow_async("run1"):
        if row.seq == 1:
            writer.start()
        seen.append(row.seq)

    assert list(range(1, LENGTH + 1)) == seen


async def test_a_follower_without_news_looks_by_itself(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no sockets nobody is woken; what came is found all the same."""
    monkeypatch.setattr("meson_core.store.wake.UNWOKEN_S", 0.01)
    monkeypatch.setattr("meson_core.store.wake._Unwoken.look_s", 0.01)
    (client.directory / "wake").write_text("in the way")
    writer.start()

    assert len([row async for row in client.follow_async("run1")]) == LENGTH
    assert len(list(client.follow("run1"))) == LENGTH


async def test_a_follower_can_be_left(client: Client, log: Log) -> None:
    """What it waits with is given back: sockets of those who left would be told for ever."""
    follower = client.follow_async("run1")
    assert (await anext(follower)).seq == 1
    waiting = asyncio.ensure_future(anext(follower))  # noqa: TID251  it is cancelled below
    await asyncio.wait([waiting], timeout=0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert list((client.directory / "wake" / "log").iterdir()) == []
    for row in client.follow("run1"):
        assert row.seq == 1
        break
    assert list((client.directory / "wake" / "log").iterdir()) == []


def test_a_run_that_is_reopened_goes_on(client: Client, log: Log) -> None:
    log.write([RunPaused(NOW, "a")], state=RunState.failed)
    assert len(list(client.follow("run1"))) == 2

    log.write([RunReopened(NOW, Selection(failed=True), 1, "a")], [Change((0,), State.failed, State.waiting)])
    follower = client.follow("run1", after_seq=2)
    assert next(follower).seq == 3
    log.write([RunPaused(NOW, "a")], state=RunState.succeeded)
    assert [row.seq for row in follower] == [4]


def test_waiting_for_the_end(client: Client, writer: Writer, store: Store) -> None:
    began = time.monotonic()
    assert client.wait("run1", timeout_s=0.05).state is RunState.running
    assert time.monotonic() - began >= 0.05

    writer.start()

    assert client.wait("run1", timeout_s=30).state is RunState.succeeded
    assert client.wait("run1").ended_at == NOW
