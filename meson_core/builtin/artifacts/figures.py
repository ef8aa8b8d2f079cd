"""Owns the artifact type `figure`: a picture, a chart in Vega-Lite, or a page, whichever its bytes are."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from meson_core.artifacts import HtmlView, ImageView, TextView, VegaLite
from meson_core.builtin.artifacts.documents import Json
from meson_core.builtin.artifacts.reading import WHOLE, named, whole
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion, View

_MAGIC = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
#: How wide each of two pictures is drawn beside the other, in pixels.
_HALF = 480


class _Figure(NamedTuple):
    media: str
    data: bytes
    chart: dict[str, Any] | None = None


class Figure:
    """What a step has drawn."""

    name = "figure"
    media = (
        "image/png",
        "image/svg+xml",
        "image/jpeg",
        "image/gif",
        "application/vnd.vegalite.v5+json",
        "application/vnd.vegalite.v6+json",
        "text/html",
    )
    suffixes = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".vl.json", ".html")

    def fingerprint(self, file: BinaryIO) -> str:
        """Of its bytes, or of the values of a chart."""
        figure = _understood(file.read(WHOLE), "the figure")
        if figure.chart is not None:
            data = json.dumps(figure.chart, sort_keys=True, separators=(",", ":")).encode()
        else:
            data = figure.data
        return "sha256:" + hashlib.sha256(data).hexdigest()

    def preview(self, version: ArtifactVersion) -> View:
        """The figure; pages are never trusted."""
        figure = _of(version)
        if figure.chart is not None:
            return VegaLite(figure.chart)
        if figure.media == "text/html":
            return HtmlView(figure.data.decode("utf-8", "replace"), version.record.name)
        return ImageView(figure.media, figure.data, version.record.name)

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """Pictures beside each other, charts by what differs in them."""
        one, other = _of(old), _of(new)
        if one.chart is not None and other.chart is not None:
            return Json().diff(old, new)
        if all(figure.media.startswith("image/") for figure in (one, other)):
            return ImageView(
                "image/svg+xml", _beside(one, other, old.record.number, new.record.number), new.record.name
            )
        equal = "are equal" if one.data == other.data else "differ"
        return TextView(
            f"{old.record.number} is {one.media}, {new.record.number} is {other.media}; they {equal}", new.record.name
        )

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """Nothing: a picture is looked at."""
        return None


def _of(version: ArtifactVersion) -> _Figure:
    return _understood(whole(version), named(version))


def _understood(data: bytes, label: str) -> _Figure:
    """What a figure is, by its bytes: names lie."""
    for magic, media in _MAGIC.items():
        if data.startswith(magic):
            return _Figure(media, data)
    start = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"{"):
        try:
            chart = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{label} begins like a chart and is not JSON: {error}") from None
        return _Figure("application/vnd.vegalite.v6+json", data, chart)
    if b"<svg" in start:
        return _Figure("image/svg+xml", data)
    if start.startswith(b"<"):
        return _Figure("text/html", data)
    raise ArtifactError(f"{label} is no figure: neither a picture (PNG, JPEG, GIF, SVG), nor Vega-Lite, nor a page")


def _beside(one: _Figure, other: _Figure, number: int, later: int) -> bytes:
    """Two pictures in one."""
    parts = []
    for index, (figure, label) in enumerate(((one, number), (other, later))):
        data = base64.b64encode(figure.data).decode()
        x = index * (_HALF + 20)
        parts.append(f'<text x="{x}" y="16" font-family="sans-serif" font-size="13">{label}</text>')
        parts.append(
            f'<image x="{x}" y="26" width="{_HALF}" height="{_HALF}" preserveAspectRatio="xMidYMin" '
            f'href="data:{figure.media};base64,{data}"/>'
        )
    size = f'width="{2 * _HALF + 20}" height="{_HALF + 30}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'.encode()
