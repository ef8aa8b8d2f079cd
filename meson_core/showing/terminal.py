"""Owns a view as lines of text in colour: charts in half blocks and dots of Braille, with their labels as text.

Where there is no colour, each colour has a sign of its own, the same in the picture and in its legend.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from meson_core.artifacts import HtmlView, ImageView, TableView, TextView
from meson_core.showing.page import cell_text
from meson_core.showing.scene import CELL, Mark, scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.text import Text

    from meson_core.artifacts import View

#: For fills where there is no colour, the densest first.
_SIGNS = "█▒#░=+o:~.*%"
#: The bit of each dot of a Braille sign, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_HEX = re.compile(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})\Z")
_RGB = re.compile(r"rgb\((\d+), ?(\d+), ?(\d+)\)\Z")
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0)}
_PAPER = (255, 255, 255)
#: The longest text of one cell of a table.
_WIDEST = 40

Colour = tuple[int, int, int]


class _Letter(NamedTuple):
    sign: str
    colour: Colour | None
    bold: bool


def lines(view: View, width: int, height: int, *, colour: bool = True) -> list[Text]:
    """A view for the terminal.

    Args:
        view: what to show.
        width: of the terminal, in cells.
        height: lines that a chart may have, and rows of a table.
        colour: whether the terminal has colours.

    Raises:
        ArtifactError: a chart cannot be drawn.
    """
    from rich.text import Text  # noqa: PLC0415 (takes a while, and only terminals need it)

    if isinstance(view, TextView):
        return [Text(_printable(line)) for line in view.text.splitlines()[: max(height, 1) * 4]]
    if isinstance(view, TableView):
        return [Text(line) for line in _table(view, height)]
    if isinstance(view, ImageView | HtmlView):
        kind = f"a picture ({view.media}, {len(view.data):,} bytes)" if isinstance(view, ImageView) else "a page"
        return [Text(f"{_printable(view.title)}: {kind}; write it into a file to see it")]
    drawn = scene(view.spec, width * CELL[0], height * CELL[1])
    canvas = Canvas(width, height, width / drawn.width, height / drawn.height)
    for mark in drawn.marks:
        canvas.draw(mark)
    return canvas.text(colour=colour)


class Canvas:
    """A sheet of cells.

    Args:
        width: in cells.
        height: in cells.
        by_x: cells for one pixel of the chart.
        by_y: likewise.
    """

    def __init__(self, width: int, height: int, by_x: float, by_y: float) -> None:
        self.width, self.height = width, height
        self._by_x, self._by_y = by_x, by_y
        #: Two to a cell, one above the other.
        self._halves: list[list[Colour | None]] = [[None] * width for _ in range(2 * height)]
        self._dots: dict[tuple[int, int], tuple[int, Colour]] = {}
        self._letters: dict[tuple[int, int], _Letter] = {}
        self._signs: dict[Colour, str] = {}

    def draw(self, mark: Mark) -> None:
        """Draw one mark over what is there; grids, ticks and marks that cells cannot show are left out."""
        if mark.role in ("axis-grid", "axis-tick", "legend-gradient", "background"):
            return
        if mark.kind == "area":
            self._area(mark.items)
        elif mark.kind == "line":
            for one, other in itertools.pairwise(mark.items):
                self._stroke(one["x"], one["y"], other["x"], other["y"], _colour(one.get("stroke")))
        elif mark.kind == "rect":
            for item in mark.items:
                self._rect(item)
        elif mark.kind == "rule":
            for item in mark.items:
                self._stroke(
                    item["x"],
                    item["y"],
                    item.get("x2", item["x"]),
                    item.get("y2", item["y"]),
                    _colour(item.get("stroke")),
                )
        elif mark.kind == "symbol":
            for item in mark.items:
                self._symbol(item, legend=mark.role == "legend-symbol")
        elif mark.kind == "text":
            for item in mark.items:
                self._text(item, bold=mark.role in ("title-text", "title"))

    def text(self, *, colour: bool) -> list[Text]:
        """The sheet as lines, without what is empty at its end."""
        from rich.style import Style  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        out = []
        for row in range(self.height):
            line = Text()
            for column in range(self.width):
                sign, front, back, bold = self._cell(column, row, colour=colour)
                style = Style(color=_named(front), bgcolor=_named(back), bold=bold or None) if colour else Style()
                line.append(sign, style)
            line.rstrip()
            out.append(line)
        return out

    def _cell(self, column: int, row: int, *, colour: bool) -> tuple[str, Colour | None, Colour | None, bool]:
        upper, lower = self._halves[2 * row][column], self._halves[2 * row + 1][column]
        filled = upper if upper is not None else lower
        letter = self._letters.get((column, row))
        if letter is not None:
            sign = letter.sign
            if sign == "■" and not colour and letter.colour is not None:
                sign = self._signs.get(letter.colour, sign)
            return sign, letter.colour, filled if letter.colour is None else None, letter.bold
        dots = self._dots.get((column, row))
        if dots is not None:
            return chr(0x2800 + dots[0]), dots[1], filled, False
        if filled is None:
            return " ", None, None, False
        if not colour:
            return self._signs.get(filled, "█"), None, None, False
        if upper == lower:
            return "█", upper, None, False
        return ("▄", lower, None, False) if upper is None else ("▀", upper, lower, False)

    # --- marks ----------------------------------------------------------------------------------------------------

    def _area(self, items: Sequence[dict[str, Any]]) -> None:
        for one, other in itertools.pairwise(items):
            colour = _blended(one.get("fill"), one)
            if colour is None:
                continue
            begin, end = one["x"] * self._by_x, other["x"] * self._by_x
            for column in range(max(0, round(begin)), min(self.width, round(end) + 1)):
                part = 0.0 if end <= begin else min(1.0, max(0.0, (column + 0.5 - begin) / (end - begin)))
                borders = [one[key] + part * (other[key] - one[key]) for key in ("y", "y2")]
                self._fill(column, min(borders), max(borders), colour)

    def _rect(self, item: dict[str, Any]) -> None:
        colour = _blended(item.get("fill"), item)
        if colour is None:
            return
        left, wide = item["x"] * self._by_x, item.get("width", 0) * self._by_x
        for column in range(max(0, round(left)), min(self.width, max(round(left + wide), round(left) + 1))):
            self._fill(column, item["y"], item["y"] + item.get("height", 0), colour)

    def _fill(self, column: int, top: float, bottom: float, colour: Colour) -> None:
        """The half cells of one column whose middles lie between two places."""
        self._sign_of(colour)
        scale = 2 * self._by_y
        for half in range(max(0, round(top * scale)), min(2 * self.height, round(bottom * scale))):
            self._halves[half][column] = colour

    def _stroke(self, x: float, y: float, x2: float, y2: float, colour: Colour | None) -> None:
        """A line of dots, four to the height of a cell and two to its width."""
        if colour is None:
            return
        seen = _clipped(
            (x * self._by_x * 2, y * self._by_y * 4),
            (x2 * self._by_x * 2, y2 * self._by_y * 4),
            2 * self.width,
            4 * self.height,
        )
        if seen is None:
            return
        (left, top), (right, bottom) = seen
        steps = max(1, round(max(abs(right - left), abs(bottom - top))))
        for step in range(steps + 1):
            across, down = left + (right - left) * step / steps, top + (bottom - top) * step / steps
            column, row = int(across // 2), int(down // 4)
            if 0 <= column < self.width and 0 <= row < self.height:
                bit = _DOTS[int(down) % 4][int(across) % 2]
                self._dots[column, row] = (self._dots.get((column, row), (0, colour))[0] | bit, colour)

    def _symbol(self, item: dict[str, Any], *, legend: bool) -> None:
        colour = _colour(item.get("fill")) or _colour(item.get("stroke"))
        if colour is None:
            return
        place = (int(item["x"] * self._by_x), int(item["y"] * self._by_y))
        if legend:
            self._letters[place] = _Letter("■", colour, bold=False)
        elif item.get("size", 0) > 150:
            self._letters[place] = _Letter("◉", colour, bold=True)
        else:
            self._letters.setdefault(place, _Letter("•", colour, bold=False))

    def _text(self, item: dict[str, Any], *, bold: bool) -> None:
        texts = item.get("text", "")
        texts = texts if isinstance(texts, list) else [texts]
        upright = abs(item.get("angle", 0)) not in (90, 270)
        for number, text in enumerate(_printable(str(text)) for text in texts):
            x = (item["x"] + item.get("dx", 0)) * self._by_x
            y = (item["y"] + item.get("dy", 0)) * self._by_y + number
            back = {"left": 0.0, "center": len(text) / 2, "right": float(len(text))}.get(item.get("align", "left"), 0.0)
            rise = {"top": 0.0, "line-top": 0.0, "middle": 0.5, "bottom": 1.0, "line-bottom": 1.0}.get(
                item.get("baseline", ""), 0.7
            )
            if upright:
                column, row = max(0, round(x - back)), round(y - rise)
                # A title is not lost because it is longer than the terminal is wide.
                cut = text if column + len(text) <= self.width else text[: max(0, self.width - column - 1)] + "…"
                places: Iterator[tuple[int, int]] = ((column + index, row) for index in range(len(cut)))
            else:
                cut, column, row = text, max(0, round(x - rise)), round(y + back)
                cut = cut if len(cut) <= self.height else cut[: self.height]
                first = max(0, min(self.height - len(cut), round(y - back)))
                places = ((column, first + index) for index in range(len(cut)))
            for place, sign in zip(places, cut, strict=False):
                if sign != " ":
                    self._letters[place] = _Letter(sign, None, bold=bold)

    def _sign_of(self, colour: Colour) -> None:
        if colour not in self._signs:
            self._signs[colour] = _SIGNS[len(self._signs) % len(_SIGNS)]


_Place = tuple[float, float]


def _clipped(start: _Place, end: _Place, width: float, height: float) -> tuple[_Place, _Place] | None:
    """The part of a line that is on the sheet; None when no part is. (Liang and Barsky's way.)"""
    (x, y), (x2, y2) = start, end
    begin, stop = 0.0, 1.0
    for move, room in ((x - x2, x), (x2 - x, width - x), (y - y2, y), (y2 - y, height - y)):
        if move == 0:
            if room < 0:
                return None
        elif move < 0:
            begin = max(begin, room / move)
        else:
            stop = min(stop, room / move)
    if begin > stop:
        return None
    return (x + begin * (x2 - x), y + begin * (y2 - y)), (x + stop * (x2 - x), y + stop * (y2 - y))


def _table(view: TableView, height: int) -> Iterator[str]:
    """Columns below each other; what does not fit is counted."""
    shown = [[_cell(value) for value in row] for row in view.rows[:height]]
    names = [_cell(name) for name in view.columns]
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    for row in (names, ["─" * width for width in widths], *shown):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if view.total > len(shown):
        yield f"… and {view.total - len(shown):,} more rows"


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else _printable(cell_text(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _printable(text: str) -> str:
    """Text without what would move the cursor or change the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _colour(text: Any) -> Colour | None:
    if not isinstance(text, str):
        return None
    found = _HEX.match(text)
    if found:
        digits = found.group(1) if len(found.group(1)) == 6 else "".join(2 * digit for digit in found.group(1))
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    found = _RGB.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else _NAMED.get(text)


def _blended(text: Any, item: dict[str, Any]) -> Colour | None:
    """A colour on paper."""
    colour = _colour(text)
    part = item.get("opacity", 1) * item.get("fillOpacity", 1)
    if colour is None or part >= 1:
        return colour
    red, green, blue = (round(paper + part * (own - paper)) for own, paper in zip(colour, _PAPER, strict=True))
    return red, green, blue


def _named(colour: Colour | None) -> str | None:
    return None if colour is None else "#{:02x}{:02x}{:02x}".format(*colour)
