"""Owns the tests of the built-in visualizers but for the stream graph: the kit that strangers use, and what each draws."""

from __future__ import annotations

import bisect
import json
import math
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.artifacts import ArtifactVersion, TableView, VegaLite, View
from meson_core.builtin.artifacts.convergence import ConvergenceOptions, LoopConvergence
from meson_core.builtin.artifacts.distribution import Distribution, DistributionOptions, histogram, quantile
from meson_core.builtin.artifacts.importance import ImportanceOverDates
from meson_core.builtin.artifacts.metric import MetricOptions, MetricOverRuns
from meson_core.builtin.artifacts.preview import TableOptions, TablePreview
from meson_core.errors import ArtifactError
from meson_core.testing.artifacts import VisualizerKit
from meson_core.testing.versions import Shelf


class TestTablePreview(VisualizerKit):
    visualizer = TablePreview()
    contents = (b'[{"a": 1}]', b'{"a": [1, 2], "b": [3, 4]}')
    wrong = (b"3", b"{")
    options: ClassVar = {"rows": 3}
    wrong_options = ({"rows": 0},)


class TestMetric(VisualizerKit):
    visualizer = MetricOverRuns()
    contents = (b"0.5", b'{"rmse": 1, "test": {"rmse": 2}}')
    wrong = (b"{",)


class TestDistribution(VisualizerKit):
    visualizer = Distribution()
    contents = (b"[1, 2, 3.5]", b'[{"a": 1}, {"a": null}]', b"[7]")
    wrong = (b"[]", b'["a"]', b"3", b'[{"a": "x"}]')
    wrong_options = ({"bins": 0},)


class TestConvergence(VisualizerKit):
    visualizer = LoopConvergence()
    contents = (b"3", b"2.5", b'{"loss": 2.25}')
    wrong = (b"{",)


class TestImportance(VisualizerKit):
    visualizer = ImportanceOverDates()
    contents = (b'{"a": 0.5, "b": -1}', b'[{"feature": "a", "predictionDecrease": 1}]')
    wrong = (b'["a"]', b'{"a": "b"}')
    wrong_options = ({"top": 0}, {"top": 10}, {"baseline": "wiggle"})


# --- what they draw -----------------------------------------------------------------------------------------------


def versions(*values: Any, **parts: Any) -> list[ArtifactVersion]:
    shelf = Shelf([json.dumps(value).encode() for value in values], type="json", file="m.json").versions
    return [replace(version, record=replace(version.record, **parts)) for version in shelf]


def rows(view: View) -> list[dict[str, Any]]:
    assert isinstance(view, VegaLite)
    return list(view.spec["data"]["values"])


def test_a_metric_is_drawn_at_the_date_of_its_run() -> None:
    view = MetricOverRuns().draw(versions({"rmse": 0.9}, {"rmse": 0.8}), MetricOptions(metric="rmse", unit="stars"))

    assert [(row["x"], row["value"], row["run"]) for row in rows(view)] == [
        ("2026-01-01", 0.9, "run1"),
        ("2026-01-02", 0.8, "run2"),
    ]
    assert isinstance(view, VegaLite)
    assert view.spec["vconcat"][0]["encoding"]["y"]["title"] == "rmse (stars)"


def test_without_a_date_it_is_drawn_when_it_was_made() -> None:
    assert rows(MetricOverRuns().draw(versions(1, params={}), MetricOptions()))[0]["x"] == "2026-01-02T00:00:00.000Z"


def test_the_versions_of_one_repeat_are_drawn_by_iteration() -> None:
    found = versions(3, 2, params={}, run_id="run1")

    assert [row["x"] for row in rows(MetricOverRuns().draw(found, MetricOptions()))] == ["1", "2"]


def test_several_metrics_have_a_chart_each_and_one_x_axis() -> None:
    view = MetricOverRuns().draw(versions({"a": 1, "b": {"c": 2}}), MetricOptions())

    assert isinstance(view, VegaLite)
    assert [chart["encoding"]["y"]["title"] for chart in view.spec["vconcat"]] == ["a", "b.c"]
    assert [chart["encoding"]["x"]["title"] for chart in view.spec["vconcat"]] == [None, "date"]


def test_a_parameter_makes_lines_and_another_the_axis() -> None:
    found = [*versions(1, params={"country": "BR", "alpha": 0.1}), *versions(2, params={"country": "US", "alpha": 0.2})]
    view = MetricOverRuns().draw(found, MetricOptions(along="alpha", by="country"))

    assert [(row["x"], row["line"]) for row in rows(view)] == [("0.1", "BR"), ("0.2", "US")]


@pytest.mark.parametrize(
    ("options", "told", "hint"),
    [
        ({"metric": "mse"}, "no number 'mse'", "there are: rmse"),
        ({"along": "day"}, "no loop variable or parameter 'day'", "date, iteration"),
        ({"by": "day"}, "no loop variable or parameter 'day'", "date, iteration"),
    ],
)
def test_what_a_metric_lacks_is_told_with_what_there_is(options: dict[str, str], told: str, hint: str) -> None:
    with pytest.raises(ArtifactError, match=told) as error:
        MetricOverRuns().draw(versions({"rmse": 1}), MetricOptions(**options))

    assert hint in str(error.value.hint)


def loop(values: list[float], *, run: str = "run1", region: str = "", stopped: str = "") -> list[ArtifactVersion]:
    around = {"region": region} if region else {}
    end = {"stopped": stopped} if stopped else {}
    return [
        replace(
            version,
            record=replace(
                version.record,
                run_id=run,
                instance=(3, len(region), number),
                items={**around, "iteration": number, **end},
            ),
        )
        for number, version in enumerate(versions(*values))
    ]


def test_a_loop_is_drawn_by_its_iterations_with_the_reason_it_stopped() -> None:
    view = LoopConvergence().draw(loop([3.0, 2.0, 1.5], stopped="validate.stable held"), ConvergenceOptions())

    assert [(row["iteration"], row["value"], row["stopped"]) for row in rows(view)] == [
        (1, 3.0, ""),
        (2, 2.0, ""),
        (3, 1.5, "validate.stable held"),
    ]
    assert isinstance(view, VegaLite)
    assert view.spec["title"]["subtitle"] == ["stopped after 3 iterations: validate.stable held"]


def test_each_item_of_a_for_each_has_its_own_loop() -> None:
    found = [*loop([3.0, 2.0], region="no"), *loop([4.0], region="south", stopped="max_iterations reached")]
    view = LoopConvergence().draw(found, ConvergenceOptions(target=1.0))

    assert isinstance(view, VegaLite)
    assert view.spec["title"]["subtitle"] == [
        "region no: not stopped yet after 2 iterations",
        "region south: stopped after 1 iteration: max_iterations reached",
    ]


def test_many_loops_are_told_by_their_reasons() -> None:
    found = [
        version
        for number in range(9)
        for version in loop(
            [3.0] * (number % 2 + 1), run=f"run{number}", stopped="held" if number else "9 were not enough"
        )
    ]
    view = LoopConvergence().draw(found, ConvergenceOptions())

    assert isinstance(view, VegaLite)
    assert view.spec["title"]["subtitle"] == [
        "1 loop stopped after 1 iteration: 9 were not enough",
        "8 loops stopped after 1 to 2 iterations: held",
    ]


def test_an_iteration_that_was_done_again_counts_once() -> None:
    """As after a run was reopened."""
    view = LoopConvergence().draw([*loop([3.0, 2.0]), *loop([2.5])], ConvergenceOptions())

    assert [(row["iteration"], row["value"]) for row in rows(view)] == [(1, 2.5), (2, 2.0)]


def test_what_was_not_made_in_a_repeat_has_no_iterations() -> None:
    with pytest.raises(ArtifactError, match="was not made in a repeat"):
        LoopConvergence().draw(versions(1, items={}), ConvergenceOptions())


NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200).map(sorted)


@given(NUMBERS, st.integers(1, 100))
def test_a_histogram_holds_every_number_once(sample: list[float], bins: int) -> None:
    found = histogram(sample, bins)

    assert sum(bin_.numbers for bin_ in found) == len(sample)
    assert len(found) <= bins + 2
    assert found[0].low <= sample[0] or math.isclose(found[0].low, sample[0])
    assert found[-1].high >= sample[-1] or math.isclose(found[-1].high, sample[-1])
    for bin_ in found[:-1]:
        assert bin_.numbers == bisect.bisect_left(sample, bin_.high) - bisect.bisect_left(sample, bin_.low)


@given(NUMBERS, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_within_the_sample_and_in_order(sample: list[float], one: float, other: float) -> None:
    low, high = (quantile(sample, part) for part in sorted((one, other)))
    slack = 1e-9 * max(1.0, abs(sample[0]), abs(sample[-1]))

    assert sample[0] - slack <= low <= high + slack
    assert high <= sample[-1] + slack


def test_which_column_is_meant_is_asked() -> None:
    with pytest.raises(ArtifactError, match="it is not clear which column") as error:
        Distribution().draw(versions([{"a": 1, "b": 2}]), DistributionOptions())

    assert error.value.hint == "say column=NAME; columns of numbers: a, b"


def test_the_table_shows_the_newest_version() -> None:
    view = TablePreview().draw(versions([{"a": 1}], [{"a": 2}, {"a": 3}]), TableOptions(rows=1))

    assert view == TableView(["a"], [[2]], 2, "train.result")
