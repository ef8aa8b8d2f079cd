"""Owns reading Python types: which type of the spec an annotation means, and what a step function takes and gives."""

from __future__ import annotations

import collections.abc
import inspect
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meson_core.dsl.names import expect
from meson_core.errors import SpecError, UnknownNameError, Where, WrongTypeError

ANY = "any"
RESULT = "result"

_SIMPLE: dict[Any, str] = {
    Any: ANY,
    object: ANY,
    None: ANY,
    type(None): ANY,
    inspect.Parameter.empty: ANY,
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    pathlib.Path: "str",
    pathlib.PurePath: "str",
    list: "list[any]",
    tuple: "list[any]",
    dict: "dict[any]",
}
_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


@dataclass(frozen=True, slots=True)
class Argument:
    """What a step function takes.

    Args:
        name: of the argument.
        type: a type of the spec.
        required: whether it has no default.
    """

    name: str
    type: str
    required: bool


def is_artifact(annotation: object) -> bool:
    """Whether it is `meson_runtime.Artifact`, which is known by its name: importing it here would bring its IO along."""
    module = getattr(annotation, "__module__", None) or ""
    return module.partition(".")[0] == "meson_runtime" and getattr(annotation, "__qualname__", "") == "Artifact"


def is_record(annotation: object) -> bool:
    """Whether a type has named fields: a TypedDict or a dataclass."""
    return typing.is_typeddict(annotation) or (
        isinstance(annotation, type) and hasattr(annotation, "__dataclass_fields__")
    )


def type_text(annotation: object) -> str:
    """The type of the spec that a Python type, or a text of the spec's own, means.

    Raises:
        WrongTypeError: values of that type are not JSON.
    """
    if isinstance(annotation, str):
        return annotation  # the check says what is wrong with it
    if is_artifact(annotation):
        return "artifact"
    if is_record(annotation):
        return "dict[any]"
    origin = typing.get_origin(annotation)
    if origin is None:
        try:
            return _SIMPLE[annotation]
        except (KeyError, TypeError):
            raise _no_type(annotation) from None
    return _generic(annotation, origin, typing.get_args(annotation))


def _generic(annotation: object, origin: object, args: tuple[Any, ...]) -> str:
    if origin is typing.Literal:
        of = {type(arg) for arg in args}
        return type_text(of.pop()) if len(of) == 1 else ANY
    if origin in (typing.Annotated, typing.Final, typing.ClassVar, typing.Required, typing.NotRequired):
        return type_text(args[0])
    if origin in (typing.Union, types.UnionType):
        if type(None) in args:
            return ANY  # null is a value of `any` alone
        kinds = {type_text(arg) for arg in args}
        return "float" if kinds == {"int", "float"} else kinds.pop() if len(kinds) == 1 else ANY
    if origin in _LISTS:
        items = {type_text(arg) for arg in args if arg is not Ellipsis}
        return f"list[{items.pop() if len(items) == 1 else ANY}]"
    if origin in _DICTS:
        if args[0] is not str:
            msg = f"{_shown(annotation)} has keys that are not texts, and JSON has no others"
            raise WrongTypeError(msg, hint="use dict[str, ...]")
        return f"dict[{type_text(args[1])}]"
    raise _no_type(annotation)


def _shown(annotation: object) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def _no_type(annotation: object) -> WrongTypeError:
    msg = f"{_shown(annotation)} is not a type that a workflow can carry"
    return WrongTypeError(
        msg,
        hint="use bool, int, float, str, list, dict[str, ...] or Artifact; "
        "keep other things in a file with ctx.put(path), which gives an Artifact",
    )


def arguments(function: Callable[..., Any], where: Where) -> tuple[tuple[Argument, ...], bool]:
    """What a step function takes, and whether it takes any further arguments by name (`**kwargs`).

    Raises:
        SpecError: it takes arguments that cannot be given by name.
    """
    hints = _hints(function)
    found = []
    open_ended = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
            msg = f"step {function.__name__}: its argument {star}{parameter.name} cannot be given by name"
            raise SpecError(msg, where=where, hint="a step gets all its arguments by name")
        else:
            try:
                kind = type_text(hints.get(parameter.name, Any))
            except WrongTypeError:
                kind = ANY  # what it does with the JSON that it gets is its own affair
            found.append(Argument(parameter.name, kind, parameter.default is parameter.empty))
    return tuple(found), open_ended


def outputs(function: Callable[..., Any], where: Where) -> dict[str, str]:
    """Output name → type, by the return annotation; nothing when there is none.

    Raises:
        SpecError: the annotation names something that is not there, or a type that a workflow cannot carry.
    """
    annotation = _return_of(function, where)
    if annotation in (None, type(None), inspect.Signature.empty):
        return {}
    name = function.__name__
    if not is_record(annotation):
        return {RESULT: _output_type(annotation, f"step {name} returns", where)}
    fields = _fields(annotation, name, where)
    found = {
        field: _output_type(kind, f"step {name}: its output {field!r} is", where) for field, kind in fields.items()
    }
    if set(found) == {RESULT}:
        msg = f"step {name}: {_shown(annotation)} has the one field {RESULT!r}, which is what a plain return value is called"
        raise SpecError(msg, where=where, hint=f"annotate the value itself: -> {found[RESULT]}")
    return found


def output_types(declared: Mapping[str, Any], owner: str, where: Where | None) -> dict[str, str]:
    """Output name → type of the spec, from what `outputs=` says.

    Raises:
        WrongTypeError: a type that a workflow cannot carry, or no mapping at all.
    """
    expect(
        declared, Mapping, f"{owner}: outputs must be a mapping of names to types", where, 'write outputs={"rows": int}'
    )
    return {str(name): _output_type(kind, f"{owner}: its output {name!r} is", where) for name, kind in declared.items()}


def _output_type(annotation: object, subject: str, where: Where | None) -> str:
    try:
        return type_text(annotation)
    except WrongTypeError as error:
        msg = f"{subject} {_shown(annotation)}: {error.message}"
        raise WrongTypeError(msg, where=where, hint=error.hint) from None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations with their names looked up; those of names that are not there (imported for types only) are left out."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - annotations are the author's own code, and may raise anything
        return {}


def _return_of(function: Callable[..., Any], where: Where) -> Any:
    raw = getattr(function, "__annotations__", {}).get("return", inspect.Signature.empty)
    if not isinstance(raw, str):
        return raw
    only_return = types.SimpleNamespace(__annotations__={"return": raw}, __wrapped__=function)
    try:
        return typing.get_type_hints(only_return, _scope(function), include_extras=True)["return"]
    except NameError as error:
        missing = getattr(error, "name", "") or ""
        msg = f"step {function.__name__}: its return annotation {raw!r} names {missing!r}, which is not there"
        known = [name for name in _scope(function) if name.isidentifier() and not name.startswith("_")]
        raise UnknownNameError(msg, name=missing, known=known, where=where) from None
    except Exception as error:  # noqa: BLE001 - annotations are the author's own code, and may raise anything
        msg = f"step {function.__name__}: its return annotation {raw!r} cannot be read: {error}"
        raise SpecError(msg, where=where) from None


def _scope(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function sees: its module's, and those of the functions around it."""
    scope = dict(getattr(function, "__globals__", {}))
    code = getattr(function, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=True):
        try:
            scope[name] = cell.cell_contents
        except ValueError:
            continue
    return scope


def _fields(record: Any, name: str, where: Where) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(record, include_extras=True)
    except Exception as error:  # noqa: BLE001 - annotations are the author's own code, and may raise anything
        msg = f"step {name}: the fields of {_shown(record)} cannot be read: {error}"
        raise SpecError(msg, where=where) from None
    if typing.is_typeddict(record):
        return hints
    return {field: hints[field] for field in record.__dataclass_fields__}
