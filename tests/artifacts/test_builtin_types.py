"""Owns the tests of the built-in artifact types: the kit that strangers use, and what each shows."""

from __future__ import annotations

import io
import json
import pickle  # noqa: TID251 (to have some that are only looked at)
import tarfile
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from meson_core.artifacts import HtmlView, ImageView, TableView, TextView, VegaLite
from meson_core.builtin.artifacts.arrays import Array
from meson_core.builtin.artifacts.documents import File, Json, Text
from meson_core.builtin.artifacts.figures import Figure
from meson_core.builtin.artifacts.folders import Directory
from meson_core.builtin.artifacts.pickles import Pickle
from meson_core.builtin.artifacts.tables import Table
from meson_core.errors import ArtifactError
from meson_core.showing import written
from meson_core.testing.artifacts import ArtifactTypeKit
from meson_core.testing.versions import Shelf


def parquet(rows: dict[str, list[Any]], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(rows), out, **options)
    return out.getvalue()


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)
CHART = {"mark": "point", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a", "type": "quantitative"}}}


class TestJson(ArtifactTypeKit):
    artifact_type = Json()
    contents = (b'{"rmse": 0.9, "n": {"rows": 3}}', b'{"rmse": 0.8, "n": {"rows": 3}}', b"[1, 2]", b"null", b'"text"')
    equal = ((b'{"a": 1, "b": 2}', b'{ "b": 2, "a": 1 }'),)
    wrong = (b"{", b"\xff\xfe", b"[" * 100_000)


class TestText(ArtifactTypeKit):
    artifact_type = Text()
    contents = (b"one\ntwo\n", b"one\nthree\n", b"\xff\xfe", b"")


class TestFile(ArtifactTypeKit):
    artifact_type = File()
    contents = (b"\x00", b"\x01", b"")


class TestTable(ArtifactTypeKit):
    artifact_type = Table()
    contents = (
        parquet({"a": [1, 2], "b": ["x", None]}),
        parquet({"a": [1, 3], "b": ["x", None]}),
        parquet({"a": [1, 3], "c": ["x", None]}),
        b"a,b\n1,2.5\n3\n",
        b"a\n",
    )
    equal = (
        (parquet({"a": list(range(500))}), parquet({"a": list(range(500))}, compression="none", row_group_size=7)),
        (b"a,b\n1,2\n", b"a,b\r\n1,2\r\n"),
    )
    wrong = (b"PAR1 and no more", b"\xff\xfe\xfd", b"")


class TestArray(ArtifactTypeKit):
    artifact_type = Array()
    contents = (
        npy(np.arange(6.0)),
        npy(np.arange(6)),
        npy(np.array([[np.nan, np.inf], [1, 2]])),
        npy(np.array(["a", "b"])),
    )
    equal = ((npy(np.arange(6.0).reshape(2, 3)), npy(np.asfortranarray(np.arange(6.0).reshape(2, 3)))),)
    wrong = (b"", b"\x93NUMPY", npy(np.arange(6.0))[:-3], npy(np.array([object()])))


class TestPickle(ArtifactTypeKit):
    artifact_type = Pickle()
    contents = (pickle.dumps({"a": 1}), pickle.dumps({"a": 2}), pickle.dumps(date(2026, 1, 1)))


class TestDirectory(ArtifactTypeKit):
    artifact_type = Directory()
    contents = (packed({"a.txt": b"one"}), packed({"a.txt": b"two"}), packed({"b.txt": b"one"}))
    equal = ((packed({"a": b"1", "b": b"2"}), packed({"b": b"2", "a": b"1"})),)
    wrong = (b"nothing of the sort" * 100, packed({"a": b"1" * 5000})[:1000])


class TestFigure(ArtifactTypeKit):
    artifact_type = Figure()
    contents = (PNG, b"<svg xmlns='http://www.w3.org/2000/svg'/>", json.dumps(CHART).encode(), b"<html><p>page</html>")
    equal = ((b'{"mark": "bar", "data": {}}', b'{"data": {},"mark": "bar"}'),)
    wrong = (b"", b"{", b"plain text")


# --- what they show -----------------------------------------------------------------------------------------------


def shelf(kind: Any, *contents: bytes, file: str | None = None) -> Any:
    name = file or f"data{next(iter(kind.suffixes), '')}"
    return Shelf(contents, type=kind.name, file=name, media=next(iter(kind.media), "")).versions


def test_json_that_is_a_table_is_shown_as_one() -> None:
    (version,) = shelf(Json(), b'[{"a": 1}, {"a": 2, "b": "x"}]')

    assert Json().preview(version) == TableView(["a", "b"], [[1, None], [2, "x"]], 2, "train.result")


def test_the_difference_of_json_is_told_by_paths() -> None:
    old, new = shelf(Json(), b'{"a": {"b": [1, 2]}, "gone": 0}', b'{"a": {"b": [1, 3, 4]}, "true": true}')
    view = Json().diff(old, new)

    assert isinstance(view, TableView)
    assert view.rows == [("a.b[1]", "2", "3"), ("a.b[2]", "", "4"), ("gone", "0", ""), ("true", "", "true")]


def test_one_and_true_differ() -> None:
    """Python takes them for equal."""
    view = Json().diff(*shelf(Json(), b"[1]", b"[true]"))

    assert isinstance(view, TableView)
    assert view.rows == [("[0]", "1", "true")]


def test_numbers_of_json_are_followed_over_time() -> None:
    view = Json().over_time(shelf(Json(), b'{"rmse": 0.9, "name": "a"}', b'{"rmse": 0.8}'))

    assert isinstance(view, VegaLite)
    assert [(row["x"], row["metric"], row["value"]) for row in view.spec["data"]["values"]] == [
        ("2026-01-01", "rmse", 0.9),
        ("2026-01-02", "rmse", 0.8),
    ]


def test_text_is_compared_line_by_line() -> None:
    view = Text().diff(*shelf(Text(), b"one\ntwo\n", b"one\nthree\n"))

    assert view == TextView("--- 1\n+++ 2\n@@ -1,2 +1,2 @@\n one\n-two\n+three", "train.result", "diff")


def test_values_of_a_table_are_shown_as_json() -> None:
    rows: dict[str, list[Any]] = {
        "day": [date(2026, 1, 2)],
        "price": [Decimal("1.50")],
        "bytes": [b"abc"],
        "nan": [float("nan")],
        "list": [[1, 2]],
    }
    (version,) = shelf(Table(), parquet(rows))
    view = Table().preview(version)

    assert isinstance(view, TableView)
    assert view.rows == [["2026-01-02", "1.50", "3 bytes", None, [1, 2]]]


def test_only_the_beginning_of_a_table_is_read() -> None:
    (version,) = shelf(Table(), parquet({"a": list(range(10_000))}))
    view = Table().preview(version)

    assert isinstance(view, TableView)
    assert (len(view.rows), view.total) == (200, 10_000)


def test_text_with_separators_is_a_table() -> None:
    (version,) = shelf(Table(), "\ufeffname\tn\nä\t1\nb\t2.5\nc\n".encode(), file="data.tsv")

    assert Table().preview(version) == TableView(["name", "n"], [["ä", 1], ["b", 2.5], ["c", None]], 3, "train.result")


def test_the_difference_of_tables_is_told_in_numbers() -> None:
    old, new = shelf(Table(), parquet({"a": [1, 2, 3]}), parquet({"a": [1, 2, 9, 4]}))
    view = Table().diff(old, new)

    assert isinstance(view, TableView)
    assert view.rows == [
        ("rows", 3, 4),
        ("rows that the other has not", 1, 2),
        ("mean a", 2.0, 4.0),
        ("highest a", 3, 9),
    ]


def test_the_difference_of_arrays_is_told_in_numbers() -> None:
    view = Array().diff(*shelf(Array(), npy(np.array([1.0, 2.0])), npy(np.array([1.0, 2.5]))))

    assert isinstance(view, TableView)
    assert {row[0]: row[2] for row in view.rows}["largest difference"] == 0.5


def test_what_a_pickle_names_is_told_without_loading_it() -> None:
    """Loading this one would end the process."""

    class Trap:
        def __reduce__(self) -> Any:
            import os

            return os._exit, (1,)

    (version,) = shelf(Pickle(), pickle.dumps(Trap()))
    view = Pickle().preview(version)

    assert isinstance(view, TableView)
    assert ("classes and functions", "posix._exit") in view.rows


def test_of_a_large_pickle_the_beginning_is_looked_at() -> None:
    (version,) = shelf(Pickle(), pickle.dumps([date(2026, 1, 1), b"x" * 3_000_000]))
    view = Pickle().preview(version)

    assert isinstance(view, TableView)
    assert ("classes and functions (in the first 1024 KiB)", "datetime.date") in view.rows


def test_what_is_no_pickle_is_told() -> None:
    (version,) = shelf(Pickle(), b"nothing of the sort")

    with pytest.raises(ArtifactError, match=r"artifact 1 \(train.result\) is not a pickle"):
        Pickle().preview(version)


def test_folders_are_compared_by_their_files() -> None:
    old, new = shelf(
        Directory(), packed({"a": b"1", "b": b"22", "same": b"0"}), packed({"a": b"9", "c": b"333", "same": b"0"})
    )
    view = Directory().diff(old, new)

    assert isinstance(view, TableView)
    assert view.rows == [("a", 1, 1), ("b", 2, None), ("c", None, 3)]


def test_figures_are_known_by_their_bytes() -> None:
    png, page, chart = shelf(Figure(), PNG, b"<!doctype html><script>alert(1)</script>", json.dumps(CHART).encode())

    assert Figure().preview(png) == ImageView("image/png", PNG, "train.result")
    assert isinstance(Figure().preview(page), HtmlView)
    assert Figure().preview(chart) == VegaLite(CHART)


def test_pictures_are_shown_beside_each_other() -> None:
    view = Figure().diff(*shelf(Figure(), PNG, PNG))

    assert isinstance(view, ImageView)
    assert view.data.count(b"data:image/png;base64,") == 2
    assert written(view, "png", []).startswith(b"\x89PNG")
