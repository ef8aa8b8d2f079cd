"""Owns pictures of artifacts: which versions are meant, what type or visualizer draws them, and whose fault it is when none does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from meson_core.artifacts import FALLBACK, ITERATION, STOPPED, ArtifactVersion
from meson_core.errors import ArtifactError, MesonError, ParameterError, PluginBrokenError
from meson_core.plugins.record import TYPE, VISUALIZER
from meson_core.spec.model import Repeat
from meson_core.spec.states import ENDED, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from meson_core.artifacts import ArtifactRecord, ArtifactType, View
    from meson_core.client.client import Client
    from meson_core.plugins import Plugins
    from meson_core.spec.plan import Instance, Plan

T = TypeVar("T")
#: Versions that are drawn when nobody says how many.
MANY = 1000


def versions(
    client: Client,
    ref: str,
    *,
    workflow: str | None = None,
    run: str | None = None,
    since: float | None = None,
    limit: int = MANY,
) -> list[ArtifactVersion]:
    """The versions that are meant, the oldest first.

    Args:
        client: the door to them.
        ref: a name or a declared artifact id, for all versions of it; a number, a digest or `name@run` for one.
        workflow: only what workflows of this name have made.
        run: only what this run has made.
        since: not older than this, in s since the epoch.
        limit: at most so many, the latest.

    Raises:
        NotFoundError: nothing could be meant.
        ArtifactError: versions of it are there, but none like that.
    """
    for what in ("name", "key"):
        asked: dict[str, Any] = {what: ref, "workflow": workflow, "run_id": run, "since": since}
        found = client.artifacts(**asked, limit=limit)
        if found:
            return _readable(client, found)
        if client.artifacts(name=ref, limit=1) if what == "name" else client.artifacts(key=ref, limit=1):
            raise ArtifactError(
                f"there are versions of {ref!r}, but none like that",
                hint="ask for less, or look at them with `mesonctl artifacts list`",
            )
    return _readable(client, [client.artifact(ref).record])


def picture(
    plugins: Plugins,
    shown: Sequence[ArtifactVersion],
    visualizer: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> View:
    """Versions as one picture.

    Args:
        plugins: what can draw.
        shown: the versions, the oldest first.
        visualizer: name of what draws them; None: their artifact type does, one of them as it is, several over time.
        options: of the visualizer, as values or as texts.

    Raises:
        ArtifactError: they are not what it understands.
        ParameterError: it has no such options.
        PluginError: there is no such visualizer, or it is at fault.
    """
    if visualizer is not None:
        return _visualized(plugins, shown, visualizer, options or {})
    if options:
        raise ParameterError(
            f"the option {next(iter(options))!r} is for a visualizer, and none is named", hint=_offered(plugins, shown)
        )
    kind = _type_of_all(plugins, shown)
    if len(shown) == 1:
        return _guarded(plugins, TYPE, kind.name, lambda: kind.preview(shown[0]))
    view = _guarded(plugins, TYPE, kind.name, lambda: kind.over_time(shown))
    return _guarded(plugins, TYPE, kind.name, lambda: kind.preview(shown[-1])) if view is None else view


def difference(plugins: Plugins, old: ArtifactVersion, new: ArtifactVersion) -> View:
    """What has changed between two versions, as their artifact type shows it.

    Raises:
        ArtifactError: they are not what their type says.
        PluginError: the plugin of their type is at fault.
    """
    kind = _type_of_all(plugins, [old, new])
    return _guarded(plugins, TYPE, kind.name, lambda: kind.diff(old, new))


# --- who draws --------------------------------------------------------------------------------------------------------


def _visualized(plugins: Plugins, shown: Sequence[ArtifactVersion], name: str, given: Mapping[str, Any]) -> View:
    visualizer = plugins.visualizer(name)
    strange = next((one.record for one in shown if visualizer.types and one.record.type not in visualizer.types), None)
    if strange is not None:
        raise ArtifactError(
            f"{strange.name} #{strange.number} is of the type {strange.type}; the visualizer {name!r} understands "
            f"{', '.join(visualizer.types)}",
            hint=_offered(plugins, shown),
        )
    try:
        options = visualizer.Options.model_validate(dict(given))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        at = ".".join(map(str, problem["loc"])) or "options"
        known = ", ".join(visualizer.Options.model_fields) or "none"
        raise ParameterError(
            f"{at} of the visualizer {name!r}: {problem['msg']}", hint=f"its options: {known}"
        ) from None
    return _guarded(plugins, VISUALIZER, name, lambda: visualizer.draw(shown, options))


def _type_of_all(plugins: Plugins, shown: Sequence[ArtifactVersion]) -> ArtifactType:
    """The artifact type of these; what is of several, or of one that is not installed, is a file."""
    names = {one.record.type for one in shown}
    known = plugins.artifact_types
    name = names.pop() if len(names) == 1 else FALLBACK
    return known[name] if name in known else plugins.artifact_type(FALLBACK)


def _offered(plugins: Plugins, shown: Sequence[ArtifactVersion]) -> str:
    """What could draw these."""
    kinds = {one.record.type for one in shown}
    names = [name for name, one in sorted(plugins.visualizers.items()) if not one.types or kinds <= set(one.types)]
    return f"visualizers for it: {', '.join(names)}" if names else "no visualizer understands it"


def _guarded(plugins: Plugins, what: str, name: str, draw: Callable[[], T]) -> T:
    try:
        return draw()
    except MesonError:
        raise
    except Exception as error:
        owner = plugins.owner(what, name)
        told = " ".join(str(error).split())
        raise PluginBrokenError(
            f"the {what} {name!r} of {owner.label} failed: {type(error).__name__}: {told}",
            plugin=owner.name,
            distribution=owner.origin,
            hint="this is a fault of that plugin, not of the artifact",
        ) from error


# --- which versions -----------------------------------------------------------------------------------------------------


def _readable(client: Client, found: Sequence[ArtifactRecord]) -> list[ArtifactVersion]:
    plans: dict[str, Plan] = {}
    reasons: dict[tuple[str, Instance], str] = {}
    return [
        ArtifactVersion(_with_reason(client, record, plans, reasons), partial(_open, client, record.number))
        for record in sorted(found, key=lambda record: record.number)
    ]


def _open(client: Client, number: int) -> BinaryIO:
    return client.artifact(number).open()


def _with_reason(
    client: Client, record: ArtifactRecord, plans: dict[str, Plan], reasons: dict[tuple[str, Instance], str]
) -> ArtifactRecord:
    """A record with why the innermost repeat around its step instance stopped, once it has."""
    if not record.run_id or ITERATION not in record.items:
        return record
    plan = plans.get(record.run_id) or plans.setdefault(record.run_id, client.plan(record.run_id))
    owner = plan.scopes[plan.nodes[record.instance[0]].scope].owner
    while not isinstance(spec := plan.nodes[owner].spec, Repeat):
        owner = plan.scopes[plan.nodes[owner].scope].owner
    instance = (owner, *record.instance[1 : 1 + plan.nodes[owner].depth])
    key = (record.run_id, instance)
    if key not in reasons:
        reasons[key] = _reason(client, record.run_id, spec, instance)
    return replace(record, items={**record.items, STOPPED: reasons[key]}) if reasons[key] else record


def _reason(client: Client, run_id: str, spec: Repeat, instance: Instance) -> str:
    found = client.instance(run_id, instance)
    state = State[found.state]
    if not ENDED[state]:
        return ""
    return found.why or (f"{spec.until} held" if state is State.succeeded else state.label)
