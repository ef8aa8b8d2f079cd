"""Owns the loop: collect what came in, feed the machines, write one commit, then act on it and acknowledge.

    collect ──▶ feed ──▶ place ──▶ submit ──▶ (writer thread) ──▶ act ──▶ acknowledge
       ▲                                │
       └── the next turn collects while the commit is being written

One commit is on its way at a time, and the next one takes everything that came meanwhile: the busier the loop, the larger
its commits and the fewer. Nothing leaves this process before the commit that says so is in the log. While a commit is
written, the orders that it will release are made ready, so that they leave at once when it is through.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from meson_core.commands import Deliver, EndRun, Fence, Kill, Launch
from meson_core.errors import MesonError
from meson_core.events import AttemptPlaced, BranchChosen, ItemsResolved, IterationJudged, TimerFired
from meson_core.orchestrator.facts import event_of_fact, event_of_verdict
from meson_core.orchestrator.probe import Point
from meson_core.ports import AttemptKey, Present
from meson_core.spec.states import RunState, State
from meson_core.store.records import Commit, RunCommit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.feeding import Batch, Feeder, Frame
    from meson_core.orchestrator.incoming import Incoming
    from meson_core.orchestrator.lookups import Lookups
    from meson_core.orchestrator.orders import Orders
    from meson_core.orchestrator.placing import Placer
    from meson_core.orchestrator.probe import Probe
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.orchestrator.samples import Samples
    from meson_core.orchestrator.snapshots import SnapshotPolicy
    from meson_core.orchestrator.timers import Timers
    from meson_core.orchestrator.writing import Writer
    from meson_core.ports import Placement, Report, ResourceScheduler

logger = logging.getLogger(__name__)

#: Facts that are taken in before it is looked whether the last commit is through: workers must not wait for us.
_MAX_FACTS = 400
_FINDABLE = frozenset({State.lost, State.cancelling})
#: Facts by which items, a branch or the next iteration come into being.
_OPENING = (ItemsResolved, BranchChosen, IterationJudged)


class Loop:
    """The orchestrator's loop over all runs of a cell.

    Args:
        epoch: of the lease.
        incoming: what there is to take up.
        scheduler: what places attempts on machines.
        runs: runs under way, by id; shared with those who start and recover them.
        feeder: takes events in.
        orders: makes ready what is launched.
        lookups: answers whether results are there already.
        placer: the queue.
        timers: of all runs.
        samples: latest values, beside the log.
        snapshots: says when one is due.
        clock: where time comes from.
        probe: see there.
        on_ended: called with each run that has ended, once that is in the log.
        on_fallen: called with each run whose machine met a bug, once nothing of it is on its way to the log.
        on_written: called when a commit was acted on.
    """

    def __init__(
        self,
        *,
        epoch: int,
        incoming: Incoming,
        scheduler: ResourceScheduler,
        runs: dict[str, ActiveRun],
        feeder: Feeder,
        orders: Orders,
        lookups: Lookups,
        placer: Placer,
        timers: Timers,
        samples: Samples,
        snapshots: SnapshotPolicy,
        clock: Clock,
        probe: Probe,
        on_ended: Callable[[ActiveRun, RunState], None],
        on_fallen: Callable[[ActiveRun, str], None],
        on_written: Callable[[], None],
    ) -> None:
        self._epoch = epoch
        self._incoming = incoming
        self._scheduler = scheduler
        self._runs = runs
        self._feeder = feeder
        self._orders = orders
        self._lookups = lookups
        self._placer = placer
        self._timers = timers
        self._samples = samples
        self._snapshots = snapshots
        self._clock = clock
        self._probe = probe
        #: How far the first report has been taken in.
        self._taken = 0
        self._written: Batch | None = None
        self._ready: dict[int, Placement] = {}
        self._stopping = False
        #: Set once nothing is under way any more, after `drain`.
        self.drained = asyncio.Event()
        self._draining = False
        self._failure: MesonError | None = None
        self._on_ended = on_ended
        self._on_fallen = on_fallen
        self._on_written = on_written

    # --- from outside -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Write what is decided, act on it, and end."""
        self._stopping = True
        self._incoming.wake()

    def drain(self) -> None:
        """Place nothing more."""
        self._draining = True
        self._incoming.wake()

    async def collect_reports(self) -> None:
        """Take the scheduler's reports as they come; a task of its own. Its failure ends the loop."""
        try:
            async for report in self._scheduler.reports():
                await self._incoming.report(report)
        except MesonError as error:
            self._failure = error
            self._incoming.wake()

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def run(self, writer: Writer) -> None:
        """Go round until stopped.

        Raises:
            StoreError: the log cannot be written any more; nothing of what was not written was acted on.
            MesonError: the resource scheduler has failed for good.
        """
        while True:
            await self._incoming.wait()
            failure = writer.failure or self._failure
            if failure is not None:
                raise failure
            if writer.done:
                writer.done = False
                await self._act()
            if not self._stopping:
                self._collect()
            if self._draining and not any(run.machine.live() for run in self._runs.values()):
                self.drained.set()
            if self._incoming.demand is not None:
                demand, self._incoming.demand = self._incoming.demand, None
                await self._scheduler.demand(demand)
            if self._written is None:
                await self._launch_late()
                self._drop_fallen()
                self._submit(writer)
                if self._stopping and self._written is None:
                    return

    def _collect(self) -> None:
        while self._incoming.settled:
            self._incoming.settled.popleft()()
        if self._incoming.reports:
            self._probe.reach(Point.received)
            self._take_reports()
        for timer in self._timers.take_due():
            run = self._runs.get(timer.run_id)
            if run is not None:
                self._feeder.feed(run, TimerFired(self._clock.now(), timer.key))
        if self._feeder.asked:
            self._lookups.answer()
        if self._placer.due and not self._draining:
            now = self._clock.now()
            for placed in self._placer.round(now):
                key = placed.key
                self._feeder.feed(placed.run, AttemptPlaced(now, key.instance, key.attempt, placed.machine))
        for wanted in self._feeder.wanted:
            self._orders.read_artifact(wanted.run, wanted.digest)
        self._feeder.wanted.clear()

    def _take_reports(self) -> None:
        budget = _MAX_FACTS
        runs, feed = self._runs, self._feeder.feed
        while self._incoming.reports and budget > 0:
            report = self._incoming.reports[0]
            facts = report.facts[self._taken : self._taken + budget]
            for fact in facts:
                run = runs.get(fact.k[0])
                if run is not None:  # else it has ended, and this is late
                    feed(run, event_of_fact(fact))
            self._taken += len(facts)
            budget -= len(facts)
            if self._taken < len(report.facts):
                break
            self._taken = 0
            self._incoming.reports.popleft()
            self._take_rest(report)
        if self._incoming.reports:
            self._incoming.wake()
        else:
            self._incoming.taken()

    def _take_rest(self, report: Report) -> None:
        now = self._clock.now()
        for verdict in report.liveness:
            run = self._runs.get(verdict.key.run_id)
            if run is None:
                continue
            if isinstance(verdict, Present) and run.state_of(verdict.key.instance) not in _FINDABLE:
                continue  # no news
            self._feeder.feed(run, event_of_verdict(verdict, now))
        if report.offers is not None:
            self._placer.offers(report.offers)
        self._samples.take(report.samples)
        for note in report.notes:
            logger.warning("%s", note)
        batch = self._feeder.batch
        batch.cursors.update(report.cursors)
        if report.receipt is not None:
            batch.reports.append(report.receipt)

    # --- writing ------------------------------------------------------------------------------------------------------

    def _submit(self, writer: Writer) -> None:
        if self._feeder.batch.empty:
            return
        batch = self._feeder.take_batch()
        commit = Commit(
            epoch=self._epoch,
            runs=[self._frame(frame) for frame in batch.frames.values()],
            receipts=batch.receipts,
            cursors=batch.cursors,
        )
        self._written = batch
        writer.submit(commit)
        self._ready = self._orders.prepare(batch.effects)

    def _frame(self, frame: Frame) -> RunCommit:
        run = frame.run
        machine = run.machine
        sound = run.run_id not in self._feeder.fallen
        nodes = {change.instance[0] for change in frame.changes}
        nodes.update(event.instance[0] for event in frame.events if isinstance(event, _OPENING))
        # What is inside a composite comes into being with its items and iterations, and goes with them.
        for composite in nodes & run.definition.inside.keys():
            nodes.update(run.definition.inside[composite])
        if frame.expected_seq == 0:
            nodes.update(range(len(run.definition.plan.nodes)))
        return RunCommit(
            run_id=run.run_id,
            expected_seq=frame.expected_seq,
            events=frame.events,
            changes=frame.changes,
            counts={node: machine.counts(node) for node in nodes},
            state=machine.run_state,
            snapshot=self._snapshots.take(run) if sound else None,
            # Also with what came too late to matter: a frame says what a run has, not what it adds.
            results=self._orders.results(run) if machine.run_state is RunState.succeeded else None,
            origins=self._orders.origins(run, frame.events) if sound else {},
            restorable=run.definition.restorable,
        )

    # --- acting -------------------------------------------------------------------------------------------------------

    async def _act(self) -> None:
        batch, ready = self._written, self._ready
        self._written, self._ready = None, {}
        if batch is None:
            return
        self._feeder.written()
        for run_id, mark in batch.marks.items():
            batch.frames[run_id].run.outputs.committed(mark)
        self._probe.reach(Point.before_launch)
        launches: list[Placement] = []
        fences: list[AttemptKey] = []
        for position, (run, effect) in enumerate(batch.effects):
            if type(effect) is Launch:
                placement = ready.get(position)
                if placement is not None:
                    launches.append(placement)
            elif type(effect) is Fence:
                fences.append(AttemptKey(run.run_id, effect.instance, effect.attempt))
            else:
                await self._launch(launches)
                launches = []
                await self._do(run, effect)
        await self._launch(launches)
        if fences:
            await self._scheduler.reconcile(fences)
        self._probe.reach(Point.after_launch)
        if batch.reports:
            await self._scheduler.acknowledge(batch.reports)
        self._on_written()
        self._probe.reach(Point.acknowledged)

    async def _launch_late(self) -> None:
        late, self._incoming.late = self._incoming.late, []
        if late:
            self._probe.reach(Point.before_launch)
            await self._launch(late)
            self._probe.reach(Point.after_launch)
            self._probe.reach(Point.acknowledged)

    async def _launch(self, placements: Sequence[Placement]) -> None:
        if placements:
            await self._scheduler.launch(placements)
            self._placer.sent(placements)

    async def _do(self, run: ActiveRun, effect: object) -> None:
        if isinstance(effect, Kill):
            self._orders.unpark(run, effect.instance, effect.attempt)
            await self._scheduler.kill(AttemptKey(run.run_id, effect.instance, effect.attempt), effect.grace_s)
        elif isinstance(effect, Deliver):
            key = AttemptKey(run.run_id, effect.instance, effect.attempt)
            await self._scheduler.send(key, effect.name, effect.value)
        elif isinstance(effect, EndRun):
            self._end(run, effect.state)

    def _end(self, run: ActiveRun, state: RunState) -> None:
        if self._runs.get(run.run_id) is run:
            del self._runs[run.run_id]
        self._timers.cancel_run(run.run_id)
        self._placer.forget(run.run_id)
        self._snapshots.forget(run.run_id)
        self._on_ended(run, state)

    def _drop_fallen(self) -> None:
        """Let go of runs whose machines met a bug; what they had before it is written with the next commit."""
        fallen = self._feeder.fallen
        for run_id, (run, why) in list(fallen.items()):
            if self._runs.get(run_id) is run:
                del self._runs[run_id]
                self._timers.cancel_run(run_id)
                self._placer.forget(run_id)
            if run_id not in self._feeder.batch.frames:
                del fallen[run_id]
                self._on_fallen(run, why)
