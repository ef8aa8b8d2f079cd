"""Owns reading the bytes of a version within bounds: as text, as JSON, as rows; what cannot be read is said of that version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion

#: The most that is read of one version to show it whole, in bytes. What is larger is a table or a file.
WHOLE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rows:
    """A table in memory.

    Args:
        columns: their names.
        rows: JSON values.
        total: number of rows in all, of which these are the first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    total: int

    def column(self, name: str) -> list[Any]:
        """The values of one column."""
        index = list(self.columns).index(name)
        return [row[index] for row in self.rows]


def named(version: ArtifactVersion) -> str:
    """A version, as messages call it."""
    return f"artifact {version.record.number} ({version.record.name})"


def head(version: ArtifactVersion, limit: int) -> tuple[str, bool]:
    """The beginning of a version as text, and whether that is all of it.

    Bytes that are no UTF-8 are shown as replacement characters.
    """
    with version.open() as file:
        data = file.read(limit + 1)
    return data[:limit].decode("utf-8", "replace"), len(data) <= limit


def document(version: ArtifactVersion) -> Any:
    """A version as JSON.

    Raises:
        ArtifactError: it is no JSON, or too large to be shown whole.
    """
    if version.record.size > WHOLE:
        size = version.record.size / 1e6
        raise ArtifactError(
            f"{named(version)} is {size:.0f} MB of JSON: at most {WHOLE / 1e6:.0f} MB are read as one document",
            hint="store it as a table (Parquet)",
        )
    with version.open() as file:
        try:
            return json.load(file)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{named(version)} is not JSON: {error}") from None


def rows_of(version: ArtifactVersion, limit: int | None = None) -> Rows:
    """A version as a table.

    Raises:
        ArtifactError: it has no rows, or is not what its type says.
    """
    found = as_rows(document(version))
    if found is None:
        raise ArtifactError(
            f"{named(version)} is JSON without rows",
            hint="a list of objects, or an object of lists of one length, is shown as a table",
        )
    return found if limit is None else Rows(found.columns, found.rows[:limit], found.total)


def as_rows(value: Any) -> Rows | None:
    """JSON that is a table: a list of objects, or an object of lists of one length; None for any other."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        columns = list(dict.fromkeys(name for row in value for name in row))
        return Rows(columns, [[row.get(name) for name in columns] for row in value], len(value))
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        lengths = {len(column) for column in value.values()}
        if len(lengths) == 1:
            return Rows(list(value), [list(row) for row in zip(*value.values(), strict=True)], lengths.pop())
    return None
