"""Owns the tests of timers, of the system's clock, and of when snapshots are due."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from meson_core.orchestrator.clock import SystemClock
from meson_core.orchestrator.snapshots import MIN_EVENTS, SnapshotPolicy
from meson_core.orchestrator.timers import TimerKey, Timers
from meson_core.testing.clock import VirtualClock


def key(number: int, run_id: str = "run") -> TimerKey:
    return TimerKey(run_id, (number,))


class Bells:
    """Timers on a clock that is turned by hand, and how often they woke somebody."""

    def __init__(self) -> None:
        self.clock = VirtualClock(100.0)
        self.rung = 0
        self.timers = Timers(self.clock, self.ring)

    def ring(self) -> None:
        self.rung += 1


def test_timers_come_due_in_order_and_once() -> None:
    """However they were set."""
    bells = Bells()
    for number, due in ((1, 130.0), (2, 110.0), (3, 120.0)):
        bells.timers.set(key(number), due)

    bells.clock.advance(20.0)
    first = bells.timers.take_due()
    bells.clock.advance(10.0)
    second = bells.timers.take_due()

    assert [key(2), key(3)] == first
    assert [key(1)] == second
    assert [] == bells.timers.take_due()
    assert 2 == bells.rung


def test_a_timer_that_was_cancelled_or_set_anew_does_not_fire_at_its_old_time() -> None:
    """The engine forgets timers and moves them."""
    bells = Bells()
    bells.timers.set(key(1), 110.0)
    bells.timers.set(key(2), 110.0)
    bells.timers.cancel(key(1))
    bells.timers.set(key(2), 150.0)
    bells.timers.cancel(key(9))

    bells.clock.advance(20.0)
    early = bells.timers.take_due()
    bells.clock.advance(40.0)

    assert [] == early
    assert [key(2)] == bells.timers.take_due()


def test_the_timers_of_an_ended_run_are_gone() -> None:
    """And those of others are not."""
    bells = Bells()
    bells.timers.set(key(1, "ended"), 110.0)
    bells.timers.set(key(1, "other"), 110.0)

    bells.timers.cancel_run("ended")
    bells.clock.advance(20.0)

    assert [key(1, "other")] == bells.timers.take_due()


def test_a_hundred_thousand_back_offs_are_one_alarm() -> None:
    """A fan-out that fails as a whole must not fill the event loop with handles, nor the heap with what was cancelled."""
    bells = Bells()
    for number in range(20_000):
        bells.timers.set(key(number), 1000.0 + number)
    for number in range(1, 20_000):
        bells.timers.cancel(key(number))

    alarms = len(bells.clock.due_in())
    bells.timers.take_due()

    assert 1 == alarms
    assert 1 == len(bells.timers)
    assert 1 == len(bells.timers._heap)


async def test_the_systems_clock_calls_when_it_is_time_and_not_when_cancelled() -> None:
    """What is due already is called by the event loop, never at once."""
    clock = SystemClock()
    called: list[str] = []
    done = asyncio.Event()
    clock.call_at(clock.now() - 5.0, lambda: called.append("late"))
    clock.call_at(clock.now() + 0.001, lambda: called.append("cancelled")).cancel()
    clock.call_at(clock.now() + 0.01, done.set)
    at_once = list(called)

    await asyncio.wait_for(done.wait(), 5)

    assert [] == at_once
    assert ["late"] == called
    assert abs(clock.now() - time.time()) < 1.0


class Watch:
    """A stopwatch on which every snapshot takes the same time."""

    def __init__(self, cost_s: float) -> None:
        self.cost_s = cost_s
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.cost_s
        return self.now


def run_of(seq: int) -> Any:
    return SimpleNamespace(run_id="run", seq=seq, snapshot_seq=0, machine=SimpleNamespace(snapshot=lambda: b"all"))


def snapshots(cost_s: float, events: int) -> int:
    """How many snapshots so many events get."""
    policy = SnapshotPolicy(Watch(cost_s))
    run = run_of(0)
    taken = 0
    for _ in range(events):
        run.seq += 1
        taken += policy.take(run) is not None
    return taken


def test_snapshots_cost_a_small_part_of_what_the_events_cost() -> None:
    """A small run gets one every so many events; one whose engine is large gets fewer."""
    events = 100_000

    cheap, dear = snapshots(0.0001, events), snapshots(0.05, events)

    assert events // MIN_EVENTS == cheap
    assert dear * 0.05 <= 0.06 * events * 40e-6
    assert 1 <= dear
