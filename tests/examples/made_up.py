"""Owns ratings that are made up for the tests, from a taste that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recommender.ratings import Ratings

if TYPE_CHECKING:
    from collections.abc import Sequence


def ratings_of(rows: Sequence[tuple[int, int, float]], region: int = 1) -> Ratings:
    """Ratings from (user, film, stars), one second after another."""
    user, film, stars = (np.array(column) for column in zip(*rows, strict=True))
    time = np.arange(len(rows))
    return Ratings(user, film, stars.astype(np.float64), time, np.full_like(time, region))


def people_of_taste(users: int, films: int, *, seed: int, rated: float = 0.6, region: int = 1) -> Ratings:
    """Ratings that follow from one hidden taste and two kinds of generosity, to within a tenth of a star."""
    rng = np.random.default_rng(seed)
    taste, style = rng.normal(0, 0.7, users), rng.normal(0, 0.7, films)
    generous, good = rng.normal(0, 0.4, users), rng.normal(0, 0.4, films)
    user, film = np.nonzero(rng.random((users, films)) < rated)
    stars = 3 + generous[user] + good[film] + taste[user] * style[film] + rng.normal(0, 0.1, len(user))
    order = rng.permutation(len(user))
    return Ratings(
        user[order] + 1, film[order] + 1, np.clip(stars[order], 1, 5), np.arange(len(user)), np.full(len(user), region)
    )


def together(*parts: Ratings) -> Ratings:
    """Ratings of several groups of users in one table."""
    columns = ("user", "film", "stars", "rated_at", "region")
    return Ratings(*(np.concatenate([getattr(part, column) for part in parts]) for column in columns))
