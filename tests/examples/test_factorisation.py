"""Owns the proof that the example's model is what its docstring says: regularised least squares, solved exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from recommender.evaluation import rmse
from recommender.factorisation import BIAS_RIDGE, Model, fit
from tests.examples.made_up import people_of_taste, ratings_of

if TYPE_CHECKING:
    from pathlib import Path


def test_each_film_is_the_exact_ridge_solution() -> None:
    """The batched solver answers for every film at once what a solver of one film would."""
    ratings = people_of_taste(20, 15, seed=1)
    alpha, rank = 0.7, 3

    model = fit(ratings, alpha, rank=rank, sweeps=4)

    for place, film in enumerate(model.films):
        rows = ratings.where(ratings.film == film)
        people = model.user_rows[np.searchsorted(model.users, rows.user)]
        features = np.column_stack([np.ones(len(rows)), people[:, 1:]])
        target = rows.stars - model.mean - people[:, 0]
        ridge = np.diag([BIAS_RIDGE] + [alpha] * rank)
        exact = np.linalg.solve(features.T @ features + ridge, features.T @ target)
        np.testing.assert_allclose(model.film_rows[place], exact, atol=1e-9)


def test_it_finds_a_hidden_taste() -> None:
    """Factors explain what biases cannot, on ratings that the model has not seen."""
    ratings = people_of_taste(80, 60, seed=2)
    seen = np.arange(len(ratings)) % 5 != 0
    training, judges = ratings.where(seen), ratings.where(~seen)

    errors = {
        rank: rmse(fit(training, 0.5, rank=rank).predict(judges.user, judges.film), judges.stars) for rank in (0, 1)
    }

    assert errors[1] < 0.2 < 0.4 < errors[0]


def test_strangers_are_average() -> None:
    """A user or film that came after the training gets the mean and the other's bias, not an error."""
    ratings = ratings_of([(5, 7, 5.0), (5, 9, 4.0), (8, 7, 2.0), (8, 9, 1.0)])
    model = fit(ratings, 1.0, rank=2)

    nobody = model.predict(np.array([1, 6, 99]), np.array([1, 8, 99]))
    generous, strict = model.predict(np.array([5, 8]), np.array([99, 99]))

    assert [3.0, 3.0, 3.0] == nobody.tolist()
    assert strict < 3.0 < generous


def test_predictions_stay_on_the_scale() -> None:
    """Nobody is told that a film is worth six stars."""
    ratings = ratings_of([(user, film, 5.0 if film % 2 else 1.0) for user in range(30) for film in range(6)])
    model = fit(ratings, 0.01)

    stars = model.predict(ratings.user, ratings.film)

    assert 1.0 <= stars.min()
    assert stars.max() <= 5.0


def test_the_same_seed_gives_the_same_model_and_a_file_keeps_it(tmp_path: Path) -> None:
    """A step that is done again gives the same artifact."""
    ratings = people_of_taste(15, 12, seed=3)
    first, second = fit(ratings, 1.0, seed=4), fit(ratings, 1.0, seed=4)

    second.save(tmp_path / "model.npz")
    loaded = Model.load(tmp_path / "model.npz")

    np.testing.assert_array_equal(first.predict(ratings.user, ratings.film), loaded.predict(ratings.user, ratings.film))


def test_progress_ends_at_one() -> None:
    """A progress bar that is fed by this reaches its end."""
    fractions: list[float] = []

    fit(people_of_taste(5, 5, seed=5), 1.0, sweeps=4, on_sweep=fractions.append)

    assert [0.25, 0.5, 0.75, 1.0] == fractions


def test_nothing_to_learn_from_and_no_ridge_are_refused() -> None:
    """The message says what was wrong, before numpy does."""
    some = ratings_of([(1, 1, 3.0)])
    none = some.where(some.user == 2)

    with pytest.raises(ValueError, match="no ratings to fit a model to"):
        fit(none, 1.0)
    with pytest.raises(ValueError, match=r"alpha must be above 0, got -1\.0"):
        fit(some, -1.0)
