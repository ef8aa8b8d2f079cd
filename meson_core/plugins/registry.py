"""Owns what the plugins of this process declare, and look-ups that say why something is not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from meson_core.errors import PluginBrokenError, PluginConflictError, PluginError, PluginMissingError, nearest
from meson_core.plugins.record import (
    KIND,
    MATCHER,
    SCHEDULER,
    STORE,
    TYPE,
    VISUALIZER,
    PluginInfo,
    PluginState,
    disable_one,
    origins_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meson_core.artifacts import ArtifactType, Visualizer
    from meson_core.ports import (
        ArtifactStoreDefinition,
        DoctorCheck,
        ResourceMatcher,
        SchedulerDefinition,
        StepKind,
    )
    from meson_core.spec import Kinds


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins of this process and all that they declare; `load_plugins` makes it.

    Args:
        listing: every installed plugin, by name.
        declared: what it is ("step kind") → name → definition.
        owners: (what, name) → the plugins that declare it; with two or more, nobody gets it.
        doctors: name of a plugin → looks for what it needs around it; not called before somebody asks.
    """

    listing: tuple[PluginInfo, ...]
    declared: Mapping[str, Mapping[str, Any]]
    owners: Mapping[tuple[str, str], tuple[PluginInfo, ...]]
    doctors: Mapping[str, Callable[[], Sequence[DoctorCheck]]] = field(default_factory=dict)

    @property
    def kinds(self) -> Mapping[str, StepKind]:
        """Step kinds by name."""
        return self.declared[KIND]

    @property
    def kind_facts(self) -> Kinds:
        """What checks of workflows know of step kinds, with those whose plugin cannot be used."""
        from meson_core.spec import BrokenKind, KindFacts  # noqa: PLC0415  few questions need them

        unusable = (PluginState.broken, PluginState.conflict, PluginState.disabled)
        out = {
            info.name: BrokenKind(info.name, info.error or "the settings disable it", info.origin)
            for info in self.listing
            if info.state in unusable
        }
        return out | {name: KindFacts.of(name, kind.Options) for name, kind in self.kinds.items()}

    @property
    def schedulers(self) -> Mapping[str, SchedulerDefinition]:
        """Resource schedulers by name."""
        return self.declared[SCHEDULER]

    @property
    def matchers(self) -> Mapping[str, ResourceMatcher]:
        """Resource matchers by name."""
        return self.declared[MATCHER]

    @property
    def artifact_stores(self) -> Mapping[str, ArtifactStoreDefinition]:
        """Artifact stores by name."""
        return self.declared[STORE]

    @property
    def artifact_types(self) -> Mapping[str, ArtifactType]:
        """Artifact types by name."""
        return self.declared[TYPE]

    @property
    def visualizers(self) -> Mapping[str, Visualizer]:
        """Visualizers by name."""
        return self.declared[VISUALIZER]

    def kind(self, name: str) -> StepKind:
        """The step kind of this name.

        Raises:
            PluginError: there is none, or its plugin is broken or disabled, or two plugins declare it.
        """
        return cast("StepKind", self._lookup(KIND, name))

    def scheduler(self, name: str) -> SchedulerDefinition:
        """The resource scheduler of this name; raises as `kind` does."""
        return cast("SchedulerDefinition", self._lookup(SCHEDULER, name))

    def artifact_store(self, name: str) -> ArtifactStoreDefinition:
        """The artifact store of this name; raises as `kind` does."""
        return cast("ArtifactStoreDefinition", self._lookup(STORE, name))

    def artifact_type(self, name: str) -> ArtifactType:
        """The artifact type of this name; raises as `kind` does."""
        return cast("ArtifactType", self._lookup(TYPE, name))

    def visualizer(self, name: str) -> Visualizer:
        """The visualizer of this name; raises as `kind` does."""
        return cast("Visualizer", self._lookup(VISUALIZER, name))

    def owner(self, what: str, name: str) -> PluginInfo:
        """The plugin that declares this, as in `owner("step kind", "shell")`; raises as `kind` does."""
        self._lookup(what, name)
        return self.owners[what, name][0]

    def _lookup(self, what: str, name: str) -> Any:
        found = self.declared[what].get(name)
        if found is None:
            raise self._refusal(what, name)
        return found

    def _refusal(self, what: str, name: str) -> PluginError:
        """Why nobody gets this: the most helpful of what is known."""
        rivals = self.owners.get((what, name), ())
        if rivals:
            return PluginConflictError(
                f"{what} {name!r} is declared by {origins_of(rivals)}",
                plugin=rivals[0].name,
                distribution=rivals[0].origin,
                hint=disable_one(rivals),
            )
        # What a plugin would have declared is not known; as a rule, it is called like its plugin.
        namesakes = [info for info in self.listing if info.name == name]
        for info in namesakes:
            if info.state is PluginState.broken:
                return PluginBrokenError(
                    f"{what} {name!r}: the plugin {info.label} is broken: {info.error}",
                    plugin=info.name,
                    distribution=info.origin,
                    hint=f"see `mesonctl plugins doctor {info.name}`",
                )
            if info.state is PluginState.conflict:
                return PluginConflictError(
                    f"{what} {name!r}: {info.error}",
                    plugin=info.name,
                    distribution=info.origin,
                    hint=disable_one(namesakes),
                )
            if info.state is PluginState.disabled:
                return PluginMissingError(
                    f"{what} {name!r}: the plugin {info.label} is disabled",
                    plugin=info.name,
                    distribution=info.origin,
                    hint="take it out of `disabled_plugins` in the settings",
                )
        return PluginMissingError(f"there is no {what} {name!r}", plugin=name, hint=self._hint(what, name))

    def _hint(self, what: str, name: str) -> str:
        known = sorted(self.declared[what])
        close = nearest(name, known)
        if close is not None:
            return f"did you mean {close!r}?"
        there = f"there are: {', '.join(known)}" if known else "no plugin declares any"
        out = [info.label for info in self.listing if info.state is PluginState.broken]
        broken = f", or mend the broken plugin that may have it: {', '.join(out)}" if out else ""
        return f"{there}; install the plugin that has it{broken}"
