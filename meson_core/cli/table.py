"""Owns tables: cut to the width of a terminal for people, and cut by nothing where the output goes elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from meson_core.cli.output import console

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = 2
#: A column is not cut to less.
_NARROWEST = 8


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: Sequence[str] = ()) -> None:
    """Print rows under headings.

    Args:
        columns: headings; one that begins with "…" is cut before the others are.
        rows: a cell for every column; of a text with several lines the first.
        numbers: headings of the columns that are aligned to the right.
    """
    names = [column.removeprefix("…") for column in columns]
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(row[at].cell_len for row in cells)]) for at, name in enumerate(names)]
    terminal = console()
    if terminal.is_terminal:
        _narrow(widths, [at for at, column in enumerate(columns) if column.startswith("…")], terminal.width)
    head = [Text(name, style="bold") for name in names]
    for row in [head, *cells]:
        line = Text(no_wrap=True, overflow="ellipsis")
        for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
            right = names[at] in numbers
            if at == len(widths) - 1 and not right:
                cell.truncate(width, overflow="ellipsis")
            else:
                cell.align("right" if right else "left", width)
            line.append_text(cell)
            if at < len(widths) - 1:
                line.append(" " * _GAP)
        terminal.print(line, soft_wrap=True)


def _cell(cell: str | Text) -> Text:
    text = cell.copy() if isinstance(cell, Text) else Text(cell)
    return text.split("\n")[0] if "\n" in text.plain else text


def _narrow(widths: list[int], stretching: Sequence[int], width: int) -> None:
    """Take from the columns what does not fit: from those that stretch first, then always from the widest."""
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for at in stretching:
        taken = min(max(over, 0), max(widths[at] - _NARROWEST, 0))
        widths[at] -= taken
        over -= taken
    while over > 0 and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
        over -= 1
