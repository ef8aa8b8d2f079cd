"""The second workflow of the example: what each feature was worth on thirty dates. `mesonctl run importance.py`.

Each date's result has an id of its own: a date that was measured before, in any run, is not measured again.
"""

from __future__ import annotations

from pathlib import Path

from importance_steps import measure_importance, pick_dates
from meson_core import Artifact, for_each, kind, param, workflow

source = param(
    "source", str, default=str(Path(__file__).parent.resolve() / "data" / "ml-100k"), doc="Folder of MovieLens-100k."
)
dates = param("dates", int, default=30, ge=1, le=200, doc="How many dates to look at, at equal distances.")

get_traits = kind(
    "shell",
    name="get_traits",
    script='cd "$MESON_PROJECT" && python query.py traits.sql "$MESON_INPUTS" "$MESON_OUTPUTS"',
    outputs={"traits": Artifact, "rows": int},
    cache=True,
)(source=source)

picked = pick_dates(traits=get_traits.output["traits"], count=dates)
each = for_each(date=picked.output["dates"])
measured = measure_importance(traits=get_traits.output["traits"], date=each.date)

importance = workflow(
    "importance",
    get_traits >> picked >> each(measured),
    outputs={"strongest": measured.output["strongest"]},
    doc="How much worse predictions get without each feature, over the months.",
)
