"""Owns the tests of the stream graph: its geometry as a property, in the data of the specification and in what is drawn."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from typing import Any

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from meson_core.artifacts import ArtifactVersion, VegaLite
from meson_core.builtin.artifacts.importance import ImportanceOptions, ImportanceOverDates, stream
from meson_core.errors import ArtifactError
from meson_core.testing.versions import Shelf

DATES = st.dates().map(lambda day: day.isoformat())
VALUES = st.floats(-1e6, 1e6).map(lambda value: 0.0 if abs(value) < 1e-6 else value)
FEATURES = st.text("abcdefghijklmno", min_size=1, max_size=2)
IMPORTANCE = st.dictionaries(DATES, st.dictionaries(FEATURES, VALUES, min_size=1, max_size=14), min_size=1, max_size=8)

Importance = dict[str, dict[str, float]]


def versions_of(importance: Importance) -> list[ArtifactVersion]:
    """A version for each date, as the steps of a for_each over dates make them."""
    contents = [
        json.dumps([{"date": date, "feature": name, "predictionDecrease": value} for name, value in values.items()])
        for date, values in importance.items()
    ]
    return Shelf([content.encode() for content in contents], type="json", file="importance.json").versions


def drawn(versions: list[ArtifactVersion], **options: Any) -> dict[str, Any]:
    view = ImportanceOverDates().draw(versions, ImportanceOptions(**options))
    assert isinstance(view, VegaLite)
    return dict(view.spec)


def by_date(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The slices of each date in band order, from the top down."""
    order = spec["encoding"]["color"]["scale"]["domain"]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in spec["data"]["values"]:
        found[row["x"]].append(row)
    return {date: sorted(rows, key=lambda row: order.index(row["feature"])) for date, rows in found.items()}


@given(IMPORTANCE, st.integers(1, 9), st.sampled_from(["centre", "zero"]))
def test_a_band_is_as_thick_as_its_feature_is_important_and_the_stream_as_high_as_their_sum(
    importance: Importance, top: int, baseline: str
) -> None:
    """The geometry that is promised, on the compiled data, for any features on any dates."""
    spec = drawn(versions_of(importance), top=top, baseline=baseline)
    slices = by_date(spec)

    assert slices.keys() == importance.keys()
    for date, values in importance.items():
        rows = slices[date]
        total = sum(map(abs, values.values()))
        close: dict[str, Any] = {"rel": 1e-9, "abs": 1e-9 * max(total, 1.0)}
        named = {row["feature"]: row for row in rows if row["value"] is not None}
        for feature, row in named.items():
            assert row["value"] == values.get(feature, 0.0)
            assert row["thickness"] == abs(values.get(feature, 0.0))
            assert row["high"] - row["low"] == pytest.approx(row["thickness"], **close)
        for row in (row for row in rows if row["value"] is None):
            shared = sum(abs(value) for feature, value in values.items() if feature not in named)
            assert row["high"] - row["low"] == pytest.approx(shared, **close)
        for upper, lower in itertools.pairwise(rows):
            assert upper["low"] == lower["high"]
        assert rows[0]["high"] - rows[-1]["low"] == pytest.approx(total, **close)
        middle = (rows[0]["high"] + rows[-1]["low"]) / 2
        assert (middle if baseline == "centre" else rows[-1]["low"]) == pytest.approx(0.0, **close)


@given(IMPORTANCE, st.integers(1, 9))
def test_every_date_has_every_band_once_and_none_is_drawn_by_its_place(importance: Importance, top: int) -> None:
    """A date that lacks a feature has a band of thickness 0 there, or the area would bridge it."""
    bands, slices = stream(importance, top=top)
    found = defaultdict(list)
    for slice_ in slices:
        found[slice_.place].append(slice_.feature)

    assert list(found) == sorted(importance)
    assert all(features == bands for features in found.values())
    assert len(set(bands)) == len(bands)
    assert len(bands) <= top + 1


EXACT = st.integers(-1000, 1000).map(float)


@given(
    st.dictionaries(DATES, st.dictionaries(FEATURES, EXACT, min_size=1, max_size=14), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_the_picture_does_not_depend_on_the_order_of_rows_or_versions(importance: Importance, random: Any) -> None:
    """Whole numbers, for sums of fractions depend on their order themselves."""
    dates = list(importance)
    random.shuffle(dates)
    again = {date: dict(random.sample(list(importance[date].items()), len(importance[date]))) for date in dates}

    assert stream(again) == stream(importance)


EXAMPLE: Importance = {
    "2026-01-01": {"recency": 3.0, "genre": -2.0, "age": 1.0},
    "2026-01-02": {"recency": 1.0, "genre": 4.0},
    "2026-01-05": {"recency": 2.0, "genre": 2.0, "age": 2.0},
}


def test_what_is_drawn_has_the_promised_thickness_in_pixels() -> None:
    """A stack transform, or a scale that is not linear, would spoil in the drawing what the data have right."""
    spec = drawn(versions_of(EXAMPLE))
    areas = {
        item["fill"]: mark["items"]
        for mark in marks(vl_convert.vegalite_to_scenegraph(spec, allowed_base_urls=[])["scenegraph"])
        if mark.get("marktype") == "area"
        for item in mark["items"][:1]
    }
    scale = spec["encoding"]["color"]["scale"]
    assert scale["domain"] == ["genre", "recency", "age"]
    thickness = {
        feature: [abs(item["y2"] - item["y"]) for item in areas[colour]]
        for feature, colour in zip(scale["domain"], scale["range"], strict=True)
    }
    one = thickness["age"][0]

    for index, values in enumerate(EXAMPLE.values()):
        for feature in scale["domain"]:
            assert thickness[feature][index] == pytest.approx(abs(values.get(feature, 0.0)) * one)


def test_the_legend_has_the_order_of_the_bands() -> None:
    spec = drawn(versions_of(EXAMPLE))
    labels = [
        item["text"]
        for mark in marks(vl_convert.vegalite_to_scenegraph(spec)["scenegraph"])
        if mark.get("role") == "legend-label"
        for item in mark["items"]
    ]
    top_down = [row["feature"] for row in by_date(spec)["2026-01-05"]]

    assert labels == top_down == ["genre", "recency", "age"]


def marks(node: dict[str, Any]) -> list[dict[str, Any]]:
    """All marks of a scene."""
    inside = [mark for item in node.get("items", []) if isinstance(item, dict) for mark in marks(item)]
    return [node, *inside]


def test_the_axis_has_the_unit_and_counts_from_border_to_border() -> None:
    """A stream that reaches both marks of 4 is 4 high: the labels are twice the distance from the middle."""
    spec = drawn(versions_of(EXAMPLE), unit="nats")
    scene = marks(vl_convert.vegalite_to_scenegraph(spec)["scenegraph"])
    labels = [
        (item["y"], float(item["text"]))
        for mark in scene
        if mark.get("role") == "axis-label"
        for item in mark["items"]
        if item["align"] == "right" and item["baseline"] == "middle"
    ]
    (y, most), (y_zero, _) = max(labels), min(labels, key=lambda label: label[1])
    area = next(mark["items"] for mark in scene if mark.get("marktype") == "area")
    per_unit = abs(area[0]["y2"] - area[0]["y"]) / 2.0  # genre, the first band, is 2 thick at the first date

    assert spec["encoding"]["y"]["title"] == "height: sum of |predictionDecrease| (nats)"
    assert [number for _, number in labels if number < 0] == []
    assert 2 * abs(y - y_zero) == pytest.approx(most * per_unit)


def test_of_two_versions_of_one_date_the_later_counts() -> None:
    both = [*versions_of({"2026-01-01": {"a": 1.0}}), *versions_of({"2026-01-01": {"a": 2.0}})]

    assert [row["value"] for row in drawn(both)["data"]["values"]] == [2.0]


def test_a_date_may_come_from_the_run() -> None:
    """As when the date is a parameter, and the artifact holds nothing but features."""
    versions = Shelf([b'{"a": 1, "b": 2}', b'{"a": 3}'], type="json", file="importance.json").versions

    assert [(row["x"], row["feature"], row["value"]) for row in drawn(versions)["data"]["values"]] == [
        ("2026-01-01", "a", 1.0),
        ("2026-01-01", "b", 2.0),
        ("2026-01-02", "a", 3.0),
        ("2026-01-02", "b", 0.0),
    ]


def test_many_features_share_the_last_band() -> None:
    bands, slices = stream({"2026-01-01": {f"f{number:02}": float(number) for number in range(20)}}, top=3)

    assert bands == ["f19", "f18", "f17", "17 others"]
    assert slices[-1].high - slices[-1].low == pytest.approx(sum(range(17)))
    assert slices[-1].value is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[{"name": "a", "predictionDecrease": 1}]', "no column 'feature'; it has: name, predictionDecrease"),
        (
            b'[{"feature": "a", "predictionDecrease": "x"}]',
            "predictionDecrease of 'a' at 2026-01-01 is 'x', not a number",
        ),
        (b'[{"feature": "a", "predictionDecrease": Infinity}]', "is inf, not a number"),
        (
            b'[{"feature": "a", "predictionDecrease": 1}, {"feature": "a", "predictionDecrease": 2}]',
            "the feature 'a' twice at 2026-01-01",
        ),
        (b"[1, 2]", "it has no rows"),
    ],
)
def test_what_is_no_importance_is_told(content: bytes, told: str) -> None:
    with pytest.raises(ArtifactError) as error:
        drawn(Shelf([content], type="json", file="i.json").versions)

    assert told in str(error.value)
