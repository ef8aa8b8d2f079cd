"""Owns the middle of the loop: events into machines, evaluations answered at once, everything gathered into one batch.

Nothing in here waits and nothing reaches outside: what is to be done outside is noted in the batch, and done once the
batch is in the log. What only concerns this process (the queue of placement, timers) is done at once: should the commit
fail, this process ends.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from meson_core.commands import (
    CancelTimer,
    Change,
    Command,
    Deliver,
    EndRun,
    Enqueue,
    Evaluate,
    Fence,
    Kill,
    Launch,
    LookUp,
    SetTimer,
    Withdraw,
)
from meson_core.errors import EngineError, EvaluationError, InvalidTransitionError
from meson_core.events import (
    AnyEvent,
    AttemptFailed,
    AttemptFenced,
    AttemptKilled,
    AttemptPlaced,
    AttemptReturned,
    AttemptSucceeded,
    BranchChosen,
    EvaluationFailed,
    Failure,
    ItemsResolved,
    IterationJudged,
    JobRemembered,
    OutcomeSettled,
    ResultFound,
    ResultMissing,
    RunCancelRequested,
)
from meson_core.orchestrator.context import ArtifactNeededError, describe
from meson_core.orchestrator.timers import TimerKey
from meson_core.ports import AttemptKey
from meson_core.spec.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.placing import Placer
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.orchestrator.timers import Timers
    from meson_core.store.records import WishReceipt

logger = logging.getLogger(__name__)

#: What is done outside, after the commit.
Effect: TypeAlias = Launch | Kill | Fence | Deliver | EndRun

_ENDS = frozenset({AttemptSucceeded, AttemptFailed, AttemptReturned, AttemptFenced, AttemptKilled})
_OUTSIDE = frozenset({Launch, Kill, Fence, Deliver, EndRun})


class Frame:
    """What one run adds to its log with this batch."""

    __slots__ = ("changes", "events", "expected_seq", "run")

    def __init__(self, run: ActiveRun) -> None:
        self.run = run
        self.expected_seq = run.seq
        self.events: list[AnyEvent] = []
        self.changes: list[Change] = []


class Batch:
    """What goes into the log together, and what is done once it is there.

    Attributes:
        frames: by run.
        effects: what is to be done outside, in order.
        receipts: wishes that were dealt with.
        cursors: executor → its last fact in this batch.
        reports: receipts of the reports that this batch holds.
        marks: run → number of outputs recorded up to this batch.
        results: key → run and outputs of what was made.
    """

    __slots__ = ("cursors", "effects", "frames", "marks", "receipts", "reports", "results")

    def __init__(self) -> None:
        self.frames: dict[str, Frame] = {}
        self.effects: list[tuple[ActiveRun, Effect]] = []
        self.receipts: list[WishReceipt] = []
        self.cursors: dict[str, int] = {}
        self.reports: list[object] = []
        self.marks: dict[str, int] = {}
        self.results: dict[str, tuple[str, bytes]] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be written."""
        return not (self.frames or self.receipts or self.cursors)


class Wanted(NamedTuple):
    """An artifact that a run needs before it can go on."""

    run: ActiveRun
    digest: str


class Feeder:
    """Takes events in.

    Args:
        clock: where time comes from.
        timers: for the waits that the engine asks for.
        placer: for the attempts that it wants placed.
    """

    def __init__(self, clock: Clock, timers: Timers, placer: Placer) -> None:
        self._clock = clock
        self._timers = timers
        self._placer = placer
        self._following: deque[AnyEvent] = deque()
        self._inside: dict[type, Callable[[ActiveRun, Any], None]] = {
            Withdraw: self._withdraw,
            SetTimer: self._set_timer,
            CancelTimer: self._cancel_timer,
            Evaluate: self._evaluate,
            LookUp: self._look_up,
        }
        self.batch = Batch()
        self._on_its_way: Batch | None = None
        self.wanted: list[Wanted] = []
        #: Questions after results, answered before the batch is taken.
        self.asked: list[tuple[ActiveRun, LookUp]] = []
        #: Runs whose machine stands still; they go on from their log.
        self.fallen: dict[str, tuple[ActiveRun, str]] = {}

    def take_batch(self) -> Batch:
        """What was gathered since the last call."""
        batch, self.batch = self.batch, Batch()
        self._on_its_way = batch
        for run_id, frame in batch.frames.items():
            batch.marks[run_id] = frame.run.outputs.recorded
        return batch

    def written(self) -> None:
        """What was taken last is in the log."""
        self._on_its_way = None

    def unwritten(self, run_id: str) -> bool:
        """Whether there is anything of this run that the log does not have yet."""
        on_its_way = self._on_its_way
        return (
            run_id in self.batch.frames
            or run_id in self.fallen
            or (on_its_way is not None and run_id in on_its_way.frames)
        )

    def feed(self, run: ActiveRun, event: AnyEvent) -> None:
        """Take in one event, and all that follows from it at once. A bug of the engine stops this run, and no other."""
        if run.run_id in self.fallen:
            return
        try:
            self._handle(run, event)
            following = self._following
            while following:
                self._handle(run, following.popleft())
        except InvalidTransitionError as error:
            self._following.clear()
            self._stop(run, error)
        except Exception as error:  # a bug, in whatever class: the other runs go on
            self._following.clear()
            logger.exception("run %s: taking in %s went wrong", run.run_id, type(event).__name__)
            self.fell(run, error)

    def fell(self, run: ActiveRun, error: Exception) -> None:
        """A bug was met while working for this run."""
        self.fallen[run.run_id] = (run, f"{type(error).__name__}: {error}")

    def order(self, run: ActiveRun, commands: list[Command]) -> None:
        """Orders that are outstanding since before a restart."""
        for command in commands:
            self._order(run, command)
        while self._following:
            self.feed(run, self._following.popleft())

    # --- inside -------------------------------------------------------------------------------------------------------

    def _handle(self, run: ActiveRun, event: AnyEvent) -> None:
        decision = run.machine.handle(event)
        frame = self.batch.frames.get(run.run_id)
        if frame is None:
            frame = self.batch.frames[run.run_id] = Frame(run)
        frame.events.append(event)
        run.seq += 1
        changes = decision.changes
        if changes:
            frame.changes.extend(changes)
        kind = type(event)
        if kind in _ENDS:
            self._attempt_ended(run, event, changes)
        elif kind is EvaluationFailed and changes:  # if it was placed, nothing of it was launched
            self._placer.ended(AttemptKey(run.run_id, event.instance, changes[0].attempt))  # type: ignore[union-attr]
        elif kind is AttemptPlaced and not changes:  # held or stopped meanwhile: the place is free again
            self._placer.ended(AttemptKey(run.run_id, event.instance, event.attempt))  # type: ignore[union-attr]
        elif kind is JobRemembered:
            run.jobs[event.instance] = event.external_id  # type: ignore[union-attr]
        elif kind is OutcomeSettled:
            self._record(run, event, changes)
        elif kind is ResultFound:
            self._restored(run, event, changes)
        elif kind is ResultMissing:
            self._noted(run, event)
        for command in decision.commands:
            self._order(run, command)

    def _attempt_ended(self, run: ActiveRun, event: Any, changes: list[Change]) -> None:
        self._placer.ended(AttemptKey(run.run_id, event.instance, event.attempt))
        if type(event) is AttemptSucceeded and changes:
            self._record(run, event, changes)
            if changes[0].instance == event.instance:
                self._placer.took(run, event.instance[0], event.at - event.started_at)

    def _record(self, run: ActiveRun, event: Any, changes: list[Change]) -> None:
        """Outputs count when the engine has made the instance succeeded by this very event."""
        for change in changes:
            if change.instance == event.instance and change.after is State.succeeded:
                run.outputs.record(event.instance[0], event.instance[1:], bytes(event.outputs))
                run.jobs.pop(event.instance, None)
                if run.keys:
                    self._keep(run, event)
                return

    def _keep(self, run: ActiveRun, event: Any) -> None:
        """It can be found from now on, also before it is in the store; what a person settled cannot."""
        key = run.keys.pop(event.instance, "")
        if key and type(event) is AttemptSucceeded:
            self.batch.results[key] = (run.run_id, bytes(event.outputs))

    def made_now(self, key: str) -> tuple[str, bytes] | None:
        """The run and the outputs of a result that the log does not have yet."""
        found = self.batch.results.get(key)
        if found is None and self._on_its_way is not None:
            found = self._on_its_way.results.get(key)
        return found

    def _noted(self, run: ActiveRun, event: Any) -> None:
        """What is made now is kept under this key."""
        run.keys[event.instance] = event.key

    def _restored(self, run: ActiveRun, event: Any, changes: list[Change]) -> None:
        """The outputs of before count when the engine has made the instance skipped by this very event."""
        if changes and changes[0].instance == event.instance and changes[0].after is State.skipped:
            run.outputs.record(event.instance[0], event.instance[1:], bytes(event.outputs))
            run.jobs.pop(event.instance, None)

    def _order(self, run: ActiveRun, command: Command) -> None:
        kind = type(command)
        if kind is Enqueue:
            self._placer.enqueue(run, command, self._clock.now())  # type: ignore[arg-type]
        elif kind in _OUTSIDE:
            self.batch.effects.append((run, command))  # type: ignore[arg-type]
        else:
            self._inside[kind](run, command)

    def _withdraw(self, run: ActiveRun, command: Withdraw) -> None:
        self._placer.withdraw(AttemptKey(run.run_id, command.instance, command.attempt))

    def _set_timer(self, run: ActiveRun, command: SetTimer) -> None:
        self._timers.set(TimerKey(run.run_id, command.key), command.due)

    def _cancel_timer(self, run: ActiveRun, command: CancelTimer) -> None:
        self._timers.cancel(TimerKey(run.run_id, command.key))

    def _evaluate(self, run: ActiveRun, command: Evaluate) -> None:
        now = self._clock.now()
        instance = command.instance
        answer: AnyEvent
        try:
            if command.what == "items":
                answer = ItemsResolved(now, instance, run.context.items(instance))
            elif command.what == "branch":
                answer = BranchChosen(now, instance, run.context.branch(instance))
            else:
                done = run.context.judge(instance, command.iteration)
                answer = IterationJudged(now, instance, command.iteration, done)
        except EvaluationError as error:
            answer = EvaluationFailed(now, instance, Failure("evaluation", describe(error)))
        except ArtifactNeededError as needed:
            run.asked.append(command)
            self.want(run, needed.digest)
            return
        self._following.append(answer)

    def _look_up(self, run: ActiveRun, command: LookUp) -> None:
        self.asked.append((run, command))

    def want(self, run: ActiveRun, digest: str) -> None:
        """Have an artifact read for this run, once."""
        if digest not in run.reading:
            run.reading.add(digest)
            self.wanted.append(Wanted(run, digest))

    def _stop(self, run: ActiveRun, error: EngineError) -> None:
        """The engine refused an event, and is as it was before: the run is stopped in order."""
        logger.error("%s", error)
        if run.broken:
            return
        run.broken = True
        by = f"Meson, after a bug: {error.message.splitlines()[0]}"
        self.feed(run, RunCancelRequested(self._clock.now(), by))
