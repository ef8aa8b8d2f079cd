"""Owns the tests of pages and picture files: nothing is fetched, nothing of a view runs or becomes markup of ours."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from meson_core.artifacts import ArtifactRecord, HtmlView, ImageView, TableView, TextView, VegaLite, View
from meson_core.errors import ArtifactError
from meson_core.showing import page, written

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028&\"'"
RECORD = ArtifactRecord(
    number=7, name=NASTY, type="json", digest="sha256:00", size=1, media="application/json", at=0.0, workflow=NASTY
)


def bars(label: str = "a") -> VegaLite:
    return VegaLite(
        {
            "title": {"text": label},
            "data": {"values": [{"x": label, "y": 1.5}, {"x": "b", "y": 2}]},
            "mark": "bar",
            "encoding": {"x": {"field": "x", "type": "nominal"}, "y": {"field": "y", "type": "quantitative"}},
        }
    )


VIEWS: list[View] = [
    bars(NASTY),
    TableView((NASTY, "n"), [(NASTY, 1), ([NASTY], None)], 5, NASTY),
    ImageView("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(3)</script></svg>", NASTY),
    HtmlView(NASTY, NASTY),
    TextView(NASTY, NASTY),
    TextView(f"-{NASTY}\n+b\n c", NASTY, "diff"),
]


class Tags(HTMLParser):
    """What a browser would find on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts.append(data)


def tags_of(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS, ids=[f"{number}-{type(view).__name__}" for number, view in enumerate(VIEWS)])
def test_nothing_in_a_view_becomes_markup_of_the_page(view: View) -> None:
    tags = tags_of(page(view, [RECORD]))
    names = [tag for tag, _ in tags.found]

    assert names.count("script") == (2 if isinstance(view, VegaLite) else 0)
    assert [name for _, attributes in tags.found for name in attributes if name.startswith("on")] == []
    assert all((attributes.get("src") or "").startswith("data:") for tag, attributes in tags.found if tag == "img")


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS, ids=[f"{number}-{type(view).__name__}" for number, view in enumerate(VIEWS)])
def test_a_page_fetches_nothing(view: View) -> None:
    """By its policy, and because it names nothing to fetch."""
    tags = tags_of(page(view, [RECORD]))
    policies = [attributes["content"] for tag, attributes in tags.found if tag == "meta" and "http-equiv" in attributes]

    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none';")
    assert "http:" not in str(policies[0])
    assert [
        tag for tag, attributes in tags.found if tag in ("link", "object", "embed", "base") or "href" in attributes
    ] == []


@pytest.mark.slow
def test_only_the_scripts_of_the_page_run() -> None:
    """The policy names them by their digests; without that, a link of a chart could run something."""
    text = page(bars(), [RECORD])
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]

    assert len(scripts) == 2
    assert f"script-src 'sha256-{digests[0]}' 'sha256-{digests[1]}'" in text
    assert "vegaEmbed(" in scripts[1]


def test_a_page_of_a_stranger_is_in_a_frame_without_an_origin() -> None:
    (frame,) = [attributes for tag, attributes in tags_of(page(HtmlView(NASTY), [])).found if tag == "iframe"]

    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == NASTY


@pytest.mark.slow
def test_a_page_has_the_numbers_and_where_they_come_from() -> None:
    text = page(bars("rmse"), [RECORD])

    assert "<title>rmse</title>" in text
    assert '<td>rmse</td><td class="number">1.5</td>' in text
    assert "Made of 1 version" in text
    assert "1970-01-01 00:00:00" in text


@pytest.mark.slow
def test_charts_are_written_as_svg_and_png() -> None:
    assert written(bars(), "svg", []).startswith(b"<svg")
    assert written(bars(), "png", []).startswith(b"\x89PNG")


def test_pictures_are_written_as_they_are() -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='2' height='2'/>"

    assert written(ImageView("image/svg+xml", svg), "svg", []) == svg
    assert written(ImageView("image/svg+xml", svg), "png", []).startswith(b"\x89PNG")


def test_what_is_no_picture_is_not_written_as_one() -> None:
    with pytest.raises(ArtifactError, match="a TableView cannot be written as PNG") as error:
        written(TableView(("a",), [], 0), "png", [])

    assert error.value.hint == "write a file that ends with .html"


@pytest.mark.parametrize(
    "spec",
    [
        {"data": {"url": "http://127.0.0.1:1/data.json"}, "mark": "point", "encoding": {}},
        {"mark": "no such mark", "data": {"values": []}},
        {},
    ],
)
def test_a_chart_that_cannot_be_drawn_is_an_error_of_one_line(spec: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="the chart cannot be drawn") as error:
        written(VegaLite(spec), "svg", [])

    assert "\n" not in error.value.message
