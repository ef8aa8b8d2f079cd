"""Owns what a step may return: its declared outputs, of their declared types, as JSON of at most 64 KiB."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Optional

from meson_runtime.artifacts import Artifact, is_artifact
from meson_runtime.saving import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Largest outputs object of one attempt, in bytes of JSON.
MAX_OUTPUTS = 64 * 1024

#: A type: its name, and the type of its items if it is a list or dict.
Type = tuple[str, Optional[Any]]


class OutputError(Exception):
    """Outputs that cannot be recorded: what is wrong, and what to do."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Type:
    """A type that the core has checked: `float`, `list[dict[artifact]]`."""
    name, _, inner = text.strip().partition("[")
    if inner:
        return name, parse(inner[: inner.rindex("]")])
    return name, ("any", None) if name in ("list", "dict") else None


def problem(value: Any, declared: Type, at: str) -> str | None:
    """What is wrong with a JSON value as one of the declared type, and where; None if nothing is."""
    name, item = declared
    if name == "any":
        return None
    if name == "list":
        if type(value) is not list:
            return _expected(value, declared, at)
        return _first(problem(part, item, "%s[%d]" % (at, index)) for index, part in enumerate(value))  # type: ignore[arg-type]
    if name == "dict":
        if type(value) is not dict or is_artifact(value):
            return _expected(value, declared, at)
        return _first(problem(part, item, f"{at}.{key}") for key, part in value.items())  # type: ignore[arg-type]
    if name == "artifact":
        return None if is_artifact(value) else _expected(value, declared, at)
    if name == "float":
        return None if type(value) in (int, float) else _expected(value, declared, at)
    return None if type(value).__name__ == name else _expected(value, declared, at)


def check(found: Mapping[str, Any], declared: Mapping[str, str]) -> None:
    """Compare outputs, as JSON values, with what was declared; nothing declared accepts anything.

    Raises:
        OutputError: one is missing, was not declared, or has another type.
    """
    if not declared:
        return
    missing = [name for name in declared if name not in found]
    unknown = [name for name in found if name not in declared]
    if missing:
        raise OutputError("it ended without the declared output{} {}".format(*_names(missing)))
    if unknown:
        raise OutputError("it returned the output{} {}, which is not declared".format(*_names(unknown)))
    for name, text in declared.items():
        wrong = problem(found[name], parse(text), name)
        if wrong is not None:
            raise OutputError("output " + wrong)


def dumps(found: Mapping[str, Any]) -> str:
    """Outputs as JSON.

    Raises:
        OutputError: something in them is not JSON, or they are too large.
    """
    try:
        text = _encode(found)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(_blame(found, error)) from None
    if len(text) > MAX_OUTPUTS:
        raise OutputError(
            "the outputs are %d bytes of JSON, and %d are the limit; store large things with ctx.put(...) and return what "
            "it gives" % (len(text), MAX_OUTPUTS)
        )
    if "\\ud" in text:
        try:
            json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise OutputError("an output has half a character in it (a lone surrogate), which is not text") from None
    return text


def _default(value: Any) -> Any:
    """What is not JSON by itself, and still has one obvious meaning."""
    if isinstance(value, Artifact):
        return value.value()
    return as_json(value)


_encode: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=_default
).encode


def _blame(found: Mapping[str, Any], error: Exception) -> str:
    """Which value is at fault, for the error message."""
    for name, value in found.items():
        wrong = _fault(value, str(name), 0)
        if wrong is not None:
            return f"output {wrong}; store objects with ctx.put(...), or return numbers, text, lists and dicts"
    return f"the outputs are not JSON: {error}"


def _fault(value: Any, at: str, depth: int) -> str | None:
    if depth > 100:
        return f"{at}: nested too deeply, or contains itself"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{at}: {value!r} is not a JSON number"
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, (str, int, float, bool)) and key is not None:
                return f"{at}: {key!r} is not a JSON key"
        return _first(_fault(part, f"{at}.{key}", depth + 1) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return _first(_fault(part, "%s[%d]" % (at, index), depth + 1) for index, part in enumerate(value))
    if value is None or isinstance(value, (str, int, bool)):
        return None
    try:
        return _fault(_default(value), at, depth + 1)
    except TypeError as error:
        return f"{at}: {error}"


def _first(found: Any) -> str | None:
    return next((wrong for wrong in found if wrong is not None), None)


def _expected(value: Any, declared: Type, at: str) -> str:
    shown = "null" if value is None else "%s %.80r" % (type(value).__name__, value)
    return f"{at}: expected {spell(declared)}, got {shown}"


def spell(declared: Type) -> str:
    """A type as authors write it."""
    name, item = declared
    return name if item is None else f"{name}[{spell(item)}]"


def _names(names: Any) -> tuple[str, str]:
    return ("s" if len(names) > 1 else "", ", ".join(map(str, names)))


def checked(found: dict[str, Any], declared: Mapping[str, str]) -> str:
    """Outputs of a Python step as JSON, checked by what JSON makes of them.

    Raises:
        OutputError: they cannot be recorded.
    """
    text = dumps(found)
    if declared and _needs_a_look(found, declared):
        check(json.loads(text), declared)
    return text


_QUICK = {"int": int, "str": str, "bool": bool, "float": float}


def _needs_a_look(found: Mapping[str, Any], declared: Mapping[str, str]) -> bool:
    """Whether the types are not plainly right: most outputs are a few scalars."""
    if len(found) != len(declared):
        return True
    for name, text in declared.items():
        if name not in found or (text != "any" and type(found[name]) is not _QUICK.get(text)):
            return True
    return False
