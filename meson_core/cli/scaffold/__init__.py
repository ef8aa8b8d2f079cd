"""Owns new plugins: a package of each kind, made of templates, whose tests are green as they come.

Templates are files beside this one, `templates/<kind>/…` on top of `templates/common/…`. Their names end in `.txt`, so that
nothing takes them for code of ours; in names and texts, `{{word}}` is filled in.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from meson_core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

#: Kind → what such a plugin declares.
KINDS = {
    "step": "step kind",
    "scheduler": "resource scheduler",
    "matcher": "resource matcher",
    "store": "artifact store",
    "visualizer": "visualizer",
}
PREFIX = "meson-"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_WORD = re.compile(r"\{\{(\w+)\}\}")
#: Distributions of ours: a plugin of that name would replace them.
_OURS = ("core", "executor")


def plugin_name(text: str) -> str:
    """The name of a plugin, from what somebody typed: `meson-greet` is the distribution of `greet`.

    Raises:
        ValueError: it cannot be a name; the message says what can.
    """
    name = text.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{text!r} is not of the form spark, big-query: small letters and digits, with '-' between words"
        )
    if name in _OURS:
        raise ValueError(f"{PREFIX}{name} is a distribution of Meson itself")
    return name


def write_plugin(folder: Path, name: str, kind: str, core_version: str) -> list[Path]:
    """Write the package of a new plugin.

    Args:
        folder: of the package, which is made.
        name: of the plugin, as `plugin_name` gives it.
        kind: one of `KINDS`.
        core_version: of meson-core, which it is made for.

    Returns:
        The files, relative to the folder.

    Raises:
        ConflictError: something is there already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} is there already, and not empty", hint="move it, or choose another name")
    words = _words(name, kind, core_version)
    templates = files(__name__).joinpath("templates")
    written = []
    for origin in ("common", kind):
        for path, text in _texts(templates.joinpath(origin)):
            relative = _filled(path.removesuffix(".txt"), words)
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_filled(text, words), encoding="utf-8")
            written.append(target.relative_to(folder))
    return sorted(written)


def _words(name: str, kind: str, core_version: str) -> Mapping[str, str]:
    major, minor, *_ = core_version.split(".")
    return {
        "name": name,
        "distribution": PREFIX + name,
        "module": (PREFIX + name).replace("-", "_"),
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "what": KINDS[kind],
        "core": f"{major}.{minor}.0",
    }


def _texts(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """Path and content of all templates in a folder."""
    for entry in folder.iterdir():
        path = f"{above}{entry.name}"
        if entry.is_dir():
            yield from _texts(entry, f"{path}/")
        elif path.endswith(".txt"):
            yield path, entry.read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _WORD.sub(lambda found: words[found[1]], text)
