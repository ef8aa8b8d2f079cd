"""Owns the orchestrator as a whole: taking the cell, recovering its runs, the tasks, and leaving in order.

    async with Orchestrator(store, settings, plugins) as orchestrator:
        await orchestrator.run_until_ended(run_id)

Entering takes the lease of the cell, opens its resource scheduler and recovers every run that has not ended. Leaving lets
the loop write and act on what is decided, and lets go of everything; attempts go on, and whoever drives the cell next
finds them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from typing import TYPE_CHECKING

from meson_core.commands import Fence
from meson_core.errors import ConflictError, EngineError, MesonError, NotFoundError
from meson_core.events import RunCancelRequested
from meson_core.orchestrator.clock import SystemClock
from meson_core.orchestrator.feeding import Feeder
from meson_core.orchestrator.inbox import InboxWatch
from meson_core.orchestrator.incoming import Incoming
from meson_core.orchestrator.lookups import Lookups
from meson_core.orchestrator.loop import Loop
from meson_core.orchestrator.orders import Orders
from meson_core.orchestrator.placing import Placer
from meson_core.orchestrator.probe import NoProbe
from meson_core.orchestrator.recovery import Library, attempts_of, load_run, mismatch_of, orders_of
from meson_core.orchestrator.samples import Samples
from meson_core.orchestrator.snapshots import SnapshotPolicy
from meson_core.orchestrator.timers import Timers
from meson_core.orchestrator.wishes import Wishes
from meson_core.orchestrator.writing import Writer
from meson_core.ports import AttemptKey, SchedulerSetting
from meson_core.spec.states import RunState

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from meson_core.commands import Kill
    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.probe import Probe
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.plugins import Plugins
    from meson_core.ports import ArtifactStore
    from meson_core.settings import Settings
    from meson_core.store.store import Store

logger = logging.getLogger(__name__)


class Orchestrator:
    """Drives all runs of one cell; use it as an async context manager.

    Args:
        store: opened for writing; it stays the caller's.
        settings: of the project or service.
        plugins: loaded.
        clock: where time comes from.
        probe: for tests.
        holder: what this process calls itself, for those who find the cell taken.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        plugins: Plugins,
        *,
        clock: Clock | None = None,
        probe: Probe | None = None,
        holder: str = "an orchestrator",
    ) -> None:
        self._store = store
        self._settings = settings
        self._plugins = plugins
        self._clock: Clock = clock or SystemClock()
        self._probe: Probe = probe or NoProbe()
        self._holder = holder
        self._runs: dict[str, ActiveRun] = {}
        self._library = Library(store)
        self._ends: dict[str, list[asyncio.Future[RunState]]] = {}
        self._context = contextlib.AsyncExitStack()
        self._failed: MesonError | None = None
        #: Runs that nobody can drive, with the reason.
        self._left_alone: dict[str, MesonError] = {}
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Orchestrator:
        async with contextlib.AsyncExitStack() as context:
            await self._open(context)
            self._context = context.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What the caller raises is his own: it must not come back wrapped into a group by our tasks.
        await self._context.aclose()

    async def run_until_ended(self, run_id: str) -> RunState:
        """Wait until a run has ended, and its end is in the log.

        Raises:
            NotFoundError: there is no such run.
            MesonError: the orchestrator had to stop before.
        """
        failure = self._failed or self._left_alone.get(run_id)
        if failure is not None:
            raise failure
        if run_id not in self._runs:
            row = self._store.run(run_id)
            if row is not None and row.state.ended:
                return row.state
            if row is None and not any(wish.run_id == run_id for wish in self._store.wishes(cell=self._settings.cell)):
                raise NotFoundError(f"there is no run {run_id!r}")
        ended: asyncio.Future[RunState] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(run_id, []).append(ended)
        return await ended

    async def serve(self) -> None:
        """Drive the cell until `stop` is called.

        Raises:
            MesonError: it cannot go on; everything that was committed is safe.
        """
        await self._ended.wait()
        if self._failed is not None:
            raise self._failed

    async def drain(self) -> None:
        """Place nothing more, take back what has not begun, and wait for what runs."""
        self._loop.drain()
        await self._scheduler.forget([key for run in self._runs.values() for key in attempts_of(run)])
        await self._loop.drained.wait()

    async def stop(self) -> None:
        """Write what is decided, act on it, and end; attempts go on without us."""
        self._loop.stop()
        await self._ended.wait()

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def _open(self, context: contextlib.AsyncExitStack) -> None:
        settings = self._settings
        lease = self._store.acquire(settings.cell, self._holder)
        context.callback(lease.release)
        artifacts = self._open_artifacts()
        definition = self._plugins.scheduler(settings.scheduler)
        setting = SchedulerSetting(
            cell=settings.cell,
            epoch=lease.epoch,
            directory=settings.directory,
            artifacts_url=artifacts.url,
            cursor=self._store.cursors(settings.cell),
            lost_after_s=settings.liveness.lost_after_s,
        )
        options = settings.scheduler_options(definition.Options)
        self._scheduler = await context.enter_async_context(definition.open(options, setting))
        self._tasks = await context.enter_async_context(asyncio.TaskGroup())
        self._build(lease.epoch, artifacts)
        context.callback(self._timers.close)
        context.callback(self._samples.close)
        self._writer.start()
        context.push_async_callback(self._close_writer)
        inbox = InboxWatch(self._store.subscribe("wishes"), self._clock, self._look_into_inbox)
        context.callback(inbox.close)
        inbox.start()
        await self._recover()
        self._tasks.create_task(self._go(), name="orchestrator")
        context.push_async_callback(self.stop)

    def _open_artifacts(self) -> ArtifactStore:
        settings = self._settings
        definition = self._plugins.artifact_store(settings.artifact_store)
        return definition.open(settings.artifact_store_options(definition.Options), settings.directory)

    def _build(self, epoch: int, artifacts: ArtifactStore) -> None:
        """Put the parts together; none of them does anything yet."""
        settings, clock, runs = self._settings, self._clock, self._runs
        capabilities = self._scheduler.capabilities
        matchers = [
            matcher for name, matcher in self._plugins.matchers.items() if name not in settings.disabled_matchers
        ]
        self._incoming = Incoming()
        self._writer = Writer(self._store, clock, self._probe, self._incoming.wake)
        self._placer = Placer(
            matchers,
            runs,
            ahead=capabilities.ahead,
            offers=capabilities.offers,
            tell_demand=self._incoming.tell_demand,
        )
        self._timers = Timers(clock, self._incoming.wake)
        self._feeder = Feeder(clock, self._timers, self._placer)
        self._orders = Orders(
            plugins=self._plugins,
            artifacts=artifacts,
            store=self._store,
            directory=settings.directory,
            root=settings.root,
            clock=clock,
            feeder=self._feeder,
            placer=self._placer,
            incoming=self._incoming,
            tasks=self._tasks,
        )
        self._lookups = Lookups(
            store=self._store,
            artifacts=artifacts,
            runs=runs,
            feeder=self._feeder,
            incoming=self._incoming,
            clock=clock,
            tasks=self._tasks,
        )
        self._samples = Samples(clock, runs, self._placer.waits, self._writer.submit_rest)
        self._loop = Loop(
            epoch=epoch,
            incoming=self._incoming,
            scheduler=self._scheduler,
            runs=runs,
            feeder=self._feeder,
            orders=self._orders,
            lookups=self._lookups,
            placer=self._placer,
            timers=self._timers,
            samples=self._samples,
            snapshots=SnapshotPolicy(),
            clock=clock,
            probe=self._probe,
            on_ended=self._on_ended,
            on_fallen=self._on_fallen,
            on_written=self._on_written,
        )
        self._wishes = Wishes(
            cell=settings.cell,
            store=self._store,
            library=self._library,
            runs=runs,
            feeder=self._feeder,
            orders=self._orders,
            placer=self._placer,
            clock=clock,
            plugins={info.distribution: info.version for info in self._plugins.listing},
            window=settings.window,
        )

    async def _close_writer(self) -> None:
        await asyncio.to_thread(self._writer.close)

    async def _go(self) -> None:
        """The loop and what feeds it, until it is stopped or cannot go on."""
        reports = self._tasks.create_task(self._loop.collect_reports(), name="reports")
        self._samples.start()
        self._incoming.wake()
        try:
            await self._loop.run(self._writer)
            self._tell(ConflictError("the orchestrator was stopped", hint="the run goes on with the next one"))
        except MesonError as error:
            self._failed = error
            self._tell(error)
        finally:
            reports.cancel()
            self._ended.set()

    def _tell(self, error: MesonError) -> None:
        """Who still waits for the end of a run is told why it will not come."""
        for future in [future for futures in self._ends.values() for future in futures]:
            if not future.done():
                future.set_exception(error)
        self._ends.clear()

    def _look_into_inbox(self) -> None:
        self._incoming.settle(self._wishes.take)

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Take over all runs of the cell that have not ended."""
        keys = []
        kills: list[tuple[ActiveRun, Kill]] = []
        for run_id in self._store.unfinished_runs(self._settings.cell):
            try:
                run = await asyncio.to_thread(load_run, self._store, self._library, run_id)
            except MesonError as error:
                self._leave_alone(run_id, error)
                continue
            keys.extend(attempts_of(run))
            kills.extend((run, kill) for kill in self._adopt(run))
        self._remove_old_scratch()
        await self._scheduler.reconcile(keys)
        for run, kill in kills:
            await self._scheduler.kill(AttemptKey(run.run_id, kill.instance, kill.attempt), kill.grace_s)
        self._look_into_inbox()

    def _adopt(self, run: ActiveRun) -> list[Kill]:
        """Go on with a run as its log leaves it; the answer is what is to be killed."""
        logger.info("run %s of %s goes on", run.run_id, run.definition.plan.workflow.name)
        self._runs[run.run_id] = run
        if run.machine.run_state is RunState.paused:
            self._placer.pause(run.run_id)
        mismatch = mismatch_of(run, self._plugins)
        if mismatch:
            logger.warning("run %s: %s", run.run_id, mismatch)
            self._placer.block(run.run_id, mismatch)
        self._orders.describe(run)
        commands, kills = orders_of(run)
        self._feeder.order(run, commands)
        return kills

    def _on_ended(self, run: ActiveRun, state: RunState) -> None:
        logger.info("run %s has ended: %s", run.run_id, state.value)
        for future in self._ends.pop(run.run_id, ()):
            if not future.done():
                future.set_result(state)
        scratch = self._orders.scratch_of(run.run_id)
        if scratch.exists():
            self._remove(scratch)

    def _remove(self, folder: Path) -> None:
        self._tasks.create_task(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True), name=f"remove {folder}")

    def _remove_old_scratch(self) -> None:
        """Scratch folders of runs that have ended, and whose orchestrator did not live to remove them."""
        for folder in self._orders.scratch_folders():
            row = None if folder.name in self._runs else self._store.run(folder.name)
            if row is not None and row.state.ended:
                self._remove(folder)

    def _on_written(self) -> None:
        if self._wishes.waiting:
            self._look_into_inbox()

    def _on_fallen(self, run: ActiveRun, why: str) -> None:
        """Its machine met a bug: a fresh one takes its log, and stops it in order."""
        if run.broken:
            self._leave_alone(run.run_id, EngineError(f"it met a bug again while it was being stopped: {why}"))
            return
        try:
            fresh = load_run(self._store, self._library, run.run_id)
        except MesonError as error:
            self._leave_alone(run.run_id, error)
            return
        fresh.broken = True
        kills = self._adopt(fresh)
        self._feeder.feed(fresh, RunCancelRequested(self._clock.now(), f"Meson, after a bug: {why}"))
        # What the broken machine did not take in any more is not told again: its attempts are asked after.
        for live in fresh.machine.live():
            self._feeder.batch.effects.append((fresh, Fence(live.instance, live.attempt)))
        self._feeder.batch.effects.extend((fresh, kill) for kill in kills)

    def _leave_alone(self, run_id: str, error: MesonError) -> None:
        """Nobody can drive this run; the others go on, and it stays in the log as it is."""
        logger.warning("run %s cannot go on and stays as it is: %s", run_id, error)
        self._left_alone[run_id] = error
        for future in self._ends.pop(run_id, ()):
            if not future.done():
                future.set_exception(error)
