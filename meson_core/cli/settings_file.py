"""Owns the one setting that `mesonctl` writes: `disabled_plugins`, edited in place, everything else left as it is."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from meson_core.errors import SettingsError, Where
from meson_core.settings import FILE, PYPROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEY = "disabled_plugins"
_ASSIGNMENT = re.compile(rf"^{KEY}[ \t]*=[ \t]*\[[^\]]*\]", re.MULTILINE)
_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_TOOL = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*meson[ \t]*\][ \t]*(#.*)?$", re.MULTILINE)


def write_disabled(root: Path, names: Sequence[str]) -> Path:
    """Write which plugins are disabled into the settings of a project.

    Args:
        root: of the project, whose settings are sound.
        names: of plugins or distributions.

    Returns:
        The file that holds the setting now.

    Raises:
        SettingsError: the file is written in a way that is not understood here.
    """
    path, table = _file(root)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    line = f"{KEY} = [{', '.join(json.dumps(name) for name in names)}]"
    start, end = _part(text, table)
    part = text[start:end]
    found = _ASSIGNMENT.search(part)
    if found is not None:
        edited = part[: found.start()] + line + part[found.end() :]
    else:
        edited = f"{line}\n{part}"
    changed = text[:start] + edited + text[end:]
    if _values(changed, table) != {**_values(text, table), KEY: list(names)}:
        raise SettingsError(f"{KEY!r} cannot be changed in place", where=Where(path.name), hint=f"write there: {line}")
    path.write_text(changed, encoding="utf-8")
    return path


def _file(root: Path) -> tuple[Path, tuple[str, ...]]:
    """Where the settings of a project are read from, or would be."""
    pyproject = root / PYPROJECT
    if not (root / FILE).exists() and pyproject.exists() and _TOOL.search(pyproject.read_text(encoding="utf-8")):
        return pyproject, ("tool", "meson")
    return root / FILE, ()


def _part(text: str, table: tuple[str, ...]) -> tuple[int, int]:
    """Begin and end of the keys of a table, without those of the tables after it."""
    start = 0
    if table:
        header = _TOOL.search(text)
        assert header is not None
        start = min(header.end() + 1, len(text))
    following = _TABLE.search(text, start)
    return start, following.start() if following else len(text)


def _values(text: str, table: tuple[str, ...]) -> dict[str, Any]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
    for key in table:
        values = values.get(key, {})
    return values
