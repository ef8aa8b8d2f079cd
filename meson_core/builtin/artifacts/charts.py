"""Owns how charts look: the frame of a Vega-Lite specification, colours that colour-blind people can tell apart, the x axis."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from meson_core.artifacts import ITERATION
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meson_core.artifacts import ArtifactVersion

JsonObject = dict[str, Any]

#: For lines and points: Okabe and Ito's colours, without the yellow that white paper swallows.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
#: For areas that touch: Paul Tol's muted colours, ordered so that neighbours differ in lightness as well.
BANDS = ("#332288", "#ddcc77", "#117733", "#88ccee", "#cc6677", "#44aa99", "#882255", "#999933", "#aa4499")
#: What is gathered from many, and what is not the point.
QUIET = "#bbbbbb"
#: Height of one chart, and width, in pixels.
WIDTH, HEIGHT = 640, 320

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_CONFIG: JsonObject = {
    "background": "white",
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "mark": {"color": LINES[0]},
    "title": {"anchor": "start", "fontSize": 15, "subtitleFontSize": 12, "subtitleColor": "#555555", "offset": 12},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "#e6e6e6",
        "labelOverlap": True,
    },
    "legend": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "symbolType": "square",
        "labelLimit": 220,
    },
}


def chart(title: str, subtitle: str | Sequence[str], values: Sequence[Mapping[str, Any]], **parts: Any) -> JsonObject:
    """A specification with its data.

    Args:
        title: what is shown.
        subtitle: how it is to be read.
        values: rows of data.
        parts: `mark` and `encoding`, `layer`, or `vconcat`.
    """
    size = {} if "vconcat" in parts else {"width": WIDTH, "height": HEIGHT}
    said = {"text": title, "subtitle": subtitle} if subtitle else {"text": title}
    return {"$schema": _SCHEMA, "title": said, **size, "data": {"values": list(values)}, **parts, "config": _CONFIG}


def colours(domain: Sequence[str], palette: Sequence[str]) -> JsonObject:
    """A scale that gives each of these its colour; more than there are begin again."""
    return {"domain": list(domain), "range": [palette[index % len(palette)] for index in range(len(domain))]}


@dataclass(frozen=True, slots=True)
class Axis:
    """Where versions stand from left to right.

    Args:
        title: what is along it.
        temporal: the places are times, as ISO texts in UTC.
        places: one for each version.
    """

    title: str
    temporal: bool
    places: Sequence[str]

    def encoding(self, field: str = "x") -> JsonObject:
        """The x channel of a chart whose rows have their place in `field`."""
        if self.temporal:
            shown = {"format": self._form(), "labelFlush": False}
            return {"field": field, "type": "temporal", "scale": {"type": "utc"}, "title": self.title, "axis": shown}
        return {"field": field, "type": "ordinal", "sort": None, "title": self.title, "axis": {"labelAngle": 0}}

    def tooltip(self, field: str = "x") -> JsonObject:
        """The place of a row as a line of its tooltip."""
        # As text: a tooltip would show the time of the reader's zone, and the axis shows UTC.
        return {"field": field, "type": "nominal", "title": self.title}

    def _form(self) -> str:
        """Of times, what tells neighbours apart."""
        if all(len(place) == len("2026-01-31") for place in self.places):
            return "%Y-%m-%d"
        first, last = (
            datetime.fromisoformat(place).replace(tzinfo=UTC) for place in (min(self.places), max(self.places))
        )
        return "%Y-%m-%d" if last - first > timedelta(days=4) else "%m-%d %H:%M"


def axis_of(versions: Sequence[ArtifactVersion], along: str | None = None) -> Axis:
    """Where versions stand.

    Args:
        versions: some.
        along: a loop variable or a parameter of the run; None: `date` when all of them have one; the
            iteration, when they are those of one repeat; else when they were made.

    Raises:
        ArtifactError: one of them has no such loop variable and no such parameter.
    """
    name = along or "date"
    found = [known.get(name) for known in map(known_of, versions)]
    if along is None and any(value is None for value in found):
        rounds = [known[ITERATION] for known in map(known_of, versions) if ITERATION in known]
        if len({version.record.run_id for version in versions}) == 1 and len(set(rounds)) == len(versions) > 1:
            return Axis(ITERATION, temporal=False, places=[str(number) for number in rounds])
        return Axis("made at (UTC)", temporal=True, places=[moment(version.record.at) for version in versions])
    missing = next((version for version, value in zip(versions, found, strict=True) if value is None), None)
    if missing is not None:
        there = ", ".join(known_of(missing)) or "none"
        raise ArtifactError(
            f"artifact {missing.record.number} ({missing.record.name}) has no loop variable or parameter {name!r}",
            hint=f"loop variables and parameters of its run: {there}",
        )
    return along_values(name, found)


def along_values(name: str, values: Iterable[Any]) -> Axis:
    """An axis of these: dates, where all of them are."""
    texts = [str(value) for value in values]
    times = [_utc(text) for text in texts]
    known = [time for time in times if time is not None]
    if len(known) == len(texts):
        return Axis(name, temporal=True, places=known)
    return Axis(name, temporal=False, places=texts)


def known_of(version: ArtifactVersion) -> dict[str, Any]:
    """Loop variables and parameters of a version by name; iterations are counted from 1, as people do."""
    known = {**version.record.params, **version.record.items}
    if isinstance(known.get(ITERATION), int):
        known[ITERATION] += 1
    return known


def moment(at: float) -> str:
    """Seconds since the epoch as an ISO text."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.{int(at % 1 * 1000):03}Z"


def _utc(text: str) -> str | None:
    """A date, or a time in UTC, as browsers read it; None for any other text."""
    try:
        if len(text) == 10:
            return date.fromisoformat(text).isoformat()
        # A bare number is no date, though some of them could be read as one.
        return None if text.isdigit() else _with_zone(datetime.fromisoformat(text))
    except ValueError:
        return None


def _with_zone(time: datetime) -> str:
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
