"""Owns the tests of what views become in a notebook: every one has plain text, and nothing in them can act."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.artifacts import HtmlView, ImageView, TableView, TextView, VegaLite, View
from meson_core.notebook import Shown, markup
from meson_core.notebook.views import VEGA_LITE, bundle

HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
BARS: dict[str, Any] = {
    "title": HOSTILE,
    "data": {"values": [{"a": 1, "url": "not one to fetch"}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a", "type": "quantitative"}},
}


@pytest.mark.parametrize(
    "view",
    [
        TableView([HOSTILE, "b"], [[HOSTILE, 1], [None, {"c": HOSTILE}]], 9, HOSTILE),
        TextView(HOSTILE, HOSTILE),
        HtmlView(HOSTILE, HOSTILE),
        ImageView("image/svg+xml", f"<svg>{HOSTILE}</svg>".encode(), HOSTILE),
        ImageView(f"image/x{HOSTILE}", b"data", HOSTILE),
        ImageView("image/png", b"data", HOSTILE),
    ],
)
def test_what_is_hostile_stays_text(view: View) -> None:
    found = Shown(view)._repr_mimebundle_()

    assert isinstance(found["text/plain"], str)
    assert "<script" not in found.get("text/html", "")
    assert "<img src=x" not in found.get("text/html", "")


def test_a_page_is_in_a_frame_without_rights() -> None:
    assert 'sandbox=""' in bundle(HtmlView("<p>hello</p>"))["text/html"]


def test_pixels_are_pixels() -> None:
    assert base64.b64decode(bundle(ImageView("image/png", b"data"))["image/png"]) == b"data"


def test_a_chart_is_vega_lite_with_a_picture_of_it() -> None:
    found = bundle(VegaLite(BARS))

    assert found[VEGA_LITE] == BARS
    assert base64.b64decode(found["image/png"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "more",
    [
        {"data": {"url": "https://elsewhere/data.json"}},
        {"encoding": {"href": {"value": "javascript:alert(1)"}}},
        {"layer": [{"mark": {"type": "image", "url": "https://elsewhere/pixel.png"}}]},
    ],
)
def test_a_chart_that_leads_out_is_no_vega_lite(more: dict[str, Any]) -> None:
    assert VEGA_LITE not in bundle(VegaLite({**BARS, **more}))


@given(st.recursive(st.none() | st.text() | st.floats() | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_a_cell_has_no_markup_whatever_its_value(value: Any) -> None:
    text = markup.text_of(value)

    assert not set(text) & set("<>\"'")
