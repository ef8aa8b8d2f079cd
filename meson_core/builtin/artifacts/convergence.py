"""Owns the visualizer `convergence`: a metric at each iteration of a repeat, with the reason that it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from meson_core.artifacts import ITERATION, STOPPED, VegaLite
from meson_core.builtin.artifacts.charts import LINES, chart, colours
from meson_core.builtin.artifacts.metric import chosen
from meson_core.builtin.artifacts.reading import measures_of
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.artifacts import ArtifactVersion, View


#: So many loops, or reasons, are told one by one.
_FEW = 4


class ConvergenceOptions(BaseModel):
    """Options of the loop convergence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str | None = Field(
        default=None, description="Path of the number in the document; needed when there are several."
    )
    unit: str = Field(default="", description="Unit of the number, for the axis.")
    target: float | None = Field(
        default=None, description="A line to compare with: the value at which the loop is to stop."
    )


class Loop(NamedTuple):
    """One repeat, as far as it got.

    Args:
        label: which one.
        values: the metric by iteration, from 1.
        stopped: why it went no further; "" when that is not known.
    """

    label: str
    values: Mapping[int, float]
    stopped: str


class LoopConvergence:
    """The visualizer."""

    name = "convergence"
    types = ("json", "table")
    Options = ConvergenceOptions

    def draw(self, versions: Sequence[ArtifactVersion], options: ConvergenceOptions) -> View:
        """A line for each repeat in these versions."""
        outside = next(
            (version for version in versions if not isinstance(version.record.items.get(ITERATION), int)), None
        )
        if outside is not None:
            raise ArtifactError(
                f"artifact {outside.record.number} ({outside.record.name}) was not made in a repeat",
                hint="choose an artifact of a step inside a repeat; `metric` draws any versions",
            )
        found = [measures_of(version) for version in versions]
        metric = chosen(versions, found, options.metric)[0]
        return VegaLite(_chart(versions[-1].record.name, metric, options, loops(versions, found, metric)))


def loops(versions: Sequence[ArtifactVersion], found: Sequence[Mapping[str, float]], metric: str) -> list[Loop]:
    """The repeats that these versions come from, in the order of their first versions; of one iteration the latest counts."""
    values: dict[tuple[Any, ...], dict[int, float]] = {}
    labels: dict[tuple[Any, ...], str] = {}
    stopped: dict[tuple[Any, ...], str] = {}
    several = len({version.record.run_id for version in versions}) > 1
    for version, measures in zip(versions, found, strict=True):
        record = version.record
        around = {name: value for name, value in record.items.items() if name not in (ITERATION, STOPPED)}
        # The last index of an instance is the iteration of the innermost loop around it.
        key = (record.run_id, record.instance[:-1] or repr(sorted(around.items(), key=str)))
        if metric in measures:
            values.setdefault(key, {})[record.items[ITERATION] + 1] = measures[metric]
        inside = ", ".join(f"{name} {value}" for name, value in around.items())
        labels[key] = (
            " · ".join(part for part in (f"run {record.run_id}" if several else "", inside) if part) or record.step
        )
        stopped[key] = str(record.items.get(STOPPED) or stopped.get(key, ""))
    return [Loop(labels[key], dict(sorted(values[key].items())), stopped[key]) for key in values]


def _chart(name: str, metric: str, options: ConvergenceOptions, found: Sequence[Loop]) -> Mapping[str, Any]:
    rows = [
        {
            "iteration": iteration,
            "value": value,
            "loop": loop.label,
            "stopped": loop.stopped if iteration == max(loop.values) else "",
        }
        for loop in found
        for iteration, value in loop.values.items()
    ]
    label = (metric or name) + (f" ({options.unit})" if options.unit else "")
    x = {
        "field": "iteration",
        "type": "quantitative",
        "title": "iteration",
        "axis": {"tickMinStep": 1, "format": "d", "grid": False},
        "scale": {"domainMin": 1, "nice": False, "padding": 12},
    }
    y = {"field": "value", "type": "quantitative", "title": label, "scale": {"zero": False, "padding": 16}}
    names = [loop.label for loop in found]
    colour: dict[str, Any] = {
        "field": "loop",
        "type": "nominal",
        "sort": names,
        "scale": colours(names, LINES),
        "legend": {"title": "loop"} if len(names) > 1 else None,
    }
    tooltip = [{"field": field, "type": "nominal"} for field in ("loop", "iteration", "value", "stopped")]
    ended = {"filter": "datum.stopped != ''"}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "point": {"size": 45}},
            "encoding": {"x": x, "y": y, "color": colour, "tooltip": tooltip},
        },
        {
            "transform": [ended],
            "mark": {"type": "point", "size": 220, "strokeWidth": 2, "filled": False},
            "encoding": {"x": x, "y": y, "color": colour},
        },
    ]
    if options.target is not None:
        layers.append(
            {
                "data": {"values": [{"target": options.target}]},
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": "#555555"},
                "encoding": {"y": {"field": "target", "type": "quantitative"}},
            }
        )
    return chart(f"{name}: {metric or 'value'} by iteration", _reasons(found), rows, layer=layers)


def _reasons(found: Sequence[Loop]) -> list[str]:
    """How the loops ended: a line for each when they are few, else for each reason."""
    if len(found) <= _FEW:
        return [
            (f"{loop.label}: " if len(found) > 1 else "") + _ended(loop.stopped, [max(loop.values)]) for loop in found
        ]
    counts: dict[str, list[int]] = {}
    for loop in found:
        counts.setdefault(loop.stopped, []).append(max(loop.values))
    return [
        f"{len(lengths)} loop{'' if len(lengths) == 1 else 's'} {_ended(reason, lengths)}"
        for reason, lengths in list(counts.items())[:_FEW]
    ]


def _ended(reason: str, lengths: Sequence[int]) -> str:
    """After how many iterations, and why."""
    least, most = min(lengths), max(lengths)
    count = f"{most} iteration{'' if most == 1 else 's'}" if least == most else f"{least} to {most} iterations"
    return f"stopped after {count}: {reason}" if reason else f"not stopped yet after {count}"
