"""Owns the making of orders: a launch that the engine decided becomes what the resource scheduler gets.

An order needs the template of its step and the inputs of its instance. Templates are described once per run, in a thread;
a list of items may have to be read from an artifact, in a thread as well. Until what it needs is there, a launch is
parked. One that cannot be made fails its attempt, not the orchestrator.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from meson_core.commands import Launch
from meson_core.errors import EvaluationError, MesonError
from meson_core.events import AttemptFailed, EvaluationFailed, Failure
from meson_core.orchestrator.context import ArtifactNeededError, describe
from meson_core.orchestrator.launching import describe_steps, make_placement
from meson_core.orchestrator.origins import origins
from meson_core.ports import AttemptKey
from meson_core.spec.states import Cause, State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meson_core.events import AnyEvent
    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.feeding import Effect, Feeder
    from meson_core.orchestrator.incoming import Incoming
    from meson_core.orchestrator.launching import Described
    from meson_core.orchestrator.placing import Placer
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.plugins import Plugins
    from meson_core.ports import ArtifactStore, Placement
    from meson_core.spec.plan import Instance
    from meson_core.store.records import Origin
    from meson_core.store.store import Store

logger = logging.getLogger(__name__)


class Orders:
    """Makes orders for all runs of a cell.

    Args:
        plugins: where step kinds come from.
        artifacts: where lists of items may lie.
        store: asked for external jobs that were remembered before this orchestrator began.
        directory: the project's `.meson`: code bundles, scratch folders.
        root: the project's root, for runs without a code bundle.
        clock: where time comes from.
        feeder: takes the events of what cannot be launched.
        placer: knows on which offer an attempt was placed.
        incoming: takes what could not be done at once.
        tasks: owner of the threads' tasks.
    """

    def __init__(
        self,
        *,
        plugins: Plugins,
        artifacts: ArtifactStore,
        store: Store,
        directory: Path,
        root: Path,
        clock: Clock,
        feeder: Feeder,
        placer: Placer,
        incoming: Incoming,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._plugins = plugins
        self._artifacts = artifacts
        self._store = store
        self._directory = directory
        self._root = root
        self._clock = clock
        self._feeder = feeder
        self._placer = placer
        self._incoming = incoming
        self._tasks = tasks

    # --- orders -------------------------------------------------------------------------------------------------------

    def prepare(self, effects: Sequence[tuple[ActiveRun, Effect]]) -> dict[int, Placement]:
        """The orders for the launches among these effects, by position; what is not ready is parked."""
        ready = {}
        for position, (run, effect) in enumerate(effects):
            if type(effect) is Launch:
                placement = self._order_safely(run, effect)
                if placement is not None:
                    ready[position] = placement
        return ready

    def unpark(self, run: ActiveRun, instance: Instance, attempt: int) -> None:
        """It is not to be launched any more."""
        run.parked = [launch for launch in run.parked if (launch.instance, launch.attempt) != (instance, attempt)]

    def _order_safely(self, run: ActiveRun, launch: Launch) -> Placement | None:
        try:
            return self._order(run, launch)
        except Exception as error:  # a bug, in whatever class: the other runs go on
            logger.exception("run %s: the order for %s went wrong", run.run_id, launch.instance)
            self._feeder.fell(run, error)
            self._incoming.wake()
            return None

    def _order(self, run: ActiveRun, launch: Launch) -> Placement | None:
        if run.described is None:
            run.parked.append(launch)
            return None
        described = run.described[launch.instance[0]]
        now = self._clock.now()
        if described.template is None:
            assert described.failure is not None
            failed = AttemptFailed(
                now, launch.instance, launch.attempt, None, Cause.user, described.failure, final=True
            )
            self._incoming.settle(lambda: self._feeder.feed(run, failed))
            return None
        try:
            inputs = run.context.inputs(launch.instance)
        except MesonError as error:
            refused = EvaluationFailed(now, launch.instance, Failure("evaluation", describe(error)))
            self._incoming.settle(lambda: self._feeder.feed(run, refused))
            return None
        except ArtifactNeededError as needed:
            run.parked.append(launch)
            self._feeder.want(run, needed.digest)
            self._incoming.settle(lambda: None)
            return None
        run.uses.note(launch.instance, inputs)
        remembered = None
        if launch.job != launch.attempt:
            remembered = run.jobs.get(launch.instance) or self._store.external_id(
                run.run_id, launch.instance, launch.job
            )
        return make_placement(
            run.run_id,
            launch,
            described.template,
            run.definition.requests[launch.instance[0]],
            offer_id=self._placer.offer_of(AttemptKey(run.run_id, launch.instance, launch.attempt)),
            inputs=inputs,
            scratch=run.scratch,
            remembered=remembered,
        )

    def scratch_of(self, run_id: str) -> Path:
        """The folder that all steps of a run share, until it ends."""
        return self._directory / "scratch" / run_id

    def scratch_folders(self) -> list[Path]:
        """All folders of that sort that are there."""
        folder = self.scratch_of("")
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _retry_parked(self, run: ActiveRun) -> None:
        parked, run.parked = run.parked, []
        placements = []
        for launch in parked:
            if run.state_of(launch.instance) is State.starting:
                placement = self._order_safely(run, launch)
                if placement is not None:
                    placements.append(placement)
        if placements:
            self._incoming.launch_late(placements)

    def results(self, run: ActiveRun) -> bytes | None:
        """What a run that has succeeded shows: its workflow's outputs as JSON, null where one cannot be evaluated."""
        found = {}
        for name in run.definition.plan.workflow.outputs:
            while True:
                try:
                    found[name] = run.context.result(name)
                except MesonError as error:
                    logger.warning("run %s: output %r: %s", run.run_id, name, error)
                    found[name] = None
                except ArtifactNeededError as needed:
                    # The run is over: nothing waits for this turn.
                    run.context.supply(needed.digest, self._content(needed.digest))
                    continue
                break
        return msgspec.json.encode(found) if found else None

    def origins(self, run: ActiveRun, events: Sequence[AnyEvent]) -> dict[Instance, Origin]:
        """What the catalogue has to know of the successes among these events."""
        return origins(run, events, self._content)

    # --- what takes time ----------------------------------------------------------------------------------------------

    def describe(self, run: ActiveRun) -> None:
        """Find out how the steps of a run are launched, now or with its present code."""
        run.described = None
        run.scratch = self.scratch_of(run.run_id).as_uri()
        run.code_version += 1
        self._tasks.create_task(self._describe(run, run.code_version), name=f"describe {run.run_id}")

    async def _describe(self, run: ActiveRun, code_version: int) -> None:
        project = self._directory / "code" / run.code if run.code else self._root
        plan = run.definition.plan
        described = await asyncio.to_thread(
            describe_steps, plan, self._plugins, code=run.code, project=str(project), pins=run.plugins
        )
        self._incoming.settle(lambda: self._described(run, code_version, described))

    def _described(self, run: ActiveRun, code_version: int, described: dict[int, Described]) -> None:
        if code_version == run.code_version:
            run.described = described
            unanswered, run.unanswered = run.unanswered, []
            self._feeder.order(run, unanswered)
            self._retry_parked(run)

    def read_artifact(self, run: ActiveRun, digest: str) -> None:
        """Have the bytes of an artifact that the values of a run need."""
        self._tasks.create_task(self._read(run, digest), name=f"read {digest} for {run.run_id}")

    async def _read(self, run: ActiveRun, digest: str) -> None:
        found = await asyncio.to_thread(self._content, digest)
        self._incoming.settle(lambda: self._supplied(run, digest, found))

    def _content(self, digest: str) -> bytes | EvaluationError:
        try:
            with self._artifacts.open(digest) as file:
                return file.read()
        except (MesonError, OSError) as error:
            return EvaluationError(f"a list of items lies in the artifact {digest}, which cannot be read: {error}")

    def _supplied(self, run: ActiveRun, digest: str, found: bytes | EvaluationError) -> None:
        run.reading.discard(digest)
        run.context.supply(digest, found)
        asked, run.asked = run.asked, []
        self._feeder.order(run, asked)
        self._retry_parked(run)
