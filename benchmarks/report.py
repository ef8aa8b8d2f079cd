"""Owns what a measurement looks like: a figure, its baseline, the ratio, the budget, and whether it is kept."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing.

    Args:
        name: what was measured.
        value: the figure.
        unit: its unit.
        baseline: the bare baseline of the same run, in the same unit; None when the budget is absolute.
        budget: the limit on `value` (absolute) or on value / baseline (a ratio).
        of: whether the budget speaks of the value or of the ratio.
        better: whether more or less is better.
        note: what a reader must know to judge it.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    budget: float | None = None
    of: Literal["value", "ratio"] = "value"
    better: Literal["more", "less"] = "less"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over baseline."""
        return None if self.baseline is None else self.value / self.baseline

    @property
    def kept(self) -> bool | None:
        """Whether the budget is kept; None without a budget."""
        judged = self.ratio if self.of == "ratio" else self.value
        if self.budget is None or judged is None:
            return None
        return judged >= self.budget if self.better == "more" else judged <= self.budget


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def _verdict(figure: Figure) -> str:
    if figure.kept is None:
        return ""
    return "[green]kept[/]" if figure.kept else "[red]missed[/]"


def _limit(figure: Figure) -> str:
    if figure.budget is None:
        return ""
    sign = "≥" if figure.better == "more" else "≤"
    return (
        f"{sign} {_number(figure.budget)} x"
        if figure.of == "ratio"
        else f"{sign} {_number(figure.budget, figure.unit)}"
    )


def show(figures: Sequence[Figure], console: Console | None = None) -> None:
    """Print a table that fits the terminal."""
    table = Table(
        "what", "measured", "bare baseline", "ratio", "budget", "", box=None, header_style="bold", pad_edge=False
    )
    for figure in figures:
        table.add_row(
            figure.name + (f"\n[dim]{figure.note}[/]" if figure.note else ""),
            _number(figure.value, figure.unit),
            _number(figure.baseline, figure.unit),
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            _limit(figure),
            _verdict(figure),
        )
    (console or Console()).print(table)


def markdown(figures: Sequence[Figure]) -> str:
    """The same table for a report."""
    rows = ["| what | measured | bare baseline | ratio | budget | |", "| --- | --- | --- | --- | --- | --- |"]
    for figure in figures:
        verdict = {None: "", True: "kept", False: "**missed**"}[figure.kept]
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        note = f" ({figure.note})" if figure.note else ""
        rows.append(
            f"| {figure.name}{note} | {_number(figure.value, figure.unit)} | {_number(figure.baseline, figure.unit)} "
            f"| {ratio} | {_limit(figure)} | {verdict} |"
        )
    return "\n".join(rows)


def save(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, with what they were measured on."""
    document = {
        "python": platform.python_version(),
        "figures": [asdict(figure) | {"ratio": figure.ratio, "kept": figure.kept} for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
