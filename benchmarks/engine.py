"""Owns the measurement of the engine alone: microseconds an event, bytes an instance, seconds of a restart; no IO.

    python -m benchmarks.engine

A for_each of one step with 10, 1,000 and 100,000 items; each item is placed, started, succeeded. The baseline is a
loop that builds the same answers (a change, a command, a decision) without a machine behind them.
"""

from __future__ import annotations

import tracemalloc
from time import perf_counter

from benchmarks.report import Figure, show
from meson_core import events as ev
from meson_core.commands import Change, Decision, Launch
from meson_core.engine import RunMachine
from meson_core.spec.model import Expression, ForEach, Step, Workflow
from meson_core.spec.plan import Plan, compile_plan
from meson_core.spec.states import RunState, State

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


def measure(rounds: int = 3) -> list[Figure]:
    """All figures of the engine.

    Args:
        rounds: how often each is measured.
    """
    figures: list[Figure] = []
    for items in SIZES:
        log = history(items)
        times = max(1, 30_000 // len(log))
        events = times * len(log)
        taken = [sum(replayed_s(log) for _ in range(times)) for _ in range(rounds)]
        bare = [bare_s(events) for _ in range(rounds)]
        figures.append(
            Figure(
                f"engine: one event, {items:,} instances",
                tuple(seconds / events * 1e6 for seconds in taken),
                "µs",
                baseline=tuple(seconds / events * 1e6 for seconds in bare),
                budget=15,
                note=f"{events / min(taken):,.0f} events a second",
            )
        )
    machine, size = half_way(SIZES[-1])
    figures.append(Figure(f"engine: memory, {SIZES[-1]:,} instances", (size / 1e6,), "MB", budget=300))
    started = perf_counter()
    data = machine.snapshot()
    written = perf_counter()
    RunMachine.restore(plan(), data).outstanding()
    read = perf_counter()
    note = f"{len(data):,} bytes, written in {(written - started) * 1e3:.1f} ms"
    figures.append(Figure("engine: restart half way", ((read - written) * 1e3,), "ms", budget=5000, note=note))
    return figures


if __name__ == "__main__":
    show(measure())
