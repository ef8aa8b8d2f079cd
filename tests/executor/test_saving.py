"""Owns the tests of values as artifacts: what a step puts is what a step loads, and what is no value of a type is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from meson_core.builtin.artifacts import meson_artifact_types
from meson_runtime import ctx
from meson_runtime.saving import ArtifactTypeError

if TYPE_CHECKING:
    from meson_runtime.artifacts import Artifact

CHART = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "mark": "point"}


class Model:
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.weight == self.weight

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("kind", "value", "name", "media", "meta"),
    [
        ("json", {"a": [1, None, "ä"]}, "data.json", "application/json", {}),
        ("json", "a text", "data.json", "application/json", {}),
        ("text", "one\ntwo", "data.txt", "text/plain", {"lines": 2}),
        ("pickle", Model(2.0), "data.pkl", "application/x-pickle", {"class": f"{__name__}.Model"}),
        ("figure", CHART, "data.vl.json", "application/vnd.vegalite.v5+json", {}),
    ],
)
def test_a_value_is_loaded_as_it_was_put(kind: str, value: Any, name: str, media: str, meta: dict[str, Any]) -> None:
    stored = ctx.put(value, type=kind)

    assert stored.load() == value
    assert (stored.name, stored.media, stored.type, stored.meta) == (name, media, kind, meta)
    assert stored.value()["type"] == kind


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "c": 0.5}],
        {"a": [1, 2], "b": ["x", None], "c": [None, 0.5]},
        pa.table({"a": [1, 2], "b": ["x", None], "c": [None, 0.5]}),
        pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", None], "c": [None, 0.5]}),
    ],
    ids=["rows", "columns", "table", "batch"],
)
def test_tables_are_parquet(value: Any) -> None:
    stored = ctx.put(value, name="scores.parquet", type="table")

    assert stored.load().to_pydict() == {"a": [1, 2], "b": ["x", None], "c": [None, 0.5]}
    assert (stored.name, stored.meta) == ("scores.parquet", {"rows": 2, "columns": 3})
    assert stored.path.read_bytes().startswith(b"PAR1")


def test_data_frames_write_themselves() -> None:
    """As those of polars, pandas and duckdb do, of which a step needs one at most."""

    class Frame:
        shape = (3, 2)

        def to_parquet(self, path: str) -> None:
            Path(path).write_bytes(b"PAR1...")

    assert ctx.put(Frame(), type="table").meta == {"rows": 3, "columns": 2}


def test_arrays_are_loaded_as_they_were_put() -> None:
    stored = ctx.put(np.arange(6.0).reshape(2, 3), type="numpy", meta={"unit": "stars"})

    assert stored.load().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert stored.meta == {"shape": [2, 3], "dtype": "float64", "unit": "stars"}


def test_files_of_any_type_are_put_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("a,b\n1,2\n")

    assert ctx.put(path, type="table").load().to_pydict() == {"a": [1], "b": [2]}
    assert ctx.put(str(path), type="table").name == "scores.csv"
    assert ctx.put(b"ACGT", name="x.fasta", type="fasta").value()["type"] == "fasta"


def test_the_type_may_follow_from_the_name() -> None:
    assert ctx.put(b"[1]", name="x.json").load() == [1]
    assert ctx.put(b"a\n1\n", name="x.CSV").load().to_pydict() == {"a": [1]}
    assert ctx.put(b"?", name="x.bin").load().read_bytes() == b"?"
    assert "type" not in ctx.put(b"[1]", name="x.json").value()


def test_figures_are_drawn_by_their_library() -> None:
    class Matplotlib:
        def savefig(self, path: str, **_: Any) -> None:
            Path(path).write_bytes(b"\x89PNG")

    class Plotly:
        def to_dict(self) -> dict[str, Any]:
            return {"data": []}

        def to_html(self) -> str:
            return "<html>"

    class Altair(Plotly):
        def to_dict(self) -> dict[str, Any]:
            return CHART

    assert [ctx.put(one(), type="figure").media for one in (Matplotlib, Plotly, Altair)] == [
        "image/png",
        "text/html",
        "application/vnd.vegalite.v5+json",
    ]


def test_a_pickle_that_no_step_has_stored_is_not_loaded() -> None:
    """Anybody can put a file; loading this one would end the process."""

    class Trap:
        def __reduce__(self) -> Any:
            return os._exit, (1,)

    trap = ctx.put(ctx.put(Trap(), type="pickle").path, name="model.pkl")

    with pytest.raises(ArtifactTypeError, match=r"say load\('pickle'\) if you trust it"):
        trap.load()


def test_a_pickle_that_the_step_trusts_is_loaded() -> None:
    model = ctx.put(ctx.put(Model(1.0), type="pickle").path, name="model.pkl")

    assert model.load("pickle") == Model(1.0)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("json", object(), "the value is not JSON"),
        ("json", float("nan"), "the value is not JSON"),
        ("text", 3, "type='text'.* takes a text, got int"),
        ("table", 3, "takes a data frame, a list of dicts or a dict of lists, got int"),
        ("table", {"a": [1], "b": [1, 2]}, "the rows make no table"),
        ("numpy", [object()], "an array of objects is a pickle"),
        ("figure", 3, "takes a figure or a Vega-Lite dict, got int"),
        ("pickle", lambda: 0, "cannot be pickled"),
        ("fasta", 3, r"type='fasta'\) takes a path or bytes; objects are written for the types figure, json"),
    ],
)
def test_what_is_no_value_of_a_type_is_told(kind: str, value: Any, told: str) -> None:
    with pytest.raises(ArtifactTypeError, match=told):
        ctx.put(value, type=kind)


def test_what_nothing_loads_is_told() -> None:
    with pytest.raises(
        ArtifactTypeError, match=r"nothing loads an artifact of the type 'fasta': read its file at \.path"
    ):
        ctx.put(b"", name="x", type="fasta").load()


def _values() -> list[tuple[str, Artifact]]:
    values = {
        "json": {"a": 1},
        "text": "one",
        "table": [{"a": 1}],
        "numpy": [1, 2],
        "pickle": {"a": 1},
        "figure": CHART,
    }
    return [(kind, ctx.put(value, type=kind)) for kind, value in values.items()]


def test_what_steps_put_the_artifact_types_understand() -> None:
    """The two sides of a type are apart, for steps have their own environment: here they meet."""
    types = {kind.name: kind for kind in meson_artifact_types()}
    for kind, stored in _values():
        with stored.open() as file:
            assert types[kind].fingerprint(file)  # type: ignore[arg-type]
        assert stored.name.endswith(tuple(types[kind].suffixes))
        assert stored.media in types[kind].media
