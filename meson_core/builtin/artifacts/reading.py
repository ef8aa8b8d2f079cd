"""Owns reading the bytes of a version within bounds: as text, JSON, rows, numbers; what cannot be read is said of that version."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from meson_core.artifacts import ArtifactVersion

#: The most that is read of one version to show it whole, in bytes. What is larger is a table, an array or a file.
WHOLE = 64 * 1024 * 1024
#: The most rows, and numbers, of one version that are held in memory.
ROWS, NUMBERS = 1_000_000, 10_000_000
_PARQUET = b"PAR1"


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


def named(version: ArtifactVersion) -> str:
    """A version, as messages call it."""
    return f"artifact {version.record.number} ({version.record.name})"


def needs(module: str, what: str) -> ModuleType:
    """A library of the extra `artifacts`.

    Raises:
        ArtifactError: it is not installed.
    """
    from importlib import import_module  # noqa: PLC0415 (used by the way)

    try:
        return import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise ArtifactError(
            f"{what} needs {library}, which is not installed", hint="pip install 'meson-core[artifacts]'"
        ) from None


def head(version: ArtifactVersion, limit: int) -> tuple[str, bool]:
    """The beginning of a version as text, and whether that is all of it.

    Bytes that are no UTF-8 are shown as replacement characters.
    """
    with version.open() as file:
        data = file.read(limit + 1)
    return data[:limit].decode("utf-8", "replace"), len(data) <= limit


def whole(version: ArtifactVersion) -> bytes:
    """All bytes of a version.

    Raises:
        ArtifactError: they are more than are read at once.
    """
    with version.open() as file:
        data = file.read(WHOLE + 1)
    if len(data) > WHOLE:
        raise ArtifactError(
            f"{named(version)} is larger than {WHOLE // 1024**2} MiB, the most that is read as one document",
            hint="store it as a table (Parquet)",
        )
    return data


def document(version: ArtifactVersion) -> Any:
    """A version as JSON.

    Raises:
        ArtifactError: it is no JSON, or too large.
    """
    try:
        return json.loads(whole(version))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{named(version)} is not JSON: {error}") from None


# --- rows ---------------------------------------------------------------------------------------------------------


def rows_of(version: ArtifactVersion, limit: int = ROWS) -> Rows:
    """A version as a table.

    Args:
        version: of the type `table` or `json`.
        limit: the most rows to read.

    Raises:
        ArtifactError: it has no rows, or is not what its type says.
    """
    if version.record.type == "table":
        with version.open() as file:
            return table_rows(file, named(version), tabs=version.record.file.lower().endswith(".tsv"), limit=limit)
    found = as_rows(document(version))
    if found is None:
        raise ArtifactError(
            f"{named(version)} is JSON without rows",
            hint="a list of objects, or an object of lists of one length, is a table",
        )
    return Rows(found.columns, found.rows[:limit], found.total)


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


def table_rows(file: BinaryIO, label: str, *, tabs: bool = False, limit: int = ROWS) -> Rows:
    """A table in a file: Parquet, or text with separators, whose first line has the names of the columns.

    Args:
        file: one that can seek.
        label: what messages call it.
        tabs: text is separated by tabs, not by commas.
        limit: the most rows to read.

    Raises:
        ArtifactError: it is neither.
    """
    start = file.read(len(_PARQUET))
    file.seek(0)
    return _parquet(file, label, limit) if start == _PARQUET else _separated(file, label, "\t" if tabs else ",", limit)


def _parquet(file: BinaryIO, label: str, limit: int) -> Rows:
    arrow = needs("pyarrow", f"{label}, a Parquet table,")
    parquet = needs("pyarrow.parquet", "Parquet")
    rows: list[list[Any]] = []
    try:
        table = parquet.ParquetFile(file)
        columns = list(table.schema_arrow.names)
        total = table.metadata.num_rows
        for batch in table.iter_batches(batch_size=min(max(limit, 1), 65_536)):
            values = [column.to_pylist() for column in batch.columns]
            rows.extend([plain(value) for value in row] for row in zip(*values, strict=True))
            if len(rows) >= limit:
                break
    except (arrow.ArrowException, OSError) as error:
        raise ArtifactError(f"{label} is not a whole Parquet file: {error}") from None
    return Rows(columns, rows[:limit], total)


def _separated(file: BinaryIO, label: str, separator: str, limit: int) -> Rows:
    rows: list[list[Any]] = []
    total = -1
    columns: list[str] = []
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        for row in csv.reader(text, delimiter=separator):
            total += 1
            if not total:
                columns = row
            elif total <= limit:
                rows.append([_scalar(cell) for cell in row[: len(columns)]] + [None] * (len(columns) - len(row)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ArtifactError(f"{label} is neither Parquet nor text with separators: {error}") from None
    finally:
        text.detach()  # whoever opened the file closes it
    if not columns:
        raise ArtifactError(f"{label} is a table without a first line that names its columns")
    return Rows(columns, rows, total)


def _scalar(cell: str) -> Any:
    for kind in (int, float):
        try:
            return plain(kind(cell))
        except ValueError:
            continue
    return cell or None


def plain(value: Any) -> Any:
    """A value of a library as JSON; what is not a number becomes null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


# --- numbers ------------------------------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """Whether it can be drawn: a finite number, and not a truth."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def measures_of(version: ArtifactVersion) -> dict[str, float]:
    """The single numbers in a version by their path: JSON that is a number has the path "", a table of one row its columns.

    Raises:
        ArtifactError: it is not what its type says.
    """
    if version.record.type == "table":
        rows = rows_of(version, 2)
        found = dict(zip(rows.columns, rows.rows[0], strict=True)) if rows.total == 1 else {}
    else:
        found = document(version)
    return dict(_numbers("", found))


def _numbers(path: str, value: Any) -> Iterator[tuple[str, float]]:
    if is_number(value):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _numbers(f"{path}.{key}" if path else str(key), part)


def array_of(version: ArtifactVersion) -> Any:
    """A version of the type `numpy` as an array; objects in it are never loaded.

    Raises:
        ArtifactError: it is no array, or holds objects.
    """
    with version.open() as file:
        return array_in(file, named(version))


def array_in(file: BinaryIO, label: str) -> Any:
    """The array in a file; see `array_of`."""
    numpy = needs("numpy", f"{label}, an array,")
    try:
        return numpy.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ArtifactError(f"{label} is not an array of numbers or text: {error}") from None


def sample_of(version: ArtifactVersion, column: str | None) -> list[float]:
    """The numbers of a version, for a distribution; what is not a number is left out.

    Args:
        version: a list of numbers, an array, or a table.
        column: of a table; None when it has one of numbers only.

    Raises:
        ArtifactError: there is no such column, or no numbers, or which column is meant is not clear.
    """
    if version.record.type == "numpy":
        array = array_of(version)
        if array.dtype.kind not in "iuf":
            raise ArtifactError(f"{named(version)} is an array of {array.dtype}, not of numbers")
        return [number for number in array.ravel()[:NUMBERS].tolist() if is_number(number)]
    if version.record.type != "table":
        value = document(version)
        if isinstance(value, list) and value and not isinstance(value[0], dict):
            return [number for number in value if is_number(number)]
        rows = as_rows(value)
        if rows is None:
            raise ArtifactError(f"{named(version)} has no list of numbers, and no rows")
    else:
        rows = rows_of(version)
    numeric = [name for index, name in enumerate(rows.columns) if any(is_number(row[index]) for row in rows.rows)]
    if column is None and len(numeric) == 1:
        column = numeric[0]
    if column not in numeric:
        asked = (
            "it is not clear which column is meant" if column is None else f"there is no column {column!r} of numbers"
        )
        there = f"columns of numbers: {', '.join(numeric)}" if numeric else "no column has numbers"
        raise ArtifactError(f"{named(version)}: {asked}", hint=f"say column=NAME; {there}")
    index = list(rows.columns).index(column)
    return [row[index] for row in rows.rows if is_number(row[index])]
