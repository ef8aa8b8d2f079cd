"""Owns the parsed expression: what it names, its normal form, its value."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from meson_core.errors import EvaluationError, ExpressionError, Where
from meson_core.expressions.compiler import Root, compile_text
from meson_core.expressions.values import MAX_LENGTH, Code, FaultError, Work, clip, show

Lookup: TypeAlias = Callable[[str], Any] | Mapping[str, Any]


class Expression:
    """A parsed expression; make one with `parse`.

    Args:
        text: as the author wrote it.
        tree: its checked syntax tree, which others may read (types are inferred from it) and must not change.
        roots: every place that names something outside, from left to right.
    """

    __slots__ = ("_code", "roots", "text", "tree")

    def __init__(self, text: str, tree: ast.expr, roots: tuple[Root, ...], code: Code) -> None:
        self.text = text
        self.tree = tree
        self.roots = roots
        self._code = code

    def __repr__(self) -> str:
        return f"parse({self.text!r})"

    @property
    def canonical(self) -> str:
        """The normal form of the text: equal for all spellings that differ only in space, quotes and brackets."""
        return ast.unparse(self.tree)

    @property
    def constant(self) -> bool:
        """Whether it names nothing, so that its value is always the same."""
        return not self.roots

    def evaluate(self, lookup: Lookup) -> Any:
        """Its value, as JSON values.

        Args:
            lookup: gives the value of a bare name, as a mapping or a function that raises `LookupError` for a name
                that it does not have. A step is a mapping of its outputs.

        Raises:
            EvaluationError: the values do not allow it; names the part that failed and the values involved.
        """
        work = Work(lookup.__getitem__ if isinstance(lookup, Mapping) else lookup)
        try:
            return self._code(work)
        except FaultError as fault:
            problem = fault
        except RecursionError:
            problem = FaultError(self.tree, "the values are nested too deeply")
        part = ast.unparse(problem.node)
        inside = "" if part == self.canonical else f"{clip(part)}: "
        message = f"cannot evaluate `{self.text}`: {inside}{problem}{self._values(work)}"
        raise EvaluationError(message, hint=problem.hint) from None

    def _values(self, work: Work) -> str:
        """What the names stood for, for the message of an error."""
        shown: dict[str, str] = {}
        for root in self.roots:
            name = root.name + "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in root.path)
            try:
                value = work.lookup(root.name)
                for key in root.path:
                    value = value[key]
            except (LookupError, TypeError):
                continue  # it is what the message already tells of
            shown[name] = show(value)
        return f" (with {', '.join(f'{name} = {value}' for name, value in shown.items())})" if shown else ""


def parse(text: str, where: Where | None = None) -> Expression:
    """The expression that `text` spells; equal texts give the same object.

    Raises:
        ExpressionError: it does not parse, or uses what the language does not have; with the column.
    """
    try:
        return _parse(text)
    except ExpressionError as error:
        if where is None:
            raise
        raise ExpressionError(error.message, text=text, column=error.column, where=where, hint=error.hint) from None


def literal(value: Any) -> str:
    """The text of an expression whose value is the JSON value `value`.

    Raises:
        ExpressionError: it is not a JSON value.
    """
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        message = f"{show(value)} is not a JSON value"
        raise ExpressionError(message, text=show(value)) from None
    return repr(plain)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Expression:
    if len(text) > MAX_LENGTH:
        message = f"the expression `{clip(text)}` has {len(text):,} characters; the most is {MAX_LENGTH:,}"
        raise ExpressionError(message, text=text, hint="compute the value in a step")
    compiled = compile_text(text)
    return Expression(text, compiled.tree, compiled.roots, compiled.code)
