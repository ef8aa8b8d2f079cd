"""Owns the visualizer `distribution`: a histogram of one version; over several, how the quantiles moved."""

from __future__ import annotations

import bisect
import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from meson_core.artifacts import VegaLite
from meson_core.builtin.artifacts.charts import axis_of, chart
from meson_core.builtin.artifacts.reading import named, sample_of
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: What is drawn of many distributions: the median, the middle half, and nine of ten.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class DistributionOptions(BaseModel):
    """Options of the distribution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = Field(default=None, description="Column of a table; needed when several have numbers.")
    bins: int = Field(default=30, ge=1, le=500, description="About so many bars.")
    along: str | None = Field(
        default=None, description="Loop variable or parameter on the x axis; default: the date, or when it was made."
    )
    unit: str = Field(default="", description="Unit of the numbers, for the axis.")


class Bin(NamedTuple):
    """A bar: numbers from `low` to below `high`; the last one has its upper end as well."""

    low: float
    high: float
    numbers: int


class Distribution:
    """The visualizer."""

    name = "distribution"
    types = ("json", "table", "numpy")
    Options = DistributionOptions

    def draw(self, versions: Sequence[ArtifactVersion], options: DistributionOptions) -> View:
        """A histogram, or the quantiles of each version."""
        samples = [sorted(sample_of(version, options.column)) for version in versions]
        empty = next((version for version, sample in zip(versions, samples, strict=True) if not sample), None)
        if empty is not None:
            raise ArtifactError(f"{named(empty)} has no numbers in it")
        name = versions[-1].record.name + (f" · {options.column}" if options.column else "")
        if len(versions) == 1:
            return VegaLite(_histogram(name, samples[0], options))
        return VegaLite(_fan(name, versions, samples, options))


def histogram(sample: Sequence[float], bins: int) -> list[Bin]:
    """Bars of one width with round borders, that together hold every number of a sorted sample."""
    least, most = sample[0], sample[-1]
    span = (most - least) / bins
    width = _round_width(span) if 0 < span < math.inf else math.inf
    if not math.isfinite(width * (bins + 2)):  # one number only, or numbers at the ends of what a float holds
        return [Bin(least, most, len(sample))]
    first = math.floor(least / width)
    last = max(first + 1, math.ceil(most / width))
    # A quotient is rounded, and may have lost what reaches over a border.
    first -= first * width > least
    last += last * width < most
    borders = [step * width for step in range(first, last + 1)]
    at = [0, *(bisect.bisect_left(sample, border) for border in borders[1:-1]), len(sample)]
    pairs = zip(itertools.pairwise(borders), itertools.pairwise(at), strict=True)
    return [Bin(low, high, end - begin) for (low, high), (begin, end) in pairs]


def quantile(sample: Sequence[float], part: float) -> float:
    """A quantile of a sorted sample, interpolated between neighbours."""
    place = part * (len(sample) - 1)
    low = math.floor(place)
    high = min(low + 1, len(sample) - 1)
    weight = place - low
    return sample[low] * (1 - weight) + sample[high] * weight


def _round_width(width: float) -> float:
    """The next larger of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= width * (1 - 1e-9))


def _histogram(name: str, sample: Sequence[float], options: DistributionOptions) -> Mapping[str, Any]:
    rows = [bin_._asdict() for bin_ in histogram(sample, options.bins)]
    x = {
        "field": "low",
        "type": "quantitative",
        "bin": {"binned": True},
        "title": _with_unit(options),
        "axis": {"grid": False},
    }
    encoding = {
        "x": x,
        "x2": {"field": "high"},
        "y": {"field": "numbers", "type": "quantitative", "title": "how many"},
        "tooltip": [{"field": field, "type": "quantitative"} for field in ("low", "high", "numbers")],
    }
    middle = f"{len(sample)} numbers from {sample[0]:.4g} to {sample[-1]:.4g}, median {quantile(sample, 0.5):.4g}"
    return chart(f"{name}: distribution", middle, rows, mark={"type": "bar"}, encoding=encoding)


def _fan(
    name: str, versions: Sequence[ArtifactVersion], samples: Sequence[Sequence[float]], options: DistributionOptions
) -> Mapping[str, Any]:
    axis = axis_of(versions, options.along)
    rows = [
        {
            "x": place,
            **{f"q{round(part * 100):02}": quantile(sample, part) for part in QUANTILES},
            "numbers": len(sample),
            "artifact": version.record.number,
        }
        for version, place, sample in zip(versions, axis.places, samples, strict=True)
    ]
    x = axis.encoding()

    def area(low: str, high: str, opacity: float) -> dict[str, Any]:
        y = {"field": low, "type": "quantitative", "title": _with_unit(options), "scale": {"zero": False}}
        mark = {"type": "area", "opacity": opacity}
        return {"mark": mark, "encoding": {"x": x, "y": y, "y2": {"field": high}}}

    median = {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": x,
            "y": {"field": "q50", "type": "quantitative"},
            "tooltip": [
                axis.tooltip(),
                *({"field": field, "type": "quantitative", "format": ".4~g"} for field in rows[0] if field != "x"),
            ],
        },
    }
    subtitle = "line: median; dark band: the middle half (25 to 75 %); light band: nine of ten (5 to 95 %)"
    layers = [area("q05", "q95", 0.25), area("q25", "q75", 0.45), median]
    return chart(f"{name}: distribution over {len(versions)} versions", subtitle, rows, layer=layers)


def _with_unit(options: DistributionOptions) -> str:
    return (options.column or "value") + (f" ({options.unit})" if options.unit else "")
