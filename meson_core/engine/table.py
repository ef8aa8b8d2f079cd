"""Owns the transition table: for every state and everything that can happen, what is done and where it leads.

The engine dispatches by this table, the tests drive a machine through every pair of it, and `docs/states.md` is drawn
from it. A stimulus is an event, by its class name, or something that the engine itself brings about, in small letters.

For events of attempts a row speaks of the **present** attempt. Those of an earlier attempt are late and ignored, those
of an attempt that was never made are refused, in whatever state the instance is.

Three actions mean that nothing happens: `ignore` (a duplicate, or it came too late to matter), `late` (ignored when it
is about an attempt that was made once, refused otherwise) and `refuse` (an `InvalidTransitionError`: a bug in Meson;
the machine is unchanged).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias, TypeVar

from meson_core.spec.states import ENDED, RunState, State

S = TypeVar("S", State, RunState)


class Cell(NamedTuple):
    """What is decided for one pair of state and stimulus.

    Args:
        action: name of the handler, or `ignore`, `late`, `refuse`.
        to: the states that it may lead to; empty when nothing changes.
        why: when the action alone does not say it.
    """

    action: str
    to: tuple[State | RunState, ...] = ()
    why: str = ""


Table: TypeAlias = Mapping[str, Mapping[S, Cell]]

_UNSTARTED: Final = (State.waiting, State.activated)
_QUEUED: Final = (State.ready, State.paused)
_PLACED: Final = (State.starting, State.running, State.lost)
_BETWEEN: Final = (State.retrying, State.outcome_unknown)
_ENDED: Final = tuple(state for state in State if ENDED[state])
_DONE: Final = tuple(state for state in _ENDED if state is not State.not_chosen)
#: A node that is not a step never is in these.
_NOT_COMPOSITE: Final = (*_QUEUED, State.starting, State.lost, *_BETWEEN)

_AGAIN: Final = (State.ready, State.paused)
_FAILURE: Final = (State.retrying, *_AGAIN, State.failed, State.outcome_unknown)

_LATE: Final = Cell("late")
_TWICE: Final = Cell("ignore", (), "a duplicate, or overtaken")
_NEVER_PLACED: Final = Cell("refuse", (), "it was never placed")
_PASS: Final = Cell("ignore", (), "the engine only passes it on")
_UNOPENED: Final = Cell(
    "imply",
    (State.skipped, State.not_chosen, State.upstream_failed, State.cancelled),
    "it ends with the choose or subworkflow around it",
)
_NOT_TAKEN: Final = Cell("ignore", (), "the choose around it may be reopened, and choose otherwise")
_NOT_OVER: Final = Cell("ignore", (), "only a run that has ended is reopened")


def decided(*groups: tuple[tuple[S, ...], Cell], every: type[S]) -> Mapping[S, Cell]:
    """One row of a table.

    Raises:
        ValueError: a state is in no group, or in several.
    """
    row: dict[S, Cell] = {}
    for states, cell in groups:
        for state in states:
            if state in row:
                message = f"{state.name} is decided twice"
                raise ValueError(message)
            row[state] = cell
    missing = [state.name for state in every if state not in row]
    if missing:
        message = f"not decided: {', '.join(missing)}"
        raise ValueError(message)
    return row


def _step(*groups: tuple[tuple[State, ...], Cell]) -> Mapping[State, Cell]:
    return decided(*groups, every=State)


def _attempt(*groups: tuple[tuple[State, ...], Cell]) -> Mapping[State, Cell]:
    """A row for an event of an attempt: decided alike wherever no attempt can be under way."""
    return _step((_UNSTARTED, _LATE), (_QUEUED, _NEVER_PLACED), (_ENDED, _LATE), *groups)


def _attempt_answer(cell: Cell) -> Mapping[State, Cell]:
    """A row for an answer about a step that is ready and asks."""
    return _step(
        (_UNSTARTED, _LATE),
        ((State.ready,), cell),
        ((State.paused,), Cell("ignore", (), "the hold came first; it asks again when it is released")),
        ((*_PLACED, *_BETWEEN, State.cancelling), _TWICE),
        (_ENDED, _LATE),
    )


STEP_TABLE: Final[Table[State]] = {
    # --- what the engine brings about -----------------------------------------------------------------------------
    "predecessor ended": _step(
        ((State.waiting,), Cell("arrive", (State.activated, *_AGAIN, State.upstream_failed), "its join decides")),
        ((State.activated,), Cell("arrive", (*_AGAIN, State.upstream_failed), "its join decides")),
        (tuple(state for state in State if state not in _UNSTARTED), Cell("ignore", (), "an any-join has begun")),
    ),
    "never opened": _step(
        ((State.waiting,), _UNOPENED),
        (tuple(state for state in State if state is not State.waiting), Cell("ignore", (), "it was opened")),
    ),
    "stop": _step(
        (_UNSTARTED, Cell("cancel", (State.cancelled,))),
        (_QUEUED, Cell("withdraw", (State.cancelled,))),
        (_BETWEEN, Cell("withdraw", (State.cancelled,))),
        (_PLACED, Cell("kill", (State.cancelling,))),
        ((State.cancelling,), _TWICE),
        (_ENDED, _TWICE),
    ),
    "reopen": _step(
        (_DONE, Cell("reset", (State.waiting,), "selected, or downstream of what is")),
        ((State.not_chosen,), _NOT_TAKEN),
        (tuple(state for state in State if state not in _ENDED), _NOT_OVER),
    ),
    # --- wishes of people -----------------------------------------------------------------------------------------
    "InstancesSkipped": _step(
        (_UNSTARTED, Cell("skip", (State.skipped,))),
        ((*_QUEUED, *_BETWEEN), Cell("skip", (State.skipped,))),
        ((*_PLACED, State.cancelling), Cell("ignore", (), "what runs is left alone")),
        (_ENDED, Cell("ignore", (), "it has ended")),
    ),
    "StepHeld": _step(
        ((State.ready,), Cell("pause", (State.paused,))),
        (tuple(state for state in State if state is not State.ready), Cell("ignore", (), "counts when it gets ready")),
    ),
    "StepReleased": _step(
        ((State.paused,), Cell("release", (State.ready,))),
        (tuple(state for state in State if state is not State.paused), Cell("ignore")),
    ),
    "OutcomeSettled": _step(
        (
            (State.outcome_unknown,),
            Cell("settle", (State.succeeded, State.failed, *_AGAIN), "as the person says"),
        ),
        (
            tuple(state for state in State if state is not State.outcome_unknown),
            Cell("ignore", (), "there is nothing to settle"),
        ),
    ),
    "MessageSent": _step(
        (_PLACED, Cell("deliver")),
        (
            tuple(state for state in State if state not in _PLACED),
            Cell("ignore", (), "no attempt is there to receive it"),
        ),
    ),
    # --- time and expressions -------------------------------------------------------------------------------------
    "TimerFired": _step(
        ((State.retrying,), Cell("try_again", _AGAIN)),
        (tuple(state for state in State if state is not State.retrying), Cell("ignore", (), "its timer was cancelled")),
    ),
    "EvaluationFailed": _step(
        (_QUEUED, Cell("give_up", (State.failed,))),
        ((State.starting,), Cell("give_up", (State.failed,), "nothing was launched")),
        ((State.cancelling,), Cell("killed", (State.cancelled,), "nothing was launched")),
        ((State.running, State.lost, *_BETWEEN), Cell("refuse", (), "its inputs were evaluated once")),
        (_UNSTARTED, Cell("refuse", (), "its inputs are not there yet")),
        (_ENDED, Cell("ignore", (), "it has ended")),
    ),
    # --- results that are there already ---------------------------------------------------------------------------
    "ResultFound": _attempt_answer(Cell("restore", (State.skipped,), "its outputs are those of before")),
    "ResultMissing": _attempt_answer(Cell("make_anew", (), "it is queued; what it makes is kept")),
    # --- attempts -------------------------------------------------------------------------------------------------
    "AttemptPlaced": _step(
        (_UNSTARTED, _LATE),
        ((State.ready,), Cell("place", (State.starting,), "refused while it is looked up: it is in no queue")),
        ((State.paused,), Cell("ignore", (), "the hold came first; the place is given back")),
        ((*_PLACED, *_BETWEEN, State.cancelling), _TWICE),
        (_ENDED, _LATE),
    ),
    "AttemptStarted": _attempt(
        ((State.starting,), Cell("begin", (State.running,))),
        ((State.running, State.lost, State.cancelling, *_BETWEEN), _TWICE),
    ),
    "AttemptSucceeded": _attempt(
        (_PLACED, Cell("succeed", (State.succeeded,))),
        ((State.cancelling,), Cell("succeed", (State.succeeded,), "the kill came too late: it is kept")),
        ((State.outcome_unknown,), Cell("succeed", (State.succeeded,), "the outcome is known after all")),
        ((State.retrying,), _TWICE),
    ),
    "AttemptFailed": _attempt(
        (_PLACED, Cell("fail", _FAILURE, "the budget of its cause decides")),
        ((State.cancelling,), Cell("killed", (State.cancelled,))),
        (_BETWEEN, _TWICE),
    ),
    "AttemptReturned": _attempt(
        (_PLACED, Cell("give_back", _AGAIN, "no budget pays")),
        ((State.cancelling,), Cell("killed", (State.cancelled,))),
        (_BETWEEN, _TWICE),
    ),
    "AttemptLost": _attempt(
        ((State.starting, State.running), Cell("lose", (State.lost,))),
        ((State.cancelling,), Cell("lose_cancelling", (), "it must be fenced before it counts as cancelled")),
        ((State.lost, *_BETWEEN), _TWICE),
    ),
    "AttemptFound": _attempt(
        ((State.lost,), Cell("find", (State.running,))),
        ((State.cancelling,), Cell("find_cancelling", (), "the kill is sent again")),
        ((State.starting, State.running, *_BETWEEN), _TWICE),
    ),
    "AttemptFenced": _attempt(
        (_PLACED, Cell("fence", _FAILURE, "the platform's budget decides")),
        ((State.cancelling,), Cell("fence_cancelling", (State.cancelled,))),
        (_BETWEEN, _TWICE),
    ),
    "AttemptKilled": _attempt(
        ((State.cancelling,), Cell("killed", (State.cancelled,))),
        (_PLACED, Cell("killed_by_others", _FAILURE, "nobody asked for it: the platform's budget decides")),
        (_BETWEEN, _TWICE),
    ),
    "SubmissionIntended": _attempt(
        ((*_PLACED, State.cancelling), Cell("intend")),
        (_BETWEEN, _TWICE),
    ),
    "JobRemembered": _attempt(
        ((*_PLACED, State.cancelling), Cell("remember")),
        (_BETWEEN, _TWICE),
    ),
    "ValueEmitted": _step((tuple(State), _PASS)),
    "LinkShown": _step((tuple(State), _PASS)),
}
"""Step instances."""

_IMPOSSIBLE: Final = Cell("refuse", (), "a composite is never in this state")
_SETTLED: Final = (State.succeeded, State.failed, State.cancelled)


def _composite(*groups: tuple[tuple[State, ...], Cell]) -> Mapping[State, Cell]:
    return decided((_NOT_COMPOSITE, _IMPOSSIBLE), *groups, every=State)


def _answer(cell: Cell) -> Mapping[State, Cell]:
    overtaken = Cell("ignore", (), "the question is no longer open")
    return _composite(((State.running,), cell), ((*_UNSTARTED, State.cancelling, *_ENDED), overtaken))


COMPOSITE_TABLE: Final[Table[State]] = {
    "predecessor ended": _composite(
        ((State.waiting,), Cell("arrive", (State.activated, State.running, State.upstream_failed), "its join decides")),
        ((State.activated,), Cell("arrive", (State.running, State.upstream_failed), "its join decides")),
        ((State.running, State.cancelling, *_ENDED), Cell("ignore", (), "an any-join has begun")),
    ),
    "never opened": _composite(
        ((State.waiting,), _UNOPENED),
        ((State.activated, State.running, State.cancelling, *_ENDED), Cell("ignore", (), "it was opened")),
    ),
    "stop": _composite(
        (_UNSTARTED, Cell("cancel", (State.cancelled,))),
        (
            (State.running,),
            Cell("stop", (State.cancelling,), "and cancelled at once when nothing in it runs"),
        ),
        ((State.cancelling, *_ENDED), _TWICE),
    ),
    "reopen": _composite(
        (_SETTLED, Cell("reset", (State.waiting, State.running), "running when only something inside it is selected")),
        ((State.skipped, State.upstream_failed), Cell("reset", (State.waiting,))),
        ((State.not_chosen,), _NOT_TAKEN),
        ((*_UNSTARTED, State.running, State.cancelling), _NOT_OVER),
    ),
    "scope ended": _composite(
        ((State.running,), Cell("close", _SETTLED, "when it was the last")),
        ((State.cancelling,), Cell("close", _SETTLED, "when it was the last")),
        ((*_UNSTARTED, *_ENDED), Cell("ignore", (), "nothing in it is open")),
    ),
    "InstancesSkipped": _composite(
        (_UNSTARTED, Cell("skip", (State.skipped,))),
        ((State.running, State.cancelling), Cell("ignore", (), "what runs is left alone")),
        (_ENDED, Cell("ignore", (), "it has ended")),
    ),
    "ItemsResolved": _answer(Cell("expand", (State.succeeded,), "at once when there are none")),
    "BranchChosen": _answer(Cell("choose", (State.succeeded,), "at once when there is no way to take")),
    "IterationJudged": _answer(Cell("judge", (State.succeeded, State.failed), "unless the next iteration begins")),
    "EvaluationFailed": _answer(Cell("doom", (State.failed,), "once nothing in it runs")),
}
"""Nodes that are not steps."""


def _run(*groups: tuple[tuple[RunState, ...], Cell]) -> Mapping[RunState, Cell]:
    return decided(*groups, every=RunState)


_ACTIVE: Final = (RunState.running, RunState.paused)
_OVER: Final = tuple(state for state in RunState if state.ended)
_UNENDED: Final = (*_ACTIVE, RunState.cancelling)
_IS_OVER: Final = Cell("ignore", (), "the run has ended")
_IS_STOPPING: Final = Cell("ignore", (), "the run is being cancelled")

RUN_TABLE: Final[Table[RunState]] = {
    "RunCreated": _run((tuple(RunState), Cell("refuse", (), "a log begins once"))),
    "RunPaused": _run(
        ((RunState.running,), Cell("pause", (RunState.paused,))),
        ((RunState.paused,), _TWICE),
        ((RunState.cancelling,), _IS_STOPPING),
        (_OVER, _IS_OVER),
    ),
    "RunResumed": _run(
        ((RunState.paused,), Cell("resume", (RunState.running,))),
        ((RunState.running,), _TWICE),
        ((RunState.cancelling,), _IS_STOPPING),
        (_OVER, _IS_OVER),
    ),
    "RunCancelRequested": _run(
        (_ACTIVE, Cell("cancel", (RunState.cancelling,))),
        ((RunState.cancelling,), _TWICE),
        (_OVER, _IS_OVER),
    ),
    "TimerFired": _run(
        (_ACTIVE, Cell("time_out", (RunState.cancelling,), "it will have failed")),
        ((RunState.cancelling,), _IS_STOPPING),
        (_OVER, _IS_OVER),
    ),
    "RunReopened": _run(
        (_OVER, Cell("reopen", (RunState.running,), "when it selects anything")),
        (_UNENDED, _NOT_OVER),
    ),
    "CodeChanged": _run((tuple(RunState), _PASS)),
    "StepHeld": _run((tuple(RunState), Cell("hold", (), "it outlives the end: the run may be reopened"))),
    "StepReleased": _run((tuple(RunState), Cell("release"))),
    "InstancesSkipped": _run(
        (_ACTIVE, Cell("skip")),
        ((RunState.cancelling,), _IS_STOPPING),
        (_OVER, _IS_OVER),
    ),
    "root ended": _run(
        (_ACTIVE, Cell("finish", _OVER, "cancelled when something stayed so in a reopening")),
        ((RunState.cancelling,), Cell("finish", _OVER, "failed when the run took too long")),
        (_OVER, Cell("ignore", (), "it ends once")),
    ),
}
"""Runs. One that was not created refuses everything but `RunCreated`; when nothing is left, `root ended` follows at once."""
