"""Owns the visualizer `importance`: feature importance over dates, as a stream graph.

The geometry: at each date, the thickness of a feature's band is the absolute value of its importance on that date, the bands
touch without gap or overlap in one order, and the height of the whole is their sum. It is computed here and drawn as it is, so
that nothing depends on how a chart library stacks; between dates the borders are interpolated monotonically.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from meson_core.artifacts import VegaLite
from meson_core.builtin.artifacts.charts import BANDS, QUIET, Axis, along_values, axis_of, chart
from meson_core.builtin.artifacts.reading import Rows, as_rows, document, is_number, named, rows_of
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: Importance by feature, at each place of the axis.
Importance = dict[str, dict[str, float]]


class ImportanceOptions(BaseModel):
    """Options of the stream graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str = Field(default="feature", description="Column that names the feature.")
    value: str = Field(default="predictionDecrease", description="Column that holds its importance.")
    date: str = Field(
        default="date",
        description="Column, loop variable or parameter that holds the date; else when it was made counts.",
    )
    top: int = Field(
        default=8, ge=1, le=9, description="So many features have a band of their own, the rest shares one."
    )
    unit: str = Field(default="", description="Unit of the importance, for the axis.")
    baseline: Literal["centre", "zero"] = Field(default="centre", description="Where the stream lies on the y axis.")


class Slice(NamedTuple):
    """A band at one date.

    Args:
        place: the date.
        feature: whose band it is.
        value: its importance there, with its sign; None for the band that several share.
        low: lower border.
        high: upper border: `high - low` is the absolute value.
    """

    place: str
    feature: str
    value: float | None
    low: float
    high: float


def ranked(importance: Importance, top: int) -> tuple[list[str], list[str]]:
    """The features with most importance over all dates, and the rest; equal ones by name."""
    total: dict[str, float] = {}
    for values in importance.values():
        for feature, value in values.items():
            total[feature] = total.get(feature, 0.0) + abs(value)
    ranking = sorted(total, key=lambda feature: (-total[feature], feature))
    # A band for "1 other feature" would take the place of the feature.
    return (ranking, []) if len(ranking) <= top + 1 and top < len(BANDS) else (ranking[:top], ranking[top:])


def stream(importance: Importance, *, top: int = 8, centred: bool = True) -> tuple[list[str], list[Slice]]:
    """The bands of a stream graph from the top down, and their slices at each date; a feature without a value there has 0.

    Args:
        importance: by date and feature.
        top: so many features have a band of their own.
        centred: the stream lies around 0; else it stands on it.
    """
    own, rest = ranked(importance, top)
    others = f"{len(rest)} others"
    slices: list[Slice] = []
    for place, values in sorted(importance.items()):
        heights = [abs(values.get(feature, 0.0)) for feature in own]
        shared = sum(abs(values.get(feature, 0.0)) for feature in rest)
        high = (sum(heights) + shared) / (2 if centred else 1)
        for feature, height in zip(own, heights, strict=True):
            slices.append(Slice(place, feature, values.get(feature, 0.0), high - height, high))
            high -= height
        if rest:
            slices.append(Slice(place, others, None, high - shared, high))
    return ([*own, others] if rest else own), slices


class ImportanceOverDates:
    """The visualizer."""

    name = "importance"
    types = ("json", "table")
    Options = ImportanceOptions

    def draw(self, versions: Sequence[ArtifactVersion], options: ImportanceOptions) -> View:
        """A stream graph of all dates in all versions; of two versions with one date, the later counts."""
        importance, axis = gathered(versions, options)
        bands, slices = stream(importance, top=options.top, centred=options.baseline == "centre")
        return VegaLite(_chart(versions[-1].record.name, options, axis, bands, slices))


def gathered(versions: Sequence[ArtifactVersion], options: ImportanceOptions) -> tuple[Importance, Axis]:
    """The importance of all features at all dates.

    Raises:
        ArtifactError: a version has no features with importance in it, or a feature twice.
    """
    found = [_table(version, options) for version in versions]
    if all(options.date in rows.columns for rows in found):
        dates = [[row[list(rows.columns).index(options.date)] for row in rows.rows] for rows in found]
        axis = along_values(options.date, [date for column in dates for date in column])
        flat = iter(axis.places)
        places = [[next(flat) for _ in column] for column in dates]
    else:
        try:
            axis = axis_of(versions, options.date)
        except ArtifactError:
            # A date that somebody asked for by name must be there; the usual one need not.
            if options.date != ImportanceOptions.model_fields["date"].default:
                raise
            axis = axis_of(versions)
        places = [[place] * len(rows.rows) for place, rows in zip(axis.places, found, strict=True)]
    importance: Importance = {}
    for version, rows, where in zip(versions, found, places, strict=True):
        importance |= _by_place(version, rows, where, options)
    return importance, axis


def _by_place(version: ArtifactVersion, rows: Rows, places: Sequence[str], options: ImportanceOptions) -> Importance:
    feature_at, value_at = (list(rows.columns).index(name) for name in (options.feature, options.value))
    importance: Importance = {}
    for row, place in zip(rows.rows, places, strict=True):
        feature, value = str(row[feature_at]), row[value_at]
        at_place = importance.setdefault(place, {})
        if feature in at_place:
            raise ArtifactError(f"{named(version)} has the feature {feature!r} twice at {place}")
        if value is None:
            continue
        if not is_number(value):
            raise ArtifactError(
                f"{named(version)}: {options.value} of {feature!r} at {place} is {value!r}, not a number"
            )
        at_place[feature] = float(value)
    return importance


def _table(version: ArtifactVersion, options: ImportanceOptions) -> Rows:
    if version.record.type == "table":
        rows: Rows | None = rows_of(version)
    else:
        value = document(version)
        if isinstance(value, dict) and value and all(is_number(part) or part is None for part in value.values()):
            return Rows((options.feature, options.value), list(value.items()), len(value))
        rows = as_rows(value)
    columns = () if rows is None else rows.columns
    missing = [name for name in (options.feature, options.value) if name not in columns]
    if rows is None or missing:
        there = f"it has: {', '.join(columns)}" if columns else "it has no rows"
        raise ArtifactError(
            f"{named(version)} has no column {' and no column '.join(map(repr, missing))}; {there}",
            hint="say which with feature=COLUMN and value=COLUMN; an object of numbers by feature is understood as well",
        )
    return rows


def _chart(
    name: str, options: ImportanceOptions, axis: Axis, bands: Sequence[str], slices: Sequence[Slice]
) -> Mapping[str, Any]:
    shared = any(slice_.value is None for slice_ in slices)
    rows = [
        {
            "x": slice_.place,
            "feature": slice_.feature,
            "value": slice_.value,
            "thickness": slice_.high - slice_.low if slice_.value is None else abs(slice_.value),
            "low": slice_.low,
            "high": slice_.high,
        }
        for slice_ in slices
    ]
    count = len({slice_.place for slice_ in slices})
    measure = f"|{options.value}|"
    mark: dict[str, Any] = {"type": "area", "interpolate": "monotone", "stroke": "white", "strokeWidth": 0.4}
    if count == 1:  # an area of one date would have no width
        mark = {"type": "bar", "size": 60}
    ticks: dict[str, Any] = {"grid": False, "tickCount": 5}
    if options.baseline == "centre":
        # A stream that reaches both marks of one number is that high.
        ticks["labelExpr"] = "format(2 * abs(datum.value), '~g')"
    palette = list(BANDS[: len(bands)])
    if shared:
        palette[-1] = QUIET
    encoding = {
        "x": axis.encoding(),
        "y": {
            "field": "low",
            "type": "quantitative",
            "title": f"height: sum of {measure}" + (f" ({options.unit})" if options.unit else ""),
            "axis": ticks,
        },
        "y2": {"field": "high"},
        "color": {
            "field": "feature",
            "type": "nominal",
            "sort": list(bands),
            "scale": {"domain": list(bands), "range": palette},
            "legend": {"title": options.feature},
        },
        "tooltip": [
            axis.tooltip(),
            {"field": "feature", "type": "nominal", "title": options.feature},
            {"field": "value", "type": "quantitative", "title": options.value, "format": ".4~g"},
            {"field": "thickness", "type": "quantitative", "format": ".4~g"},
        ],
    }
    where = "date" if axis.temporal else axis.title
    subtitle = f"thickness of a band: {measure} of the feature at that {where}; height of the stream: their sum"
    title = f"{name} over {count} {where}{'' if count == 1 else 's'}"
    return chart(title, subtitle, rows, mark=mark, encoding=encoding)
