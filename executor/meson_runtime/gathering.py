"""Owns the steps that end a sweep: its results as a table, and the choice of the best of them.

What they get is what the loop went through, and what the steps in it have put out, item by item, null where nothing came.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from typing import TYPE_CHECKING, Any

from meson_runtime.context import ctx

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The part of the values that lies between `low` and `high`.
_COVERED = 0.95


def points(variables: dict[str, list[Any]], mode: str) -> Iterator[dict[str, Any]]:
    """The values of the loop variables, item by item, as a for_each goes through them: the last one changes fastest."""
    values = zip(*variables.values()) if mode == "zipped" else itertools.product(*variables.values())
    return (dict(zip(variables, value)) for value in values)


def _rows(mode: str, variables: dict[str, str], outputs: dict[str, str], lists: dict[str, Any]) -> Iterator[Any]:
    """Number, point and outputs of each item; None for the outputs of one that has none."""
    found = {column: lists[name] or [] for name, column in outputs.items()}
    for number, point in enumerate(points({column: lists[name] for name, column in variables.items()}, mode)):
        values = {column: items[number] if number < len(items) else None for column, items in found.items()}
        yield number, point, None if all(value is None for value in values.values()) and values else values


def gather(*, loop: str, mode: str, variables: dict[str, str], outputs: dict[str, str], **lists: Any) -> dict[str, Any]:
    """The results of a sweep as a table, and what they are together.

    Args:
        loop: name of the for_each.
        mode: of the for_each: "crossed" or "zipped".
        variables: input that holds the values of a loop variable → the name of that variable.
        outputs: input that holds an output, item by item → the name of its column.
        **lists: those inputs.

    Returns:
        `table` (CSV: the number of the item, its point, its state, its outputs), `count`, `failed`, and of every output
        that is a number `mean`, `sd` (of the sample), `low` and `high` (between which 95 % of the values lie).
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["item", *variables.values(), "state", *outputs.values()])
    numbers: dict[str, list[float]] = {}
    count = failed = 0
    for number, point, values in _rows(mode, variables, outputs, lists):
        count += 1
        failed += values is None
        cells = [_cell(value) for value in (values or dict.fromkeys(outputs.values())).values()]
        state = "failed" if values is None else "succeeded"
        table.writerow([number, *map(_cell, point.values()), state, *cells])
        for path, value in _numbers("", values):
            numbers.setdefault(path, []).append(value)
    for found in numbers.values():
        found.sort()
    return {
        "table": ctx.put(text.getvalue().encode(), name=f"{loop}.csv"),
        "count": count,
        "failed": failed,
        "mean": {name: math.fsum(found) / len(found) for name, found in numbers.items()},
        "sd": {name: _deviation(found) for name, found in numbers.items()},
        "low": {name: _quantile(found, (1 - _COVERED) / 2) for name, found in numbers.items()},
        "high": {name: _quantile(found, (1 + _COVERED) / 2) for name, found in numbers.items()},
    }


def best(
    *, by: str, lowest: bool, mode: str, variables: dict[str, str], outputs: dict[str, str], **lists: Any
) -> dict[str, Any]:
    """The item of a sweep with the lowest (or highest) value of an output; of equal ones the first.

    Args:
        by: a column, or a path into one that is an object: "scores.rmse".
        lowest: whether less is better.
        mode: as of `gather`.
        variables: as of `gather`.
        outputs: as of `gather`.
        **lists: as of `gather`.

    Returns:
        `item` (its number), `point`, `value` (of `by`) and `outputs`.

    Raises:
        ValueError: no item has such a number.
    """
    chosen: tuple[float, int, dict[str, Any], dict[str, Any]] | None = None
    for number, point, values in _rows(mode, variables, outputs, lists):
        value = dict(_numbers("", values)).get(by)
        if value is not None and (chosen is None or (value < chosen[0] if lowest else value > chosen[0])):
            chosen = value, number, point, values
    if chosen is None:
        raise ValueError(f"no item of the sweep has a number {by!r}: all have failed, or it is called otherwise")
    return {"item": chosen[1], "point": chosen[2], "value": chosen[0], "outputs": chosen[3]}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else value


def _numbers(path: str, value: Any) -> Iterator[tuple[str, float]]:
    """Every number in a value, with the way to it."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _numbers(f"{path}.{name}" if path else str(name), part)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def _deviation(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _quantile(ordered: list[float], share: float) -> float:
    """Between the two values that lie next to that share of them."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
