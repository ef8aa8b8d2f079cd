"""Owns a view as the contents of a file: HTML, SVG or PNG, by the file's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.artifacts import ImageView, VegaLite
from meson_core.errors import ArtifactError
from meson_core.showing.charts import png_of, png_of_svg, svg_of
from meson_core.showing.page import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactRecord, View

#: What a picture can be written as.
FORMATS = ("html", "svg", "png")
#: Pixels of a PNG for one of a chart: sharp on the screens of today, and in print.
_SCALE = 2.0


def written(view: View, suffix: str, records: Sequence[ArtifactRecord]) -> bytes:
    """A view as the contents of a file.

    Args:
        view: what to show.
        suffix: one of `FORMATS`.
        records: the versions that it shows.

    Raises:
        ArtifactError: it cannot be drawn, or is nothing that this format can hold.
    """
    if suffix == "html":
        return page(view, records).encode()
    if isinstance(view, VegaLite):
        return svg_of(view.spec).encode() if suffix == "svg" else png_of(view.spec, _SCALE)
    if isinstance(view, ImageView):
        if view.media == {"svg": "image/svg+xml", "png": "image/png"}[suffix]:
            return view.data
        if view.media == "image/svg+xml":
            return png_of_svg(view.data.decode("utf-8", "replace"), _SCALE)
    raise ArtifactError(
        f"{_what(view)} cannot be written as {suffix.upper()}", hint="write a file that ends with .html"
    )


def _what(view: View) -> str:
    return f"a picture of the type {view.media}" if isinstance(view, ImageView) else f"a {type(view).__name__}"
