"""Owns the shortest way from a workflow to its results: store, orchestrator and run in one call and one process."""

from __future__ import annotations

import asyncio
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meson_core.errors import ConflictError
from meson_core.orchestrator.serve import Orchestrator
from meson_core.plugins import load_plugins
from meson_core.settings import read_settings
from meson_core.spec.check import check
from meson_core.spec.digest import canonical_json, digest, plain
from meson_core.spec.kinds import KindFacts
from meson_core.spec.parameters import bind_parameters
from meson_core.store.store import open_store
from meson_core.store.wishes import Start

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.probe import Probe
    from meson_core.plugins import Plugins
    from meson_core.settings import Settings
    from meson_core.spec.model import Workflow
    from meson_core.spec.states import RunState
    from meson_core.store.store import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run has ended.

    Args:
        run_id: its id; everything else about it is in the store of its project.
        state: how it ended.
        results: the workflow's outputs by name, when it succeeded.
    """

    run_id: str
    state: RunState
    results: dict[str, Any]


def run_workflow(workflow: Workflow, params: Mapping[str, Any] | None = None, project: Path | None = None) -> Outcome:
    """Run a workflow with the store, settings and plugins of a project, and wait until it has ended.

    Args:
        workflow: as it was written; it is checked first.
        params: values of its parameters, by name.
        project: the project's root; by default the present folder.

    Raises:
        InvalidWorkflowError: it has mistakes; nothing was run.
        ParameterError: a parameter is missing or refused; nothing was run.
        StoreLockedError: another orchestrator drives the cell.
    """
    from pathlib import Path as Folder  # noqa: PLC0415  for its default only

    settings = read_settings(project or Folder.cwd(), os.environ)
    plugins = load_plugins(disabled=settings.disabled_plugins)
    with open_store(settings.store_location) as store:
        return asyncio.run(run_in(store, settings, plugins, workflow, params or {}))


async def run_in(
    store: Store,
    settings: Settings,
    plugins: Plugins,
    workflow: Workflow,
    params: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    probe: Probe | None = None,
) -> Outcome:
    """Run a workflow in a store that is open; what `run_workflow` does with one of its own."""
    checked = check(workflow, {name: KindFacts.of(name, kind.Options) for name, kind in plugins.kinds.items()})
    run_id = put_run(store, settings.cell, checked, params, owner=settings.owner)
    async with Orchestrator(store, settings, plugins, clock=clock, probe=probe, holder="run_workflow") as orchestrator:
        state = await orchestrator.run_until_ended(run_id)
    row = store.run(run_id)
    return Outcome(run_id, state, (row.results if row is not None else None) or {})


def put_run(
    store: Store, cell: str, workflow: Workflow, params: Mapping[str, Any], *, owner: str = "", code: str = ""
) -> str:
    """Leave the wish for a run of this workflow in the inbox of a cell; the answer is its id.

    Raises:
        InvalidWorkflowError: it has mistakes.
        ParameterError: a parameter is missing or refused.
        ConflictError: the definition has no canonical form.
    """
    checked = check(workflow)
    bound = bind_parameters(checked.params, params, workflow=checked.name)
    try:
        body = canonical_json(plain(checked))
    except ValueError as error:
        raise ConflictError(f"workflow {checked.name!r} cannot be stored: {error}") from None
    version = digest(checked)
    store.put_definition(version, body, checked.name)
    run_id = uuid.uuid4().hex[:12]
    store.put_wish("start", run_id, Start(version, code, bound, owner), by=owner or "somebody", cell=cell)
    return run_id
