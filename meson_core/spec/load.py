"""Owns the way from plain data to a workflow, and pydantic's findings as problems that an author can read.

A problem gives the path by names, not by positions: `body → train → retry → user: must be ≥ 0, got -2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from meson_core.errors import (
    AuthoringError,
    InvalidWorkflowError,
    SpecError,
    UnknownNameError,
    Where,
    WrongTypeError,
)
from meson_core.expressions import show
from meson_core.spec import model
from meson_core.spec.model import Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

#: Deepest nesting of plain data that is read, and of nodes that is accepted.
MAX_DATA_DEPTH: Final = 120
MAX_NODE_DEPTH: Final = 24

_NODES: Final[dict[str, type[BaseModel]]] = {
    "step": model.Step,
    "for_each": model.ForEach,
    "repeat": model.Repeat,
    "choose": model.Choose,
    "subworkflow": model.Subworkflow,
}
_INSIDE: Final[dict[str, type[BaseModel]]] = {
    "params": model.Parameter,
    "resources": model.Resources,
    "retry": model.Retry,
    "branches": model.Branch,
    "workflow": Workflow,
    "source": model.Source,
    "#expression": model.Expression,
    "#constant": model.Constant,
}
_EXPECTED: Final = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a mapping",
    "model": "a mapping",
    "list": "a list",
    "tuple": "a list",
    "finite": "a finite number",
}
_BOUNDS: Final = {"greater_than_equal": "≥", "greater_than": ">", "less_than_equal": "≤", "less_than": "<"}


def load(data: Any) -> Workflow:
    """The workflow that plain data (from JSON, YAML or the DSL) spells; not checked yet.

    Raises:
        InvalidWorkflowError: it does not have the form of a workflow; with every problem, its path and its place.
    """
    name = data["name"] if isinstance(data, dict) and isinstance(data.get("name"), str) else "?"
    depth = _depth(data)
    if depth > MAX_DATA_DEPTH:
        message = f"the data is nested more than {MAX_DATA_DEPTH} levels deep"
        raise InvalidWorkflowError(name, [SpecError(message, hint="move inner parts into subworkflows of their own")])
    if isinstance(data, dict) and data.get("format", 1) != 1:
        message = f"the definition has format {show(data['format'])}, this version of Meson reads format 1"
        raise InvalidWorkflowError(name, [SpecError(message, hint="install a newer version of Meson")])
    try:
        return Workflow.model_validate(data)
    except ValidationError as error:
        problems = _problems(error.errors(include_url=False), data)
    raise InvalidWorkflowError(name, problems)


def _depth(data: Any) -> int:
    """How deeply plain data is nested; stops counting where it is certainly too deep."""
    deepest, stack = 0, [(data, 1)]
    while stack and deepest <= MAX_DATA_DEPTH:
        value, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            stack.extend((part, depth + 1) for part in value.values())
        elif isinstance(value, list | tuple):
            stack.extend((part, depth + 1) for part in value)
    return deepest


def _problems(errors: list[ErrorDetails], data: Any) -> list[AuthoringError]:
    paths = [error["loc"] for error in errors]
    return [
        _problem(error, data)
        for error in errors
        # a list whose items are all wrong counts as empty as well; that is no news
        if error["type"] != "too_short"
        or not any(len(path) > len(error["loc"]) and path[: len(error["loc"])] == error["loc"] for path in paths)
    ]


class _Spot(NamedTuple):
    """Where in the data a problem is."""

    path: tuple[str, ...]
    where: Where | None
    owner: type[BaseModel]


def _spot(loc: tuple[int | str, ...], data: Any) -> _Spot:
    path: list[str] = []
    where = _where(data)
    owner: type[BaseModel] = Workflow
    value = data
    for at, part in enumerate(loc):
        if isinstance(part, int):
            value = value[part]
            name = value.get("name") if isinstance(value, dict) else None
            path.append(name if isinstance(name, str) and name else f"#{part + 1}")
        elif at > 1 and isinstance(loc[at - 1], int) and loc[at - 2] in ("body", "otherwise"):
            owner = _NODES[part]
        elif part in _INSIDE and part.startswith("#"):
            owner = _INSIDE[part]
        elif isinstance(value, dict) and part != "[key]" and (part in value or at == len(loc) - 1):
            path.append(part)
            owner = _INSIDE.get(part, owner)
            value = value.get(part)
        # anything else is pydantic's own note: which member of a union it tried
        where = _where(value) or where
    return _Spot(tuple(path), where, owner)


def _where(value: Any) -> Where | None:
    source = value.get("source") if isinstance(value, dict) else None
    if not isinstance(source, dict) or not isinstance(source.get("file"), str):
        return None
    line = source.get("line")
    return Where(source["file"], line if isinstance(line, int) else None)


def _problem(error: ErrorDetails, data: Any) -> AuthoringError:
    spot = _spot(error["loc"], data)
    if error["type"] == "extra_forbidden":
        return _unknown_field(spot)
    subject = " → ".join(spot.path)
    told = explain(error)
    message = f"{subject}: {told.message}" if subject else f"the workflow {told.message}"
    if told.name is not None:
        return UnknownNameError(message, name=told.name, known=told.known, where=spot.where)
    kind = WrongTypeError if error["type"].endswith(("_type", "_parsing")) else SpecError
    return kind(message, where=spot.where)


def _unknown_field(spot: _Spot) -> AuthoringError:
    name = spot.path[-1]
    subject = " → ".join(spot.path[:-1]) or "the workflow"
    message = f"{subject}: there is no field {name!r}"
    return UnknownNameError(message, name=name, known=spot.owner.model_fields, where=spot.where)


class Told(NamedTuple):
    """A finding of pydantic in our words.

    Args:
        message: what was expected, and the value that was met.
        name: a wrong word out of a fixed list, or None.
        known: that list.
    """

    message: str
    name: str | None = None
    known: tuple[str, ...] = ()


def explain(error: ErrorDetails) -> Told:
    """One finding of pydantic in our words."""
    kind, value = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    got = f"got {show(value)}"
    if kind == "missing":
        return Told("is missing")
    if kind == "value_error":  # a validator has said it in a sentence of its own, with the value where that helps
        return Told(str(context["error"]))
    if kind == "too_short":
        return Told("is empty; it needs at least one")
    if kind in _BOUNDS:
        bound = context[
            {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}[kind]
        ]
        return Told(f"must be {_BOUNDS[kind]} {bound:g}, {got}")
    if kind == "string_pattern_mismatch" and context["pattern"] == model.NAME_PATTERN:
        return Told(f"a name has letters, digits and _, and does not begin with a digit, {got}")
    if kind == "string_too_long":
        return Told(f"has more than {context['max_length']} characters, {got}")
    if kind in ("enum", "literal_error"):
        known = tuple(word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", "))
        return Told(f"must be {context['expected']}, {got}", str(value), known)
    if kind == "union_tag_not_found":
        return Told(f"says no `node`, which is one of {', '.join(_NODES)}")
    if kind == "union_tag_invalid":
        tag = str(context["tag"])
        return Told(f"there is no node {tag!r}", tag, tuple(_NODES))
    expected = _EXPECTED.get(kind.partition("_")[0])
    if expected is not None:
        return Told(f"must be {expected}, {got}")
    return Told(f"{error['msg'][:1].lower()}{error['msg'][1:]}, {got}")
