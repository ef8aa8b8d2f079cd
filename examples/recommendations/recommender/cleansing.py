"""Owns what is wrong with the data and what is done about it: postcodes, years, films with two ids; and the two sets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np

from recommender.ratings import Ratings

if TYPE_CHECKING:
    from pathlib import Path

    from recommender.arrays import Ints

ZIP_CODE = re.compile(r"\d{5}")
NO_ZIP_CODE = "00000"
YEAR = re.compile(r"\d{4}")
YEAR_IN_TITLE = re.compile(r"\s*\((\d{4})\)$")


class Film(NamedTuple):
    """A film as people know it; the same title of another year is another film."""

    title: str
    year: int

    def __str__(self) -> str:
        return f"{self.title} ({self.year})"


@dataclass(frozen=True, slots=True)
class Report:
    """What the cleansing met, in the order in which it works."""

    rows: int
    users_abroad: int
    users_without_zip_code: int
    years_repaired: int
    films_without_year: int
    films_with_two_ids: int
    films_rated_twice: int
    rows_kept: int


class Clean(NamedTuple):
    """The ratings that can be trusted, the films in them by id, and what was done."""

    ratings: Ratings
    films: dict[int, Film]
    report: Report


def cleanse(cohort: Path) -> Clean:
    """Read the cohort's Parquet file and leave out, or repair, what a model must not learn from.

    A user without a ZIP code of one of the ten zones (Canadian postcodes, `00000`) belongs to no region and is left out.
    A year that went astray is taken from the title; a film without any is left out. The data set gives some films two
    ids: they become the lower one, and of a user who rated both ids the later rating counts.

    Args:
        cohort: a file with the columns user_id, zip_code, film_id, title, year, stars, rated_at.
    """
    with duckdb.connect() as connection:
        columns = connection.read_parquet(str(cohort)).fetchnumpy()
    users, zip_codes = columns["user_id"].astype(np.int64), columns["zip_code"]
    region_of = {zip_code: _region(zip_code) for zip_code in set(zip_codes)}
    region = np.array([region_of[zip_code] for zip_code in zip_codes], dtype=np.int64)

    raw_films: dict[int, tuple[str, str]] = dict(
        zip(columns["film_id"].tolist(), zip(columns["title"], columns["year"], strict=True), strict=True)
    )
    films = {film_id: known for film_id, (title, year) in raw_films.items() if (known := _film(title, year))}
    canonical = _canonical_ids(films)
    film = np.array([canonical.get(film_id, 0) for film_id in columns["film_id"].tolist()], dtype=np.int64)

    inside, void = region >= 0, zip_codes == NO_ZIP_CODE
    ratings = Ratings(users, film, columns["stars"].astype(np.float64), columns["rated_at"].astype(np.int64), region)
    placed = ratings.where(inside & (film > 0))
    kept = placed.where(_last_of_each_pair(placed))
    return Clean(
        ratings=kept,
        films={film_id: films[film_id] for film_id in np.unique(kept.film).tolist()},
        report=Report(
            rows=len(ratings),
            users_abroad=len(np.unique(users[~inside & ~void])),
            users_without_zip_code=len(np.unique(users[void])),
            years_repaired=sum(not YEAR.fullmatch(raw_films[film_id][1]) for film_id in films),
            films_without_year=len(raw_films) - len(films),
            films_with_two_ids=len(films) - len(set(canonical.values())),
            films_rated_twice=len(placed) - len(kept),
            rows_kept=len(kept),
        ),
    )


def split(ratings: Ratings, holdout: float = 0.2) -> tuple[Ratings, Ratings]:
    """Make two sets: what a model may learn from, and what it is judged by.

    Each user's latest ratings are held out, because a recommender is asked about tomorrow, not about gaps in the past.

    Args:
        ratings: all rows.
        holdout: the part of each user's ratings to hold out, between 0 and 1.

    Returns:
        The training set and the held-out set.
    """
    ordered = ratings.where(np.lexsort((ratings.film, ratings.rated_at, ratings.user)))
    _, first, count = np.unique(ordered.user, return_index=True, return_counts=True)
    position = np.arange(len(ordered)) - np.repeat(first, count)
    late = position >= np.repeat(np.floor(count * (1 - holdout)), count)
    return ordered.where(~late), ordered.where(late)


def _region(zip_code: str) -> int:
    return int(zip_code[0]) if ZIP_CODE.fullmatch(zip_code) and zip_code != NO_ZIP_CODE else -1


def _film(title: str, year: str) -> Film | None:
    if YEAR.fullmatch(year):
        return Film(title, int(year))
    stray = YEAR_IN_TITLE.search(title)
    return Film(title[: stray.start()], int(stray.group(1))) if stray else None


def _canonical_ids(films: dict[int, Film]) -> dict[int, int]:
    lowest: dict[Film, int] = {}
    for film_id in sorted(films):
        lowest.setdefault(films[film_id], film_id)
    return {film_id: lowest[film] for film_id, film in films.items()}


def _last_of_each_pair(ratings: Ratings) -> Ints:
    by_time = np.lexsort((ratings.rated_at, ratings.film, ratings.user))
    user, film = ratings.user[by_time], ratings.film[by_time]
    last = np.append((user[1:] != user[:-1]) | (film[1:] != film[:-1]), True)
    return np.sort(by_time[last])
