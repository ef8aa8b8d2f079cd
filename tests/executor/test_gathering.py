"""Owns the tests of the steps that end a sweep, and of the rows of folds and resamples."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_runtime import gathering
from meson_runtime.artifacts import Artifact, FileStore
from meson_runtime.sampling import fold_rows, resampled_rows

if TYPE_CHECKING:
    from pathlib import Path

LOOP: dict[str, Any] = {
    "mode": "crossed",
    "variables": {"in_alpha": "alpha", "in_depth": "depth"},
    "outputs": {"out_0": "rmse", "out_1": "scores"},
    "in_alpha": [0.1, 1.0],
    "in_depth": [2, 3],
    "out_0": [0.5, None, 0.25, 0.75],
    "out_1": [{"auc": 0.5}, None, {"auc": 0.9}, {"auc": 0.75}],
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """Where a step puts what it keeps."""
    found = FileStore(str(tmp_path))
    monkeypatch.setattr("meson_runtime.context.present.store", found)
    return found


def test_results_are_a_table_with_every_item(store: FileStore) -> None:
    found = gathering.gather(loop="rates", **LOOP)
    table = found["table"] if isinstance(found["table"], Artifact) else Artifact(found["table"], store)
    with table.path.open(newline="") as file:
        rows = list(csv.reader(file))

    assert (table.name, table.media) == ("rates.csv", "text/csv")
    assert rows == [
        ["item", "alpha", "depth", "state", "rmse", "scores"],
        ["0", "0.1", "2", "succeeded", "0.5", '{"auc": 0.5}'],
        ["1", "0.1", "3", "failed", "", ""],
        ["2", "1.0", "2", "succeeded", "0.25", '{"auc": 0.9}'],
        ["3", "1.0", "3", "succeeded", "0.75", '{"auc": 0.75}'],
    ]


def test_results_are_summed_up(store: FileStore) -> None:
    found = gathering.gather(loop="rates", **LOOP)

    assert (found["count"], found["failed"]) == (4, 1)
    assert found["mean"] == {"rmse": 0.5, "scores.auc": pytest.approx(2.15 / 3)}
    assert found["sd"]["rmse"] == 0.25
    assert found["low"]["rmse"] == pytest.approx(0.2625)
    assert found["high"]["rmse"] == pytest.approx(0.7375)


@pytest.mark.parametrize(
    ("by", "lowest", "item", "point", "value"),
    [
        ("rmse", True, 2, {"alpha": 1.0, "depth": 2}, 0.25),
        ("rmse", False, 3, {"alpha": 1.0, "depth": 3}, 0.75),
        ("scores.auc", False, 2, {"alpha": 1.0, "depth": 2}, 0.9),
    ],
)
def test_the_best_is_chosen(by: str, lowest: bool, item: int, point: dict[str, Any], value: float) -> None:
    found = gathering.best(by=by, lowest=lowest, **LOOP)

    assert (found["item"], found["point"], found["value"]) == (item, point, value)
    assert found["outputs"]["rmse"] == LOOP["out_0"][item]


def test_there_is_no_best_of_nothing() -> None:
    with pytest.raises(ValueError, match="no item of the sweep has a number 'rmse'"):
        gathering.best(by="rmse", lowest=True, **{**LOOP, "out_0": [None] * 4})


def test_zipped_points_go_in_step() -> None:
    assert list(gathering.points({"a": [1, 2], "b": [3, 4]}, "zipped")) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]


@given(folds=st.integers(2, 9), more=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_every_row_is_validated_on_once(folds: int, more: int, seed: int) -> None:
    rows = folds + more
    parts = [fold_rows(rows, fold, folds, seed) for fold in range(folds)]
    held = [row for _, validated in parts for row in validated]
    sizes = {len(validated) for _, validated in parts}

    assert sorted(held) == list(range(rows))
    assert max(sizes) - min(sizes) <= 1
    assert all(sorted(train + validated) == list(range(rows)) for train, validated in parts)


def test_rows_are_the_same_on_every_python() -> None:
    assert fold_rows(10, 0, 3, seed=7)[1] == [1, 2, 8, 9]
    assert resampled_rows(8, seed=7) == [2, 1, 5, 0, 4, 2, 0, 4]
    assert sum(Counter(resampled_rows(500, 1)).values()) == 500


@pytest.mark.parametrize(("rows", "fold", "folds"), [(10, 3, 3), (10, -1, 3), (2, 0, 3)])
def test_a_fold_that_cannot_be_is_refused(rows: int, fold: int, folds: int) -> None:
    with pytest.raises(ValueError, match="fold"):
        fold_rows(rows, fold, folds)
