"""Owns workflow parameters as authors declare them."""

from __future__ import annotations

import typing
from typing import Any

from meson_core.dsl.names import checked_name
from meson_core.dsl.places import here
from meson_core.dsl.signatures import ANY, type_text
from meson_core.dsl.values import Value
from meson_core.errors import Where, WrongTypeError

if typing.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Param(Value):
    """A parameter of a workflow: a value for expressions, and its declaration.

    Attributes:
        name: of the parameter.
        declared: fields of `spec.model.Parameter`.
        where: the line that declared it.
    """

    __slots__ = ("declared", "name", "where")

    def __init__(self, name: str, declared: Mapping[str, Any], where: Where | None) -> None:
        super().__init__(name)
        self.name = name
        self.declared = dict(declared)
        self.where = where
        self.uses = (self,)


_REQUIRED: Any = object()


def param(
    name: str,
    type: Any = ANY,  # noqa: A002 - the word that authors expect
    *,
    default: Any = _REQUIRED,
    choices: Sequence[Any] | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    doc: str = "",
) -> Param:
    """A typed parameter; a workflow has those that are used in it.

    For example `alpha = param("alpha", float, default=0.1, ge=0)`.

    Args:
        name: how expressions and `-p name=value` call it.
        type: a Python type, `Literal["a", "b"]`, or a type of the spec as text ("list[float]").
        default: its value when none is given; without one it must be given.
        choices: the only values that it may have.
        ge: not less than.
        gt: greater than.
        le: not more than.
        lt: less than.
        min_length: of a text or list.
        max_length: of a text or list.
        pattern: regular expression that a text must match as a whole.
        doc: one sentence for people.

    Raises:
        WrongTypeError: a type that a workflow cannot carry.
    """
    where = here()
    checked_name(name, "parameter", where)
    try:
        kind = type_text(type)
    except WrongTypeError as error:
        msg = f"parameter {name!r}: {error.message}"
        raise WrongTypeError(msg, where=where, hint=error.hint) from None
    if choices is None and typing.get_origin(type) is typing.Literal:
        choices = typing.get_args(type)
    rules = {
        "ge": ge,
        "gt": gt,
        "le": le,
        "lt": lt,
        "min_length": min_length,
        "max_length": max_length,
        "pattern": pattern,
    }
    declared: dict[str, Any] = {"type": kind, "required": default is _REQUIRED, "doc": doc}
    if default is not _REQUIRED:
        declared["default"] = default
    if choices is not None:
        declared["choices"] = tuple(choices)
    declared.update((rule, value) for rule, value in rules.items() if value is not None)
    return Param(name, declared, where)
