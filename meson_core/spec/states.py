"""Owns the states of step instances, attempts' causes and runs: their colours, and what they mean to a join.

The table is data: the engine reads it, the UI legend and the state diagram in the docs are drawn from it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class State(IntEnum):
    """State of a step instance or of a composite node; one byte each in the engine."""

    waiting = 0
    activated = 1
    ready = 2
    starting = 3
    running = 4
    retrying = 5
    lost = 6
    paused = 7
    cancelling = 8
    outcome_unknown = 9
    succeeded = 10
    skipped = 11
    not_chosen = 12
    failed = 13
    upstream_failed = 14
    cancelled = 15

    @property
    def label(self) -> str:
        """The state as people read it."""
        return self.name.replace("_", " ")


class Join(StrEnum):
    """When a node with several predecessors may start."""

    all = "all"
    any = "any"
    none_failed = "none_failed"


class FailureMode(StrEnum):
    """What the failure of a node does to the rest of its scope.

    `fail_at_once` stops what runs and what waits; `finish` lets everything that does not depend on it go on to its
    end; `ignore` forgives: the outputs are null and joins are satisfied.
    """

    fail_at_once = "fail_at_once"
    finish = "finish"
    ignore = "ignore"


class Cause(StrEnum):
    """Why an attempt failed; each has its own budget of retries."""

    user = "user"
    platform = "platform"
    timeout = "timeout"


class RunState(StrEnum):
    """State of a run."""

    running = "running"
    paused = "paused"
    cancelling = "cancelling"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen unless a person reopens the run."""
        return self in (RunState.succeeded, RunState.failed, RunState.cancelled)


class StateFacts(NamedTuple):
    """One row of the table of states.

    Args:
        colour: CSS colour of the fill (or of the outline).
        look: "fill", "outline", "hatched" or "barred".
        ended: whether the instance is done unless it is reopened.
        satisfies: the joins that this end satisfies.
        meaning: one sentence for the legend.
    """

    colour: str
    look: str
    ended: bool
    satisfies: frozenset[Join]
    meaning: str


_ALL = frozenset(Join)
_NONE: frozenset[Join] = frozenset()

STATES: dict[State, StateFacts] = {
    State.waiting: StateFacts("#9aa0a6", "fill", False, _NONE, "nothing upstream has finished"),
    State.activated: StateFacts(
        "#4285f4", "fill", False, _NONE, "at least one incoming branch has finished, another has not"
    ),
    State.ready: StateFacts("#8ab4f8", "fill", False, _NONE, "queued for resources, with the reason it still waits"),
    State.starting: StateFacts("#fdd663", "fill", False, _NONE, "an attempt is on its way"),
    State.running: StateFacts("#fbbc04", "fill", False, _NONE, "an attempt is at work"),
    State.retrying: StateFacts(
        "#ff9100", "fill", False, _NONE, "waits for the next attempt, with the cause of the last"
    ),
    State.lost: StateFacts("#ff9100", "hatched", False, _NONE, "its executor is silent; retried only once fenced"),
    State.paused: StateFacts("#9aa0a6", "barred", False, _NONE, "held by a person; what runs goes on"),
    State.cancelling: StateFacts("#fa7b17", "fill", False, _NONE, "the kill is on its way"),
    State.outcome_unknown: StateFacts(
        "#a142f4", "fill", False, _NONE, "a submission may or may not have happened; a person settles it"
    ),
    State.succeeded: StateFacts("#34a853", "fill", True, _ALL, "done"),
    State.skipped: StateFacts("#34a853", "outline", True, _ALL, "its artifact is there, or a person skipped it"),
    State.not_chosen: StateFacts("#9aa0a6", "outline", True, frozenset({Join.none_failed}), "its branch was not taken"),
    State.failed: StateFacts("#ea4335", "fill", True, _NONE, "no attempt succeeded within its budgets"),
    State.upstream_failed: StateFacts("#ea4335", "outline", True, _NONE, "a join can no longer be satisfied"),
    State.cancelled: StateFacts("#fa7b17", "outline", True, _NONE, "stopped on request"),
}

#: Indexable by state: whether it has ended. A tuple, because the engine asks on every event.
ENDED: tuple[bool, ...] = tuple(STATES[state].ended for state in State)


def satisfies(state: State, join: Join, mode: FailureMode) -> bool:
    """Whether a predecessor that ended in `state`, with failure mode `mode`, satisfies `join`."""
    if state is State.failed and mode is FailureMode.ignore:
        return True
    return join in STATES[state].satisfies
