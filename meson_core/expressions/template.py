"""Owns texts with expressions in them, `importance/${date}`: parsed once, put together from values."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from meson_core.errors import EvaluationError, ExpressionError
from meson_core.expressions.expression import Expression, parse
from meson_core.expressions.values import show

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPEN = "${"
_DOLLAR = "$${"
_Part: TypeAlias = "str | Expression"


class Template:
    """A parsed template; make one with `parse_template`.

    Args:
        text: as the author wrote it.
        parts: fixed texts and expressions, in order.
    """

    __slots__ = ("expressions", "parts", "text")

    def __init__(self, text: str, parts: tuple[_Part, ...]) -> None:
        self.text = text
        self.parts = parts
        self.expressions = tuple(part for part in parts if isinstance(part, Expression))

    @property
    def canonical(self) -> str:
        """The normal form of the text: its expressions are in theirs."""
        return "".join(
            part.replace(_OPEN, _DOLLAR) if isinstance(part, str) else f"${{{part.canonical}}}" for part in self.parts
        )

    def fill(self, values: Iterable[Any]) -> str:
        """The text for these values of its expressions, in their order.

        Raises:
            EvaluationError: a value is no text, number or truth value.
        """
        given = iter(values)
        return "".join(part if isinstance(part, str) else _plain(next(given), part) for part in self.parts)


def _plain(value: Any, part: Expression) -> str:
    if isinstance(value, str):
        return value
    if value is None or not isinstance(value, bool | int | float):
        raise EvaluationError(
            f"`{part.text}` is {show(value)}, and only texts, numbers and truth values can be part of a text",
            hint="name what tells the results of a step apart: a date, a region, a number",
        )
    return str(value).lower() if isinstance(value, bool) else repr(value)


@lru_cache(maxsize=1024)
def parse_template(text: str) -> Template:
    """The template that `text` spells. `$${` stands for `${`.

    Raises:
        ExpressionError: an expression in it does not parse, or has no end.
    """
    parts: list[_Part] = []
    fixed = ""
    at = 0
    while (found := text.find(_OPEN, at)) >= 0:
        if found > at and text[found - 1] == "$":
            fixed += text[at : found - 1] + _OPEN
            at = found + len(_OPEN)
            continue
        fixed += text[at:found]
        expression, at = _expression(text, found + len(_OPEN))
        if fixed:
            parts.append(fixed)
            fixed = ""
        parts.append(expression)
    fixed += text[at:]
    if fixed:
        parts.append(fixed)
    return Template(text, tuple(parts))


def _expression(text: str, start: int) -> tuple[Expression, int]:
    """The shortest expression from here that a brace ends (it may have braces itself), and the place behind that."""
    first: ExpressionError | None = None
    end = start
    while (end := text.find("}", end)) >= 0:
        try:
            return parse(text[start:end].strip()), end + 1
        except ExpressionError as error:
            first = first or error
        end += 1
    if first is not None:
        raise first
    message = f"`{text[start - len(_OPEN) :]}` has no closing brace"
    raise ExpressionError(message, text=text, column=start, hint="write ${expression}; $${ stands for ${ itself")
