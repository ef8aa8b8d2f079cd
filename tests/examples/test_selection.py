"""Owns the proof that regional models are taken where they help, and that what is unstable shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from recommender.cleansing import split
from recommender.evaluation import baseline_rmse, disagreement, folds, halves, rmse
from recommender.factorisation import fit
from recommender.recommending import samples, top_films
from recommender.selection import Recommender, refit, select
from tests.examples.made_up import people_of_taste, ratings_of, together
from tests.examples.movielens import cleansed

if TYPE_CHECKING:
    from pathlib import Path

    from recommender.ratings import Ratings


def two_worlds() -> Ratings:
    """Two regions that rate the same films by opposite tastes, so that one model for both learns nothing."""
    west = people_of_taste(60, 40, seed=1, region=9)
    east = ratings_of(
        [(user + 100, film, 6 - stars) for user, film, stars in zip(west.user, west.film, west.stars, strict=True)],
        region=0,
    )
    return together(west, east)


def test_a_region_of_its_own_taste_gets_its_own_model() -> None:
    """Where the global model is of no use the regional one has the whole say."""
    training, holdout = split(two_worlds())
    overall = fit(training, 0.5, rank=0)
    regional = {region: fit(training.of_region(region), 0.5) for region in (0, 9)}

    chosen = select(overall, regional, holdout)

    assert {0: 1.0, 9: 1.0} == dict(chosen.weights)
    assert rmse(chosen.predict_rows(holdout), holdout.stars) < rmse(
        overall.predict(holdout.user, holdout.film), holdout.stars
    )


def test_a_region_like_the_others_keeps_the_global_model() -> None:
    """A model of few users, who rate like everyone, is noise."""
    everyone = people_of_taste(80, 40, seed=2, region=1)
    training, holdout = split(everyone)
    overall = fit(training, 0.5)
    of_strangers = fit(people_of_taste(80, 40, seed=3), 0.5)

    chosen = select(overall, {1: of_strangers}, holdout)

    assert {} == dict(chosen.weights)
    assert {} == dict(chosen.regional)


def test_a_region_that_nobody_judges_keeps_the_global_model() -> None:
    """No held-out ratings: no reason for a model of its own."""
    training, holdout = split(two_worlds())
    overall = fit(training, 0.5)

    chosen = select(overall, {5: overall}, holdout)

    assert {} == dict(chosen.weights)


def test_a_file_keeps_the_recommender(tmp_path: Path) -> None:
    """What is published predicts what was validated."""
    training, holdout = split(two_worlds())
    regional = {9: fit(training.of_region(9), 0.5)}
    recommender = Recommender(fit(training, 0.5), regional, {9: 0.25})

    recommender.save(tmp_path / "recommender.npz")
    loaded = Recommender.load(tmp_path / "recommender.npz")

    np.testing.assert_array_equal(recommender.predict_rows(holdout), loaded.predict_rows(holdout))
    assert {9: 0.25} == dict(loaded.weights)


def test_refitting_keeps_the_choice() -> None:
    """Stability is asked of the recommender that was selected, not of another."""
    training, _ = split(two_worlds())
    chosen = Recommender(fit(training, 0.5), {9: fit(training.of_region(9), 0.5)}, {9: 0.5})
    fractions: list[float] = []

    again = refit(chosen, halves(training, seed=1)[0], 0.5, on_model=fractions.append)

    assert {9: 0.5} == dict(again.weights)
    assert [9] == list(again.regional)
    assert [0.5, 1.0] == fractions


def test_folds_share_no_user_and_halves_no_rating() -> None:
    """What chose is not what judges."""
    ratings = people_of_taste(30, 20, seed=4)

    choosing, judging = folds(ratings)
    first, second = halves(ratings, seed=0)

    assert set() == set(choosing.user) & set(judging.user)
    assert len(ratings) == len(choosing) + len(judging)
    assert set() == set(first.rated_at) & set(second.rated_at)
    assert len(ratings) == len(first) + len(second)


def test_there_must_be_something_to_judge_by() -> None:
    """An error of nothing would be NaN, and NaN beats nothing."""
    with pytest.raises(ValueError, match="no ratings to judge predictions by"):
        rmse(np.array([]), np.array([]))


def test_what_is_recommended_is_new_to_the_user_and_known_to_others() -> None:
    """The best unseen film comes first; a film that hardly anyone rated does not come at all."""
    crowd = [(user, film, stars) for user in range(1, 61) for film, stars in ((1, 5.0), (2, 4.0), (3, 2.0))]
    ratings = ratings_of([*crowd, (99, 3, 2.0), (98, 4, 5.0)])
    recommender = Recommender(fit(ratings, 1.0, rank=0), {}, {})

    assert [1, 2] == top_films(recommender, ratings, 99)
    assert [1] == top_films(recommender, ratings, 99, count=1)


@pytest.mark.slow
def test_on_the_real_data_a_firmer_ridge_makes_the_model_stable_and_better_than_the_baseline() -> None:
    """The story of the example: two iterations whose model is noise, and a third that is worth publishing."""
    clean = cleansed()
    training, holdout = split(clean.ratings)
    choosing, judging = folds(holdout)

    def iteration(alpha: float) -> tuple[float, float]:
        regional = {region: fit(training.of_region(region), alpha) for region in training.regions()}
        chosen = select(fit(training, alpha), regional, choosing)
        first, second = (refit(chosen, half, alpha).predict_rows(judging) for half in halves(training, seed=0))
        return disagreement(first, second), rmse(chosen.predict_rows(judging), judging.stars)

    apart, errors = zip(*(iteration(alpha) for alpha in (3.0, 6.0, 12.0)), strict=True)

    assert apart[0] > apart[1] > 0.42
    assert 0.38 > apart[2]
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.98 < 1.0 < baseline_rmse(training, judging)
    taste = samples(Recommender(fit(training, 12.0), {}, {}), clean.ratings, clean.films)
    assert [str(region) for region in range(10)] == [sample["region"] for sample in taste]
    assert all(len(set(sample["films"])) == 5 for sample in taste)
