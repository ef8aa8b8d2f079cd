"""Owns what a measurement looks like: figures beside their baselines, the ratio, the spread, the budget, the verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.machine import Conditions


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing, as often as it was measured.

    Args:
        name: what was measured.
        values: the figure, once per round.
        unit: its unit.
        baseline: the bare baseline of the same rounds, in the same unit; empty when there is nothing barer.
        budget: the limit on the value or on the ratio; None when there is none.
        of: whether the budget speaks of the value or of value / baseline.
        better: whether more or less is better.
        note: what a reader must know to judge it.
    """

    name: str
    values: tuple[float, ...]
    unit: str
    baseline: tuple[float, ...] = ()
    budget: float | None = None
    of: Literal["value", "ratio"] = "value"
    better: Literal["more", "less"] = "less"
    note: str = ""

    @property
    def value(self) -> float:
        """The median of all rounds."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of value / baseline, taken round by round, so that a slow minute slows down both."""
        if not self.baseline:
            return None
        return median(value / bare for value, bare in zip(self.values, self.baseline, strict=True))

    @property
    def kept(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        judged = self.ratio if self.of == "ratio" else self.value
        if self.budget is None or judged is None:
            return None
        return judged >= self.budget if self.better == "more" else judged <= self.budget

    def as_data(self) -> dict[str, Any]:
        """The figure for programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "values": self.values,
            "baseline": median(self.baseline) if self.baseline else None,
            "baselines": self.baseline,
            "ratio": self.ratio,
            "budget": self.budget,
            "of": self.of,
            "better": self.better,
            "kept": self.kept,
            "note": self.note,
        }


# --- in words -------------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _measured(values: Sequence[float], unit: str) -> str:
    """The median with the range around it: `1.2 ms (1.1 … 1.9)`."""
    if not values:
        return ""
    middle = f"{_number(median(values))} {unit}"
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} … {_number(max(values))})"


def _budget(figure: Figure) -> str:
    if figure.budget is None:
        return ""
    sign = "≥" if figure.better == "more" else "≤"
    unit = "x" if figure.of == "ratio" else figure.unit
    return f"{sign} {_number(figure.budget)} {unit}"


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (
        _measured(figure.values, figure.unit),
        _measured(figure.baseline, figure.unit),
        ratio,
        _budget(figure),
    )


_VERDICTS = {None: ("", ""), True: ("kept", "green"), False: ("missed", "bold red")}
#: Columns of a table that goes into a file or a pipe.
_WIDTH = 160
_HEADERS = ("what", "measured", "bare baseline", "ratio", "budget", "")


def show(figures: Sequence[Figure], conditions: Conditions | None = None, console: Console | None = None) -> None:
    """Print a table, and what it was measured on."""
    table = Table(*_HEADERS, box=None, header_style="bold", pad_edge=False)
    for figure in figures:
        what = Text(figure.name)
        if figure.note:
            what.append(f"\n{figure.note}", style="dim")
        table.add_row(what, *_cells(figure), Text(*_VERDICTS[figure.kept]))
    if console is None:
        terminal = Console()
        console = terminal if terminal.is_terminal else Console(width=_WIDTH)
    console.print(table)
    if conditions is not None:
        console.print(Text(str(conditions), style="dim"))


def markdown(figures: Sequence[Figure]) -> str:
    """The same table for a document."""
    rows = [f"| {' | '.join(_HEADERS)} |", "| --- " * len(_HEADERS) + "|"]
    for figure in figures:
        note = f" ({figure.note})" if figure.note else ""
        verdict = _VERDICTS[figure.kept][0]
        cells = (f"{figure.name}{note}", *_cells(figure), f"**{verdict}**" if figure.kept is False else verdict)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


def write(figures: Sequence[Figure], conditions: Conditions, path: Path) -> None:
    """Write the table as Markdown; in a page that has a place for it, into that place."""
    table = f"{markdown(figures)}\n{conditions}\n"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    if _BEGIN in page and _END in page:
        before, _, rest = page.partition(_BEGIN)
        _, _, after = rest.partition(_END)
        table = f"{before}{_BEGIN}\n\n{table}\n{_END}{after}"
    path.write_text(table, encoding="utf-8")


def save(figures: Sequence[Figure], conditions: Conditions, path: Path) -> None:
    """Write all figures as JSON, with what they were measured on."""
    document = {"conditions": conditions.as_data(), "figures": [figure.as_data() for figure in figures]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
