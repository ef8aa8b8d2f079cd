"""Owns the measurement of the engine alone: microseconds an event, bytes an instance, seconds of a restart; no IO.

A for_each of one step with 10, 1,000 and 100,000 items; each item is placed, started, succeeded. The baseline is a
loop that builds the same answers (a change, a command, a decision) without a machine behind them.
"""

from __future__ import annotations

import tracemalloc
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.report import Figure
from meson_core import events as ev
from meson_core.commands import Change, Decision, Launch
from meson_core.engine import RunMachine
from meson_core.spec.model import Expression, ForEach, Step, Workflow
from meson_core.spec.plan import Plan, compile_plan
from meson_core.spec.states import RunState, State

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (10, 1_000, 100_000)
OUTPUTS = ev.Json(b'{"model": 0.5}')


def plan() -> Plan:
    """A for_each of one step."""
    step = Step(name="train", kind="python")
    return compile_plan(
        Workflow(name="sweep", body=(ForEach(name="each", variables={"x": Expression(expr="p")}, body=(step,)),))
    )


def history(items: int) -> list[ev.AnyEvent]:
    """All events of a run in which everything succeeds at the first attempt."""
    log: list[ev.AnyEvent] = [
        ev.RunCreated(0.0, "run", "wf", "", ev.NULL, {}),
        ev.ItemsResolved(0.0, (0,), items),
    ]
    for item in range(items):
        log += [
            ev.AttemptPlaced(1.0, (1, item), 1, "laptop"),
            ev.AttemptStarted(1.0, (1, item), 1),
            ev.AttemptSucceeded(1.0, (1, item), 1, 1.0, OUTPUTS),
        ]
    return log


def bare_s(events: int) -> float:
    """Seconds for as many answers that nobody has thought about."""
    started = perf_counter()
    for item in range(events):
        instance = (1, item)
        Decision([Change(instance, State.ready, State.starting, 1, "laptop")], [Launch(instance, 1, 1, "laptop")], None)
    return perf_counter() - started


def replayed_s(log: list[ev.AnyEvent]) -> float:
    """Seconds to handle a whole log."""
    machine = RunMachine(plan())
    handle = machine.handle
    started = perf_counter()
    for event in log:
        handle(event)
    taken = perf_counter() - started
    assert machine.run_state is RunState.succeeded
    return taken


def half_way(items: int) -> tuple[RunMachine, int]:
    """A machine half way through, and the bytes that it has allocated."""
    log = history(items)
    tracemalloc.start()
    machine = RunMachine.replay(plan(), log[: len(log) // 2])
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return machine, size


def engine(rounds: int) -> Iterator[Figure]:
    """All figures of the engine."""
    for items in SIZES:
        log = history(items)
        times = max(1, 30_000 // len(log))
        events = times * len(log)
        taken, bare = [], []
        for _ in range(rounds):
            bare.append(bare_s(events) / events * 1e6)
            taken.append(sum(replayed_s(log) for _ in range(times)) / events * 1e6)
        note = f"{1e6 / min(taken):,.0f} events a second at best; baseline: answers without a machine behind them"
        yield Figure(f"engine: one event, {items:,} instances", tuple(taken), "µs", tuple(bare), budget=15, note=note)
    machine, size = half_way(SIZES[-1])
    yield Figure(f"engine: memory, {SIZES[-1]:,} instances", (size / 1e6,), "MB", budget=300)
    read, written = [], []
    data = b""
    for _ in range(rounds):
        started = perf_counter()
        data = machine.snapshot()
        between = perf_counter()
        RunMachine.restore(plan(), data).outstanding()
        written.append((between - started) * 1e3)
        read.append((perf_counter() - between) * 1e3)
    note = f"a snapshot of {len(data):,} bytes, written in {min(written):.1f} ms"
    yield Figure("engine: restart half way", tuple(read), "ms", budget=5000, note=note)
