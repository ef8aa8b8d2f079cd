"""Owns what is known about an installed plugin, as lists and reports show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What plugins declare, as people call it.
KIND = "step kind"
SCHEDULER = "resource scheduler"
MATCHER = "resource matcher"
STORE = "artifact store"
TYPE = "artifact type"
VISUALIZER = "visualizer"


class PluginState(StrEnum):
    """What became of an installed plugin in this process."""

    loaded = "loaded"
    #: It does not import, or does not keep the contract.
    broken = "broken"
    #: The settings say that it is not wanted.
    disabled = "disabled"
    #: Another plugin has its name, or declares what it declares.
    conflict = "conflict"
    #: It was not needed, and nothing of it was imported.
    idle = "idle"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """An installed plugin.

    Args:
        name: of its entry point.
        distribution: what it was installed from.
        version: of the distribution.
        target: what the entry point names.
        state: what became of it here.
        error: one sentence, when it is broken or in conflict.
        details: the plugin's part of the traceback, when there is one.
        load_s: seconds that importing and asking it took.
        printed: what it wrote to standard output or error meanwhile; a plugin should not.
        hooks: the hooks that it implements.
        provides: what it declares, as people read it: "step kind shell".
        requires: what its distribution asks for.
    """

    name: str
    distribution: str
    version: str
    target: str
    state: PluginState
    error: str | None = None
    details: str | None = None
    load_s: float = 0.0
    printed: str = ""
    hooks: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The distribution with its version."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def label(self) -> str:
        """The plugin with where it comes from."""
        return f"{self.name!r} of {self.origin}"


def origins_of(plugins: Sequence[PluginInfo]) -> str:
    """Several plugins, as people read it: `'a' of meson-a 1.0 and 'b' of meson-b 2.0`."""
    return " and ".join(plugin.label for plugin in plugins)


def disable_one(plugins: Sequence[PluginInfo]) -> str:
    """What to do about plugins that exclude each other."""
    names = " or ".join(repr(plugin.distribution) for plugin in plugins)
    return f"uninstall one of them, or put {names} into `disabled_plugins` in the settings"
