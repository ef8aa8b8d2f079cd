"""Owns how good and how stable predictions are: the error in stars, the baseline, the folds, the disagreement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recommender.factorisation import fit

if TYPE_CHECKING:
    from recommender.arrays import Floats
    from recommender.ratings import Ratings


def rmse(predicted: Floats, actual: Floats) -> float:
    """Root of the mean squared difference, in stars.

    Raises:
        ValueError: there is nothing to compare.
    """
    if not len(actual):
        msg = "there are no ratings to judge predictions by"
        raise ValueError(msg)
    return float(np.sqrt(np.mean((predicted - actual) ** 2)))


def baseline_rmse(training: Ratings, judges: Ratings) -> float:
    """The error of a model without factors: how generous is the user, how good is the film. To be beaten."""
    biases = fit(training, alpha=1.0, rank=0)
    return rmse(biases.predict(judges.user, judges.film), judges.stars)


def folds(holdout: Ratings) -> tuple[Ratings, Ratings]:
    """Halves of the held-out ratings, by user: one to choose by, one to judge the choice by."""
    even = holdout.user % 2 == 0
    return holdout.where(even), holdout.where(~even)


def halves(training: Ratings, seed: int) -> tuple[Ratings, Ratings]:
    """Two halves of the training set that share no rating, drawn at random."""
    first = np.random.default_rng(seed).random(len(training)) < 0.5
    return training.where(first), training.where(~first)


def disagreement(first: Floats, second: Floats) -> float:
    """How far apart two predictions for the same pairs are, in stars (root mean square).

    Of a recommender fitted to two halves of the same data: what is stable has hardly changed, what is not was noise.
    """
    return rmse(first, second)
