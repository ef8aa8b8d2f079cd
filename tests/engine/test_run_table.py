"""Owns the exhaustiveness of the table of runs, and what holds before a run was created."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.engine.table import RUN_TABLE
from meson_core.errors import EngineError, InvalidTransitionError
from meson_core.spec.states import RunState
from tests.engine.stories import Story, compiled, for_each, step

Act = Callable[[Story], Any]


def run(*acts: Act) -> Story:
    """`a` is at work, `b` follows it, `c` is held by nobody."""
    story = Story(step("a"), step("b", "a"), step("c"), timeout_s=1000.0)
    story.created()
    story.placed("a")
    for act in acts:
        act(story)
    return story


def on(name: str, *more: Any, **options: Any) -> Act:
    return lambda story: getattr(story, name)(*more, **options)


WAYS: dict[RunState, list[list[Act]]] = {
    RunState.running: [
        [],
        [on("works", "c"), on("succeeded", "a"), on("placed", "b")],
        [on("works", "c"), on("given_back", "a")],
        # `c` stays cancelled, `a` alone is done again.
        [
            on("cancelled"),
            on("killed", "a"),
            on("reopened", "a"),
            on("placed", "a"),
            on("succeeded", "a"),
            on("placed", "b"),
        ],
    ],
    RunState.cancelling: [
        [on("cancelled")],
        [on("timed_out")],
        [on("paused"), on("cancelled")],
        [on("works", "c"), on("succeeded", "a"), on("placed", "b"), on("cancelled")],
    ],
    RunState.succeeded: [[on("succeeded", "a"), on("works", "b", "c")]],
    RunState.failed: [[on("works", "c"), on("failed", "a")], [on("timed_out"), on("killed", "a")]],
    RunState.cancelled: [[on("cancelled"), on("killed", "a")]],
}
WAYS[RunState.paused] = [[*acts, on("paused")] for acts in WAYS[RunState.running]]

STIMULI: dict[str, list[Act]] = {
    "RunCreated": [on("created")],
    "RunPaused": [on("paused")],
    "RunResumed": [on("resumed")],
    "RunCancelRequested": [on("cancelled")],
    "TimerFired": [on("timed_out")],
    "RunReopened": [on("reopened", "a"), on("reopened", failed=True)],
    "CodeChanged": [lambda story: story.tell(ev.CodeChanged(story.now, "sha", "ada"))],
    "StepHeld": [on("held", "b")],
    "StepReleased": [on("released", "b")],
    "InstancesSkipped": [on("skipped", "b"), on("skipped", "a", "b", "c")],
    "root ended": [on("succeeded", "a"), on("succeeded", "b"), on("killed", "b"), on("killed", "a"), on("failed", "b")],
}


@pytest.mark.parametrize("state", list(RunState), ids=lambda state: state.name)
@pytest.mark.parametrize("stimulus", list(RUN_TABLE))
def test_a_run_does_what_the_table_says(stimulus: str, state: RunState) -> None:
    cell = RUN_TABLE[stimulus][state]
    outcomes: set[RunState] = set()
    for acts in WAYS[state]:
        for act in STIMULI[stimulus]:
            story = run(*acts)
            assert story.machine.run_state is state
            before = story.machine.snapshot()
            try:
                act(story)
            except InvalidTransitionError:
                if stimulus != "root ended":  # where an attempt was never made, its end is a bug
                    assert cell.action == "refuse"
                assert story.machine.snapshot() == before
                continue
            assert cell.action != "refuse"
            if cell.action == "ignore":
                assert story.machine.snapshot() == before
            outcomes.add(story.machine.run_state)
            story.check()
    # When nothing is left the end follows at once.
    causes = [cause for cause in (state, *cell.to) if isinstance(cause, RunState)]
    followed = {after for cause in causes for after in RUN_TABLE["root ended"][cause].to}
    assert set(cell.to) <= outcomes
    assert outcomes <= {state, *cell.to, *followed}


def test_a_run_that_was_not_created_takes_nothing_else() -> None:
    machine = RunMachine(compiled(step("a"), for_each("each", step("b"))))
    empty = machine.snapshot()
    selection = ev.Selection(failed=True)
    for event in (
        ev.RunPaused(1.0, "ada"),
        ev.RunReopened(1.0, selection, 1, "ada"),
        ev.InstancesSkipped(1.0, selection, "ada"),
        ev.StepHeld(1.0, 0, "ada"),
        ev.TimerFired(1.0, (-1,)),
        ev.AttemptStarted(1.0, (0,), 1),
        ev.MessageSent(1.0, (0,), "x", ev.NULL, "ada"),
        ev.ItemsResolved(1.0, (1,), 1),
        ev.EvaluationFailed(1.0, (1,), ev.Failure("evaluation", "boo")),
        ev.EvaluationFailed(1.0, (0,), ev.Failure("evaluation", "boo")),
        ev.OutcomeSettled(1.0, (0,), "retry", ev.NULL, "ada"),
    ):
        with pytest.raises(InvalidTransitionError, match="the first event of a run is RunCreated"):
            machine.handle(event)
    assert machine.snapshot() == empty
    machine.validate()


def test_a_run_of_a_newer_engine_is_refused() -> None:
    machine = RunMachine(compiled(step("a")))
    event = ev.RunCreated(1.0, "r", "wf", "", ev.NULL, {}, engine=ev.ENGINE_VERSION + 1)
    with pytest.raises(EngineError, match="is pinned to engine version 2; this Meson has 1") as caught:
        machine.handle(event)
    assert caught.value.hint == "upgrade Meson"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (ev.AttemptStarted(1.0, (9,), 1), "is not an instance of a step"),
        (ev.AttemptStarted(1.0, (0, 3), 1), "is not an instance of a step"),
        (ev.AttemptStarted(1.0, (1,), 1), "is not an instance of a step"),
        (ev.ItemsResolved(1.0, (0,), 1), "never asked for it"),
        (ev.BranchChosen(1.0, (1,), 0), "never asked for it"),
        (ev.EvaluationFailed(1.0, (1, 4), ev.Failure("evaluation", "boo")), "there is no instance"),
        (
            ev.OutcomeSettled(1.0, (0,), "perhaps", ev.NULL, "ada"),
            "verdict 'perhaps' is none of succeeded, failed, retry",
        ),
    ],
)
def test_what_the_workflow_does_not_have_is_a_bug(event: ev.AnyEvent, why: str) -> None:
    story = Story(step("a"), for_each("each", step("b")))
    story.created()
    before = story.machine.snapshot()
    with pytest.raises(InvalidTransitionError, match=why):
        story.machine.handle(event)
    assert story.machine.snapshot() == before


def test_a_machine_that_met_a_bug_stands_still() -> None:
    story = Story(step("a"))
    story.created()
    story.machine._memory.steps.clear()  # what no event can do
    story.machine._memory.ended.append((story.machine._memory.root, 7))
    with pytest.raises(IndexError):
        story.machine.handle(ev.RunPaused(1.0, "ada"))
    with pytest.raises(EngineError, match="this machine met a bug and stands still"):
        story.machine.handle(ev.RunResumed(1.0, "ada"))


def test_the_invariants_notice_a_wrong_count() -> None:
    story = Story(step("a"))
    story.created()
    story.machine._memory.counts[0][2] += 1
    with pytest.raises(AssertionError, match=r"a: counts are kept as .* and are"):
        story.machine.validate()


def test_the_story_of_what_is_not_there() -> None:
    story = Story(step("a"), for_each("each", step("b")))
    story.created()
    assert story.machine.story((9,)) == []
    assert story.machine.story((2, 5)) == ["b[5] does not exist now"]
    assert story.machine.run_id == "run"
