"""Owns what a recommender is for: the films that a user should see next."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommender.cleansing import Film
    from recommender.ratings import Ratings
    from recommender.selection import Recommender

#: A film that few have rated is a gamble.
MIN_RATINGS = 50


class Recommendation(TypedDict):
    """Films for one user, best first."""

    region: str
    user: int
    films: list[str]


def top_films(recommender: Recommender, ratings: Ratings, user: int, count: int = 5) -> list[int]:
    """The films that a user has not rated and would rate highest, best first.

    Args:
        recommender: says how much a user would like a film.
        ratings: all that is known, the user's own among it.
        user: the user's id; must have ratings.
        count: how many films at most.
    """
    own = ratings.user == user
    films, known_by = np.unique(ratings.film, return_counts=True)
    films = np.setdiff1d(films[known_by >= MIN_RATINGS], ratings.film[own])
    region = ratings.region[own][0]
    stars = recommender.predict(np.full_like(films, user), films, np.full_like(films, region))
    return [int(film) for film in films[np.argsort(-stars, kind="stable")][:count]]


def samples(recommender: Recommender, ratings: Ratings, films: Mapping[int, Film]) -> list[Recommendation]:
    """Recommendations for one user of each region, the one with the most ratings."""
    found: list[Recommendation] = []
    for region in ratings.regions():
        users, counts = np.unique(ratings.of_region(region).user, return_counts=True)
        user = int(users[np.argmax(counts)])
        titles = [str(films[film]) for film in top_films(recommender, ratings, user)]
        found.append(Recommendation(region=str(region), user=user, films=titles))
    return found
