"""Owns `mesonctl sweep`: of thousands of items the best, the failed and the slowest, in tables that fit the terminal."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meson_core.cli.options import json_option, run_argument
from meson_core.cli.output import console, duration, one_line, print_json, state_text, value_text
from meson_core.cli.project import Project, pass_project
from meson_core.errors import ConflictError
from meson_core.spec.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meson_core.client import Sweep, SweepItem

#: Characters of a value in a column.
_VALUE = 24
_DIGITS = 6


@click.command()
@run_argument
@click.argument("name", metavar="[SWEEP]", required=False)
@click.option("--by", metavar="OUTPUT", help="What says how good an item is; by default what the workflow goes by.")
@click.option("--lowest/--highest", "lowest", default=None, help="Whether less is better, or more.")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1), help="At most so many of each.")
@click.option("--csv", "table", metavar="FILE", type=click.Path(dir_okay=False), help="Write all items as a table.")
@json_option
@pass_project
def sweep(
    project: Project,
    run: str,
    name: str | None,
    by: str | None,
    lowest: bool | None,
    limit: int,
    table: str | None,
    as_json: bool,
) -> None:
    """Show a sweep: its best items, those that have failed, and the slowest.

    RUN is the id of a run, the beginning of one, or `last`; SWEEP is needed where there are several. OUTPUT is a column of
    the sweep's table, or a path into one: `rmse`, `scores.auc`.
    """
    client = project.client(read_only=True)
    found = client.sweep(run, name, by=by, lowest=lowest, limit=limit)
    if table is not None:
        _write(Path(table), found, client.sweep_items(run, found.name))
    if as_json:
        print_json(found)
        return
    _head(found)
    best = found.best if found.by is not None else ()
    order = "lowest" if found.lowest else "highest"
    _table(f"best ({order} {found.by})", best, found, "value")
    _table("failed", found.failures, found, "why")
    _table("slowest", found.slowest, found, "seconds")


def _write(path: Path, found: Sweep, items: Iterator[SweepItem]) -> None:
    """All items, one on a line: number, point, state, seconds, outputs, what went wrong."""
    import csv
    import json

    def cell(value: Any) -> Any:
        return json.dumps(value) if isinstance(value, dict | list | bool) else value

    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            first = next(items, None)
            outputs = [] if first is None else [name for name in first.outputs if name not in found.variables]
            rows.writerow(["item", *found.variables, "state", "seconds", *outputs, "why"])
            for item in [] if first is None else chain([first], items):
                point = [cell(item.point.get(name)) for name in found.variables]
                values = [cell(item.outputs.get(name)) for name in outputs]
                number = ".".join(map(str, item.indexes))
                rows.writerow([number, *point, item.state, item.seconds, *values, item.why])
    except OSError as error:
        raise ConflictError(f"--csv {path}: it cannot be written: {error.strerror}") from None


def _head(found: Sweep) -> None:
    from rich.text import Text

    line = Text().append(found.name, style="bold").append(f"  {found.succeeded:,} succeeded")
    if found.failed:
        line.append(f", {found.failed:,} failed", style="red")
    under_way = found.begun - found.succeeded - found.failed
    if under_way:
        line.append(f", {under_way:,} under way")
    if found.fraction is not None and found.fraction < 1:
        line.append(f"  {int(found.fraction * 100)} %")
    if found.eta_s:
        line.append(f"  {duration(found.eta_s)} to go", style="cyan")
    console().print(line, soft_wrap=True)


def _table(title: str, items: Sequence[SweepItem], found: Sweep, last: str) -> None:
    from rich.text import Text

    from meson_core.cli.table import print_table

    if not items:
        return
    console().print()
    console().print(Text(title, style="bold"))
    variables = [name for name in found.variables if any(name in item.point for item in items)]
    end = "…why" if last == "why" else str(found.by)
    columns = [
        "item",
        *(f"…{name}" for name in variables),
        "state",
        "took",
        *([end] if found.by or last == "why" else []),
    ]
    rows = []
    for item in items:
        row: list[Any] = ["".join(f"[{index}]" for index in item.indexes)]
        row += [_shown(item.point.get(name)) for name in variables]
        row += [state_text(State[item.state]), duration(item.seconds)]
        if last == "why":
            row.append(one_line(item.why))
        elif found.by is not None:
            row.append(_shown(item.value))
        rows.append(row)
    print_table(columns, rows, numbers=("took", str(found.by)))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    if isinstance(value, str):
        return one_line(value)
    return value_text(value, limit=_VALUE).plain
