"""Owns the converter of Vega-Lite: charts as SVG, PNG and scenes, without a browser and without a network."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What XML cannot hold. The converter makes SVG of everything, and ends the process when it meets one of these.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Nothing may be fetched: data and pictures are in the specification.
_NOWHERE: list[str] = []


def svg_of(spec: Mapping[str, Any]) -> str:
    """A chart as SVG.

    Raises:
        ArtifactError: the specification cannot be drawn, or the converter is not installed.
    """
    return str(_converted("vegalite_to_svg", spec))


def png_of(spec: Mapping[str, Any], scale: float) -> bytes:
    """A chart as PNG; raises as `svg_of` does.

    Args:
        spec: Vega-Lite.
        scale: pixels of the picture for one of the specification.
    """
    return bytes(_converted("vegalite_to_png", spec, scale=scale))


def scene_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A chart as Vega's scene graph: `width`, `height`, `origin`, `scenegraph`; raises as `svg_of` does."""
    return dict(_converted("vegalite_to_scenegraph", spec))


def png_of_svg(svg: str, scale: float) -> bytes:
    """An SVG picture as PNG; raises as `svg_of` does."""
    try:
        return bytes(_converter("svg_to_png")(svg, scale=scale))
    except ValueError as error:
        raise ArtifactError(f"the picture cannot be drawn: {_said(error)}") from None


@cache
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, which defines `vegaEmbed`.

    Raises:
        ArtifactError: the converter is not installed.
    """
    return str(_converter("javascript_bundle")())


def _converted(name: str, spec: Mapping[str, Any], **options: Any) -> Any:
    try:
        return _converter(name)(_speakable(dict(spec)), allowed_base_urls=_NOWHERE, **options)
    except ValueError as error:
        raise ArtifactError(
            f"the chart cannot be drawn: {_said(error)}", hint="this is a fault of the visualizer that made it"
        ) from None


def _speakable(value: Any) -> Any:
    """JSON whose texts can be drawn."""
    if isinstance(value, str):
        return _UNSPEAKABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_speakable(key): _speakable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_speakable(part) for part in value]
    return value


def _converter(name: str) -> Callable[..., Any]:
    try:
        import vl_convert  # noqa: PLC0415 (large, and only who draws needs it)
    except ImportError:
        raise ArtifactError(
            "drawing a chart needs vl-convert-python, which is not installed",
            hint="pip install 'meson-core[artifacts]'",
        ) from None
    return getattr(vl_convert, name)  # type: ignore[no-any-return]


def _said(error: ValueError) -> str:
    """The converter's own words, without the stack of its JavaScript."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.strip().startswith("at ")]
    return " ".join(lines)[:300]
