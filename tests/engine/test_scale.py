"""Owns the checks that work is proportional to what changes, with twenty thousand items."""

from __future__ import annotations

import pytest

from meson_core import events as ev
from meson_core.commands import Enqueue
from meson_core.engine import RunMachine
from meson_core.spec.states import Cause, RunState, State
from tests.engine.stories import compiled, for_each, step

ITEMS = 20_000
FAILED = range(17, ITEMS, 100)
OUTPUTS = ev.Json(b"{}")


def succeeded(item: int, attempt: int) -> list[ev.AnyEvent]:
    instance = (1, item)
    return [
        ev.AttemptPlaced(1.0, instance, attempt, "m"),
        ev.AttemptSucceeded(2.0, instance, attempt, 1.0, OUTPUTS),
    ]


def swept() -> RunMachine:
    """A run of which one item in a hundred has failed."""
    failure = ev.Failure("exception", "boo")
    machine = RunMachine(compiled(for_each("each", step("b"))))
    machine.handle(ev.RunCreated(0.0, "run", "wf", "", ev.NULL, {}))
    machine.handle(ev.ItemsResolved(0.0, (0,), ITEMS))
    for item in range(ITEMS):
        placed, ended = succeeded(item, 1)
        machine.handle(placed)
        machine.handle(ev.AttemptFailed(2.0, (1, item), 1, 1.0, Cause.user, failure) if item in FAILED else ended)
    assert machine.run_state is RunState.failed
    return machine


@pytest.mark.slow
def test_exactly_the_failed_items_are_done_again() -> None:
    machine = swept()
    assert machine.counts(1)[State.failed] == len(FAILED) == 200
    decision = machine.handle(ev.RunReopened(3.0, ev.Selection(failed=True), 1, "ada"))
    queued = [command for command in decision.commands if isinstance(command, Enqueue)]
    assert [command.instance for command in queued] == [(1, item) for item in FAILED]
    assert {command.attempt for command in queued} == {2}
    for item in FAILED:
        for event in succeeded(item, 2):
            machine.handle(event)
    assert machine.run_state is RunState.succeeded
    assert machine.counts(1)[State.succeeded] == ITEMS
    machine.validate()


def test_items_that_were_never_opened_cost_one_change() -> None:
    machine = RunMachine(compiled(for_each("each", step("b"))))
    machine.handle(ev.RunCreated(0.0, "run", "wf", "", ev.NULL, {}, window=10))
    decision = machine.handle(ev.ItemsResolved(0.0, (0,), ITEMS))
    assert len(decision.changes) == 10
    decision = machine.handle(ev.RunCancelRequested(1.0, "ada"))
    assert decision.run_state is RunState.cancelled
    assert len(decision.changes) == 13  # the ten, the others, the for_each twice
    assert max(change.number for change in decision.changes) == ITEMS - 10
    decision = machine.handle(ev.RunReopened(2.0, ev.Selection(failed=True), 1, "ada"))
    assert len(decision.changes) == 22  # back and on for the ten, the others, the for_each
    assert machine.counts(1)[State.waiting] == ITEMS - 10
    machine.validate()
