"""Owns the values that an evaluation works on: their kinds and limits, its budget, its faults, how they are told."""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import ast

#: Longest text, in characters, and deepest nesting of one expression.
MAX_LENGTH = 4_000
MAX_DEPTH = 80
#: Elements and characters that one evaluation may build.
MAX_BUILT = 1_000_000
#: Largest integer, in bits: every integer that is made can also be a float.
MAX_BITS = 1_023
#: Words that cannot be names in an expression.
RESERVED = frozenset(keyword.kwlist) | {"true", "false", "null"}

NUMBERS = frozenset((int, float, bool))
LISTS = frozenset((list, tuple))
CONTAINERS = frozenset((list, tuple, dict))


class FaultError(Exception):
    """An evaluation that cannot go on, at one node of the tree."""

    def __init__(self, node: ast.expr, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.hint = hint


class Work:
    """One evaluation: where names come from, and what may still be built."""

    __slots__ = ("left", "lookup")

    def __init__(self, lookup: Callable[[str], Any]) -> None:
        self.lookup = lookup
        self.left = MAX_BUILT

    def spend(self, amount: int) -> None:
        """Charge `amount` elements or characters.

        Raises:
            ValueError: the budget is used up.
        """
        self.left -= amount
        if self.left < 0:
            message = f"it would build more than {MAX_BUILT:,} elements and characters"
            raise ValueError(message)

    def built(self, value: Any) -> Any:
        """A container that was just made, charged by all that hangs on it."""
        stack = [value]
        while stack:
            container = stack.pop()
            self.spend(len(container) + 1)
            content = container.values() if type(container) is dict else container
            stack.extend(item for item in content if type(item) in CONTAINERS)
        return value


Code: TypeAlias = Callable[[Work], Any]


def told(value: Any) -> str:
    """A value with its kind, for messages."""
    if value is None:
        return "null"
    kind = "list" if type(value) in LISTS else "dict" if isinstance(value, Mapping) else type(value).__name__
    return f"{kind} {show(value)}"


def number(value: Any) -> Any:
    """A number that was just computed, if it is one that JSON has and the bounds allow."""
    if type(value) is int:
        if value.bit_length() > MAX_BITS:
            message = f"the number has more than {MAX_BITS} bits"
            raise ValueError(message)
    elif type(value) is not float or not math.isfinite(value):
        message = "the result is not a finite number"
        raise ValueError(message)
    return value


def show(value: Any) -> str:
    """A JSON value as a short text for people."""
    return "null" if value is None else clip(_short(value, 0))


def _short(value: Any, level: int) -> str:
    """Enough of a value; a context may be large, and what is not shown is not turned into text either."""
    if isinstance(value, str):
        return repr(value[:100])
    if type(value) not in CONTAINERS:
        return repr(value)
    if level == 3 and value:
        return "{…}" if type(value) is dict else "[…]"
    if type(value) is dict:
        parts = [f"{key!r}: {_short(part, level + 1)}" for key, part in islice(value.items(), 9)]
    else:
        parts = [_short(part, level + 1) for part in islice(value, 9)]
    inside = ", ".join(parts if len(value) < 10 else [*parts, "…"])
    return f"{{{inside}}}" if type(value) is dict else f"[{inside}]"


def clip(text: str, width: int = 60) -> str:
    """At most `width` characters of a text, all of them printable."""
    plain = text if text.isprintable() else "".join(char if char.isprintable() else "·" for char in text)
    return plain if len(plain) <= width else f"{plain[: width - 1]}…"
