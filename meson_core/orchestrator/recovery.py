"""Owns the way from the store to a run under way, which every run takes that this orchestrator did not create itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meson_core.commands import Fence, Kill, Launch
from meson_core.engine import RunMachine
from meson_core.errors import EngineError, NotFoundError, PluginError
from meson_core.events import RunCreated
from meson_core.orchestrator.runs import ActiveRun, Definition
from meson_core.plugins.record import KIND
from meson_core.ports import AttemptKey
from meson_core.spec.model import Step, Workflow
from meson_core.spec.plan import compile_plan
from meson_core.spec.references import resolve
from meson_core.spec.states import ENDED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.commands import Command
    from meson_core.plugins import Plugins
    from meson_core.store.store import Store

logger = logging.getLogger(__name__)

#: Workflow versions that are kept compiled.
_MAX_DEFINITIONS = 64
#: Steps that a sentence names.
_MAX_NAMES = 5


class Library:
    """Workflow versions out of the store, compiled once.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._definitions: dict[str, Definition] = {}

    def definition(self, digest: str) -> Definition:
        """A workflow version.

        Raises:
            NotFoundError: it was never put into the store.
        """
        found = self._definitions.pop(digest, None)
        if found is None:
            plan = compile_plan(Workflow.model_validate_json(self._store.definition(digest)))
            found = Definition(digest, plan, resolve(plan))
        self._definitions[digest] = found
        if len(self._definitions) > _MAX_DEFINITIONS:
            del self._definitions[next(iter(self._definitions))]
        return found


def load_run(store: Store, library: Library, run_id: str) -> ActiveRun:
    """A run as its log leaves it: the latest snapshot and everything since.

    Raises:
        NotFoundError: there is no such run, or no definition of it.
        EngineError: its log is of a newer Meson.
    """
    row = store.run(run_id)
    if row is None:
        raise NotFoundError(f"there is no run {run_id!r}")
    definition = library.definition(row.version)
    snapshot, seq, events = store.load(run_id)
    machine = None
    if snapshot is not None:
        try:
            machine = RunMachine.restore(definition.plan, snapshot)
        except EngineError as error:
            logger.warning("run %s: its snapshot is of no use, the whole log is replayed: %s", run_id, error.message)
            seq, events = 0, [row.event for row in store.log(run_id)]
    if machine is None:
        machine = RunMachine(definition.plan)
    for event in events:
        machine.handle(event)
    run = ActiveRun(
        run_id,
        definition,
        machine,
        row.params,
        code=row.code,
        owner=row.owner,
        seq=seq + len(events),
        plugins=_pins_of(store, run_id, row.code),
        store=store,
    )
    run.uses.expect(live.instance for live in machine.live())
    return run


def _pins_of(store: Store, run_id: str, code: str) -> Mapping[str, str]:
    """The plugin versions of a run; whoever gave it other code since took the plugins of the day with it."""
    (first,) = store.log(run_id, 0, 1)
    assert isinstance(first.event, RunCreated)
    return first.event.plugins if first.event.code == code else {}


def mismatch_of(run: ActiveRun, plugins: Plugins) -> str:
    """Why a run cannot go on with the plugins that are here, and what would change if it did; "" when it can."""
    steps: dict[str, list[int]] = {}
    for number, node in enumerate(run.definition.plan.nodes):
        if isinstance(node.spec, Step):
            steps.setdefault(node.spec.kind, []).append(number)
    wrong, missing = [], []
    for name, numbers in sorted(steps.items()):
        try:
            info = plugins.owner(KIND, name)
        except PluginError as error:
            missing.append(f"{error.message}, needed by {_to_be_done(run, numbers)}")
            continue
        pinned = run.plugins.get(info.distribution, info.version)
        if pinned != info.version:
            wrong.append(
                f"{info.distribution} {pinned} for the step kind {name!r}, and {info.version} is installed, "
                f"which would do {_to_be_done(run, numbers)}"
            )
    told = [*missing, *([f"the run is pinned to {'; to '.join(wrong)}"] if wrong else [])]
    if not told:
        return ""
    return f"{'; '.join(told)}: install what it needs, or cancel the run and retry it with the current code"


def _to_be_done(run: ActiveRun, numbers: Sequence[int]) -> str:
    """Those of some steps that have not ended, by name; all of them, when only a loop could come back to them."""
    left = [number for number in numbers if not _has_ended(run.machine.counts(number))] or numbers
    names = [run.definition.plan.nodes[number].name for number in left]
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES} more"


def _has_ended(counts: Sequence[int]) -> bool:
    """Whether a node has instances, and all of them have ended."""
    return any(counts) and all(ENDED[state] for state, count in enumerate(counts) if count)


def attempts_of(run: ActiveRun) -> list[AttemptKey]:
    """The attempts of a run that its scheduler has to answer for."""
    return [AttemptKey(run.run_id, live.instance, live.attempt) for live in run.machine.live()]


def orders_of(run: ActiveRun) -> tuple[list[Command], list[Kill]]:
    """What is outstanding besides asking the scheduler about all attempts: to be done at once, and kills.

    A launch is not repeated: whether it was carried out is what the scheduler is asked. An attempt that certainly never got
    to a machine comes back from it as returned, at no cost, and one that is gone is fenced.
    """
    commands: list[Command] = []
    kills = []
    for command in run.machine.outstanding():
        if isinstance(command, Kill):
            kills.append(command)
        elif not isinstance(command, Launch | Fence):
            commands.append(command)
    return commands, kills
