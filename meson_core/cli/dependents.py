"""Owns what depends on a plugin in a project: its settings, and the runs that have not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meson_core.errors import NotFoundError

if TYPE_CHECKING:
    from meson_core.cli.project import Project
    from meson_core.plugins import PluginInfo


class Dependent(NamedTuple):
    """Something that would miss a plugin.

    Args:
        what: "setting" or "run".
        name: of the setting, or the run's id.
        text: as people read it.
    """

    what: str
    name: str
    text: str


def dependents_of(project: Project, info: PluginInfo) -> list[Dependent]:
    """What depends on a plugin in a project."""
    return [*_settings(project, info), *_runs(project, info)]


def needed_by_settings(project: Project, info: PluginInfo) -> dict[str, str]:
    """What the settings choose of a plugin: name of the setting → what the plugin declares."""
    settings = project.settings
    chosen = {
        "scheduler": f"resource scheduler {settings.scheduler}",
        "artifact_store": f"artifact store {settings.artifact_store}",
    }
    return {setting: declared for setting, declared in chosen.items() if declared in info.provides}


def _settings(project: Project, info: PluginInfo) -> list[Dependent]:
    return [
        Dependent("setting", setting, f"the settings: {setting} = {declared.rpartition(' ')[2]!r}")
        for setting, declared in needed_by_settings(project, info).items()
    ]


def _runs(project: Project, info: PluginInfo) -> list[Dependent]:
    from meson_core.events import RunCreated
    from meson_core.spec.model import Step
    from meson_core.spec.states import RunState

    kinds = {declared.removeprefix("step kind ") for declared in info.provides if declared.startswith("step kind ")}
    if not kinds:
        return []
    try:
        client = project.client(read_only=True)
    except NotFoundError:  # nothing was ever run here
        return []
    found = []
    unfinished = (RunState.running, RunState.paused, RunState.cancelling)
    for run in client.runs(state=unfinished):
        nodes = client.plan(run.run_id).nodes
        steps = [node.name for node in nodes if isinstance(node.spec, Step) and node.spec.kind in kinds]
        if not steps:
            continue
        (first,) = client.events(run.run_id, limit=1)
        assert isinstance(first.event, RunCreated)
        pinned = first.event.plugins.get(info.distribution, "") if first.event.code == run.code else ""
        other = f", pinned to {info.distribution} {pinned}" if pinned not in ("", info.version) else ""
        text = f"run {run.run_id} of {run.workflow} ({run.state.value}){other}: {_some(steps)}"
        found.append(Dependent("run", run.run_id, text))
    return found


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
