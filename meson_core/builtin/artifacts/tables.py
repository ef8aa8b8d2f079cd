"""Owns the artifact type `table`: Parquet, and text with separators."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO

from meson_core.artifacts import TableView
from meson_core.builtin.artifacts.metric import measured
from meson_core.builtin.artifacts.reading import Rows, is_number, rows_of, table_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: So many rows are shown, and so many are compared one by one.
_SHOWN, _COMPARED = 200, 200_000


class Table:
    """Rows and columns. How they are packed means nothing."""

    name = "table"
    media = ("application/vnd.apache.parquet", "text/csv", "text/tab-separated-values")
    suffixes = (".parquet", ".pq", ".csv", ".tsv")

    def fingerprint(self, file: BinaryIO) -> str:
        """Of names and values, in their order."""
        rows = table_rows(file, "the table")
        found = hashlib.sha256(json.dumps(list(rows.columns)).encode())
        for row in rows.rows:
            found.update(json.dumps(row).encode())
        found.update(str(rows.total).encode())
        return "sha256:" + found.hexdigest()

    def preview(self, version: ArtifactVersion) -> View:
        """The first rows."""
        rows = rows_of(version, _SHOWN)
        return TableView(rows.columns, rows.rows, rows.total, version.record.name)

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """Columns and rows that came and went, and what became of the numbers."""
        changes = list(_changes(rows_of(old), rows_of(new)))
        title = f"{new.record.name}: {old.record.number} → {new.record.number}"
        return TableView(("what", "old", "new"), changes, len(changes), title)

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """The number of rows, and the means of the columns of numbers."""
        return measured(versions, [_measures(rows_of(version)) for version in versions])


def _measures(rows: Rows) -> dict[str, float]:
    found: dict[str, float] = {"rows": rows.total}
    for name, numbers in _numeric(rows).items():
        found[f"mean of {name}"] = statistics.fmean(numbers)
    return found


def _numeric(rows: Rows) -> dict[str, list[float]]:
    """Columns that hold nothing but numbers and nulls."""
    found = {}
    for index, name in enumerate(rows.columns):
        values = [row[index] for row in rows.rows if row[index] is not None]
        if values and all(map(is_number, values)):
            found[name] = values
    return found


def _changes(old: Rows, new: Rows) -> Iterator[tuple[str, Any, Any]]:
    if old.total != new.total:
        yield "rows", old.total, new.total
    gone = [name for name in old.columns if name not in new.columns]
    come = [name for name in new.columns if name not in old.columns]
    if gone or come:
        yield "columns", ", ".join(gone) or None, ", ".join(come) or None
    elif list(old.columns) != list(new.columns):
        yield "order of columns", ", ".join(old.columns), ", ".join(new.columns)
    elif max(old.total, new.total) <= _COMPARED:
        before, after = (Counter(json.dumps(row) for row in rows.rows) for rows in (old, new))
        lost, won = (before - after).total(), (after - before).total()
        if lost or won:
            yield "rows that the other has not", lost, won
        elif old.rows != new.rows:
            yield "order of rows", None, "changed"
    before_numbers, after_numbers = _numeric(old), _numeric(new)
    for name in before_numbers.keys() & after_numbers.keys():
        for what, measure in (("lowest", min), ("mean", statistics.fmean), ("highest", max)):
            was, now = measure(before_numbers[name]), measure(after_numbers[name])
            if was != now:
                yield f"{what} {name}", was, now
