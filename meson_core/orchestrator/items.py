"""Owns the items of a for_each: lists side by side or crossed, addressed by ordinal, never multiplied out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from meson_core.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.spec.model import ForEach

#: The engine keeps a few bytes per item; this many still fit into a small machine.
MAX_ITEMS = 10_000_000


class Items:
    """The items of one for_each instance.

    Args:
        lists: the values of each loop variable.
        strides: how many ordinals pass before a variable takes its next value.
        count: number of items.
        cost: bytes that the lists take, roughly.
    """

    __slots__ = ("_lists", "_strides", "cost", "count")

    def __init__(self, lists: dict[str, list[Any]], strides: dict[str, int], count: int, cost: int) -> None:
        self._lists = lists
        self._strides = strides
        self.count = count
        self.cost = cost

    def value(self, variable: str, ordinal: int) -> Any:
        """What a loop variable stands for in one item."""
        values = self._lists[variable]
        return values[ordinal // self._strides[variable] % len(values)]


def make_items(name: str, spec: ForEach, lists: Mapping[str, Any], cost: int) -> Items:
    """The items that the values of the loop variables make; the last variable of crossed ones runs fastest.

    Args:
        name: of the for_each, for messages.
        spec: its definition.
        lists: the value of each variable's binding.
        cost: bytes that they take, roughly.

    Raises:
        EvaluationError: a value is no list, zipped lists differ in length, or there are too many items.
    """
    for variable, values in lists.items():
        if not isinstance(values, list):
            kind = type(values).__name__
            found = "null" if values is None else f"an {kind}" if kind == "int" else f"a {kind}"
            raise EvaluationError(
                f"for_each {name!r}: {variable!r} must be a list to go through, and is {found}",
                hint="give it a list, or an artifact that holds a JSON list",
            )
    lengths = {variable: len(values) for variable, values in lists.items()}
    if spec.mode == "zipped":
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{variable} has {length}" for variable, length in lengths.items())
            raise EvaluationError(f"for_each {name!r}: zipped lists must be equally long; {told}")
        count = next(iter(lengths.values()))
        strides = dict.fromkeys(lists, 1)
    else:
        count = math.prod(lengths.values())
        strides = {}
        stride = 1
        for variable in reversed(list(lists)):
            strides[variable] = stride
            stride *= max(1, lengths[variable])
    if count > MAX_ITEMS:
        raise EvaluationError(
            f"for_each {name!r} would have {count:,} items; the most is {MAX_ITEMS:,}",
            hint="let each item do more, or nest two loops with subworkflows of their own",
        )
    return Items(dict(lists), strides, count, cost)
