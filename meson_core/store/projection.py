"""Owns how one frame becomes rows: a pure function of the events and changes of one run in one commit.

Several changes of one instance in a frame are one row: the last. What a row takes over from the row that it replaces
is said by `fresh`: an instance that waits again, was placed anew or was reopened starts from nothing; any other keeps
its machine and its start unless the frame tells new ones. Outputs, failure and end always come from the frame: they
belong to an end, an end is one change, and a change that is not an end clears them.

An event counts only with the change that it led to. Stale and duplicate events are in the log as well, but they
change nothing, so they leave no mark here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from meson_core.events import (
    AttemptFailed,
    AttemptFenced,
    AttemptKilled,
    AttemptPlaced,
    AttemptStarted,
    AttemptSucceeded,
    CodeChanged,
    EvaluationFailed,
    Failure,
    JobRemembered,
    LinkShown,
    OutcomeSettled,
    RunReopened,
    ValueEmitted,
)
from meson_core.spec.states import ENDED, Cause, State
from meson_core.store.instance_key import pack
from meson_core.store.schema import NOTABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.commands import Change
    from meson_core.events import AnyEvent
    from meson_core.spec.plan import Instance
    from meson_core.store.records import RunCommit

#: Positional parameters of one statement of `statements.py`.
Row: TypeAlias = tuple[Any, ...]

#: States that an instance enters with nothing of an earlier attempt.
_FRESH = tuple(state in (State.waiting, State.activated, State.ready, State.paused) for state in State)
_NOTABLE = tuple(state in NOTABLE for state in State)
#: States that it matters to leave.
_TOLD = tuple(_NOTABLE[state] or ENDED[state] for state in State)
_encode = msgspec.json.Encoder().encode
_End: TypeAlias = AttemptSucceeded | AttemptFailed | AttemptFenced | AttemptKilled


class Projection:
    """The rows of one frame by table, each in the order of the parameters of its statement.

    Args:
        run: number of the run, the first column of each row.
    """

    __slots__ = (
        "attempts",
        "code",
        "emitted",
        "generation",
        "instances",
        "jobs",
        "left",
        "links",
        "nodes",
        "notable",
        "run",
    )

    def __init__(self, run: int) -> None:
        self.run = run
        #: The run's new code bundle and generation, when they changed.
        self.code: str | None = None
        self.generation: int | None = None
        self.instances: list[Row] = []
        self.nodes: list[Row] = []
        #: Instances that leave a notable state, and those that are in one at the end of the frame.
        self.left: list[Row] = []
        self.notable: list[Row] = []
        self.attempts: list[Row] = []
        self.jobs: list[Row] = []
        self.links: list[Row] = []
        self.emitted: list[Row] = []


def project(commit: RunCommit, run: int) -> Projection:
    """The rows of one run's frame.

    Args:
        commit: the frame.
        run: number of the run in the store.
    """
    rows = Projection(run)
    facts = _Facts(rows)
    facts.gather(commit.events)
    frame_at = commit.events[-1].at if commit.events else 0.0
    last: dict[Instance, Change] = {}
    reopened: set[Instance] = set()
    left: set[Instance] = set()
    for change in commit.changes:
        last[change.instance] = change
        if change.after is State.running and not change.attempt:
            facts.began[change.instance] = (0, frame_at)
        if _TOLD[change.before]:
            if ENDED[change.before] and not ENDED[change.after]:
                reopened.add(change.instance)
            if _NOTABLE[change.before]:
                left.add(change.instance)
    tallies = {node: _Tally() for node in commit.counts}
    for instance, change in last.items():
        tally = tallies.get(instance[0])
        if tally is None:
            tally = tallies[instance[0]] = _Tally()
        row = _instance(run, change, facts, tally, frame_at, instance in reopened)
        rows.instances.append(row)
        if _NOTABLE[change.after]:
            rows.notable.append(row[:4])
        elif instance in left:
            rows.left.append(row[:3])
    rows.nodes = [
        (run, node, _encode(commit.counts[node]) if node in commit.counts else None, *tally.row())
        for node, tally in tallies.items()
    ]
    return rows


def _instance(run: int, change: Change, facts: _Facts, tally: _Tally, frame_at: float, reopened: bool) -> Row:
    instance, state, attempt = change.instance, change.after, change.attempt
    machine = started_at = ended_at = outputs = failure = None
    fresh = 1 if reopened else 0
    if _FRESH[state]:
        fresh = 1
    else:
        placed = facts.placed.get(instance)
        if placed is not None and attempt in (0, placed.attempt):
            machine, attempt, fresh = placed.machine, placed.attempt, 1
        began = facts.began.get(instance)
        if began is not None and began[0] == attempt:
            started_at = began[1]
        end = facts.ends.get(instance)
        if end is not None and attempt not in (0, end.attempt):
            end = None
        if end is not None and not isinstance(end, AttemptFenced) and end.started_at is not None:
            started_at = end.started_at
        if ENDED[state]:
            ended_at = frame_at if end is None else end.at
            tally.ended(ended_at)
            if state is State.succeeded:
                outputs = _outputs(facts, instance, end)
                if isinstance(end, AttemptSucceeded):
                    tally.succeeded += 1
                    tally.total_s += end.at - end.started_at
            elif state is State.failed:
                failure = _failure(facts, instance, end)
        if started_at is not None:
            tally.started(started_at)
    return (
        run,
        instance[0],
        pack(instance[1:]),
        state.value,
        attempt,
        change.why,
        machine,
        started_at,
        ended_at,
        outputs,
        failure,
        fresh,
        fresh,
    )


def _outputs(facts: _Facts, instance: Instance, end: _End | None) -> bytes | None:
    if isinstance(end, AttemptSucceeded):
        return bytes(end.outputs)
    verdict = facts.verdicts.get(instance)
    return bytes(verdict.outputs) if isinstance(verdict, OutcomeSettled) else None


def _failure(facts: _Facts, instance: Instance, end: _End | None) -> bytes | None:
    if isinstance(end, AttemptFailed):
        return _encode(end.failure)
    if isinstance(end, AttemptFenced):
        return _encode(Failure("lost", end.reason))
    verdict = facts.verdicts.get(instance)
    if isinstance(verdict, EvaluationFailed):
        return _encode(verdict.failure)
    if isinstance(verdict, OutcomeSettled):
        return _encode(Failure("settled", f"settled as failed by {verdict.by}"))
    return None


class _Tally:
    """What a frame adds to one node."""

    __slots__ = ("first_started", "last_ended", "succeeded", "total_s")

    def __init__(self) -> None:
        self.succeeded = 0
        self.total_s = 0.0
        self.first_started: float | None = None
        self.last_ended: float | None = None

    def started(self, at: float) -> None:
        if self.first_started is None or at < self.first_started:
            self.first_started = at

    def ended(self, at: float) -> None:
        if self.last_ended is None or at > self.last_ended:
            self.last_ended = at

    def row(self) -> Row:
        return (self.succeeded, self.total_s, self.first_started, self.last_ended)


class _Facts:
    """What the events of a frame say about its instances.

    Args:
        rows: takes what is a row by itself.
    """

    __slots__ = ("began", "ends", "placed", "rows", "verdicts")

    def __init__(self, rows: Projection) -> None:
        self.rows = rows
        self.placed: dict[Instance, AttemptPlaced] = {}
        #: The attempt that began, and when; attempt 0 for a composite node.
        self.began: dict[Instance, tuple[int, float]] = {}
        #: The end of the latest attempt that ended; of two ends of one attempt the first, as in the engine.
        self.ends: dict[Instance, _End] = {}
        self.verdicts: dict[Instance, OutcomeSettled | EvaluationFailed] = {}

    def gather(self, events: Sequence[AnyEvent]) -> None:
        placed = self.placed
        for event in events:
            if isinstance(event, AttemptPlaced):
                placed[event.instance] = event
                continue
            handle = _GATHER.get(type(event))
            if handle is not None:
                handle(self, event)

    def started(self, event: AttemptStarted) -> None:
        self.began[event.instance] = (event.attempt, event.at)

    def ended(self, event: _End) -> None:
        known = self.ends.get(event.instance)
        if known is None or known.attempt < event.attempt:
            self.ends[event.instance] = event

    def failed(self, event: AttemptFailed) -> None:
        self.ended(event)
        self._attempt(event, event.started_at, event.cause, event.failure)

    def fenced(self, event: AttemptFenced) -> None:
        self.ended(event)
        self._attempt(event, None, Cause.platform, Failure("lost", event.reason))

    def killed(self, event: AttemptKilled) -> None:
        self.ended(event)
        self._attempt(event, event.started_at, None, Failure("cancelled", "stopped on request"))

    def _attempt(self, event: _End, began: float | None, cause: Cause | None, failure: Failure) -> None:
        instance = event.instance
        if began is None:
            known = self.began.get(instance)
            began = known[1] if known is not None and known[0] == event.attempt else None
        placed = self.placed.get(instance)
        machine = placed.machine if placed is not None and placed.attempt == event.attempt else None
        key = (self.rows.run, instance[0], pack(instance[1:]), event.attempt)
        self.rows.attempts.append(
            (*key, began, *key, event.at, None if cause is None else cause.value, _encode(failure), machine, *key)
        )

    def judged(self, event: OutcomeSettled | EvaluationFailed) -> None:
        self.verdicts[event.instance] = event

    def remembered(self, event: JobRemembered) -> None:
        self.rows.jobs.append((*self._key(event), event.external_id))

    def linked(self, event: LinkShown) -> None:
        self.rows.links.append((*self._key(event), event.name, event.url))

    def emitted(self, event: ValueEmitted) -> None:
        self.rows.emitted.append((*self._key(event), event.at, event.name, bytes(event.value)))

    def reopened(self, event: RunReopened) -> None:
        self.rows.generation = event.generation

    def code_changed(self, event: CodeChanged) -> None:
        self.rows.code = event.code

    def _key(self, event: JobRemembered | LinkShown | ValueEmitted) -> Row:
        return (self.rows.run, event.instance[0], pack(event.instance[1:]), event.attempt)


_GATHER: dict[type, Any] = {
    AttemptSucceeded: _Facts.ended,
    AttemptStarted: _Facts.started,
    AttemptFailed: _Facts.failed,
    AttemptFenced: _Facts.fenced,
    AttemptKilled: _Facts.killed,
    EvaluationFailed: _Facts.judged,
    OutcomeSettled: _Facts.judged,
    JobRemembered: _Facts.remembered,
    LinkShown: _Facts.linked,
    ValueEmitted: _Facts.emitted,
    RunReopened: _Facts.reopened,
    CodeChanged: _Facts.code_changed,
}
