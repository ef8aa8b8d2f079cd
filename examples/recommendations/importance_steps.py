"""Owns the steps of the second workflow of the example: what each feature is worth, date by date."""

from __future__ import annotations

from datetime import date as day_of
from typing import TYPE_CHECKING, TypedDict

from meson_runtime import Artifact, step
from recommendation_steps import kept, write_json
from recommender.importance import dates_of, prediction_decrease, read_traits

if TYPE_CHECKING:
    from pathlib import Path


class Dates(TypedDict):
    """The dates to look at."""

    dates: list[str]


class Importance(TypedDict):
    """What each feature is worth on a date: rows of date, feature, predictionDecrease."""

    importance: Artifact
    strongest: str


@step(cache=True)
def pick_dates(traits: Artifact, count: int) -> Dates:
    """Choose dates at equal distances over the time that the ratings span."""
    return {"dates": [date.isoformat() for date in dates_of(read_traits(traits.path), count)]}


@step(artifact="importance/${date}")
def measure_importance(traits: Artifact, date: str) -> Importance:
    """Fit a model to what was known on a date, and shuffle one feature after the other."""
    worth = prediction_decrease(read_traits(traits.path), day_of.fromisoformat(date))
    rows = [{"date": date, "feature": feature, "predictionDecrease": value} for feature, value in worth.items()]

    def save(path: Path) -> None:
        write_json(path, rows)

    return {"importance": kept("importance.json", save), "strongest": max(worth, key=lambda name: worth[name])}
