"""Owns the step instance under way: its attempts, retries and external job, one function per action of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from meson_core.commands import CancelTimer, Deliver, Enqueue, Fence, Kill, Launch, LookUp, SetTimer, Withdraw
from meson_core.engine.identity import backoff_s
from meson_core.engine.memory import LiveStep, Memory, Scope
from meson_core.engine.shapes import (
    CANCELLED,
    CANCELLING,
    CAUSES,
    FAILED,
    LOST,
    OUTCOME_UNKNOWN,
    PAUSED,
    READY,
    RETRYING,
    RUNNING,
    SKIPPED,
    STARTING,
    SUCCEEDED,
)
from meson_core.errors import InvalidTransitionError
from meson_core.spec.states import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.events import (
        AttemptFailed,
        AttemptFenced,
        AttemptKilled,
        AttemptLost,
        AttemptPlaced,
        AttemptReturned,
        EvaluationFailed,
        MessageSent,
        OutcomeSettled,
        ResultFound,
        ResultMissing,
        SubmissionIntended,
    )

#: What is known of the external job of a step instance (`LiveStep.submission`).
NO_JOB: Final = 0
#: About to be submitted; the service can be asked for it, or deduplicates.
RECOVERABLE: Final = 1
#: About to be submitted, at a service that can do neither: from here on until it is remembered, nobody may know.
IN_THE_GAP: Final = 2
REMEMBERED: Final = 3

#: Longest wait that an outside service may ask for, in seconds: a mistaken date of its own must not stop a run for years.
MAX_ASKED_S: Final = 24 * 3600.0

VERDICTS: Final = ("succeeded", "failed", "retry")

_PLATFORM: Final = CAUSES[Cause.platform]
_CAUSE_NAMES: Final = tuple(cause.value for cause in CAUSES)


# --- in and out of the queue --------------------------------------------------------------------------------------


def enter(m: Memory, scope: Scope, position: int) -> None:
    """A step may start: it is opened with its next attempt, and fresh budgets."""
    node = scope.shape.nodes[position]
    instance = (node.id, *scope.indexes)
    attempt = scope.attempts[position] + 1
    scope.attempts[position] = attempt
    step = m.steps[instance] = LiveStep(scope, node, instance, attempt)
    if m.kept_jobs and instance in m.kept_jobs:
        step.job, step.submission = m.kept_jobs.pop(instance)
    step.asking = node.asks
    _queue(m, step, "")


def _queue(m: Memory, step: LiveStep, why: str) -> None:
    if step.node.id in m.held:
        m.move(step.scope, step.position, PAUSED, step.attempt, "held")
        return
    if step.asking:
        m.move(step.scope, step.position, READY, step.attempt, "is looked up: its result may be there already")
        m.commands.append(question(m, step))
        return
    m.move(step.scope, step.position, READY, step.attempt, why)
    m.commands.append(Enqueue(step.instance, step.attempt, step.job))


def question(m: Memory, step: LiveStep) -> LookUp:
    """What is to be found out about a step that asks."""
    fresh = step.node.id in m.fresh_nodes or step.instance in m.fresh_instances
    return LookUp(step.instance, step.attempt, fresh)


def restore(m: Memory, step: LiveStep, event: ResultFound) -> None:
    """A second answer comes too late: the step is in the queue, or on its way."""
    if step.asking:
        _end(m, step, SKIPPED, f"its result is there already, made by run {event.run_id}")


def make_anew(m: Memory, step: LiveStep, event: ResultMissing) -> None:
    """The question is answered: now it is queued, in the state that it is in already."""
    if step.asking:
        step.asking = False
        m.commands.append(Enqueue(step.instance, step.attempt, step.job))


def _next_attempt(m: Memory, step: LiveStep, why: str) -> None:
    step.attempt += 1
    step.scope.attempts[step.position] = step.attempt
    step.machine = ""
    step.lost = False
    if step.job == 0:
        step.job = step.attempt
        step.submission = NO_JOB
    _queue(m, step, why)


def _leave_queue(m: Memory, step: LiveStep) -> None:
    state = step.scope.states[step.position]
    if step.asking:
        return  # it is in no queue
    if state == READY:
        m.commands.append(Withdraw(step.instance, step.attempt))
    elif state == RETRYING:
        m.commands.append(CancelTimer((*step.instance, step.attempt)))


def _end(m: Memory, step: LiveStep, state: int, why: str) -> None:
    del m.steps[step.instance]
    m.end(step.scope, step.position, state, step.attempt, why)


def withdraw(m: Memory, step: LiveStep, _: object) -> None:
    _leave_queue(m, step)
    _end(m, step, CANCELLED, "")


def skip(m: Memory, step: LiveStep, _: object) -> None:
    _leave_queue(m, step)
    _end(m, step, SKIPPED, "skipped by a person")


def pause(m: Memory, step: LiveStep, _: object) -> None:
    _leave_queue(m, step)
    m.move(step.scope, step.position, PAUSED, step.attempt, "held")


def release(m: Memory, step: LiveStep, _: object) -> None:
    _queue(m, step, "released")


def give_up(m: Memory, step: LiveStep, event: EvaluationFailed) -> None:
    _leave_queue(m, step)
    _end(m, step, FAILED, event.failure.message)


def try_again(m: Memory, step: LiveStep, _: object) -> None:
    _next_attempt(m, step, "the wait is over")


# --- the attempt at work ------------------------------------------------------------------------------------------


def place(m: Memory, step: LiveStep, event: AttemptPlaced) -> None:
    if step.asking:
        message = "it is being looked up, and in no queue"
        raise InvalidTransitionError(message)
    step.machine = event.machine
    m.move(step.scope, step.position, STARTING, step.attempt, event.machine)
    m.commands.append(Launch(step.instance, step.attempt, step.job, event.machine))


def begin(m: Memory, step: LiveStep, _: object) -> None:
    m.move(step.scope, step.position, RUNNING, step.attempt)


def succeed(m: Memory, step: LiveStep, _: object) -> None:
    _end(m, step, SUCCEEDED, "")


def lose(m: Memory, step: LiveStep, event: AttemptLost) -> None:
    step.lost = True
    m.move(step.scope, step.position, LOST, step.attempt, event.reason)
    m.commands.append(Fence(step.instance, step.attempt))


def find(m: Memory, step: LiveStep, _: object) -> None:
    step.lost = False
    m.move(step.scope, step.position, RUNNING, step.attempt, "its executor is back")


def give_back(m: Memory, step: LiveStep, event: AttemptReturned) -> None:
    _next_attempt(m, step, event.reason)


def deliver(m: Memory, step: LiveStep, event: MessageSent) -> None:
    m.commands.append(Deliver(step.instance, step.attempt, event.name, event.value))


def intend(m: Memory, step: LiveStep, event: SubmissionIntended) -> None:
    step.submission = RECOVERABLE if event.recoverable else IN_THE_GAP


def remember(m: Memory, step: LiveStep, _: object) -> None:
    step.submission = REMEMBERED


# --- ends without a result ----------------------------------------------------------------------------------------


def fail(m: Memory, step: LiveStep, event: AttemptFailed) -> None:
    """An exception or an exit is the step's own word on its external job; whatever else ended it says nothing."""
    told = event.cause is Cause.user and event.failure.signal is None
    if step.submission == IN_THE_GAP and not told:
        _unknown(m, step, event.failure.message)
    else:
        keeps_job = not told and event.cause is not Cause.timeout
        _failed(
            m,
            step,
            CAUSES[event.cause],
            event.failure.message,
            event.at,
            keeps_job=keeps_job,
            final=event.final,
            after_s=event.after_s,
        )


def fence(m: Memory, step: LiveStep, event: AttemptFenced) -> None:
    _vanished(m, step, event.reason, event.at)


def killed_by_others(m: Memory, step: LiveStep, event: AttemptKilled) -> None:
    _vanished(m, step, "killed, though nobody asked for it", event.at)


def _vanished(m: Memory, step: LiveStep, why: str, at: float) -> None:
    if step.submission == IN_THE_GAP:
        _unknown(m, step, why)
    else:
        _failed(m, step, _PLATFORM, why, at, keeps_job=True, final=False)


def _unknown(m: Memory, step: LiveStep, why: str) -> None:
    step.lost = False
    m.move(step.scope, step.position, OUTCOME_UNKNOWN, step.attempt, why)


def _failed(
    m: Memory,
    step: LiveStep,
    cause: int,
    message: str,
    at: float,
    *,
    keeps_job: bool,
    final: bool,
    after_s: float = 0.0,
) -> None:
    counters = list(step.failures)
    counters[cause] += 1
    step.failures = (counters[0], counters[1], counters[2])
    budget = step.node.budgets[cause]
    if not keeps_job:
        step.job = 0  # the next attempt begins a new one
    if final or 0 <= budget < counters[cause]:
        if keeps_job and step.submission != NO_JOB:
            m.kept_jobs[step.instance] = (step.job, step.submission)
        _end(m, step, FAILED, f"attempt {step.attempt} failed: {message}")
        return
    paid = "" if budget < 0 else f" of {budget}"
    why = f"attempt {step.attempt} failed ({_CAUSE_NAMES[cause]} retry {counters[cause]}{paid}): {message}"
    step.lost = False
    wait = backoff_s(step.node.retry, sum(counters), m.run_id, step.instance, step.attempt)
    wait = max(wait, min(after_s, MAX_ASKED_S))
    if wait <= 0:
        _next_attempt(m, step, why)
        return
    step.due = at + wait
    m.move(step.scope, step.position, RETRYING, step.attempt, why)
    m.commands.append(SetTimer((*step.instance, step.attempt), step.due))


def settle(m: Memory, step: LiveStep, event: OutcomeSettled) -> None:
    if event.verdict == "succeeded":
        _end(m, step, SUCCEEDED, f"settled by {event.by}")
    elif event.verdict == "failed":
        _end(m, step, FAILED, f"settled by {event.by}")
    else:
        step.job = 0
        _next_attempt(m, step, f"settled by {event.by}")


# --- cancelling ---------------------------------------------------------------------------------------------------


def kill(m: Memory, step: LiveStep, _: object) -> None:
    m.move(step.scope, step.position, CANCELLING, step.attempt)
    m.commands.append(Kill(step.instance, step.attempt, step.node.grace_s))


def killed(m: Memory, step: LiveStep, _: object) -> None:
    _end(m, step, CANCELLED, "")


def lose_cancelling(m: Memory, step: LiveStep, _: object) -> None:
    if not step.lost:
        step.lost = True
        m.commands.append(Fence(step.instance, step.attempt))


def find_cancelling(m: Memory, step: LiveStep, _: object) -> None:
    if step.lost:
        step.lost = False
        m.commands.append(Kill(step.instance, step.attempt, step.node.grace_s))


def fence_cancelling(m: Memory, step: LiveStep, _: object) -> None:
    """The kill may not have reached the external job: should the instance be reopened, it attaches to that job."""
    if step.submission in (RECOVERABLE, REMEMBERED):
        m.kept_jobs[step.instance] = (step.job, step.submission)
    _end(m, step, CANCELLED, "")


def ignore(m: Memory, step: LiveStep, event: object) -> None:
    """Nothing happens."""


Action: TypeAlias = "Callable[[Memory, LiveStep, Any], None]"

#: By the name that the table uses.
ACTIONS: Final[dict[str, Action]] = {
    action.__name__: action
    for action in (
        begin, deliver, fail, fence, fence_cancelling, find, find_cancelling, give_back, give_up, ignore, intend, kill,
        killed, killed_by_others, lose, lose_cancelling, make_anew, pause, place, release, remember, restore, settle, skip,
        succeed, try_again, withdraw,
    )
}  # fmt: skip
