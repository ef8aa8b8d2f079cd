"""Owns the operators: what each does with which kinds of values, within the budget."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from meson_core.expressions.values import CONTAINERS, LISTS, MAX_BITS, Work, told


def _add(work: Work, left: Any, right: Any) -> Any:
    if type(left) is str and type(right) is str:
        work.spend(len(left) + len(right))
        return left + right
    if type(left) in LISTS and type(right) in LISTS:
        return work.built([*left, *right])
    return NotImplemented


def _multiply(work: Work, left: Any, right: Any) -> Any:
    if type(left) is int:
        left, right = right, left
    if type(right) is not int:
        return NotImplemented
    if type(left) is str:
        work.spend(len(left) * max(right, 0))
        return left * right
    if type(left) in LISTS:
        work.spend((len(left) + 1) * max(right, 0))
        return work.built(list(left) * right)
    return NotImplemented


def _power(base: Any, exponent: Any) -> Any:
    if type(base) is int and type(exponent) is int and (base.bit_length() - 1) * exponent > MAX_BITS:
        message = f"the number has more than {MAX_BITS} bits"
        raise ValueError(message)
    return base**exponent


ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any], Callable[[Work, Any, Any], Any] | None]] = {
    ast.Add: ("+", operator.add, _add),
    ast.Sub: ("-", operator.sub, None),
    ast.Mult: ("*", operator.mul, _multiply),
    ast.Div: ("/", operator.truediv, None),
    ast.FloorDiv: ("//", operator.floordiv, None),
    ast.Mod: ("%", operator.mod, None),
    ast.Pow: ("**", _power, None),
}


def _contains(item: Any, container: Any) -> bool:
    if type(container) is str:
        if type(item) is not str:
            message = f"cannot look for {told(item)} in a str"
            raise ValueError(message)
    elif isinstance(container, Mapping):
        if type(item) in CONTAINERS:
            message = f"cannot look for {told(item)} among the keys of a dict"
            raise ValueError(message)
    elif type(container) not in LISTS:
        message = f"cannot look for anything in {told(container)}"
        raise ValueError(message)
    return item in container


COMPARISONS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", _contains),
    ast.NotIn: ("not in", lambda item, container: not _contains(item, container)),
    ast.Is: ("is", operator.is_),
    ast.IsNot: ("is not", operator.is_not),
}
