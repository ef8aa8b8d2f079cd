"""The workflow of the example: `python registry.py published -- mesonctl run workflow.py -p registry={registry}`."""

from __future__ import annotations

import shutil
from pathlib import Path

from meson_core import Artifact, choose, end, for_each, kind, param, repeat, start, when, workflow
from recommendation_steps import (
    describe,
    judge_published,
    keep_published,
    select_model,
    train_global,
    train_region,
    validate_global,
    validate_model,
    validate_region,
    wrangle_data,
)

# Folders of this machine, not of the code bundle that the steps run from.
HERE = Path(__file__).parent.resolve()
source = param("source", str, default=str(HERE / "data" / "ml-100k"), doc="Folder of MovieLens-100k.")
shop = param("shop", str, default=str(HERE / "published"), doc="Folder that the registry publishes into.")
registry = param("registry", str, doc="Address of the model registry; registry.py starts one.")

min_age = param("min_age", int, default=13, ge=0, doc="Of the users in the cohort, in years.")
min_ratings = param("min_ratings", int, default=20, ge=5, doc="Of a user in the cohort.")
alpha = param("alpha", float, default=3.0, gt=0, doc="Ridge on the factors in the first iteration.")
with_r = param(
    "with_r", bool, default=shutil.which("Rscript") is not None, doc="Whether regional models are fitted in R as well."
)
tolerance = param(
    "tolerance", float, default=0.4, gt=0, doc="Stars by which a stable recommender's halves may disagree."
)

get_users = kind(
    "shell",
    name="get_users",
    script='cd "$MESON_PROJECT" && python query.py cohort.sql "$MESON_INPUTS" "$MESON_OUTPUTS"',
    outputs={"cohort": Artifact, "rows": int},
)(source=source, min_age=min_age, min_ratings=min_ratings)

data = wrangle_data(cohort=get_users.output["cohort"])
training, holdout, regions = data.output["training"], data.output["holdout"], data.output["regions"]

overall = train_global(training=training, alpha=alpha)
each = for_each(region=regions)
regional = train_region(region=each.region, training=training, alpha=alpha)
in_r = kind("r", name="train_region_in_r", file="train_region.R", outputs={"model": Artifact})(
    region=each.region, training=data.output["table"], alpha=alpha
)
selected = select_model(
    overall=overall.output["model"],
    regions=regions,
    regional=regional.output["model"],
    in_r=in_r.output["model"],
    holdout=holdout,
)
verdict = validate_model(
    recommender=selected.output["recommender"], training=training, holdout=holdout, alpha=alpha, tolerance=tolerance
)

# The whole, cohort included: by the time it is done again, there may be new ratings.
until_stable = repeat(
    get_users
    >> data
    >> (
        overall >> validate_global(model=overall.output["model"], holdout=holdout)
        | each(
            regional >> validate_region(region=each.region, model=regional.output["model"], holdout=holdout)
            | choose(
                when(
                    with_r,
                    in_r
                    >> validate_region(region=each.region, model=in_r.output["model"], holdout=holdout).named(
                        "validate_region_in_r"
                    ),
                )
            )
        )
    )
    >> selected
    >> verdict,
    until=verdict.output["stable"],
    max_iterations=5,
    carry={"alpha": alpha * 2},
    on_exhausted="fail",
)

incumbent = judge_published(holdout=holdout, shop=shop)
described = describe(
    recommender=selected.output["recommender"],
    training=training,
    films=data.output["films"],
    verdict={fact: verdict.output[fact] for fact in verdict.output},
)
upload = kind("http", name="upload_model", method="PUT", url="${registry}/blobs/${model.$artifact}", file="model")(
    registry=registry, model=selected.output["recommender"]
)
# Publishing takes a while: the registry accepts the order under the step's job key, and is asked until it is done.
publish = kind(
    "http",
    name="publish_model",
    method="POST",
    url="${registry}/models",
    json={"model": "${model.$artifact}", "card": "${card}", "recommendations": "${recommendations}"},
    deduplicates=True,
    poll={"state": "$.state", "succeeded": ["published"], "message": "$.error", "interval_s": 0.1},
    returns={"version": "$.version", "folder": "$.folder"},
    outputs={"version": int, "folder": str},
)(
    registry=registry,
    model=selected.output["recommender"],
    card=described.output["card"],
    recommendations=described.output["recommendations"],
)
keep = keep_published(version=incumbent.output["version"], shop=shop)

recommendations = workflow(
    "recommendations",
    start
    >> until_stable
    >> incumbent
    >> choose(
        when(verdict.output["rmse"] < incumbent.output["rmse"], described >> upload >> publish),
        otherwise=keep,
    )
    >> end,
    outputs={
        "rmse": verdict.output["rmse"],
        "alpha": verdict.output["alpha"],
        "shares": selected.output["shares"],
        "languages": selected.output["languages"],
    },
    timeout="10 min",
    doc="Which films a user should see next, by a global model and regional ones.",
)
