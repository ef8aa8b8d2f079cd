"""Owns values as files: what `ctx.put(value, type=…)` writes, and what `artifact.load()` reads.

Libraries are the step's own: each is imported when a value of its sort is written or read. Pickles are loaded here and nowhere
else, in the process of a step, and only when they were stored as such or when the step says so.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

#: Types whose values may be a text; for the others a text is a path.
TEXTUAL = ("json", "pickle", "text")
_SUFFIXES = {
    ".json": "json",
    ".txt": "text",
    ".md": "text",
    ".parquet": "table",
    ".pq": "table",
    ".csv": "table",
    ".tsv": "table",
    ".npy": "numpy",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".vl.json": "figure",
}


class ArtifactTypeError(TypeError):
    """A value that is not what its artifact type stores, or bytes that it does not load."""


class Saved(NamedTuple):
    """A value that was written.

    Args:
        path: the file.
        media: its media type.
        meta: a few facts about it, for the catalogue.
    """

    path: str
    media: str
    meta: dict[str, Any]


def save(value: Any, kind: str, folder: str) -> Saved:
    """Write a value into a new file.

    Args:
        value: what to write.
        kind: name of its artifact type.
        folder: an empty folder.

    Raises:
        ArtifactTypeError: it is not what this type stores, or the library for it is not installed.
        OSError: it cannot be written.
    """
    if kind not in _SAVERS:
        raise ArtifactTypeError(
            "ctx.put(..., type=%r) takes a path or bytes; objects are written for the types %s"
            % (kind, ", ".join(sorted(_SAVERS)))
        )
    return _SAVERS[kind](value, os.path.join(folder, "data"))


def as_json(value: Any) -> Any:
    """Scalars and arrays of numpy and its like as JSON, which steps need not convert by hand.

    Raises:
        TypeError: it is none of these.
    """
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{kind_name(value)} is not JSON")


def _save_json(value: Any, path: str) -> Saved:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, default=as_json)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactTypeError(f"ctx.put(..., type='json'): the value is not JSON: {error}") from None
    return _write(path + ".json", text, "application/json", {})


def _save_text(value: Any, path: str) -> Saved:
    if not isinstance(value, str):
        raise ArtifactTypeError(f"ctx.put(..., type='text') takes a text, got {kind_name(value)}")
    return _write(path + ".txt", value, "text/plain", {"lines": len(value.splitlines())})


def _write(path: str, text: str, media: str, meta: dict[str, Any]) -> Saved:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return Saved(path, media, meta)


def _save_table(value: Any, path: str) -> Saved:
    """Data frames write themselves; everything else goes through Arrow."""
    path += ".parquet"
    if hasattr(value, "write_parquet"):  # polars, duckdb
        value.write_parquet(path)
    elif hasattr(value, "to_parquet"):  # pandas
        value.to_parquet(path)
    else:
        arrow = _library("pyarrow", "a table")
        value = _arrow_table(arrow, value)
        import_module("pyarrow.parquet").write_table(value, path)
    rows, columns = value.shape
    return Saved(path, "application/vnd.apache.parquet", {"rows": int(rows), "columns": int(columns)})


def _arrow_table(arrow: Any, value: Any) -> Any:
    if isinstance(value, arrow.Table):
        return value
    if isinstance(value, arrow.RecordBatch):
        return arrow.Table.from_batches([value])
    try:
        if isinstance(value, (list, tuple)) and all(isinstance(row, dict) for row in value):
            names = dict.fromkeys(name for row in value for name in row)
            return arrow.table({name: [row.get(name) for row in value] for name in names})
        if isinstance(value, dict):
            return arrow.table(value)
    except (arrow.ArrowException, TypeError, ValueError) as error:
        raise ArtifactTypeError(f"ctx.put(..., type='table'): the rows make no table: {error}") from None
    raise ArtifactTypeError(
        f"ctx.put(..., type='table') takes a data frame, a list of dicts or a dict of lists, got {kind_name(value)}"
    )


def _save_array(value: Any, path: str) -> Saved:
    numpy = _library("numpy", "an array")
    array = numpy.asarray(value)
    if array.dtype.hasobject:
        raise ArtifactTypeError(
            "ctx.put(..., type='numpy'): an array of objects is a pickle; store it with type='pickle'"
        )
    numpy.save(path + ".npy", array, allow_pickle=False)
    return Saved(path + ".npy", "application/x-npy", {"shape": list(array.shape), "dtype": str(array.dtype)})


def _save_figure(value: Any, path: str) -> Saved:
    if hasattr(value, "savefig"):  # matplotlib
        value.savefig(path + ".png", dpi=150, bbox_inches="tight")
        return Saved(path + ".png", "image/png", {})
    chart = value.to_dict() if hasattr(value, "to_dict") else value
    if isinstance(chart, dict) and ("$schema" in chart or not hasattr(value, "to_html")):  # altair, or plain Vega-Lite
        version = "v5" if "/v5" in str(chart.get("$schema", "")) else "v6"
        saved = _save_json(chart, path + ".vl")
        return saved._replace(media=f"application/vnd.vegalite.{version}+json")
    if hasattr(value, "to_html"):  # plotly
        return _write(path + ".html", value.to_html(), "text/html", {})
    raise ArtifactTypeError(f"ctx.put(..., type='figure') takes a figure or a Vega-Lite dict, got {kind_name(value)}")


def _save_pickle(value: Any, path: str) -> Saved:
    import pickle  # noqa: TID251 (a step writes it, and only steps load it)

    try:
        with open(path + ".pkl", "wb") as file:
            pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ArtifactTypeError(f"ctx.put(..., type='pickle'): {kind_name(value)} cannot be pickled: {error}") from None
    return Saved(path + ".pkl", "application/x-pickle", {"class": kind_name(value)})


_SAVERS: dict[str, Callable[[Any, str], Saved]] = {
    "figure": _save_figure,
    "json": _save_json,
    "numpy": _save_array,
    "pickle": _save_pickle,
    "table": _save_table,
    "text": _save_text,
}


# --- the way back -------------------------------------------------------------------------------------------------------


def load(path: Path, kind: str) -> Any:
    """Read a value.

    Args:
        path: the file, or the unpacked folder.
        kind: name of its artifact type.

    Raises:
        ArtifactTypeError: nothing here loads this type, or the library for it is not installed.
        ValueError: the bytes are not of this type.
    """
    if path.is_dir() or kind == "file":
        return path
    if kind not in _LOADERS:
        raise ArtifactTypeError(
            f"nothing loads an artifact of the type {kind!r}: read its file at .path, or say load(type) with one of "
            f"{', '.join(sorted(_LOADERS))}"
        )
    return _LOADERS[kind](path)


def kind_of(declared: str | None, name: str) -> str:
    """The type of an artifact: what it says itself, else what the end of its name says, else "file".

    Raises:
        ArtifactTypeError: its name says that it is a pickle, and it does not say so itself.
    """
    if declared is not None:
        return declared
    lowered = name.lower()
    found = max((suffix for suffix in _SUFFIXES if lowered.endswith(suffix)), key=len, default="")
    kind = _SUFFIXES.get(found, "file")
    if kind == "pickle":
        raise ArtifactTypeError(
            f"{name!r} was not stored as a pickle by a step, and loading one runs what it says: say load('pickle') if you trust it"
        )
    return kind


def _load_json(path: Path) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _load_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _load_table(path: Path) -> Any:
    _library("pyarrow", "a table")
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return import_module("pyarrow.parquet").read_table(path)
    return import_module("pyarrow.csv").read_csv(path)


def _load_array(path: Path) -> Any:
    return _library("numpy", "an array").load(path, allow_pickle=False)


def _load_figure(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(content) if content.lstrip().startswith(b"{") else content


def _load_pickle(path: Path) -> Any:
    import pickle  # noqa: TID251 (this is a step's process)

    with open(path, "rb") as file:
        return pickle.load(file)  # noqa: S301 (stored as such by a step, or the step says that it trusts it)


_LOADERS: dict[str, Callable[[Path], Any]] = {
    "figure": _load_figure,
    "json": _load_json,
    "numpy": _load_array,
    "pickle": _load_pickle,
    "table": _load_table,
    "text": _load_text,
}


def _library(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ArtifactTypeError(f"{what} needs {name} in the environment of the step: pip install {name}") from None


def kind_name(value: Any) -> str:
    """The class of a value, as messages call it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
