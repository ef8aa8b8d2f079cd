"""Owns the functions of the language: one table, from which the docs are made and calls are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from meson_core.expressions import draws
from meson_core.expressions.values import CONTAINERS, LISTS, MAX_BITS, NUMBERS, Work, number, told


def _items(value: Any) -> Sequence[Any]:
    if type(value) not in LISTS:
        hint = "; use keys() or values()" if isinstance(value, Mapping) else ""
        message = f"takes a list, got {told(value)}{hint}"
        raise TypeError(message)
    return value  # type: ignore[no-any-return]  # checked one line above


def _int(value: Any) -> int:
    if type(value) is not int:
        message = f"takes an int, got {told(value)}"
        raise TypeError(message)
    return value


class Function(NamedTuple):
    """One function of the language.

    Args:
        run: gets the evaluation's budget and the values.
        least: fewest positional arguments.
        most: most positional arguments; None for any number.
        keywords: keyword arguments that it takes.
        takes: kind of its first argument: "list", "dict", "number", "scalar", "sized", "any"; "several": a list, or
            several values.
        gives: type of its value in the little type language, or: "same" as its argument; "item" of its argument;
            "number": the same, of a bool an int; "total": the same of its items; "rounded": an int unless digits are given.
        meaning: one line for the docs.
    """

    run: Callable[..., Any]
    least: int
    most: int | None
    keywords: tuple[str, ...]
    takes: str
    gives: str
    meaning: str


def _len(_: Work, value: Any) -> int:
    if type(value) is not str and type(value) not in LISTS and not isinstance(value, Mapping):
        message = f"takes a list, dict or str, got {told(value)}"
        raise TypeError(message)
    return len(value)


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    def run(_: Work, *values: Any, **default: Any) -> Any:
        return pick(_items(values[0]) if len(values) == 1 else values, **default)

    return run


def _mean(_: Work, value: Any) -> Any:
    items = _items(value)
    if not items:
        message = "has no value for an empty list"
        raise ValueError(message)
    return number(sum(items) / len(items))


def _round(_: Work, value: Any, digits: Any = None) -> Any:
    if type(value) not in NUMBERS:
        message = f"takes a number, got {told(value)}"
        raise TypeError(message)
    if digits is not None and abs(_int(digits)) > MAX_BITS:
        message = f"takes at most {MAX_BITS} digits, got {digits}"
        raise ValueError(message)
    return number(round(value, digits))


def _range(work: Work, *bounds: Any) -> list[int]:
    numbers = range(*(_int(bound) for bound in bounds))
    work.spend(len(numbers))
    return list(numbers)


def _str(work: Work, value: Any) -> str:
    if type(value) in CONTAINERS or isinstance(value, Mapping):
        message = f"takes a number, a bool, null or a str, got {told(value)}"
        raise TypeError(message)
    text = str(value)
    work.spend(len(text))
    return text


def _to_int(_: Work, value: Any) -> Any:
    if type(value) is not str and type(value) not in NUMBERS:
        message = f"takes a number or a str, got {told(value)}"
        raise TypeError(message)
    return number(int(value))


def _to_float(_: Work, value: Any) -> Any:
    if type(value) is not str and type(value) not in NUMBERS:
        message = f"takes a number or a str, got {told(value)}"
        raise TypeError(message)
    return number(float(value))


def _abs(_: Work, value: Any) -> Any:
    if type(value) not in NUMBERS:
        message = f"takes a number, got {told(value)}"
        raise TypeError(message)
    return abs(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        message = f"takes a dict, got {told(value)}"
        raise TypeError(message)
    return value


def _pluck(work: Work, items: Any, key: Any) -> list[Any]:
    return work.built([None if item is None else _mapping(item)[key] for item in _items(items)])  # type: ignore[no-any-return]


def _flatten(work: Work, items: Any) -> list[Any]:
    parts = [part for part in _items(items) if part is not None]
    return work.built([item for part in parts for item in _items(part)])  # type: ignore[no-any-return]


FUNCTIONS: dict[str, Function] = {
    "abs": Function(_abs, 1, 1, (), "number", "number", "the number without its sign"),
    "all": Function(lambda _, items: all(_items(items)), 1, 1, (), "list", "bool", "whether every item is true"),
    "any": Function(lambda _, items: any(_items(items)), 1, 1, (), "list", "bool", "whether some item is true"),
    "bool": Function(
        lambda _, value: bool(value), 1, 1, (), "any", "bool", "whether the value is not empty, zero or null"
    ),
    "draw_integers": Function(
        draws.integers, 5, 5, (), "number", "list[int]",
        "(n, seed, stream, low, high): so many whole numbers at random, both bounds included",
    ),
    "draw_log_uniform": Function(
        draws.log_uniform, 5, 5, (), "number", "list[float]",
        "(n, seed, stream, low, high): so many numbers at random, each order of magnitude as likely as another",
    ),
    "draw_normal": Function(
        draws.normal, 5, 5, (), "number", "list[float]",
        "(n, seed, stream, mean, sd): so many numbers at random around a mean",
    ),
    "draw_one_of": Function(
        draws.one_of, 4, 4, (), "number", "list[any]", "(n, seed, stream, items): so many items at random"
    ),
    "draw_seeds": Function(
        draws.seeds, 3, 3, (), "number", "list[int]", "(n, seed, stream): so many different seeds, each below 2 ** 32"
    ),
    "draw_uniform": Function(
        draws.uniform, 5, 5, (), "number", "list[float]",
        "(n, seed, stream, low, high): so many numbers at random between two bounds",
    ),
    "enumerate": Function(
        lambda work, items, start=0: work.built([[at, item] for at, item in enumerate(_items(items), _int(start))]),
        1, 2, ("start",), "list", "list[list[any]]", "pairs of position and item",
    ),
    "flatten": Function(
        _flatten, 1, 1, (), "list", "item", "the items of a list of lists in one list, without nulls between the lists"
    ),
    "float": Function(_to_float, 1, 1, (), "scalar", "float", "a number, or a text that spells one, as a float"),
    "get": Function(
        lambda _, mapping, key, default=None: _mapping(mapping).get(key, default),
        2, 3, ("default",), "dict", "any", "the value of a key, or the default",
    ),
    "int": Function(
        _to_int, 1, 1, (), "scalar", "int", "a number, cut towards zero, or a text that spells one, as an int"
    ),
    "keys": Function(
        lambda work, value: work.built(list(_mapping(value))), 1, 1, (), "dict", "list[str]", "the keys of a dict"
    ),
    "len": Function(_len, 1, 1, (), "sized", "int", "how many items, keys or characters"),
    "list": Function(lambda work, items: work.built(list(_items(items))), 1, 1, (), "list", "same", "the list itself"),
    "max": Function(
        _extreme(max), 1, None, ("default",), "several", "item", "the largest of a list, or of the arguments"
    ),
    "mean": Function(_mean, 1, 1, (), "list", "float", "the arithmetic mean of a list of numbers"),
    "min": Function(
        _extreme(min), 1, None, ("default",), "several", "item", "the smallest of a list, or of the arguments"
    ),
    "pluck": Function(_pluck, 2, 2, (), "list", "list[any]", "the value of one key in each dict of a list"),
    "present": Function(
        lambda work, items: work.built([item for item in _items(items) if item is not None]),
        1, 1, (), "list", "same", "the list without its nulls (items that failed or were not chosen)",
    ),
    "range": Function(_range, 1, 3, (), "number", "list[int]", "integers, as in Python"),
    "round": Function(_round, 1, 2, (), "number", "rounded", "the nearest integer, or the number to so many digits"),
    "sorted": Function(
        lambda work, items, reverse=False: work.built(sorted(_items(items), reverse=bool(reverse))),
        1, 1, ("reverse",), "list", "same", "the list in order",
    ),
    "str": Function(_str, 1, 1, (), "scalar", "str", "a scalar as text"),
    "sum": Function(
        lambda _, items: number(sum(_items(items))), 1, 1, (), "list", "total", "the sum of a list of numbers"
    ),
    "values": Function(
        lambda work, value: work.built(list(_mapping(value).values())),
        1, 1, (), "dict", "list[any]", "the values of a dict",
    ),
    "zip": Function(
        lambda work, *lists: work.built([list(row) for row in zip(*map(_items, lists), strict=False)]),
        1, None, (), "list", "list[list[any]]", "lists, item by item, up to the shortest",
    ),
}  # fmt: skip
