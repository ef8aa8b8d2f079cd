"""Owns every fact that can happen to a run, in the past tense; the log is made of these and of nothing else.

Events are stored as JSON arrays (`["AttemptStarted", at, instance, attempt]`). A field may only be appended, with a
default; anything else is a new event and an upcast in `decode`. `at` is seconds since the epoch, UTC: the engine has
no other clock. `instance` is `(node, *indexes)` of `meson_core.spec.plan`; attempts count from 1 and never restart.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from meson_core.spec.plan import Instance
from meson_core.spec.states import Cause

#: The version of the engine's behaviour that new runs are pinned to.
ENGINE_VERSION = 1

Json: TypeAlias = msgspec.Raw
NULL = msgspec.Raw(b"null")


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something ended badly, as a person reads it.

    Args:
        reason: "exit", "signal", "exception", "out of memory", "timeout", "lost", "evaluation", "outputs", "launch",
            "settled".
        message: one line.
        exit_code: of the process, when it exited.
        signal: its name ("SIGSEGV"), when a signal ended it.
        traceback: the user's own frames, for an exception.
    """

    reason: str
    message: str
    exit_code: int | None = None
    signal: str | None = None
    traceback: str | None = None


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which instances a person means.

    Args:
        failed: all that failed or were cancelled (what waited for them comes along by itself).
        nodes: all instances of these nodes.
        instances: just these.
    """

    failed: bool = False
    nodes: tuple[int, ...] = ()
    instances: tuple[Instance, ...] = ()


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of all events."""

    at: float


# --- the run as a whole -------------------------------------------------------------------------------------------


class RunCreated(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The first event of every log: what is run, with what, pinned to which versions.

    Args:
        run_id: its id.
        workflow: digest of the definition.
        code: digest of the code bundle ("" when it has none).
        params: all parameters by name, defaults filled in.
        plugins: distribution → version of the plugins in use.
        window: how many items of one for_each are under way at most (the rest is not expanded yet).
        engine: behaviour version.
        owner: who asked for it.
        fresh: nodes whose steps (and those inside them) are not restored from results that are there already.
    """

    run_id: str
    workflow: str
    code: str
    params: Json
    plugins: dict[str, str]
    window: int = 1000
    engine: int = ENGINE_VERSION
    owner: str = ""
    fresh: tuple[int, ...] = ()


class RunPaused(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Nothing new starts; what runs goes on."""

    by: str


class RunResumed(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The pause is over."""

    by: str


class RunCancelRequested(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Everything is to stop; attempts get their grace."""

    by: str


class RunReopened(Event, frozen=True, array_like=True, tag=True, gc=False):
    """A finished run goes on: the selection and everything downstream of it is done again.

    Args:
        selection: what to do again.
        generation: 1 for the first reopening, counting up.
        by: who asked for it.
        fresh: as in `RunCreated`, from here on and beside those that were fresh before.
    """

    selection: Selection
    generation: int
    by: str
    fresh: tuple[int, ...] = ()


class CodeChanged(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Later attempts use another code bundle, on a person's word."""

    code: str
    by: str


class StepHeld(Event, frozen=True, array_like=True, tag=True, gc=False):
    """No new attempt of this step starts until it is released."""

    node: int
    by: str


class StepReleased(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The hold is over."""

    node: int
    by: str


class InstancesSkipped(Event, frozen=True, array_like=True, tag=True, gc=False):
    """A person decides that these count as done with null outputs; those that run are left alone."""

    selection: Selection
    by: str


class TimerFired(Event, frozen=True, array_like=True, tag=True, gc=False):
    """A timer that the engine set has come due.

    Args:
        key: as in `SetTimer`.
    """

    key: tuple[int, ...]


# --- what was found by evaluating expressions over the context ----------------------------------------------------


class ItemsResolved(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The items of a for_each are known; the items themselves stay in the context."""

    instance: Instance
    count: int


class BranchChosen(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The way of a choose is known.

    Args:
        branch: index into the plan's scopes of that node; -1 when no condition holds and there is no `otherwise`.
    """

    instance: Instance
    branch: int


class IterationJudged(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The until-condition was evaluated after an iteration of a repeat (and its carry, for the next one)."""

    instance: Instance
    iteration: int
    done: bool


class EvaluationFailed(Event, frozen=True, array_like=True, tag=True, gc=False):
    """An expression of this instance met values that it cannot work on; the instance fails, cause user."""

    instance: Instance
    failure: Failure


# --- results that are there already ---------------------------------------------------------------------------------


class ResultFound(Event, frozen=True, array_like=True, tag=True, gc=False):
    """A result of this step is there already: it is skipped, and these are its outputs.

    Args:
        key: under which it was found.
        run_id: the run that made it.
        outputs: JSON object by output name.
        facts: JSON object of what went into the key, for people.
    """

    instance: Instance
    attempt: int
    key: str
    run_id: str
    outputs: Json
    facts: Json


class ResultMissing(Event, frozen=True, array_like=True, tag=True, gc=False):
    """No result of this step is there; what the step makes now is kept under this key.

    Args:
        key: "" when the step has none, and why says so.
        why: one phrase.
        facts: JSON object of what went into the key, for people.
    """

    instance: Instance
    attempt: int
    key: str
    why: str
    facts: Json


# --- attempts -----------------------------------------------------------------------------------------------------


class AttemptPlaced(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Placement found a machine; written before the launch is sent."""

    instance: Instance
    attempt: int
    machine: str


class AttemptStarted(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The executor has begun with it."""

    instance: Instance
    attempt: int


class AttemptSucceeded(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Done, with outputs.

    Args:
        started_at: when the executor began (the start is not always reported apart).
        outputs: JSON object by output name.
    """

    instance: Instance
    attempt: int
    started_at: float
    outputs: Json


class AttemptFailed(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Ended without a result, by itself or by a limit.

    Args:
        started_at: None when it never began.
        cause: whose budget of retries pays.
        failure: what is told.
        final: a retry cannot help (the kind says so); budgets are not asked.
        after_s: seconds that an outside service asked to wait before the next attempt.
    """

    instance: Instance
    attempt: int
    started_at: float | None
    cause: Cause
    failure: Failure
    final: bool = False
    after_s: float = 0.0


class AttemptReturned(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Given back before it began (the executor drains, or never got it); ready again, no budget pays."""

    instance: Instance
    attempt: int
    reason: str


class AttemptLost(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Its executor is silent past the lease; it may still be at work."""

    instance: Instance
    attempt: int
    reason: str


class AttemptFound(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The executor of a lost attempt is back in a new session, and the attempt with it."""

    instance: Instance
    attempt: int


class AttemptFenced(Event, frozen=True, array_like=True, tag=True, gc=False):
    """It is certain that nothing of this attempt runs any more, and that its result is not known."""

    instance: Instance
    attempt: int
    reason: str


class AttemptKilled(Event, frozen=True, array_like=True, tag=True, gc=False):
    """Ended by our kill."""

    instance: Instance
    attempt: int
    started_at: float | None


class SubmissionIntended(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The step is about to submit an external job under this key.

    Args:
        recoverable: the service deduplicates by the key or can be asked for it.
    """

    instance: Instance
    attempt: int
    job_key: str
    recoverable: bool


class JobRemembered(Event, frozen=True, array_like=True, tag=True, gc=False):
    """The external job exists and this is its id."""

    instance: Instance
    attempt: int
    external_id: str


class ValueEmitted(Event, frozen=True, array_like=True, tag=True, gc=False):
    """`ctx.emit(name, value)`: a fact of the step for people and followers; the engine only passes it on."""

    instance: Instance
    attempt: int
    name: str
    value: Json


class LinkShown(Event, frozen=True, array_like=True, tag=True, gc=False):
    """`ctx.link(name, url)`."""

    instance: Instance
    attempt: int
    name: str
    url: str


class MessageSent(Event, frozen=True, array_like=True, tag=True, gc=False):
    """`mesonctl send`: a value for the running attempt of this instance."""

    instance: Instance
    name: str
    value: Json
    by: str


class OutcomeSettled(Event, frozen=True, array_like=True, tag=True, gc=False):
    """A person says what became of a submission whose outcome was unknown.

    Args:
        verdict: "succeeded" (with outputs), "failed", or "retry" (a new job key).
    """

    instance: Instance
    verdict: str
    outputs: Json
    by: str


AnyEvent: TypeAlias = (
    RunCreated
    | RunPaused
    | RunResumed
    | RunCancelRequested
    | RunReopened
    | CodeChanged
    | StepHeld
    | StepReleased
    | InstancesSkipped
    | TimerFired
    | ItemsResolved
    | BranchChosen
    | IterationJudged
    | EvaluationFailed
    | ResultFound
    | ResultMissing
    | AttemptPlaced
    | AttemptStarted
    | AttemptSucceeded
    | AttemptFailed
    | AttemptReturned
    | AttemptLost
    | AttemptFound
    | AttemptFenced
    | AttemptKilled
    | SubmissionIntended
    | JobRemembered
    | ValueEmitted
    | LinkShown
    | MessageSent
    | OutcomeSettled
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_frame_decoder: msgspec.json.Decoder[list[AnyEvent]] = msgspec.json.Decoder(list[AnyEvent])


def encode(event: Event) -> bytes:
    """One event as JSON."""
    return _encoder.encode(event)


def decode(data: bytes | str) -> AnyEvent:
    """One event from JSON, older versions brought up to date.

    Raises:
        msgspec.ValidationError: not an event of this or an older version.
    """
    return _decoder.decode(data)


def encode_frame(events: list[AnyEvent]) -> bytes:
    """The events of one commit as one JSON array: a row of the log."""
    return _encoder.encode(events)


def decode_frame(data: bytes | str) -> list[AnyEvent]:
    """What `encode_frame` wrote."""
    return _frame_decoder.decode(data)
