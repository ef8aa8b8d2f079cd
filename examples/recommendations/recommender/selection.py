"""Owns the choice between the global model and the regional ones, and the recommender that comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recommender.arrays import load_arrays, save_arrays
from recommender.evaluation import rmse
from recommender.factorisation import Model, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from recommender.arrays import Floats, Ints
    from recommender.ratings import Ratings

#: How much of a region's prediction may come from its own model.
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Recommender:
    """The global model, and for each region that gains by it a share of its own model."""

    overall: Model
    #: By region; a region that is not here is served by the global model alone.
    regional: Mapping[int, Model]
    #: By region, the share of the regional model, above 0 and up to 1.
    weights: Mapping[int, float]

    def predict(self, users: Ints, films: Ints, regions: Ints) -> Floats:
        """Expected stars for pairs of ids, given the users' regions."""
        stars = self.overall.predict(users, films)
        for region, model in self.regional.items():
            rows = regions == region
            own = model.predict(users[rows], films[rows])
            stars[rows] += self.weights[region] * (own - stars[rows])
        return stars

    def predict_rows(self, ratings: Ratings) -> Floats:
        """Expected stars for the users and films of ratings."""
        return self.predict(ratings.user, ratings.film, ratings.region)

    def save(self, path: Path) -> None:
        """Write all models to one `.npz` file."""
        regions = sorted(self.regional)
        arrays = self.overall.to_arrays("overall.")
        arrays["regions"] = np.array(regions, dtype=np.int64)
        arrays["weights"] = np.array([self.weights[region] for region in regions])
        for region in regions:
            arrays |= self.regional[region].to_arrays(f"{region}.")
        save_arrays(path, arrays)

    @staticmethod
    def load(path: Path) -> Recommender:
        """Read what `save` wrote."""
        arrays = load_arrays(path)
        weights = dict(zip(arrays["regions"].tolist(), arrays["weights"].tolist(), strict=True))
        regional = {region: Model.from_arrays(arrays, f"{region}.") for region in weights}
        return Recommender(Model.from_arrays(arrays, "overall."), regional, weights)


def best_family(families: Mapping[str, Model], judges: Ratings) -> str:
    """The family whose model predicts best; in a tie, or with nothing to judge by, the first.

    Args:
        families: models of one region, by the name of what they were fitted with.
        judges: ratings of that region that no model was fitted to.
    """
    if not len(judges):
        return next(iter(families))
    errors = {name: rmse(model.predict(judges.user, judges.film), judges.stars) for name, model in families.items()}
    return min(errors, key=errors.__getitem__)


def select(overall: Model, regional: Mapping[int, Model], judges: Ratings) -> Recommender:
    """Take for each region the share of its own model that predicts best; in a tie the smaller share.

    Args:
        overall: the model of all regions.
        regional: the regions' own models.
        judges: ratings that no model was fitted to, and that the result is not judged by afterwards.
    """
    weights = {}
    for region, model in regional.items():
        rows = judges.of_region(region)
        ours, own = overall.predict(rows.user, rows.film), model.predict(rows.user, rows.film)
        errors = [rmse(ours + weight * (own - ours), rows.stars) if len(rows) else weight for weight in WEIGHTS]
        if best := WEIGHTS[int(np.argmin(errors))]:
            weights[region] = best
    return Recommender(overall, {region: regional[region] for region in weights}, weights)


def refit(
    recommender: Recommender,
    ratings: Ratings,
    alpha: float,
    seed: int = 0,
    on_model: Callable[[float], None] = lambda fraction: None,
) -> Recommender:
    """The same recommender, as it would have come out of other ratings.

    Args:
        recommender: says which regions have a model of their own, with which share.
        ratings: what to learn from instead.
        alpha: ridge on the factors.
        seed: of the first factors.
        on_model: told after each model which fraction of the work is done.
    """
    regional, total = {}, 1 + len(recommender.weights)
    overall = fit(ratings, alpha, seed=seed)
    on_model(1 / total)
    for region in recommender.weights:
        regional[region] = fit(ratings.of_region(region), alpha, seed=seed)
        on_model((1 + len(regional)) / total)
    return Recommender(overall, regional, recommender.weights)
