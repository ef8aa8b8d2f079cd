"""Owns the promises of the virtual clock."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from meson_core.testing.clock import VirtualClock

HOUR = 3600.0


def test_time_stands_still_until_it_is_turned() -> None:
    clock = VirtualClock(100.0)
    seen: list[tuple[str, float]] = []
    clock.call_at(130.0, lambda: seen.append(("late", clock.now())))
    clock.call_at(110.0, lambda: seen.append(("early", clock.now())))
    clock.call_at(110.0, lambda: seen.append(("second", clock.now())))
    forgotten = clock.call_at(111.0, lambda: seen.append(("never", clock.now())))
    forgotten.cancel()
    forgotten.cancel()

    assert (clock.now(), clock.due_in(), forgotten.live) == (100.0, [10.0, 10.0, 30.0], False)
    clock.advance(20)
    assert seen == [("early", 110.0), ("second", 110.0)]
    assert (clock.now(), clock.due_in(), clock.next_due()) == (120.0, [10.0], 130.0)
    clock.advance(10)
    assert seen[2:] == [("late", 130.0)]
    assert clock.next_due() is None


def test_what_is_set_on_the_way_is_called_on_the_way() -> None:
    clock = VirtualClock(0.0)
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(clock.now())
        clock.call_at(clock.now() + 1, tick)

    clock.call_at(1.0, tick)
    clock.advance(3.5)

    assert ticks == [1.0, 2.0, 3.0]


def test_an_alarm_for_the_past_is_called_at_the_next_turn() -> None:
    clock = VirtualClock(100.0)
    seen: list[float] = []
    clock.call_at(50.0, lambda: seen.append(clock.now()))
    assert seen == []

    clock.advance(0)
    assert seen == [100.0]


def test_those_who_watch_hear_of_alarms() -> None:
    clock = VirtualClock(0.0)
    heard: list[float] = []
    clock.on_alarm = lambda alarm: heard.append(alarm.due)
    clock.call_at(5.0, lambda: None)

    assert heard == [5.0]


def test_a_year_passes_in_no_time() -> None:
    clock = VirtualClock()
    began = time.monotonic()

    async def main() -> list[str]:
        order: list[str] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)  # noqa: TID251 (what is tested)
            order.append(name)

        async def watcher() -> None:
            await clock.sleep(2 * HOUR)
            order.append("clock")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sleeper("year", 365 * 24 * HOUR))
            tasks.create_task(sleeper("hour", HOUR))
            tasks.create_task(watcher())
            tasks.create_task(sleeper("now", 0))
        return order

    assert clock.run(main()) == ["now", "hour", "clock", "year"]
    assert clock.now() == pytest.approx(clock.start + 365 * 24 * HOUR)
    assert time.monotonic() - began < 5


def test_timeouts_come_on_time() -> None:
    clock = VirtualClock()

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        return clock.now() - clock.start

    assert clock.run(main()) == pytest.approx(90, abs=0.01)


def test_a_sleeper_that_is_cancelled_leaves_no_alarm() -> None:
    clock = VirtualClock()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await clock.sleep(HOUR)

    clock.run(main())

    assert clock.next_due() is None


def test_it_does_not_jump_while_there_is_something_to_read() -> None:
    clock = VirtualClock()
    ours, theirs = socket.socketpair()
    theirs.sendall(b"hello\n")

    async def main() -> tuple[bytes, float]:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        async with asyncio.timeout(HOUR):
            line = await reader.readline()
        at = clock.now()
        writer.close()
        await writer.wait_closed()
        return line, at - clock.start

    line, passed = clock.run(main())
    theirs.close()

    assert (line, passed) == (b"hello\n", 0.0)


def test_it_waits_for_threads_when_nothing_is_due() -> None:
    clock = VirtualClock()
    began = threading.Event()

    async def main() -> str:
        def work() -> str:
            began.set()
            return "done"

        return await asyncio.to_thread(work)

    assert clock.run(main()) == "done"
    assert began.is_set()
    assert clock.now() == clock.start


def test_with_patience_it_waits_for_threads_even_when_something_is_due() -> None:
    clock = VirtualClock(patience_s=10.0)

    async def main() -> str:
        async with asyncio.timeout(HOUR):
            return await asyncio.to_thread(lambda: "done")

    assert clock.run(main()) == "done"
    assert clock.now() == clock.start
