"""Owns the tests of pictures in the terminal: legible, as wide as it is asked for, and without anything that moves the cursor."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from meson_core.artifacts import HtmlView, ImageView, TableView, TextView, VegaLite, View
from meson_core.showing import lines
from meson_core.showing.scene import Mark, _marks
from meson_core.showing.terminal import Canvas

RED, BLUE = "#ff0000", "#0000ff"


def areas(**config: Any) -> VegaLite:
    """Two bands, one twice as thick as the other."""
    rows = [
        {"x": x, "name": name, "low": low, "high": high}
        for x in (0, 1, 2)
        for name, low, high in (("thin", 0, 1), ("thick", 1, 3))
    ]
    return VegaLite(
        {
            "title": "Two bands",
            "width": 300,
            "height": 200,
            "data": {"values": rows},
            "mark": "area",
            "encoding": {
                "x": {"field": "x", "type": "quantitative"},
                "y": {"field": "low", "type": "quantitative", "title": "thickness"},
                "y2": {"field": "high"},
                "color": {
                    "field": "name",
                    "type": "nominal",
                    "scale": {"domain": ["thin", "thick"], "range": [RED, BLUE]},
                },
            },
            "config": config,
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(60, 16), (100, 30), (40, 12)])
def test_a_chart_fits_and_keeps_its_words(width: int, height: int) -> None:
    text = [line.plain for line in lines(areas(), width, height)]

    assert len(text) == height
    assert max(map(len, text)) <= width
    assert "Two bands" in text[0]
    whole = "\n".join(text)
    assert all(word in whole for word in ("thickness", "thin", "thick", "name"))


@pytest.mark.slow
def test_bands_are_as_thick_as_their_numbers() -> None:
    """Blue is twice as thick as red, in half cells, to a half cell."""
    text = lines(areas(), 80, 30)
    heights = {"#ff0000": 0, "#0000ff": 0}
    for line in text:
        (style,) = [line.get_style_at_offset(_console(), 30)] if len(line) > 30 else [None]
        if style is not None:
            for colour, sign in ((style.color, "█▀▄"), (style.bgcolor, "▀")):
                if colour is not None and line.plain[30] in sign:
                    heights[colour.name] += 2 if line.plain[30] == "█" else 1

    assert heights[RED] > 8
    assert abs(heights[BLUE] - 2 * heights[RED]) <= 2


def _console() -> Any:
    from rich.console import Console

    return Console()


@pytest.mark.slow
def test_without_colours_each_band_has_the_sign_of_its_legend() -> None:
    text = [line.plain for line in lines(areas(), 60, 20, colour=False)]
    signs = {name: line[line.index(name) - 2] for line in text for name in ("thin", "thick") if f" {name}" in line[40:]}

    assert len(set(signs.values())) == 2
    assert sum(line.count(signs["thick"]) for line in text) > sum(line.count(signs["thin"]) for line in text) > 50


@pytest.mark.slow
def test_charts_above_each_other_share_the_height() -> None:
    chart = {
        "width": 300,
        "height": 200,
        "mark": "line",
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "low", "type": "quantitative"}},
    }
    view = VegaLite({"data": areas().spec["data"], "vconcat": [chart, chart]})
    text = [line.plain for line in lines(view, 60, 30)]

    assert len(text) == 30
    assert sum("low" in line for line in text) == 2


VIEWS: list[View] = [
    TextView("\x1b[31mred\x07\rover", "t"),
    TableView(("a\x1b[2J", "b"), [("\x1b]0;title\x07", "x\ny"), (None, 0.1234567891)], 7),
    ImageView("image/png", b"123", "\x1b[2Jpicture"),
    HtmlView("<p>", "page"),
    VegaLite(
        {
            "title": "\x1b[2Jtitle",
            "data": {"values": [{"x": "\x1b[31ma"}]},
            "mark": "point",
            "encoding": {"x": {"field": "x", "type": "nominal"}},
        }
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS, ids=[f"{number}-{type(view).__name__}" for number, view in enumerate(VIEWS)])
def test_nothing_in_a_view_reaches_the_terminal_but_text(view: View) -> None:
    found = lines(view, 60, 10)

    assert found
    assert all(sign.isprintable() for line in found for sign in line.plain)


@pytest.mark.slow
def test_a_chart_of_very_many_lines_fits() -> None:
    """Its legend is cut, as the chart would have no room."""
    rows = [{"x": x, "y": x * line, "line": f"line {line:02}"} for line in range(60) for x in range(3)]
    view = VegaLite(
        {
            "width": 300,
            "height": 200,
            "data": {"values": rows},
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"field": "x", "type": "quantitative"},
                "y": {"field": "y", "type": "quantitative"},
                "color": {"field": "line", "type": "nominal"},
            },
        }
    )
    text = [line.plain for line in lines(view, 70, 16)]

    assert len(text) == 16
    assert 4 < sum("line " in line for line in text) < 16
    assert any("•" in line for line in text)


def test_items_without_a_place_are_left_out() -> None:
    """Null in the scene is what was no number."""
    marks = list(_marks({"marktype": "symbol", "role": "mark", "items": [{"x": 1, "y": None}, {"x": 2}]}, 10.0, 20.0))

    assert marks == [Mark("symbol", "mark", [{"x": 12.0, "y": 20.0}])]


def test_a_table_says_how_much_is_left() -> None:
    rows = [(number, f"name {number}") for number in range(50)]
    text = [line.plain for line in lines(TableView(("n", "name"), rows, 200), 60, 3)]

    assert text == ["n  name", "─  ──────", "0  name 0", "1  name 1", "2  name 2", "… and 197 more rows"]


def test_marks_beyond_the_edge_are_cut() -> None:
    canvas = Canvas(10, 4, 1.0, 1.0)
    corners = (-50.0, 3.0, 1e6)
    for x, y in itertools.product(corners, corners):
        item = {
            "x": x,
            "y": y,
            "x2": 1000.0,
            "y2": -1000.0,
            "width": 1e5,
            "height": 1e5,
            "fill": RED,
            "stroke": BLUE,
            "text": "w" * 30,
        }
        for kind in ("area", "line", "rect", "rule", "symbol", "text"):
            canvas.draw(Mark(kind, "mark", [item, {**item, "x": x + 5}]))

    text = canvas.text(colour=True)
    assert len(text) == 4
    assert max(len(line) for line in text) <= 10
