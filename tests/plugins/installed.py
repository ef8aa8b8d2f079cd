"""Owns plugins that are installed for one test: a module and the metadata of a distribution, in a folder on the path."""

from __future__ import annotations

import importlib
import sys
import textwrap
from typing import TYPE_CHECKING

from meson_core.plugins.discovery import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

SHELL = """
from pydantic import BaseModel
from meson_core.hookspecs import hookimpl
from meson_core.ports import Program, StepCapabilities

class Kind:
    capabilities = StepCapabilities()
    class Options(BaseModel):
        script: str = ""
    def __init__(self, name):
        self.name = name
    def work(self, options):
        return Program(("sh", "-c", options.script))
"""


def hide_others(folder: Path) -> None:
    """Let only the core's own plugins be there, whatever else is installed in the environment of the tests.

    The first distribution of a name on the path hides others; these have no plugins.

    Args:
        folder: on the path, before everything else.
    """
    for name in {found.distribution for found in find()} - {"meson-core"}:
        info = folder / f"{name.replace('-', '_')}-0.dist-info"
        if not info.exists():
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n", encoding="utf-8")
            (info / "entry_points.txt").write_text("[meson.plugins]\n", encoding="utf-8")


class Site:
    """A folder of installed distributions.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def install(
        self,
        name: str,
        code: str,
        *,
        distribution: str | None = None,
        version: str = "1.0",
        target: str = "",
        requires: tuple[str, ...] = ("meson-core>=0.1",),
        shared: str = SHELL,
    ) -> str:
        """Install one plugin and return the name of its module.

        Args:
            name: of the entry point.
            code: of the module, after what all of them share.
            distribution: its name.
            version: of the distribution.
            target: what of the module the entry point names.
            requires: what the distribution asks for.
            shared: what the module begins with.
        """
        self._number += 1
        module = f"meson_try_{self.folder.name}_{self._number}".replace("-", "_")
        (self.folder / f"{module}.py").write_text(shared + textwrap.dedent(code), encoding="utf-8")
        distribution = distribution or f"meson-{name}"
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        value = f"{module}:{target}" if target else module
        (info / "entry_points.txt").write_text(f"[meson.plugins]\n{name} = {value}\n", encoding="utf-8")
        importlib.invalidate_caches()
        return module


def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site that is on the path until the test has ended."""
    before = set(sys.modules)
    hide_others(folder)
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name in set(sys.modules) - before:
        if name.startswith("meson_try_"):
            del sys.modules[name]
