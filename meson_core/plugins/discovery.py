"""Owns finding plugins: which are installed, from which distribution each comes, and importing one of them.

stevedore imports. It is handed entry points that were read just now, because its own list has three traps: it does not
tell the distribution of a plugin and merges two that declare the same; its cache file rounds times to 128 seconds, so a
plugin that was installed a minute ago is not there yet; and for a name that occurs twice it takes the last one silently.
"""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stevedore.extension import ExtensionManager

from meson_core.hookspecs import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMELESS = "a distribution without a name"


@dataclass(frozen=True, slots=True)
class Found:
    """An installed plugin; nothing of it is imported yet.

    Args:
        name: of the entry point.
        entry_point: what to import.
        distribution: name of what it was installed from.
        version: of that distribution.
        requires: what the distribution asks for, one requirement each.
    """

    name: str
    entry_point: importlib.metadata.EntryPoint
    distribution: str
    version: str
    requires: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The distribution with its version."""
        return f"{self.distribution} {self.version}".rstrip()


def find() -> list[Found]:
    """All plugins of this environment, by name; two of one name are both there."""
    found = [plugin for distribution in _distributions() for plugin in _plugins_of(distribution)]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution, plugin.entry_point.value))


def load(plugin: Found) -> Any:
    """Import a plugin: what its entry point names.

    Raises:
        BaseException: whatever its import raises.
    """
    (extension,) = _Single(plugin.entry_point).extensions
    return extension.plugin


class _Single(ExtensionManager[Any]):
    """Loads one entry point, and hides nothing of what goes wrong."""

    def __init__(self, entry_point: importlib.metadata.EntryPoint) -> None:
        self._entry_point = entry_point
        super().__init__(GROUP, on_load_failure_callback=_pass_on)

    def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
        return [self._entry_point]


def _pass_on(_manager: object, _entry_point: object, error: BaseException) -> None:
    raise error


def same_distribution(one: str, other: str) -> bool:
    """Whether two spellings name one distribution: `Meson_Spark` is `meson-spark`."""
    return _normal(one) == _normal(other)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions() -> Iterator[tuple[importlib.metadata.Distribution, str]]:
    """Every distribution that mentions our group, once: the first on the path hides others of its name."""
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        # Most distributions have no plugins of ours; parsing their metadata would take longer than all the rest.
        text = distribution.read_text("entry_points.txt")
        if text is None or GROUP not in text:
            continue
        name = _metadata(distribution)[0]
        if _normal(name) not in seen:
            seen.add(_normal(name))
            yield distribution, name


def _plugins_of(source: tuple[importlib.metadata.Distribution, str]) -> Iterator[Found]:
    distribution, name = source
    _, version, requires = _metadata(distribution)
    for entry_point in distribution.entry_points.select(group=GROUP):
        yield Found(entry_point.name, entry_point, name, version, requires)


def _metadata(distribution: importlib.metadata.Distribution) -> tuple[str, str, tuple[str, ...]]:
    """Name, version and requirements; an interrupted removal leaves entry points without them."""
    try:
        metadata = distribution.metadata
    except (TypeError, FileNotFoundError):  # as the version of Python would have it
        return _NAMELESS, "", ()
    name, version = (metadata.get_all(key) or [""] for key in ("Name", "Version"))
    return name[0] or _NAMELESS, version[0], tuple(metadata.get_all("Requires-Dist") or ())
