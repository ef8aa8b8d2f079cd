"""Owns the proof that a feature is worth what the predictions owe it, and that nothing of the days to come is known."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from recommender.importance import FEATURES, Traits, dates_of, prediction_decrease

_BEGIN = int(datetime(1998, 1, 1, tzinfo=UTC).timestamp())
_DAY = date(1998, 2, 20)


def traits(rows: int = 6000, seed: int = 1, **columns: Any) -> Traits:
    """Ratings over sixty days in which nothing has to do with anything, but for the columns that are given."""
    rng = np.random.default_rng(seed)
    made = {
        "user": rng.integers(0, 200, rows),
        "film": rng.integers(0, 50, rows),
        "stars": rng.integers(1, 6, rows).astype(float),
        "rated_at": _BEGIN + np.sort(rng.integers(0, 60 * 86400, rows)),
        "age": rng.integers(13, 70, rows).astype(float),
        "gender": rng.integers(0, 2, rows),
        "occupation": rng.integers(0, 20, rows),
        "year": rng.integers(1930, 1998, rows).astype(float),
        "genres": rng.integers(0, 2, (rows, 4)).astype(float),
    }
    return Traits(**(made | columns))


def test_the_feature_that_decides_is_worth_most() -> None:
    """Old people like everything here: without their age nothing can be told."""
    age = np.random.default_rng(2).integers(13, 70, 6000).astype(float)
    worth = prediction_decrease(traits(age=age, stars=1 + 4 * (age - 13) / 57), _DAY)

    assert "age" == max(worth, key=lambda feature: worth[feature])
    assert worth["age"] > 1
    assert all(abs(worth[feature]) < 0.05 for feature in FEATURES if feature != "age")


def test_who_rates_is_found_through_what_was_rated_before() -> None:
    """Users who are hard to please stay so, whatever film they see."""
    user = np.random.default_rng(3).integers(0, 200, 6000)
    worth = prediction_decrease(traits(user=user, stars=1.0 + user % 5), _DAY)

    assert "user" == max(worth, key=lambda feature: worth[feature])


def test_noise_is_worth_nothing() -> None:
    assert all(abs(value) < 0.1 for value in prediction_decrease(traits(), _DAY).values())


def test_the_days_to_come_are_not_known() -> None:
    """What is rated after the judged days changes nothing."""
    known = traits()
    late = known.rated_at >= int(datetime(1998, 2, 27, tzinfo=UTC).timestamp())
    changed = dataclasses.replace(known, stars=np.where(late, 6 - known.stars, known.stars))

    assert late.any()
    assert prediction_decrease(known, _DAY) == prediction_decrease(changed, _DAY)


@pytest.mark.parametrize("day", [date(1997, 12, 1), date(1999, 1, 1)])
def test_a_day_without_past_or_future_is_refused(day: date) -> None:
    with pytest.raises(ValueError, match=f"{day}: .* are too few"):
        prediction_decrease(traits(), day)


@pytest.mark.parametrize("count", [1, 2, 30])
def test_dates_are_at_equal_distances_with_room_on_both_sides(count: int) -> None:
    dates = dates_of(traits(), count)

    assert len(dates) == count
    assert dates[0] == date(1998, 1, 15)
    assert dates[-1] <= date(1998, 2, 22)
    gaps = {(after - before).days for before, after in pairwise(dates)}
    assert len(gaps) == 0 or max(gaps) - min(gaps) <= 1
