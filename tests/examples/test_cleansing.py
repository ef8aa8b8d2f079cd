"""Owns the proof that what is wrong with the data is found, counted and repaired, and that the two sets are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np

from recommender.cleansing import Clean, Film, cleanse, split
from tests.examples.made_up import people_of_taste, together
from tests.examples.movielens import cleansed

if TYPE_CHECKING:
    from pathlib import Path


def cleansed_rows(folder: Path, *rows: tuple[int, str, int, str, str, float, int]) -> Clean:
    """What cleansing makes of rows of (user, zip code, film, title, year, stars, time)."""
    cohort = folder / "cohort.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE cohort (user_id INTEGER, zip_code TEXT, film_id INTEGER, title TEXT, year TEXT, stars FLOAT, rated_at BIGINT)"
        )
        connection.executemany("INSERT INTO cohort VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.table("cohort").write_parquet(str(cohort))
    return cleanse(cohort)


def test_users_without_a_region_are_left_out(tmp_path: Path) -> None:
    """A Canadian postcode is no ZIP code, and neither are five zeros; a leading zero is New England."""
    clean = cleansed_rows(
        tmp_path,
        (1, "94043", 1, "Heat", "1995", 4, 10),
        (2, "T8H1N", 1, "Heat", "1995", 5, 11),
        (3, "00000", 1, "Heat", "1995", 5, 12),
        (4, "01002", 1, "Heat", "1995", 3, 13),
    )

    assert [1, 4] == clean.ratings.user.tolist()
    assert [9, 0] == clean.ratings.region.tolist()
    assert 1 == clean.report.users_abroad
    assert 1 == clean.report.users_without_zip_code


def test_a_year_that_went_astray_is_taken_from_the_title(tmp_path: Path) -> None:
    """One film of the set has its year in its title; the other without a year is no film at all."""
    clean = cleansed_rows(
        tmp_path,
        (1, "94043", 1412, "Land Before Time III (1995)", "V", 4, 10),
        (1, "94043", 267, "unkonwn", "unkonwn", 5, 11),
    )

    assert {1412: Film("Land Before Time III", 1995)} == clean.films
    assert [1412] == clean.ratings.film.tolist()
    assert 1 == clean.report.years_repaired
    assert 1 == clean.report.films_without_year


def test_a_film_with_two_ids_becomes_one(tmp_path: Path) -> None:
    """The later opinion counts; a remake of another year stays a film of its own."""
    clean = cleansed_rows(
        tmp_path,
        (1, "94043", 268, "Chasing Amy", "1997", 5, 20),
        (1, "94043", 246, "Chasing Amy", "1997", 2, 10),
        (2, "94043", 268, "Chasing Amy", "1997", 4, 30),
        (2, "94043", 673, "Cape Fear", "1962", 4, 31),
        (2, "94043", 218, "Cape Fear", "1991", 3, 32),
    )

    assert [(1, 246, 5.0), (2, 246, 4.0), (2, 673, 4.0), (2, 218, 3.0)] == list(
        zip(clean.ratings.user.tolist(), clean.ratings.film.tolist(), clean.ratings.stars.tolist(), strict=True)
    )
    assert 1 == clean.report.films_with_two_ids
    assert 1 == clean.report.films_rated_twice


def test_the_dirt_of_the_real_data_is_all_there() -> None:
    """The numbers that anyone can count in MovieLens-100k, less the three users under thirteen."""
    report = cleansed().report

    assert 99_899 == report.rows
    assert 18 == report.users_abroad
    assert 2 == report.users_without_zip_code
    assert 1 == report.years_repaired
    assert 1 == report.films_without_year
    assert 18 == report.films_with_two_ids
    assert len(cleansed().ratings) == report.rows_kept
    assert list(range(10)) == cleansed().ratings.regions()


def test_the_two_sets_are_apart_and_the_held_out_one_is_later() -> None:
    """Nothing is judged by what it was fitted to, nor by what happened before."""
    ratings = together(people_of_taste(30, 25, seed=1), people_of_taste(1, 1, seed=2, rated=1.1))

    training, holdout = split(ratings, 0.3)

    pairs = [
        set(zip(part.user.tolist(), part.film.tolist(), part.rated_at.tolist(), strict=True))
        for part in (training, holdout)
    ]
    assert set() == pairs[0] & pairs[1]
    assert len(ratings) == len(training) + len(holdout)
    for user in np.unique(ratings.user):
        of_training, of_holdout = training.where(training.user == user), holdout.where(holdout.user == user)
        assert len(of_holdout)
        assert of_training.rated_at.max(initial=-1) < of_holdout.rated_at.min()
