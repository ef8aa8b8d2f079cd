"""Owns the artifact types `json`, `text` and `file`: what is read as a document, and what is only compared by its bytes."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import TYPE_CHECKING, Any, BinaryIO

from meson_core.artifacts import FALLBACK, TableView, TextView
from meson_core.builtin.artifacts.metric import measured
from meson_core.builtin.artifacts.reading import as_rows, document, head, measures_of
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: Of a text, so many characters are shown.
_SHOWN = 20_000
#: Of a table, so many rows.
_ROWS = 200
#: Texts up to this size are compared line by line, in bytes.
_COMPARED = 2_000_000
_BLOCK = 1 << 20


class Json:
    """Any JSON. The order of keys and the white space mean nothing."""

    name = "json"
    media = ("application/json",)
    suffixes = (".json",)

    def fingerprint(self, file: BinaryIO) -> str:
        """Of the values, with sorted keys."""
        try:
            value = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"not JSON: {error}") from None
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    def preview(self, version: ArtifactVersion) -> View:
        """A table where it is one, else the text, indented."""
        value = document(version)
        rows = as_rows(value)
        if rows is not None:
            return TableView(rows.columns, rows.rows[:_ROWS], rows.total, version.record.name)
        text = json.dumps(value, indent=2, ensure_ascii=False)
        return TextView(_cut(text), version.record.name, "json")

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """The values that differ, by their path."""
        changes = list(_changes("", document(old), document(new)))
        title = f"{new.record.name}: {old.record.number} → {new.record.number}"
        return TableView(("path", "old", "new"), changes[:_ROWS], len(changes), title)

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """Its numbers from version to version."""
        return measured(versions, [measures_of(version) for version in versions])


class Text:
    """Text to be read."""

    name = "text"
    media = ("text/plain", "text/markdown")
    suffixes = (".txt", ".md", ".log")

    def fingerprint(self, file: BinaryIO) -> str:
        """Of its bytes."""
        return _digest(file)

    def preview(self, version: ArtifactVersion) -> View:
        """Its beginning."""
        text, whole = head(version, _SHOWN)
        return TextView(text if whole else text + "\n…", version.record.name)

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """Line by line."""
        one, other = head(old, _COMPARED), head(new, _COMPARED)
        lines = difflib.unified_diff(
            one[0].splitlines(), other[0].splitlines(), str(old.record.number), str(new.record.number), lineterm=""
        )
        rest = "" if one[1] and other[1] else f"\n… only the first {_COMPARED / 1e6:g} MB are compared"
        return TextView("\n".join(lines) + rest, new.record.name, "diff")

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """Nothing."""
        return None


class File:
    """Bytes that only their producer understands."""

    name = FALLBACK
    media = ("application/octet-stream",)
    suffixes = ()

    def fingerprint(self, file: BinaryIO) -> str:
        """Of its bytes."""
        return _digest(file)

    def preview(self, version: ArtifactVersion) -> View:
        """What is known of it."""
        return _facts([version])

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """What is known of both."""
        return _facts([old, new])

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """What is known of each."""
        return _facts(versions)


def _digest(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while block := file.read(_BLOCK):
        found.update(block)
    return "sha256:" + found.hexdigest()


def _facts(versions: Sequence[ArtifactVersion]) -> TableView:
    columns = ("number", "file", "bytes", "media type", "digest")
    rows = [
        (record.number, record.file, record.size, record.media, record.digest)
        for record in (version.record for version in versions)
    ]
    return TableView(columns, rows, len(rows), versions[-1].record.name)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "\n…"


def _changes(path: str, old: Any, new: Any) -> Iterator[tuple[str, str, str]]:
    """Path, old and new value of everything that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{path}.{key}" if path else str(key)
            yield from _change(inner, old, new, key, key in old, key in new)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _change(f"{path}[{index}]", old, new, index, index < len(old), index < len(new))
    elif type(old) is not type(new) or old != new:
        yield path or "(all)", _shown(old), _shown(new)


def _change(path: str, old: Any, new: Any, key: Any, had: bool, has: bool) -> Iterator[tuple[str, str, str]]:
    if had and has:
        yield from _changes(path, old[key], new[key])
    else:
        yield path, _shown(old[key]) if had else "", _shown(new[key]) if has else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:199] + "…"
