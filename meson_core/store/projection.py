"""Owns how one frame becomes rows: a pure function of the events and changes of one run in one commit.

Several changes of one instance in a frame are one row: the last. What a row takes over from the row that it replaces
is said by `fresh` and by the number of the attempt: an instance that is ready again, was reopened or has a later attempt
starts from nothing; any other keeps its machine and its start unless the frame tells new ones. Outputs, failure and end always come from the frame:
they belong to an end, an end is one change, and a change that is not an end clears them.

What goes back to `waiting` is to be done again: its row is dropped, and those of everything inside it. Changes that the
same frame told before that of anything inside are dropped with them.

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
    ResultFound,
    ResultMissing,
    RunReopened,
    ValueEmitted,
)
from meson_core.spec.states import ENDED, Cause, State
from meson_core.store.artifacts import artifact_rows, may_have_artifacts, use_rows
from meson_core.store.instance_key import after_items, pack
from meson_core.store.results import lookup_row, result_row
from meson_core.store.schema import NOTABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meson_core.commands import Change
    from meson_core.events import AnyEvent
    from meson_core.spec.plan import Instance
    from meson_core.store.outline import Outline
    from meson_core.store.records import RunCommit

#: Positional parameters of one statement of `statements.py`.
Row: TypeAlias = tuple[Any, ...]

#: States that an instance enters with nothing of an earlier attempt.
_FRESH = tuple(state in (State.waiting, State.activated, State.ready, State.paused) for state in State)
_NOTABLE = tuple(state in NOTABLE for state in State)
#: States that it matters to leave.
_TOLD = tuple(_NOTABLE[state] or ENDED[state] for state in State)
_KILLED_BY_OTHERS = Failure("signal", "killed, though nobody asked for it")
#: Places in the row of an instance.
_ATTEMPT, _ENDED_AT, _OUTPUTS = 4, 8, 9
_encode = msgspec.json.Encoder().encode
#: Ends of attempts without a result.
_Failed: TypeAlias = AttemptFailed | AttemptFenced | AttemptKilled


class Projection:
    """The rows of one frame by table, each in the order of the parameters of its statement.

    Args:
        run: number of the run, the first column of each row.
    """

    __slots__ = (
        "artifacts",
        "attempts",
        "code",
        "dropped",
        "emitted",
        "forgotten",
        "generation",
        "instances",
        "jobs",
        "left",
        "links",
        "lookups",
        "nodes",
        "notable",
        "results",
        "run",
        "uses",
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
        #: Ranges of instances whose rows go, before those above come.
        self.dropped: list[Row] = []
        #: The same ranges, where results are kept.
        self.forgotten: list[Row] = []
        self.attempts: list[Row] = []
        self.jobs: list[Row] = []
        self.links: list[Row] = []
        self.emitted: list[Row] = []
        self.artifacts: list[Row] = []
        self.uses: list[Row] = []
        self.lookups: list[Row] = []
        self.results: list[Row] = []


def project(commit: RunCommit, run: int, outline: Callable[[], Outline]) -> Projection:
    """The rows of one run's frame.

    Args:
        commit: the frame.
        run: number of the run in the store.
        outline: of its workflow version; asked for only when something is done again, or an artifact is named.
    """
    rows = Projection(run)
    facts = _Facts(rows)
    facts.gather(commit.events)
    frame_at = commit.events[-1].at
    outcome = _Outcome(commit.changes, facts, frame_at)
    if outcome.reset:
        known = outline()
        outcome.drop_inside(commit.changes, known)
        rows.dropped = _dropped(run, outcome.resets, known)
        if commit.restorable:
            rows.forgotten = rows.dropped
    tallies = {node: _Tally() for node in commit.counts}
    for instance, change in outcome.last.items():
        tally = tallies.get(instance[0])
        if tally is None:
            tally = tallies[instance[0]] = _Tally()
        row = _instance(run, change, facts, tally, frame_at, outcome)
        rows.instances.append(row)
        if row[_OUTPUTS] is not None and change.after is State.succeeded:
            if instance[0] in commit.restorable:
                _keep(rows, instance, change.attempt, facts, outline)
            _catalogue(rows, row, commit, instance, outline)
        if _NOTABLE[change.after]:
            rows.notable.append(row[:4])
        elif instance in outcome.left:
            rows.left.append(row[:3])
    for event in facts.killed:
        facts.judge_kill(event, asked=(event.instance, event.attempt) in outcome.stopped)
    rows.nodes = [
        (run, node, _encode(commit.counts[node]) if node in commit.counts else None, *tally.row())
        for node, tally in tallies.items()
    ]
    return rows


class _Outcome:
    """What the changes of a frame come to.

    Args:
        changes: in order.
        facts: learns when composite nodes began.
        frame_at: when that was.
    """

    __slots__ = ("last", "left", "reopened", "reset", "resets", "settled", "stopped")

    def __init__(self, changes: Sequence[Change], facts: _Facts, frame_at: float) -> None:
        #: The last change of each instance that is not waiting in the end.
        self.last: dict[Instance, Change] = {}
        #: Instances that had ended before they were changed.
        self.reopened: set[Instance] = set()
        #: Instances that were in a notable state before.
        self.left: set[Instance] = set()
        #: Attempts that ended while they were being cancelled.
        self.stopped: set[tuple[Instance, int]] = set()
        #: Attempts whose outcome was unknown, and is not any more.
        self.settled: set[tuple[Instance, int]] = set()
        #: Instances that went back to waiting, and the place of that change in the frame.
        self.reset: dict[Instance, int] = {}
        self.resets: list[Change] = []
        last, running = self.last, State.running
        for at, change in enumerate(changes):
            before, after, instance = change.before, change.after, change.instance
            if _TOLD[before]:
                if ENDED[before] and not ENDED[after]:
                    self.reopened.add(instance)
                if _NOTABLE[before]:
                    self.left.add(instance)
                if before is State.cancelling:
                    self.stopped.add((instance, change.attempt))
                elif before is State.outcome_unknown:
                    self.settled.add((instance, change.attempt))
            if after is running and not change.attempt:
                facts.began[instance] = (0, frame_at)
            elif after is State.waiting:
                self.reset[instance] = at
                self.resets.append(change)
                last.pop(instance, None)
                if change.number != 1:
                    self._forget_items(change)
                continue
            elif change.number != 1:
                # Items that end without being opened: their node's counts tell of them.
                continue
            last[instance] = change

    def _forget_items(self, change: Change) -> None:
        """Items that go back to waiting together have not been opened: they have nothing inside."""
        node, *_, first = change.instance
        for instance in list(self.last):
            alike = instance[0] == node and instance[1:-1] == change.instance[1:-1]
            if alike and 0 <= instance[-1] - first < change.number:
                del self.last[instance]

    def drop_inside(self, changes: Sequence[Change], outline: Outline) -> None:
        """Forget changes of what is inside an instance that went back to waiting after them."""
        told = {change.instance: at for at, change in enumerate(changes)}
        for instance in list(self.last):
            if any(self.reset.get(around, -1) > told[instance] for around in outline.around(instance)):
                del self.last[instance]


def _dropped(run: int, reset: Iterable[Change], outline: Outline) -> list[Row]:
    """The ranges of rows of what is to be done again, and of everything inside it."""
    ranges: list[Row] = []
    for change in reset:
        node = change.instance[0]
        key = pack(change.instance[1:])
        below = (key, after_items(key, change.number))
        ranges.extend((run, each, *below) for each in (node, *outline.inside(node)))
    return ranges


def _catalogue(
    rows: Projection, row: Row, commit: RunCommit, instance: Instance, outline: Callable[[], Outline]
) -> None:
    """The artifacts of an instance that has succeeded, and those that it was given."""
    origin = commit.origins.get(instance)
    if origin is None and not may_have_artifacts(row[_OUTPUTS]):
        return
    key = (*row[:3], row[_ATTEMPT])
    step = outline().entries[instance[0]].name
    rows.artifacts.extend(artifact_rows(key, step, row[_ENDED_AT], row[_OUTPUTS], origin))
    rows.uses.extend(use_rows(key, origin))


def _keep(rows: Projection, instance: Instance, attempt: int, facts: _Facts, outline: Callable[[], Outline]) -> None:
    """What an attempt made is kept to be found; what a person settled is not."""
    done = facts.successes.get(instance)
    if done is not None and done.attempt == attempt:
        rows.results.append(result_row(rows.run, done, outline().entries[instance[0]].name))


def _instance(run: int, change: Change, facts: _Facts, tally: _Tally, frame_at: float, outcome: _Outcome) -> Row:
    instance, state, attempt = change.instance, change.after, change.attempt
    machine = started_at = ended_at = outputs = failure = None
    fresh = 1 if _FRESH[state] or instance in outcome.reopened else 0
    if not _FRESH[state]:
        placed = facts.placed.get(instance)
        if placed is not None and attempt == placed.attempt:
            machine = placed.machine
        began = facts.began.get(instance)
        if began is not None and began[0] == attempt:
            started_at = began[1]
            tally.started(started_at)
        if ENDED[state]:
            ended_at = frame_at
            if state is State.succeeded:
                done = facts.successes.get(instance)
                if done is not None and attempt == done.attempt:
                    ended_at, started_at = done.at, done.started_at
                    tally.succeeded_in(started_at, ended_at)
                    outputs = bytes(done.outputs)
                else:
                    outputs = _settled_outputs(facts, instance)
            elif state is State.skipped:
                found = facts.restored.get(instance)
                if found is not None and attempt == found.attempt:
                    outputs = bytes(found.outputs)
                    facts.rows.lookups.append(lookup_row(run, found))
            elif attempt:
                end = facts.failures.get(instance)
                if end is not None and attempt == end.attempt:
                    ended_at = end.at
                # A composite may fail long after what made it fail; its `why` tells.
                if state is State.failed:
                    was_settled = (instance, attempt) in outcome.settled
                    failure = _failure(facts, instance, attempt, settled=was_settled)
            tally.ended(ended_at)
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


def _settled_outputs(facts: _Facts, instance: Instance) -> bytes | None:
    settled = facts.settled.get(instance)
    return bytes(settled.outputs) if settled is not None else None


def _failure(facts: _Facts, instance: Instance, attempt: int, *, settled: bool) -> bytes | None:
    verdict = facts.settled.get(instance)
    if settled and verdict is not None:
        return _encode(Failure("settled", f"settled as failed by {verdict.by}"))
    end = facts.failures.get(instance)
    if end is not None and end.attempt == attempt:
        if isinstance(end, AttemptFailed):
            return _encode(end.failure)
        return _encode(Failure("lost", end.reason) if isinstance(end, AttemptFenced) else _KILLED_BY_OTHERS)
    evaluation = facts.evaluations.get(instance)
    return None if evaluation is None else _encode(evaluation.failure)


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

    def succeeded_in(self, started_at: float, ended_at: float) -> None:
        self.succeeded += 1
        self.total_s += ended_at - started_at
        self.started(started_at)

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

    __slots__ = ("began", "evaluations", "failures", "killed", "placed", "restored", "rows", "settled", "successes")

    def __init__(self, rows: Projection) -> None:
        self.rows = rows
        #: Of the latest attempt, as in the three below: what comes of an earlier one then is stale.
        self.placed: dict[Instance, AttemptPlaced] = {}
        #: The attempt that began, and when; attempt 0 for a composite node.
        self.began: dict[Instance, tuple[int, float]] = {}
        #: Of two ends of one attempt the first, as in the engine; a success may follow a failure with unknown outcome.
        self.successes: dict[Instance, AttemptSucceeded] = {}
        self.failures: dict[Instance, _Failed] = {}
        self.settled: dict[Instance, OutcomeSettled] = {}
        self.evaluations: dict[Instance, EvaluationFailed] = {}
        self.killed: list[AttemptKilled] = []
        self.restored: dict[Instance, ResultFound] = {}

    def gather(self, events: Sequence[AnyEvent]) -> None:
        placed = self.placed
        for event in events:
            if isinstance(event, AttemptPlaced):
                known = placed.get(event.instance)
                if known is None or known.attempt < event.attempt:
                    placed[event.instance] = event
                continue
            handle = _GATHER.get(type(event))
            if handle is not None:
                handle(self, event)

    def started(self, event: AttemptStarted) -> None:
        self._begin(event, event.at)

    def _begin(self, event: AttemptStarted | _Failed, at: float) -> None:
        if self.began.get(event.instance, (0, 0.0))[0] < event.attempt:
            self.began[event.instance] = (event.attempt, at)

    def succeeded(self, event: AttemptSucceeded) -> None:
        known = self.successes.get(event.instance)
        if known is None or known.attempt < event.attempt:
            self.successes[event.instance] = event

    def _failed(self, event: _Failed, started_at: float | None) -> None:
        if started_at is not None:
            self._begin(event, started_at)
        known = self.failures.get(event.instance)
        if known is None or known.attempt < event.attempt:
            self.failures[event.instance] = event

    def failed(self, event: AttemptFailed) -> None:
        self._failed(event, event.started_at)
        self._attempt(event, event.started_at, event.cause, event.failure)

    def fenced(self, event: AttemptFenced) -> None:
        self._failed(event, None)
        self._attempt(event, None, Cause.platform, Failure("lost", event.reason))

    def was_killed(self, event: AttemptKilled) -> None:
        self._failed(event, event.started_at)
        self.killed.append(event)

    def judge_kill(self, event: AttemptKilled, *, asked: bool) -> None:
        if asked:
            self._attempt(event, event.started_at, None, Failure("cancelled", "stopped on request"))
        else:
            self._attempt(event, event.started_at, Cause.platform, _KILLED_BY_OTHERS)

    def _attempt(self, event: _Failed, began: float | None, cause: Cause | None, failure: Failure) -> None:
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

    def was_settled(self, event: OutcomeSettled) -> None:
        self.settled[event.instance] = event

    def not_evaluated(self, event: EvaluationFailed) -> None:
        self.evaluations[event.instance] = event

    def was_found(self, event: ResultFound) -> None:
        self.restored[event.instance] = event

    def was_missing(self, event: ResultMissing) -> None:
        self.rows.lookups.append(lookup_row(self.rows.run, event))

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
    AttemptSucceeded: _Facts.succeeded,
    AttemptStarted: _Facts.started,
    AttemptFailed: _Facts.failed,
    AttemptFenced: _Facts.fenced,
    AttemptKilled: _Facts.was_killed,
    EvaluationFailed: _Facts.not_evaluated,
    OutcomeSettled: _Facts.was_settled,
    ResultFound: _Facts.was_found,
    ResultMissing: _Facts.was_missing,
    JobRemembered: _Facts.remembered,
    LinkShown: _Facts.linked,
    ValueEmitted: _Facts.emitted,
    RunReopened: _Facts.reopened,
    CodeChanged: _Facts.code_changed,
}
