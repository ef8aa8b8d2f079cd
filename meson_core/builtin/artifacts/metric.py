"""Owns the visualizer `metric`: how single numbers developed from version to version, one chart for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from meson_core.artifacts import VegaLite
from meson_core.builtin.artifacts.charts import HEIGHT, LINES, WIDTH, Axis, axis_of, chart, colours, known_of
from meson_core.builtin.artifacts.reading import measures_of
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: So many charts are drawn when nobody says which.
_MOST = 4


class MetricOptions(BaseModel):
    """Options of the metric over runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str | None = Field(
        default=None, description="Path of the number in the document: `test.rmse`; default: all of them."
    )
    along: str | None = Field(
        default=None, description="Loop variable or parameter on the x axis; default: the date, or when it was made."
    )
    by: str | None = Field(default=None, description="Loop variable or parameter that each gets a line of its own.")
    unit: str = Field(default="", description="Unit of the number, for the axis.")


class MetricOverRuns:
    """The visualizer."""

    name = "metric"
    types = ("json", "table")
    Options = MetricOptions

    def draw(self, versions: Sequence[ArtifactVersion], options: MetricOptions) -> View:
        """A line for each metric, from version to version."""
        found = [measures_of(version) for version in versions]
        names = chosen(versions, found, options.metric)
        groups = [grouped(version, options.by) for version in versions]
        return VegaLite(over_versions(versions, axis_of(versions, options.along), found, names, groups, options))


def chosen(versions: Sequence[ArtifactVersion], found: Sequence[Mapping[str, float]], metric: str | None) -> list[str]:
    """The metrics to draw.

    Raises:
        ArtifactError: there are none, or not the one that is asked for, or too many to draw them all.
    """
    known = list(dict.fromkeys(name for measures in found for name in measures))
    label = versions[-1].record.name
    if metric is not None:
        if metric in known:
            return [metric]
        there = (
            f"there are: {', '.join(name or '(the number itself)' for name in known[:20])}"
            if known
            else "there are none"
        )
        raise ArtifactError(f"{label} has no number {metric!r} in any of {_versions(versions)}", hint=there)
    if not known:
        raise ArtifactError(
            f"{label} has no single numbers in {_versions(versions)}",
            hint="a metric is JSON that is a number or has numbers by name, or a table of one row",
        )
    return known[:_MOST]


def grouped(version: ArtifactVersion, by: str | None) -> str:
    """Which line a version belongs to.

    Raises:
        ArtifactError: it has no such loop variable or parameter.
    """
    if by is None:
        return ""
    known = known_of(version)
    if by not in known:
        raise ArtifactError(
            f"artifact {version.record.number} ({version.record.name}) has no loop variable or parameter {by!r}",
            hint=f"loop variables and parameters of its run: {', '.join(known) or 'none'}",
        )
    return str(known[by])


def over_versions(
    versions: Sequence[ArtifactVersion],
    axis: Axis,
    found: Sequence[Mapping[str, float]],
    names: Sequence[str],
    groups: Sequence[str],
    options: MetricOptions,
) -> dict[str, Any]:
    """The charts, one below the other, on one x axis."""
    rows = [
        {
            "x": place,
            "metric": name or versions[-1].record.name,
            "value": measures[name],
            "line": group,
            "run": version.record.run_id,
            "artifact": version.record.number,
        }
        for version, place, measures, group in zip(versions, axis.places, found, groups, strict=True)
        for name in names
        if name in measures
    ]
    lines = list(dict.fromkeys(groups))
    height = HEIGHT if len(names) == 1 else HEIGHT // 2
    charts = [
        {
            "width": WIDTH,
            "height": height,
            "transform": [{"filter": {"field": "metric", "equal": name or versions[-1].record.name}}],
            "mark": {"type": "line", "point": {"size": 45}},
            "encoding": {
                "x": axis.encoding() | ({} if last else {"title": None}),
                "y": {
                    "field": "value",
                    "type": "quantitative",
                    "title": (name or versions[-1].record.name) + (f" ({options.unit})" if options.unit else ""),
                    "scale": {"zero": False},
                },
                **(_lines(lines, options.by) if options.by else {}),
                "tooltip": [axis.tooltip(), *_TOLD],
            },
        }
        for name, last in ((name, name == names[-1]) for name in names)
    ]
    title = f"{versions[-1].record.name} over {_versions(versions)}"
    return chart(title, "", rows, vconcat=charts)


def _lines(lines: Sequence[str], by: str | None) -> dict[str, Any]:
    scale = colours(lines, LINES)
    return {"color": {"field": "line", "type": "nominal", "sort": list(lines), "scale": scale, "title": by}}


def measured(versions: Sequence[ArtifactVersion], found: Sequence[Mapping[str, float]]) -> VegaLite | None:
    """What an artifact type shows of its numbers over time; None when there is nothing to compare."""
    names = list(dict.fromkeys(name for measures in found for name in measures))[:_MOST]
    if len(versions) < 2 or not names:
        return None
    return VegaLite(over_versions(versions, axis_of(versions), found, names, [""] * len(versions), MetricOptions()))


_TOLD = [
    {"field": "metric", "type": "nominal"},
    {"field": "value", "type": "quantitative", "format": ".6~g"},
    {"field": "run", "type": "nominal"},
    {"field": "artifact", "type": "quantitative"},
]


def _versions(versions: Sequence[ArtifactVersion]) -> str:
    return "1 version" if len(versions) == 1 else f"{len(versions)} versions"
