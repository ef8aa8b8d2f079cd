"""Owns `Client`: what can be asked about runs; what can be wished for is in `wishing.py`."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from pydantic import ValidationError

from meson_core.client import following, names
from meson_core.client.artifacts import MAX_DEPTH, Artifacts, Keeping
from meson_core.client.glance import read_tree, read_why
from meson_core.client.instances import named, read_attempts, read_outputs
from meson_core.client.pruning import GRACE_S
from meson_core.client.records import Context, Submitted
from meson_core.client.wishing import Wishing
from meson_core.errors import StoreCorruptError
from meson_core.settings import find_root, read_settings
from meson_core.spec.model import Workflow
from meson_core.spec.plan import compile_plan
from meson_core.spec.states import State
from meson_core.store import open_store
from meson_core.store.catalogue import ArtifactQuery
from meson_core.store.records import InstanceRow
from meson_core.store.wishes import Start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence

    from meson_core.artifacts import ArtifactRecord, ArtifactVersion
    from meson_core.client.explaining import Explanation
    from meson_core.client.pruning import Pruned
    from meson_core.client.records import Attempt, Lineage, LogLine, RunTree, StepInstance, Sweep, SweepItem, Why
    from meson_core.plugins import Plugins
    from meson_core.settings import Settings
    from meson_core.spec.plan import Instance, Plan
    from meson_core.spec.states import RunState
    from meson_core.store.records import EmittedRow, LinkRow, LogRow, RunRow
    from meson_core.store.store import Store

_PAGE = 1000


def connect(project: str | os.PathLike[str] = ".", *, create: bool = False, read_only: bool = False) -> Client:
    """A client for the project that a folder or file belongs to.

    Args:
        project: any place in it.
        create: make an empty store where there is none.
        read_only: for looking only; works without leave to write.

    Raises:
        NotFoundError: nothing was ever run there.
        SettingsError: its settings are not right.
        StoreError: its store cannot be opened.
    """
    return open_client(read_settings(find_root(Path(project)), os.environ), create=create, read_only=read_only)


def open_client(
    settings: Settings, *, create: bool = False, read_only: bool = False, plugins: Callable[[], Plugins] | None = None
) -> Client:
    """The same for settings that have been read already.

    Args:
        settings: of the project.
        create: make an empty store where there is none.
        read_only: for looking only.
        plugins: loads the plugins; by default all that are installed and not disabled.
    """
    store = open_store(settings.store_location, create=create, read_only=read_only)
    keeping = Keeping(settings, plugins or (lambda: _all_plugins(settings)))
    return Client(store, settings.directory, cell=settings.cell, by=settings.owner or _user(), keeping=keeping)


def _all_plugins(settings: Settings) -> Plugins:
    from meson_core.plugins import load_plugins  # noqa: PLC0415  few questions need them

    return load_plugins(disabled=settings.disabled_plugins)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return str(os.getuid())


class Client(Wishing):
    """Asks about runs, and has wishes.

    `run` is always a run's id, the beginning of its id, or "last". `step` is the dotted name of a step or another node;
    an instance is `(node, *indexes)`, as every answer has it.

    Args:
        store: the open store; closed with the client.
        directory: the project's `.meson` folder, where its logs are.
        cell: whose orchestrator new runs are meant for.
        by: who asks.
        keeping: where artifacts are kept.
    """

    def __init__(
        self, store: Store, directory: Path, *, cell: str = "local", by: str = "", keeping: Keeping | None = None
    ) -> None:
        self.store = store
        self.directory = directory
        self.cell = cell
        self.by = by
        self._plans: dict[str, Plan] = {}
        self._artifacts = Artifacts(store, directory, keeping)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- runs ---------------------------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        state: RunState | Collection[RunState] = (),
        workflow: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[RunRow]:
        """Runs, the latest first.

        Args:
            state: only those in this state, or in one of these.
            workflow: only those of workflows of this name.
            after: id of the last run of the page before.
            limit: at most so many.
        """
        states = (state,) if isinstance(state, str) else state
        return self.store.runs(states=states, workflow=workflow, after=after, limit=limit)

    def submitted(self) -> list[Submitted]:
        """Runs of this cell that have been wished for and that no orchestrator has begun yet, the latest first."""
        found = []
        for wish in reversed(self.store.wishes(cell=self.cell)):
            if isinstance(wish.body, Start):
                name = msgspec.json.decode(self.store.definition(wish.body.workflow))["name"]
                found.append(Submitted(wish.run_id, name, wish.body.owner or wish.by, wish.at))
        return found

    def run(self, run: str) -> RunRow:
        """One run.

        Raises:
            NotFoundError: no run, or several, could be meant.
        """
        return names.find_run(self.store, run)

    def plan(self, run: str) -> Plan:
        """The compiled workflow that a run is pinned to."""
        return self._plan_of(self.run(run))

    def _plan_of(self, row: RunRow) -> Plan:
        plan = self._plans.get(row.version)
        if plan is None:
            try:
                workflow = Workflow.model_validate_json(self.store.definition(row.version))
            except ValidationError as error:
                told = error.errors(include_url=False)[0]["msg"]
                raise StoreCorruptError(
                    f"{self.store.place}: workflow version {row.version} cannot be read: {told}",
                    hint="it is damaged, or was made by a later version of Meson",
                ) from None
            plan = self._plans[row.version] = compile_plan(workflow)
        return plan

    def tree(self, run: str) -> RunTree:
        """A run with all its nodes: counts, percent complete, time to go. It costs the same for any number of instances."""
        row = self.run(run)
        return read_tree(self.store, row, self._plan_of(row))

    # --- instances ----------------------------------------------------------------------------------------------------

    def instances(
        self,
        run: str,
        *,
        step: str | None = None,
        prefix: tuple[int, ...] = (),
        states: Collection[State] = (),
        after: Instance | None = None,
        limit: int = 100,
    ) -> list[StepInstance]:
        """A page of instances in the order of node and indexes; what still waits is not among them.

        Args:
            run: which run.
            step: only those of this step.
            prefix: only those below these indexes; needs `step`.
            states: only those in one of these.
            after: the last instance of the page before.
            limit: at most so many.
        """
        row = self.run(run)
        plan = self._plan_of(row)
        node = None if step is None else names.find_node(plan, step)
        found = self.store.instances(row.run_id, node=node, prefix=prefix, states=states, after=after, limit=limit)
        return [named(plan, each) for each in found]

    def instance(self, run: str, instance: Instance) -> StepInstance:
        """One step instance or composite node; one of which nothing is known yet waits.

        Raises:
            NotFoundError: there can be no such instance.
        """
        row = self.run(run)
        plan = self._plan_of(row)
        names.check_instance(plan, instance)
        found = self.store.instance(row.run_id, instance)
        return named(plan, found or InstanceRow(instance[0], instance, State.waiting, 0, ""))

    def attempts(self, run: str, instance: Instance) -> list[Attempt]:
        """All attempts of one instance that have begun or ended, the first one first."""
        row = self.run(run)
        return read_attempts(self.store, row.run_id, self._plan_of(row), instance)

    def links(self, run: str, instance: Instance | None = None) -> list[LinkRow]:
        """What steps have shown to be clicked at."""
        return self.store.links(self.run(run).run_id, instance)

    def emitted(
        self, run: str, instance: Instance | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[EmittedRow]:
        """What steps have emitted, in the order of the log; `after` is the position of the last one before."""
        return self.store.emitted(self.run(run).run_id, instance, after=after, limit=limit)

    def outputs(self, run: str, *, steps: Sequence[str] = (), limit: int = 1000) -> Context:
        """The values of a run: its parameters, its results, and what its steps have put out.

        Args:
            run: which run.
            steps: only of these; empty for all.
            limit: at most so many instances of each step.
        """
        row = self.run(run)
        plan = self._plan_of(row)
        chosen = [names.find_node(plan, step) for step in steps] or [node.id for node in plan.nodes if node.is_step]
        found = read_outputs(self.store, row.run_id, plan, chosen, limit)
        return Context(params=row.params, results=row.results, steps=found)

    def why(self, run: str, step: str) -> Why:
        """Why a step is not done: what it waits for, what refused it, what went wrong."""
        row = self.run(run)
        plan = self._plan_of(row)
        return read_why(self.store, row, plan, names.find_node(plan, step))

    # --- artifacts ----------------------------------------------------------------------------------------------------

    def artifacts(
        self,
        *,
        name: str | None = None,
        key: str | None = None,
        workflow: str | None = None,
        run_id: str | None = None,
        type: str | None = None,  # noqa: A002 (what everybody calls it)
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ArtifactRecord]:
        """Versions of artifacts, the latest first.

        Args:
            name: only of this name.
            key: only with this declared artifact id.
            workflow: only made by workflows of this name.
            run_id: only made by this run.
            type: only of this artifact type.
            since: not older than this, in s since the epoch.
            before: number of the last version of the page before.
            limit: at most so many.
        """
        run = None if run_id is None else self.run(run_id).run_id
        query = ArtifactQuery(name=name, key=key, workflow=workflow, run_id=run, since=since, before=before)
        return self._artifacts.find(query, type, limit)

    def artifact(self, ref: str | int) -> ArtifactVersion:
        """One version of an artifact.

        Args:
            ref: its number; its digest or the beginning of that; its name or declared id, for the latest version;
                "name@run" for the latest of a run.

        Raises:
            NotFoundError: no artifact, or several, could be meant.
        """
        return self._artifacts.readable(self._artifacts.version(ref))

    def lineage(self, ref: str | int, *, depth: int = MAX_DEPTH, limit: int = 1000) -> Lineage:
        """What a version was made of and by, and what used it.

        Args:
            ref: as for `artifact`.
            depth: how many artifacts back.
            limit: uses at most.
        """
        return self._artifacts.lineage(ref, depth, limit)

    def put_artifact(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        media: str | None = None,
        type: str | None = None,  # noqa: A002 (what everybody calls it)
    ) -> ArtifactRecord:
        """Store a file or folder as a version of an artifact that no run has made.

        Args:
            path: of it.
            name: what to call it; the name of the file by default.
            media: its media type; guessed from the file's name by default.
            type: its artifact type; follows from name and media type by default.

        Raises:
            ArtifactError: it cannot be read, or the store not be written.
        """
        return self._artifacts.put(path, name, media, type)

    def prune_artifacts(
        self,
        *,
        grace_s: float = GRACE_S,
        older_than_s: float | None = None,
        dry_run: bool = False,
        sole: bool = False,
    ) -> Pruned:
        """Delete the bytes of artifacts that nothing names; never any that a run in flight may be about to name.

        Args:
            grace_s: seconds for which what nothing names stays.
            older_than_s: give up versions that are older, but the latest of each, and nothing of a run that has not ended.
            dry_run: only say what would go.
            sole: no other project keeps its artifacts in the same place; needed where that is not the project's own.
        """
        return self._artifacts.prune(grace_s=grace_s, older_than_s=older_than_s, dry_run=dry_run, sole=sole)

    def sweep(
        self, run: str, name: str | None = None, *, by: str | None = None, lowest: bool | None = None, limit: int = 5
    ) -> Sweep:
        """A sweep at a glance: the best, the failed and the slowest of its items.

        Args:
            run: which run.
            name: of the sweep; None where there is only one.
            by: the output that says how good an item is; None: what the workflow itself goes by.
            lowest: whether less is better; None: as the workflow has it.
            limit: how many of each.

        Raises:
            NotFoundError: the workflow has no sweep, or none of that name.
            ConflictError: it has several, and none is named.
        """
        from meson_core.client.sweeps import find_sweep, read_sweep  # noqa: PLC0415  needed by one command of many

        row = self.run(run)
        plan = self._plan_of(row)
        found = find_sweep(plan, name)
        node = read_tree(self.store, row, plan).nodes[found.loop.id]
        return read_sweep(self.store, row, plan, found, node, by=by, lowest=lowest, limit=limit)

    def explain(self, run: str, step: str | None = None, *, limit: int = 10) -> list[Explanation]:
        """Why steps were or were not skipped, and what differs from the nearest earlier result.

        Args:
            run: which run.
            step: a step, a part of the workflow or an instance; None for all steps that ask.
            limit: instances told of each step.
        """
        from meson_core.client.explaining import explain  # noqa: PLC0415  needed by one command of many

        row = self.run(run)
        plan = self._plan_of(row)
        nodes, only = names.find_steps(plan, step)
        return explain(self.store, row, plan, nodes, only, self.directory, limit)

    def sweep_items(self, run: str, name: str | None = None) -> Iterator[SweepItem]:
        """Every item of a sweep that has begun, with its point, state, seconds and outputs; raises as `sweep` does."""
        from meson_core.client.sweeps import find_sweep, read_items  # noqa: PLC0415  needed by one command of many

        row = self.run(run)
        plan = self._plan_of(row)
        return read_items(self.store, row, plan, find_sweep(plan, name))

    # --- what happens -------------------------------------------------------------------------------------------------

    def events(self, run: str, *, after_seq: int = 0, limit: int | None = None) -> list[LogRow]:
        """The events of a run with a higher sequence number, oldest first."""
        return self.store.log(self.run(run).run_id, after_seq, limit)

    def follow(self, run: str, *, after_seq: int = 0) -> Iterator[LogRow]:
        """Every event of a run as it comes; ends when the run has ended."""
        return following.follow(self.store, self.run(run).run_id, after_seq)

    def follow_async(self, run: str, *, after_seq: int = 0) -> AsyncIterator[LogRow]:
        """Every event of a run as it comes, in an event loop; ends when the run has ended."""
        return following.follow_async(self.store, self.run(run).run_id, after_seq)

    def wait(self, run: str, *, timeout_s: float | None = None) -> RunRow:
        """Wait until a run has ended, at most so many seconds; the run as it stands then."""
        run_id = self.run(run).run_id
        following.wait_until_ended(self.store, run_id, timeout_s)
        return self.run(run_id)

    def logs(
        self,
        run: str,
        *,
        steps: Sequence[str] = (),
        instance: Instance | None = None,
        failed: bool = False,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """The output of all attempts on this machine, merged into one stream of lines.

        Args:
            run: which run.
            steps: only of these steps; empty for all.
            instance: only of this one.
            failed: only of instances that have failed.
            follow: go on until the run has ended.
        """
        from meson_core.client.logs import read_logs  # noqa: PLC0415  needed by one command of many

        row = self.run(run)
        plan = self._plan_of(row)
        nodes = [names.find_node(plan, step) for step in steps]
        only: Callable[[], Collection[Instance]] | None = None
        if instance is not None:
            only = lambda: (instance,)  # noqa: E731
        elif failed:
            only = lambda: self._failed(row.run_id)  # noqa: E731
        folder = self.directory / "logs"
        return read_logs(self.store, row.run_id, plan, folder, nodes=nodes, instances=only, follow=follow)

    def tail(self, run: str, instance: Instance, attempt: int, count: int = 20) -> list[LogLine]:
        """The last lines that one attempt has written, without reading what others have."""
        from meson_core.client.logs import read_tail  # noqa: PLC0415

        row = self.run(run)
        return read_tail(row.run_id, self._plan_of(row), self.directory / "logs", instance, attempt, count)

    def _failed(self, run_id: str) -> set[Instance]:
        found: set[Instance] = set()
        after: Instance | None = None
        while page := self.store.instances(run_id, states=(State.failed,), after=after, limit=_PAGE):
            found.update(row.instance for row in page)
            after = page[-1].instance
        return found
