"""Owns values that are known only while a run is going: references, parameters, loop variables, and what is computed of them.

A `Value` is text of the expression language that remembers what it was made of. Operators make new text, with just the
parentheses that it needs; nothing is computed here.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from meson_core.dsl.places import here
from meson_core.errors import SpecError, UnknownNameError, Where, WrongTypeError
from meson_core.expressions import parse

# How tightly text binds, loosest first; what binds looser than its place asks for gets parentheses.
_TERNARY, _OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _UNARY, _POWER, _ATOM = range(10)

_LEVELS: dict[type[object], int] = {
    ast.IfExp: _TERNARY,
    ast.Or: _OR,
    ast.And: _AND,
    ast.Not: _NOT,
    ast.Compare: _COMPARE,
    ast.Add: _ADD,
    ast.Sub: _ADD,
    ast.Mult: _MULTIPLY,
    ast.Div: _MULTIPLY,
    ast.FloorDiv: _MULTIPLY,
    ast.Mod: _MULTIPLY,
    ast.UAdd: _UNARY,
    ast.USub: _UNARY,
    ast.Pow: _POWER,
}


class Value:
    """Something whose value is known only during a run, as text of the expression language.

    Compare and compute with the usual operators; say `&`, `|` and `~` for *and*, *or* and *not*, and `isin` and
    `contains` for *in*. Index with `[...]`.
    """

    __slots__ = ("_level", "text", "uses")
    __hash__ = object.__hash__

    def __init__(self, text: str, level: int = _ATOM, uses: tuple[Value, ...] = ()) -> None:
        #: In the expression language.
        self.text = text
        self._level = level
        #: References, parameters and loop variables in it, each once, in order.
        self.uses = uses

    def at(self, level: int) -> str:
        """Its text for a place that binds this tightly: in parentheses when it binds looser itself."""
        return self.text if self._level >= level else f"({self.text})"

    def __repr__(self) -> str:
        return f"<{self.text}>"

    # --- what a value cannot do before the run ------------------------------------------------------------------------

    def _unknown_yet(self, doing: str, hint: str) -> SpecError:
        msg = f"{self.text} has no value before the run, so it cannot be {doing}"
        return SpecError(msg, where=here(), hint=hint)

    def __bool__(self) -> bool:
        raise self._unknown_yet(
            "true or false here",
            "in conditions write & for and, | for or, ~ for not, with parentheses around each comparison, "
            "and split a < b < c into (a < b) & (b < c)",
        )

    def __contains__(self, item: object) -> bool:
        raise self._unknown_yet("searched here", "write value.contains(item) or item.isin(value)")

    def __iter__(self) -> NoReturn:
        raise self._unknown_yet("looped over here", "let the run loop over it: for_each(item=...)(body)")

    def __len__(self) -> int:
        raise self._unknown_yet("measured here", 'write expr("len({items})", items=...)')

    def __format__(self, spec: str) -> str:
        raise self._unknown_yet("put into a text here", "bind it as an argument of the step, or use expr(...)")

    # --- parts ----------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: object) -> Value:
        if isinstance(key, slice):
            ends = (key.start, key.stop) if key.step is None else (key.start, key.stop, key.step)
            texts = ["" if end is None else as_value(end).text for end in ends]
            return Computed(f"{self.at(_ATOM)}[{':'.join(texts)}]", _ATOM, _uses(self, *ends))
        return _joined(lambda text: f"{self.at(_ATOM)}[{text[0]}]", _ATOM, (key,), (_TERNARY,), self)

    def isin(self, items: object) -> Value:
        """Whether it is among `items`: a list, or a value that will be one."""
        return _compare("in", self, items)

    def contains(self, item: object) -> Value:
        """Whether `item` is among its items (or its keys, or a part of the text)."""
        return _compare("in", item, self)

    # --- comparisons ------------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        return _compare("==", self, other)

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        return _compare("!=", self, other)

    def __lt__(self, other: object) -> Value:
        return _compare("<", self, other)

    def __le__(self, other: object) -> Value:
        return _compare("<=", self, other)

    def __gt__(self, other: object) -> Value:
        return _compare(">", self, other)

    def __ge__(self, other: object) -> Value:
        return _compare(">=", self, other)

    # --- logic ------------------------------------------------------------------------------------------------------------

    def __and__(self, other: object) -> Value:
        return _binary("and", _AND, self, other)

    def __rand__(self, other: object) -> Value:
        return _binary("and", _AND, other, self)

    def __or__(self, other: object) -> Value:
        return _binary("or", _OR, self, other)

    def __ror__(self, other: object) -> Value:
        return _binary("or", _OR, other, self)

    def __invert__(self) -> Value:
        return Computed(f"not {self.at(_NOT)}", _NOT, _uses(self))

    # --- arithmetic -------------------------------------------------------------------------------------------------------

    def __add__(self, other: object) -> Value:
        return _binary("+", _ADD, self, other)

    def __radd__(self, other: object) -> Value:
        return _binary("+", _ADD, other, self)

    def __sub__(self, other: object) -> Value:
        return _binary("-", _ADD, self, other)

    def __rsub__(self, other: object) -> Value:
        return _binary("-", _ADD, other, self)

    def __mul__(self, other: object) -> Value:
        return _binary("*", _MULTIPLY, self, other)

    def __rmul__(self, other: object) -> Value:
        return _binary("*", _MULTIPLY, other, self)

    def __truediv__(self, other: object) -> Value:
        return _binary("/", _MULTIPLY, self, other)

    def __rtruediv__(self, other: object) -> Value:
        return _binary("/", _MULTIPLY, other, self)

    def __floordiv__(self, other: object) -> Value:
        return _binary("//", _MULTIPLY, self, other)

    def __rfloordiv__(self, other: object) -> Value:
        return _binary("//", _MULTIPLY, other, self)

    def __mod__(self, other: object) -> Value:
        return _binary("%", _MULTIPLY, self, other)

    def __rmod__(self, other: object) -> Value:
        return _binary("%", _MULTIPLY, other, self)

    def __pow__(self, other: object) -> Value:
        return _power(self, other)

    def __rpow__(self, other: object) -> Value:
        return _power(other, self)

    def __neg__(self) -> Value:
        return Computed(f"-{self.at(_UNARY)}", _UNARY, _uses(self))

    def __pos__(self) -> Value:
        return self


def _uses(*operands: object) -> tuple[Value, ...]:
    """What the operands use, each once; a reference, parameter or loop variable uses itself."""
    seen: dict[int, Value] = {}
    for operand in operands:
        if isinstance(operand, Value):
            for used in operand.uses:
                seen.setdefault(id(used), used)
    return tuple(seen.values())


def _joined(
    write: Callable[[list[str]], str], level: int, operands: tuple[object, ...], at: tuple[int, ...], *more: Value
) -> Value:
    parts = [as_value(operand) for operand in operands]
    texts = [part.at(needed) for part, needed in zip(parts, at, strict=True)]
    return Computed(write(texts), level, _uses(*more, *parts))


def _binary(operator: str, level: int, left: object, right: object) -> Value:
    # All of them group to the left, so an equal level on the right needs parentheses.
    return _joined(lambda text: f"{text[0]} {operator} {text[1]}", level, (left, right), (level, level + 1))


def _compare(operator: str, left: object, right: object) -> Value:
    # A comparison as an operand of another would chain, so neither side may be one.
    return _joined(lambda text: f"{text[0]} {operator} {text[1]}", _COMPARE, (left, right), (_ADD, _ADD))


def _power(left: object, right: object) -> Value:
    return _joined(lambda text: f"{text[0]} ** {text[1]}", _POWER, (left, right), (_ATOM, _UNARY))


def is_symbolic(value: object) -> bool:
    """Whether a value, or anything in a list or dict, is known only during the run."""
    if isinstance(value, Value):
        return True
    if isinstance(value, Mapping):
        return any(is_symbolic(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(is_symbolic(item) for item in value)
    return False


def as_value(value: object) -> Value:
    """A literal as text of the expression language; a value as it is.

    Raises:
        WrongTypeError: not JSON, with what it is.
    """
    if isinstance(value, Value):
        return value
    if value is None or isinstance(value, bool | str):
        return Computed(repr(value))
    if isinstance(value, int | float):
        if not math.isfinite(value):
            msg = f"{value!r} cannot be written in an expression: only finite numbers can"
            raise WrongTypeError(msg, where=here())
        return Computed(repr(value), _ATOM if math.copysign(1, value) > 0 else _UNARY)
    if isinstance(value, list | tuple):
        items = [as_value(item) for item in value]
        return Computed(f"[{', '.join(item.text for item in items)}]", _ATOM, _uses(*items))
    if isinstance(value, Mapping):
        pairs = [(as_value(str(key)), as_value(item)) for key, item in value.items()]
        text = ", ".join(f"{key.text}: {item.text}" for key, item in pairs)
        return Computed(f"{{{text}}}", _ATOM, _uses(*(item for _, item in pairs)))
    msg = f"{value!r} ({type(value).__name__}) cannot be written in an expression"
    raise WrongTypeError(msg, where=here(), hint="use numbers, texts, true/false, None, and lists or dicts of these")


def text_of(value: object) -> str:
    """An expression as text: a value, a text that is one already, or a literal that is not a text."""
    return value if isinstance(value, str) else as_value(value).text


class Computed(Value):
    """What operators, literals and texts make.

    The sorts of values are siblings: Python asks the right operand first when its class is derived from that of the left
    one, and `alpha > rows` would become `rows < alpha`.
    """

    __slots__ = ()


class Reference(Value):
    """An output of a node.

    Attributes:
        node: the node as the author wrote it.
        node_name: what it is called.
        output: the name of the output.
        made: the line on which the node was made.
    """

    __slots__ = ("made", "node", "node_name", "output")

    def __init__(self, node: object, node_name: str, output: str, made: Where | None) -> None:
        super().__init__(f"{node_name}.{output}")
        self.node = node
        self.node_name = node_name
        self.output = output
        self.made = made
        self.uses = (self,)


class LoopVariable(Value):
    """The present item of a for_each, for what stands inside.

    Attributes:
        loop: the header that it belongs to.
        name: of the variable.
        made: the line on which the loop was made.
    """

    __slots__ = ("loop", "made", "name")

    def __init__(self, loop: object, name: str, made: Where | None) -> None:
        super().__init__(name)
        self.loop = loop
        self.name = name
        self.made = made
        self.uses = (self,)


_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


def expr(text: str, **values: object) -> Value:
    """An expression written as text: `expr("len({rows}) > 3", rows=get_users.output["rows"])`.

    Args:
        text: in the expression language; names in braces stand for `values`.
        **values: references, parameters, loop variables or literals.

    Raises:
        ExpressionError: the text is no expression.
        UnknownNameError: a name in braces has no value.
    """
    uses = [as_value(value) for value in values.values()]
    if values:
        parts = dict(zip(values, uses, strict=True))

        def fill(match: re.Match[str]) -> str:
            if match.group(1) not in parts:
                msg = f"the expression {text!r} has {match.group()}, which is not given"
                raise UnknownNameError(msg, name=match.group(1), known=parts, where=here())
            return parts[match.group(1)].at(_ATOM)

        text = _FIELD.sub(fill, text)
    return Computed(text, _level_of(text), _uses(*uses))


def _level_of(text: str) -> int:
    tree = parse(text, here()).tree
    return _LEVELS.get(type(getattr(tree, "op", tree)), _ATOM)


def symbols(values: Iterable[object]) -> tuple[Value, ...]:
    """All references, parameters and loop variables in values and in lists and dicts of them, each once, in order."""
    found: dict[int, Value] = {}

    def look(value: object) -> None:
        if isinstance(value, Value):
            for used in value.uses:
                found.setdefault(id(used), used)
        elif isinstance(value, Mapping):
            for item in value.values():
                look(item)
        elif isinstance(value, list | tuple):
            for item in value:
                look(item)

    for value in values:
        look(value)
    return tuple(found.values())
