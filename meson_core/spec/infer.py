"""Owns the types of expressions: what a condition or binding will give, and what in it can never work.

Only what is certain is a problem: what is not known has type `any` and goes with everything.
Null is not tracked: a value that may be null has the type that it has otherwise.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Protocol

from meson_core.expressions import FUNCTIONS, Expression
from meson_core.spec.types import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    STR,
    Type,
    dict_of,
    join,
    list_of,
    parse_type,
    type_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBERS = (BOOL, INT, FLOAT)
_ARTIFACT_PARTS = {"$artifact": STR, "size": INT, "name": STR, "media": STR}


class Names(Protocol):
    """What an expression names, by type."""

    def value(self, name: str) -> Type:
        """The type of a bare name."""

    def member(self, name: str, key: str) -> Type | None:
        """The type of an output, or None when `name` is not a step."""


def infer(expression: Expression, names: Names) -> tuple[Type, list[str]]:
    """The type of an expression, and what in it can never work.

    Args:
        expression: any.
        names: the types of what it names.
    """
    problems: list[str] = []
    return _Inference(names, problems).of(expression.tree), problems


class _Inference:
    def __init__(self, names: Names, problems: list[str]) -> None:
        self.names = names
        self.problems = problems

    def of(self, node: ast.expr) -> Type:
        match node:
            case ast.Constant():
                return type_of(node.value)
            case ast.Name():
                return self.names.value(node.id)
            case ast.Attribute(value=base, attr=key):
                return self.member(node, base, key)
            case ast.Subscript():
                return self.subscript(node)
            case ast.UnaryOp():
                return self.unary(node)
            case ast.BinOp():
                return self.arithmetic(node, self.of(node.left), self.of(node.right))
            case ast.BoolOp():
                return self.joined(self.of(value) for value in node.values)
            case ast.Compare():
                return self.comparison(node)
            case ast.IfExp():
                self.of(node.test)
                return join(self.of(node.body), self.of(node.orelse))
            case ast.List() | ast.Tuple():
                return list_of(self.joined(self.of(item) for item in node.elts))
            case ast.Dict():
                self.joined(self.of(part) for part in node.keys if part is not None)
                return dict_of(self.joined(self.of(value) for value in node.values))
            case _:
                assert isinstance(node, ast.Call)  # the compiler of expressions lets nothing else pass
                return self.call(node)

    def wrong(self, node: ast.expr, message: str) -> Type:
        self.problems.append(f"`{ast.unparse(node)}`: {message}")
        return ANY

    @staticmethod
    def joined(types: Iterable[Type]) -> Type:
        result: Type | None = None
        for given in types:
            result = given if result is None else join(result, given)
        return ANY if result is None else result

    def member(self, node: ast.expr, base: ast.expr, key: str) -> Type:
        if isinstance(base, ast.Name):
            output = self.names.member(base.id, key)
            if output is not None:
                return output
        given = self.of(base)
        if given.name == "any":
            return ANY
        if given.name == "dict" and given.item is not None:
            return given.item
        if given.name == "artifact" and key in _ARTIFACT_PARTS:
            return _ARTIFACT_PARTS[key]
        more = "; one value for each item: take [0], or pluck()" if given.name == "list" else ""
        return self.wrong(node, f"{_a(given)} has no {key!r}{more}")

    def subscript(self, node: ast.Subscript) -> Type:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return self.member(node, node.value, node.slice.value)
        given = self.of(node.value)
        if isinstance(node.slice, ast.Slice):
            for bound in (node.slice.lower, node.slice.upper, node.slice.step):
                if bound is not None:
                    self.of(bound)
            return given if given.name in ("any", "list", "str") else self.wrong(node, f"{_a(given)} cannot be sliced")
        key = self.of(node.slice)
        if given.name == "any":
            return ANY
        if given.name in ("list", "str") and key.name in ("any", "int"):
            return STR if given.item is None else given.item
        if given.name == "dict" and key.name in ("any", "str"):
            return ANY if given.item is None else given.item
        if given.name == "artifact" and key.name in ("any", "str"):
            return ANY
        return self.wrong(node, f"{_a(given)} is not indexed by {_a(key)}")

    def unary(self, node: ast.UnaryOp) -> Type:
        given = self.of(node.operand)
        if isinstance(node.op, ast.Not):
            return BOOL
        if given.name != "any" and given not in _NUMBERS:
            return self.wrong(node, f"{_a(given)} has no sign")
        return INT if given == BOOL else given

    def arithmetic(self, node: ast.BinOp, left: Type, right: Type) -> Type:
        if left in _NUMBERS and right in _NUMBERS:
            if isinstance(node.op, ast.Div):
                return FLOAT
            if isinstance(node.op, ast.Pow):
                return FLOAT if FLOAT in (left, right) else ANY  # 2 ** -1 is a float
            return FLOAT if FLOAT in (left, right) else INT
        both = {left.name, right.name}
        if isinstance(node.op, ast.Add) and (both <= {"list", "any"} or both <= {"str", "any"}):
            return join(left, right)
        if isinstance(node.op, ast.Mult) and both & {"list", "str"} and both <= {"list", "str", "int", "any"}:
            other = both - {"list", "str"}
            if len(other) == 1:
                return ANY if other == {"any"} else left if left.name in ("list", "str") else right
        if "any" in both:
            known = left if right.name == "any" else right
            if known.name == "any" or known in _NUMBERS:
                return ANY
        return self.wrong(node, f"{_a(left)} and {_a(right)} do not go together")

    def comparison(self, node: ast.Compare) -> Type:
        left = self.of(node.left)
        for op, side in zip(node.ops, node.comparators, strict=True):
            right = self.of(side)
            both = {left.name, right.name}
            if isinstance(op, ast.In | ast.NotIn):
                if right.name not in ("any", "list", "dict", "str", "artifact"):
                    self.wrong(node, f"nothing is in {_a(right)}")
                elif right.name == "str" and left.name not in ("any", "str"):
                    self.wrong(node, f"{_a(left)} is never in {_a(right)}")
            elif isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                numbers = both <= {"bool", "int", "float", "any"}
                if not (numbers or both <= {"str", "any"} or both <= {"list", "any"}):
                    self.wrong(node, f"{_a(left)} and {_a(right)} have no order")
            left = right
        return BOOL

    def call(self, node: ast.Call) -> Type:
        assert isinstance(node.func, ast.Name)
        function = FUNCTIONS[node.func.id]
        given = [self.of(value) for value in node.args]
        keywords = {str(keyword.arg): self.of(keyword.value) for keyword in node.keywords}
        first = given[0]
        takes = function.takes if function.takes != "several" else "list" if len(given) == 1 else "any"
        if not _suits(takes, first):
            return self.wrong(node, f"takes a {_TAKES.get(takes, takes)}, got {_a(first)}")
        if function.gives == "item":
            items = [_item(first)] if len(given) == 1 else given
            return self.joined([*items, *([keywords["default"]] if "default" in keywords else [])])
        if function.gives == "same":
            return first
        if function.gives in ("number", "total"):
            number = _item(first) if function.gives == "total" else first
            return INT if number == BOOL else number
        if function.gives == "rounded":
            return INT if len(given) == 1 or first == BOOL else first
        return parse_type(function.gives)


_TAKES = {"scalar": "number or a text", "sized": "list, dict or text"}


def _suits(takes: str, given: Type) -> bool:
    if takes == "any" or given.name == "any":
        return True
    if takes == "number":
        return given in _NUMBERS
    if takes == "scalar":
        return given.name in ("bool", "int", "float", "str")
    if takes == "sized":
        return given.name in ("list", "dict", "str", "artifact")
    return given.name == takes or (takes, given.name) == ("dict", "artifact")


def _item(given: Type) -> Type:
    return ANY if given.item is None else given.item


def _a(given: Type) -> str:
    return f"{'an' if given.name[0] in 'ai' else 'a'} {given}"
