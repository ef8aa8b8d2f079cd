"""Owns the steps of the example: thin, typed wrappers that hand files to the modelling and take files back.

They need `meson_runtime` alone, so a worker that imports this module starts fast and needs nothing of the core.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypedDict

from meson_runtime import Artifact, ctx, step
from recommender.cleansing import Film, cleanse, split
from recommender.evaluation import baseline_rmse, disagreement, folds, halves, rmse
from recommender.factorisation import MAX_STARS, MIN_STARS, Model, fit
from recommender.publishing import Description, card_of, latest
from recommender.ratings import Ratings
from recommender.recommending import Recommendation, samples
from recommender.selection import Recommender, best_family, refit, select

if TYPE_CHECKING:
    from collections.abc import Callable


class Sets(TypedDict):
    """The cleansed data, and what the cleansing met."""

    training: Artifact
    table: Artifact
    holdout: Artifact
    films: Artifact
    regions: list[str]
    report: dict[str, int]


class Trained(TypedDict):
    """A fitted model."""

    model: Artifact


class Score(TypedDict):
    """How far off a model is, in stars, on the ratings that the selection looks at."""

    rmse: float


class Selected(TypedDict):
    """The recommender, and by region the share of its own model and the language that this was fitted in."""

    recommender: Artifact
    shares: dict[str, float]
    languages: dict[str, str]


class Verdict(TypedDict):
    """What the selected recommender is worth, on ratings that nothing was chosen by, and what it was made with."""

    stable: bool
    alpha: float
    disagreement: float
    rmse: float
    baseline_rmse: float


class Incumbent(TypedDict):
    """The recommender that was published last, judged by today's ratings; version 0 when there is none."""

    version: int
    rmse: float


class Described(TypedDict):
    """What the registry is told of a recommender."""

    card: Description
    recommendations: list[Recommendation]


class Published(TypedDict):
    """Where the version in force is."""

    version: int
    folder: str


@step
def wrangle_data(cohort: Artifact) -> Sets:
    """Cleanse the cohort and make two sets of it: one to learn from, one to judge by."""
    clean = cleanse(cohort.path)
    training, holdout = split(clean.ratings)
    return {
        "training": kept("training.npz", training.save),
        "table": kept("training.csv", training.save_table),
        "holdout": kept("holdout.npz", holdout.save),
        "films": kept("films.json", lambda path: write_json(path, clean.films)),
        "regions": [str(region) for region in training.regions()],
        "report": asdict(clean.report),
    }


@step(memory="1 GB")
def train_global(training: Artifact, alpha: float) -> Trained:
    """Fit one model to everyone."""
    model = fit(Ratings.load(training.path), alpha, on_sweep=ctx.progress)
    return {"model": kept("global.npz", model.save)}


@step
def validate_global(model: Artifact, holdout: Artifact) -> Score:
    """Judge the global model."""
    choosing, _ = folds(Ratings.load(holdout.path))
    return score(model, choosing)


@step(retries={"user": 1, "backoff_s": 0.2})
def train_region(region: str, training: Artifact, alpha: float) -> Trained:
    """Fit a model to the users of one region.

    The first attempt in the largest region fails, by design: here is what a retry looks like.
    """
    if region == "9" and ctx.attempt == 1:
        msg = "the feature store of region 9 hung up (on the first attempt, by design)"
        raise ConnectionError(msg)
    ratings = Ratings.load(training.path).of_region(int(region))
    model = fit(ratings, alpha, on_sweep=ctx.progress)
    return {"model": kept(f"region-{region}.npz", model.save)}


@step
def validate_region(region: str, model: Artifact, holdout: Artifact) -> Score:
    """Judge a regional model by its region's users."""
    choosing, _ = folds(Ratings.load(holdout.path))
    return score(model, choosing.of_region(int(region)))


@step
def select_model(
    overall: Artifact, regions: list[str], regional: list[Artifact], in_r: list[Any], holdout: Artifact
) -> Selected:
    """Take the global model, and for each region the share of its own model that helps.

    In `in_r` are the models that were fitted in R; nulls, where R was not wanted.
    """
    choosing, _ = folds(Ratings.load(holdout.path))
    models, languages = {}, {}
    for region, in_python, other in zip(regions, regional, in_r, strict=True):
        families = {"Python": loaded(in_python)} | ({"R": loaded(other)} if other is not None else {})
        languages[region] = best_family(families, choosing.of_region(int(region)))
        models[int(region)] = families[languages[region]]
    recommender = select(loaded(overall), models, choosing)
    shares = {str(region): share for region, share in recommender.weights.items()}
    return {
        "recommender": kept("recommender.npz", recommender.save),
        "shares": shares,
        "languages": {region: languages[region] for region in shares},
    }


@step
def validate_model(
    recommender: Artifact, training: Artifact, holdout: Artifact, alpha: float, tolerance: float
) -> Verdict:
    """Judge the recommender, and whether it would be the same had it seen other halves of the ratings."""
    chosen, ratings = Recommender.load(recommender.path), Ratings.load(training.path)
    _, judges = folds(Ratings.load(holdout.path))
    predictions = []
    for number, half in enumerate(halves(ratings, seed=0)):

        def report(done: float, finished: int = number) -> None:
            ctx.progress((finished + done) / 2)

        predictions.append(refit(chosen, half, alpha, on_model=report).predict_rows(judges))
    apart = disagreement(*predictions)
    return {
        "stable": apart <= tolerance,
        "alpha": alpha,
        "disagreement": apart,
        "rmse": rmse(chosen.predict_rows(judges), judges.stars),
        "baseline_rmse": baseline_rmse(ratings, judges),
    }


@step
def judge_published(holdout: Artifact, shop: str) -> Incumbent:
    """Judge the recommender that was published last by today's ratings; with none, anything is better."""
    version = latest(Path(shop))
    if version is None:
        return {"version": 0, "rmse": MAX_STARS - MIN_STARS}
    _, judges = folds(Ratings.load(holdout.path))
    recommender = Recommender.load(version / "model.npz")
    return {"version": card_of(version)["version"], "rmse": rmse(recommender.predict_rows(judges), judges.stars)}


@step
def describe(recommender: Artifact, training: Artifact, films: Artifact, verdict: Verdict) -> Described:
    """Say what the recommender is worth, with a taste of its recommendations."""
    chosen = Recommender.load(recommender.path)
    titles = {int(film_id): Film(*film) for film_id, film in json.loads(films.path.read_text(encoding="utf-8")).items()}
    card = Description(
        alpha=verdict["alpha"],
        rmse=verdict["rmse"],
        baseline_rmse=verdict["baseline_rmse"],
        disagreement=verdict["disagreement"],
        regions_with_own_model=[str(region) for region in chosen.weights],
    )
    return {"card": card, "recommendations": samples(chosen, Ratings.load(training.path), titles)}


@step
def keep_published(version: int, shop: str) -> Published:
    """Leave the last version in force: the new one is no better."""
    return {"version": version, "folder": str(Path(shop) / f"v{version}")}


def score(model: Artifact, judges: Ratings) -> Score:
    """How far off a model is on some ratings."""
    return {"rmse": rmse(loaded(model).predict(judges.user, judges.film), judges.stars)}


def loaded(model: Artifact) -> Model:
    """A model, in whichever language it was fitted."""
    return Model.read_table(model.path) if model.media == "text/csv" else Model.load(model.path)


def kept(name: str, save: Callable[[Path], None]) -> Artifact:
    """Have a file written, and keep it in the artifact store."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        save(path)
        return ctx.put(path, name=name)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
