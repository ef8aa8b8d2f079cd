"""Owns how much each feature is worth on a date: a small model of what was known by then, judged by the days that follow.

The worth of a feature is its *prediction decrease*: by how much the predictions get worse when the values of that feature
are dealt out at random among the ratings that are judged (Breiman, Random Forests, 2001, section 10). A feature that only
disturbs has a negative one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import duckdb
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from recommender.arrays import Floats, Ints

FEATURES = ("user", "film", "genres", "occupation", "age", "gender", "year", "popularity", "hour")
#: Ratings that an average is drawn towards that of all: what was seen twice is not yet known.
_PRIOR = 10.0
#: Ridge on the standardised features, for each thousand ratings.
_RIDGE = 1.0
#: Part of the past that the averages are made of; the weights are fitted to the rest, which the averages have not seen.
_AVERAGED = 0.7
_SHUFFLES = 8


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of each rating when it is given; a row is one rating, in the order of time."""

    user: Ints
    film: Ints
    stars: Floats
    rated_at: Ints
    age: Floats
    #: Codes from 0 on.
    gender: Ints
    occupation: Ints
    year: Floats
    #: One column for each genre, 1.0 where the film is of it.
    genres: Floats

    def rows(self, first: int, last: int) -> Traits:
        """The rows from `first` up to, and without, `last`."""
        return Traits(*(getattr(self, name)[first:last] for name in Traits.__slots__))

    def __len__(self) -> int:
        return len(self.stars)


def read_traits(path: Path) -> Traits:
    """Read the Parquet file that the query `traits.sql` makes."""
    with duckdb.connect() as connection:
        columns = connection.read_parquet(str(path)).fetchnumpy()
    words = [text.split() for text in columns["genres"].tolist()]
    names = {name: at for at, name in enumerate(sorted({name for row in words for name in row}))}
    genres = np.zeros((len(words), max(len(names), 1)))
    for at, row in enumerate(words):
        genres[at, [names[name] for name in row]] = 1.0
    return Traits(
        user=columns["user_id"].astype(np.int64),
        film=columns["film_id"].astype(np.int64),
        stars=columns["stars"].astype(np.float64),
        rated_at=columns["rated_at"].astype(np.int64),
        age=columns["age"].astype(np.float64),
        gender=np.unique(columns["gender"].astype(str), return_inverse=True)[1],
        occupation=np.unique(columns["occupation"].astype(str), return_inverse=True)[1],
        year=columns["year"].astype(np.float64),
        genres=genres,
    )


def dates_of(traits: Traits, count: int, *, past_days: int = 14, judged_days: int = 7) -> list[date]:
    """Dates at equal distances, each with some past to learn from and some days to be judged by.

    Args:
        traits: all ratings.
        count: how many dates, 1 or more.
        past_days: before the first date.
        judged_days: after the last one.
    """
    begin, end = (datetime.fromtimestamp(int(traits.rated_at[at]), UTC).date() for at in (0, -1))
    first = begin + timedelta(days=past_days)
    room = (end - timedelta(days=judged_days) - first).days
    return sorted({first + timedelta(days=round(room * at / max(count - 1, 1))) for at in range(count)})


def prediction_decrease(traits: Traits, day: date, *, judged_days: int = 7) -> dict[str, float]:
    """What each feature is worth on a day, in stars.

    Args:
        traits: all ratings.
        day: the model knows what was rated before it.
        judged_days: it is judged by the ratings of so many days from then on.

    Returns:
        For each of `FEATURES` the rise of the root mean squared error when its values are shuffled.

    Raises:
        ValueError: there are too few ratings before the day, or none to judge by.
    """
    midnight = int(datetime.combine(day, time(), UTC).timestamp())
    now = int(np.searchsorted(traits.rated_at, midnight))
    until = int(np.searchsorted(traits.rated_at, midnight + judged_days * 86400))
    averaged = int(now * _AVERAGED)
    if averaged < 1 or until == now:
        msg = f"{day}: {now} ratings before it and {until - now} in the {judged_days} days from it on are too few"
        raise ValueError(msg)
    known = _Averages(traits.rows(0, averaged))
    fitted, judged = traits.rows(averaged, now), traits.rows(now, until)
    learnt = known.features(fitted)
    middle, spread = learnt.mean(axis=0), learnt.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = (learnt - middle) / spread
    mean = float(fitted.stars.mean())
    ridge = _RIDGE * len(fitted) / 1000 * np.eye(len(FEATURES))
    weights = np.linalg.solve(scaled.T @ scaled + ridge, scaled.T @ (fitted.stars - mean))

    seen = (known.features(judged) - middle) / spread
    errors = judged.stars - mean - seen @ weights
    whole = _root_mean_square(errors)
    # The same deal for every feature and date, so that nothing but the feature makes the difference.
    deal = np.random.default_rng(day.toordinal())
    worth = dict.fromkeys(FEATURES, 0.0)
    for _ in range(_SHUFFLES):
        order = deal.permutation(len(judged))
        for at, feature in enumerate(FEATURES):
            moved = errors + (seen[:, at] - seen[order, at]) * weights[at]
            worth[feature] += (_root_mean_square(moved) - whole) / _SHUFFLES
    return worth


def _root_mean_square(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))


class _Averages:
    """What a model knows of users, films and the rest by some moment: averages, drawn towards that of all."""

    def __init__(self, past: Traits) -> None:
        self.mean = float(past.stars.mean())
        off = past.stars - self.mean
        self.film, self.seen = _drawn(past.film, off)
        self.user, _ = _drawn(past.user, off - _look_up(self.film, past.film))
        self.occupation, _ = _drawn(past.occupation, off)
        self.gender, _ = _drawn(past.gender, off)
        total = past.genres.sum(axis=0)
        self.genre = (past.genres.T @ off) / (total + _PRIOR)

    def features(self, rows: Traits) -> Floats:
        """A column for each of `FEATURES`."""
        of_film = np.maximum(rows.genres.sum(axis=1), 1.0)
        columns = {
            "user": _look_up(self.user, rows.user),
            "film": _look_up(self.film, rows.film),
            "genres": rows.genres @ self.genre / of_film,
            "occupation": _look_up(self.occupation, rows.occupation),
            "age": rows.age,
            "gender": _look_up(self.gender, rows.gender),
            "year": rows.year,
            "popularity": np.log1p(_look_up(self.seen, rows.film)),
            "hour": np.cos((rows.rated_at % 86400) / 86400 * 2 * np.pi),
        }
        return np.column_stack([columns[feature] for feature in FEATURES])


def _drawn(keys: Ints, values: Floats) -> tuple[Floats, Floats]:
    """For each key the average of its values, drawn towards 0, and how many there are."""
    count = np.bincount(keys).astype(np.float64)
    return np.bincount(keys, values) / (count + _PRIOR), count


def _look_up(table: Floats, keys: Ints) -> Floats:
    """The entries of keys; 0 for those that the table does not know."""
    known = keys < len(table)
    return np.where(known, table[np.where(known, keys, 0)], 0.0)
