"""Owns the model: stars as mean + bias of the user + bias of the film + product of their factors, by least squares.

Alternating least squares: with the films' side fixed, each user's bias and factors are a small ridge regression, and
the other way round. All users' regressions are solved in one call, so there is no Python loop over users or films.
`alpha`, the ridge on the factors, is the model's one dial: low, it learns each user's accidents by heart (good on what
it saw, unstable on what it did not); high, only the biases are left. The biases have a light ridge of their own.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from recommender.arrays import load_arrays, save_arrays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recommender.arrays import Arrays, Floats, Ints
    from recommender.ratings import Ratings

RANK = 8
SWEEPS = 10
BIAS_RIDGE = 3.0
MIN_STARS, MAX_STARS = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model; it predicts for any user and film, those that it never saw as the average ones."""

    #: Stars of an average user for an average film.
    mean: Floats
    #: Ids in ascending order.
    users: Ints
    films: Ints
    #: One row per id: first the bias, then the factors.
    user_rows: Floats
    film_rows: Floats

    def predict(self, users: Ints, films: Ints) -> Floats:
        """Expected stars for pairs of ids, within the scale of one to five."""
        user, film = _rows_of(users, self.users, self.user_rows), _rows_of(films, self.films, self.film_rows)
        stars = self.mean + user[:, 0] + film[:, 0] + np.einsum("rk,rk->r", user[:, 1:], film[:, 1:])
        clipped: Floats = np.clip(stars, MIN_STARS, MAX_STARS)
        return clipped

    def save(self, path: Path) -> None:
        """Write the model to an `.npz` file."""
        save_arrays(path, self.to_arrays())

    def to_arrays(self, prefix: str = "") -> Arrays:
        """The model as named arrays, for a file that holds several models."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def from_arrays(arrays: Arrays, prefix: str = "") -> Model:
        """What `to_arrays` took apart."""
        return Model(*(arrays[prefix + field.name] for field in fields(Model)))

    @staticmethod
    def load(path: Path) -> Model:
        """Read what `save` wrote."""
        return Model.from_arrays(load_arrays(path))

    @staticmethod
    def read_table(path: Path) -> Model:
        """Read a model that was written as CSV: side, id, bias and factors; the sides are mean, user and film."""
        with path.open(encoding="utf-8", newline="") as file:
            _, *table = csv.reader(file)
        rows = {side: [row[1:] for row in table if row[0] == side] for side in ("mean", "user", "film")}
        ids = {side: np.array([int(row[0]) for row in found]) for side, found in rows.items()}
        values = {
            side: np.array([[float(value) for value in row[1:]] for row in found]) for side, found in rows.items()
        }
        return Model(values["mean"][0, 0], ids["user"], ids["film"], values["user"], values["film"])


def fit(
    ratings: Ratings,
    alpha: float,
    *,
    rank: int = RANK,
    sweeps: int = SWEEPS,
    seed: int = 0,
    on_sweep: Callable[[float], None] = lambda fraction: None,
) -> Model:
    """Fit a model to ratings.

    Args:
        ratings: what to learn from; at least one row.
        alpha: ridge on the factors, above 0, in squared stars.
        rank: number of factors; 0 leaves the biases alone.
        sweeps: how often each side is solved for.
        seed: of the films' first factors.
        on_sweep: told after each sweep which fraction of the work is done.

    Raises:
        ValueError: there is nothing to learn from, or alpha is not above 0.
    """
    if not len(ratings):
        msg = "there are no ratings to fit a model to"
        raise ValueError(msg)
    if alpha <= 0:
        msg = f"alpha must be above 0, got {alpha}"
        raise ValueError(msg)
    users, user_index = np.unique(ratings.user, return_inverse=True)
    films, film_index = np.unique(ratings.film, return_inverse=True)
    mean = np.array(ratings.stars.mean())
    around_mean = ratings.stars - mean
    by_user, by_film = _Side(user_index), _Side(film_index)
    ridge = np.diag([BIAS_RIDGE, *[alpha] * rank])

    film_rows = np.random.default_rng(seed).normal(0, 0.1, (len(films), rank + 1))
    film_rows[:, 0] = 0
    user_rows = np.zeros((len(users), rank + 1))
    for sweep in range(sweeps):
        user_rows = by_user.solve(film_rows[film_index], around_mean, ridge)
        film_rows = by_film.solve(user_rows[user_index], around_mean, ridge)
        on_sweep((sweep + 1) / sweeps)
    return Model(mean, users, films, user_rows, film_rows)


class _Side:
    """One side of the ratings, users or films, with its rows brought together once for all sweeps."""

    def __init__(self, index: Ints) -> None:
        self._order = np.argsort(index, kind="stable")
        counts = np.bincount(index)
        self._starts = np.cumsum(counts) - counts

    def solve(self, other: Floats, around_mean: Floats, ridge: Floats) -> Floats:
        """Each member's bias and factors, given the other side's in the rows of the ratings."""
        features = other[self._order]
        target = around_mean[self._order] - features[:, 0]
        features[:, 0] = 1
        gram = np.add.reduceat(features[:, :, None] * features[:, None, :], self._starts, axis=0) + ridge
        moment = np.add.reduceat(features * target[:, None], self._starts, axis=0)
        return np.linalg.solve(gram, moment[:, :, None])[:, :, 0].astype(np.float64, copy=False)


def _rows_of(wanted: Ints, known: Ints, rows: Floats) -> Floats:
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = known[place] == wanted
    return np.where(found[:, None], rows[place], 0.0)
