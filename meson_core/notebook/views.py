"""Owns views of artifacts in a notebook: as bundles of media types, of which the notebook shows the richest it knows."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meson_core.artifacts import HtmlView, ImageView, TableView, TextView, VegaLite
from meson_core.errors import ArtifactError
from meson_core.notebook import markup
from meson_core.showing import lines
from meson_core.showing.charts import png_of

if TYPE_CHECKING:
    from meson_core.artifacts import View

VEGA_LITE = "application/vnd.vegalite.v5+json"
_WIDTH, _HEIGHT = 80, 20
_SCALE = 2.0
#: Pictures that hold nothing but pixels.
_PIXELS = ("image/png", "image/jpeg")
#: Words of Vega-Lite that name something to fetch, or to be led to.
_LEADING_OUT = frozenset({"url", "href", "loader"})


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that a cell shows in place.

    Args:
        view: what an artifact type or a visualizer has made.
    """

    view: View

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What Jupyter asks for."""
        return bundle(self.view)


def bundle(view: View) -> dict[str, Any]:
    """A view by media types; there is always plain text.

    A chart comes as Vega-Lite and as a picture, for where Vega-Lite is not drawn; one that would fetch something, or lead
    somewhere, comes as the picture only.
    """
    found: dict[str, Any] = {"text/plain": _plain(view)}
    match view:
        case VegaLite():
            if not _leads_out(view.spec):
                found[VEGA_LITE] = dict(view.spec)
            try:
                found["image/png"] = base64.b64encode(png_of(view.spec, _SCALE)).decode()
            except ArtifactError as error:
                # The notebook may draw it by itself; who reads the text learns what is missing.
                found["text/plain"] = str(error)
        case TableView():
            more = f"{len(view.rows):,} of {view.total:,}" if view.total > len(view.rows) else ""
            found["text/html"] = (
                f"<div><b>{markup.text_of(view.title)}</b>{markup.table(view.columns, view.rows)}{more}</div>"
            )
        case ImageView() if view.media in _PIXELS:
            found[view.media] = base64.b64encode(view.data).decode()
        case ImageView():
            found["text/html"] = markup.picture(view.media, view.data, view.title)
        case HtmlView():
            found["text/html"] = markup.frame(view.html, view.title)
        case TextView():
            found["text/html"] = markup.plain(view.text)
    return found


def _plain(view: View) -> str:
    if isinstance(view, VegaLite):
        title = view.spec.get("title")
        return f"a chart: {title.get('text') if isinstance(title, dict) else title or 'without a title'}"
    return "\n".join(line.plain.rstrip() for line in lines(view, _WIDTH, _HEIGHT, colour=False))


def _leads_out(part: Any) -> bool:
    """Whether a specification has anything in it that is fetched when it is drawn, or clicked at."""
    if isinstance(part, dict):
        return any(name in _LEADING_OUT or (name != "values" and _leads_out(inner)) for name, inner in part.items())
    return isinstance(part, list) and any(_leads_out(inner) for inner in part)
