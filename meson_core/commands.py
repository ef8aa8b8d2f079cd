"""Owns every order that the engine can give, in the imperative; each is idempotent and carries a deterministic key.

Commands are carried out only after the event that caused them is committed. `Evaluate` and `LookUp` alone are answered at
once (they only read), and their answers join the same commit.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from meson_core.spec.plan import Instance
from meson_core.spec.states import RunState, State


class Enqueue(msgspec.Struct, frozen=True, gc=False):
    """Ask placement for a machine for this attempt.

    Args:
        instance: the step instance.
        attempt: number of the attempt that is to run.
        job: the attempt whose job key it uses: equal to `attempt` for a new external job, an earlier one to re-attach.
    """

    instance: Instance
    attempt: int
    job: int


class Withdraw(msgspec.Struct, frozen=True, gc=False):
    """Take it out of the queue again."""

    instance: Instance
    attempt: int


class Launch(msgspec.Struct, frozen=True, gc=False):
    """Start this attempt on the machine where it was placed."""

    instance: Instance
    attempt: int
    job: int
    machine: str


class Kill(msgspec.Struct, frozen=True, gc=False):
    """Stop this attempt: TERM, `grace_s` seconds, KILL."""

    instance: Instance
    attempt: int
    grace_s: float


class Fence(msgspec.Struct, frozen=True, gc=False):
    """Find out for certain whether a lost attempt still runs, and answer with AttemptFound, AttemptFenced or its end."""

    instance: Instance
    attempt: int


class Evaluate(msgspec.Struct, frozen=True, gc=False):
    """Compute something from the context and answer with ItemsResolved, BranchChosen, IterationJudged or EvaluationFailed.

    Args:
        what: "items" of a for_each, "branch" of a choose, "iteration" of a repeat.
        iteration: which one has ended, for "iteration".
    """

    instance: Instance
    what: Literal["items", "branch", "iteration"]
    iteration: int = -1


class LookUp(msgspec.Struct, frozen=True, gc=False):
    """Find out whether a result of this step is there already, and answer with ResultFound, ResultMissing or EvaluationFailed.

    Args:
        instance: the step instance.
        attempt: the one that is made when there is none.
        fresh: a person wants it made anew: the answer is ResultMissing, with the key under which to keep it.
    """

    instance: Instance
    attempt: int
    fresh: bool = False


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """Answer with TimerFired(key) at the given time (seconds since the epoch), once, also after a restart."""

    key: tuple[int, ...]
    due: float


class CancelTimer(msgspec.Struct, frozen=True, gc=False):
    """Forget a timer."""

    key: tuple[int, ...]


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Pass a message on to the running attempt."""

    instance: Instance
    attempt: int
    name: str
    value: msgspec.Raw


class EndRun(msgspec.Struct, frozen=True, gc=False):
    """The run has ended in this state; release what belongs to it."""

    state: RunState


Command: TypeAlias = (
    Enqueue | Withdraw | Launch | Kill | Fence | Evaluate | LookUp | SetTimer | CancelTimer | Deliver | EndRun
)


class Change(msgspec.Struct, frozen=True, gc=False):
    """A state that changed: what projections, live views and `why` are made of.

    Args:
        instance: step instance or composite node.
        before: the state it left.
        after: the state it entered.
        attempt: the attempt that it is about, 0 when none.
        why: one phrase for people: "attempt 2 of 3 failed: exit code 1", "waits for train_global".
        number: how many items changed alike: this one and those that follow it, by the last index. More than 1 only
            for items of a for_each that end before they are opened, or that are to be opened after all.

    A change **back to** `waiting` means "to be done again": the outputs of that instance are no longer visible, and for
    a composite neither are those of anything inside it, nor their states: they are told anew.
    """

    instance: Instance
    before: State
    after: State
    attempt: int = 0
    why: str = ""
    number: int = 1


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What one event led to, in order.

    Args:
        changes: states that changed.
        commands: orders to carry out after the commit.
        run_state: the run's new state, when it changed.
    """

    changes: list[Change]
    commands: list[Command]
    run_state: RunState | None = None
