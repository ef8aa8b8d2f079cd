"""Owns a drawn chart as marks with their places: Vega's scene graph without its nesting, and charts fitted to a size."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from meson_core.showing.charts import scene_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The fonts of a terminal: every sign as wide as a cell of 8 by 16 pixels.
CELL = (8.0, 16.0)
_FONT = 13.3
_CONFIG: dict[str, Any] = {
    "font": "monospace",
    "title": {
        "font": "monospace",
        "subtitleFont": "monospace",
        "fontSize": _FONT,
        "subtitleFontSize": _FONT,
        "offset": 4,
    },
    "axis": {
        "labelFont": "monospace",
        "titleFont": "monospace",
        "labelFontSize": _FONT,
        "titleFontSize": _FONT,
        "labelSeparation": 2 * CELL[0],
    },
    # A terminal cannot turn letters: the title of the y axis lies above it.
    "axisY": {
        "titleAngle": 0,
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleBaseline": "bottom",
        "titleX": -2 * CELL[0],
        "titleY": -10,
    },
    "legend": {
        "labelFont": "monospace",
        "titleFont": "monospace",
        "labelFontSize": _FONT,
        "titleFontSize": _FONT,
        "rowPadding": 4,
        "symbolLimit": 10,
    },
}
_NESTED = ("hconcat", "vconcat", "concat")


class Mark(NamedTuple):
    """One mark of a chart.

    Args:
        kind: "area", "line", "rect", "rule", "symbol", "text", ….
        role: what it is for: "mark", "axis-label", "legend-symbol", "title-text", ….
        items: its places, in pixels from the left upper corner.
    """

    kind: str
    role: str
    items: list[dict[str, Any]]


class Scene(NamedTuple):
    """A drawn chart; sizes are in pixels."""

    width: float
    height: float
    marks: list[Mark]


def scene(spec: Mapping[str, Any], width: float, height: float) -> Scene:
    """A chart of about this size, in the font of a terminal.

    Raises:
        ArtifactError: it cannot be drawn.
    """
    fitted = _plain(spec)
    # A long title would take the width from the chart.
    fitted["config"]["title"]["limit"] = width
    drawn = scene_of(fitted)
    for _ in range(2):  # what stands around a chart (labels, legend) depends a little on its size
        inner_width, inner_height = _inner(fitted)
        if not (inner_width and inner_height):
            break
        _resize(
            fitted,
            max(40.0, width - (drawn["width"] - inner_width)) / inner_width,
            max(32.0, height - (drawn["height"] - inner_height)) / inner_height,
        )
        drawn = scene_of(fitted)
    left, top = drawn["origin"]
    return Scene(drawn["width"], drawn["height"], list(_marks(drawn["scenegraph"], left, top)))


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification with the font of a terminal, to be changed."""
    plain = copy.deepcopy(dict(spec))
    config = plain.setdefault("config", {})
    for part, values in _CONFIG.items():
        config[part] = {**config.get(part, {}), **values} if isinstance(values, dict) else values
    return plain


def _views(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield spec
    for key in _NESTED:
        for inner in spec.get(key, ()):
            yield from _views(inner)
    if isinstance(spec.get("spec"), dict):
        yield from _views(spec["spec"])


def _inner(spec: dict[str, Any]) -> tuple[float, float]:
    """Width and height of the plots, without what stands around them; 0 where the specification says nothing."""
    if isinstance(spec.get("vconcat"), list):
        inner = [_inner(part) for part in spec["vconcat"]]
        return max(width for width, _ in inner), sum(height for _, height in inner)
    if isinstance(spec.get("hconcat"), list):
        inner = [_inner(part) for part in spec["hconcat"]]
        return sum(width for width, _ in inner), max(height for _, height in inner)
    width, height = spec.get("width"), spec.get("height")
    return (
        width if isinstance(width, int | float) else 0.0,
        height if isinstance(height, int | float) else 0.0,
    )


def _resize(spec: dict[str, Any], by_width: float, by_height: float) -> None:
    for view in _views(spec):
        for key, factor in (("width", by_width), ("height", by_height)):
            if isinstance(view.get(key), int | float):
                view[key] *= factor


def _marks(mark: dict[str, Any], left: float, top: float) -> Iterator[Mark]:
    """The marks in drawing order, with their places in the whole."""
    items = mark.get("items", [])
    if mark.get("marktype") == "group":
        for group in items:
            x, y = left + (group.get("x") or 0), top + (group.get("y") or 0)
            for inner in group.get("items", []):
                yield from _marks(inner, x, y)
    else:
        moved = [_moved(item, left, top) for item in items if item.get("opacity", 1) > 0]
        yield Mark(mark.get("marktype", ""), mark.get("role", ""), [item for item in moved if item is not None])


def _moved(item: dict[str, Any], left: float, top: float) -> dict[str, Any] | None:
    """An item with its place in the whole; None for one without: Vega gives null where it had no number to go by."""
    moved = {"x": 0, "y": 0, **item}
    for key, base in (("x", left), ("y", top), ("x2", left), ("y2", top)):
        if key in moved:
            if not isinstance(moved[key], int | float):
                return None
            moved[key] += base
    return moved
