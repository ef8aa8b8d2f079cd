"""Owns the little type language of parameters, inputs and outputs: `any`, `list[float]`, `dict[artifact]`.

Types describe JSON values. `any` goes with everything; an `int` is also a `float`; null is a value of `any` alone. An
**artifact** is a reference to stored bytes: the object `{"$artifact": "sha256:…", "size": …, "name": …, "media": …}`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from meson_core.errors import Where, WrongTypeError, nearest
from meson_core.expressions import show

SCALARS: Final = ("any", "bool", "int", "float", "str", "artifact")
CONTAINERS: Final = ("list", "dict")
#: How other languages spell them, for hints.
_ELSEWHERE: Final = {
    "boolean": "bool", "integer": "int", "long": "int", "number": "float", "double": "float", "real": "float",
    "string": "str", "text": "str", "object": "dict", "map": "dict", "mapping": "dict", "json": "any",
    "array": "list", "tuple": "list", "set": "list", "file": "artifact", "path": "artifact", "none": "any", "null": "any",
}  # fmt: skip
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ARTIFACT_FIELDS: Final = {"$artifact": str, "size": int, "name": str, "media": str}
_MAX_DEPTH: Final = 20


@dataclass(frozen=True, slots=True)
class Type:
    """One type.

    Args:
        name: one of `SCALARS` or `CONTAINERS`.
        item: type of the items of a list or the values of a dict; None for a scalar.
    """

    name: str
    item: Type | None = None

    def __str__(self) -> str:
        return self.name if self.item is None else f"{self.name}[{self.item}]"


ANY: Final = Type("any")
BOOL: Final = Type("bool")
INT: Final = Type("int")
FLOAT: Final = Type("float")
STR: Final = Type("str")
ARTIFACT: Final = Type("artifact")


def list_of(item: Type) -> Type:
    """The type of lists of `item`."""
    return Type("list", item)


def dict_of(item: Type) -> Type:
    """The type of dicts whose values are `item`."""
    return Type("dict", item)


@lru_cache(maxsize=1024)
def parse_type(text: str, where: Where | None = None) -> Type:
    """The type that `text` spells; a bare `list` or `dict` has items of any type.

    Raises:
        WrongTypeError: it spells no type; the hint gives the nearest one.
    """
    opened: list[str] = []
    rest = text.strip()
    while rest.endswith("]") and "[" in rest:
        name, _, rest = rest[:-1].partition("[")
        opened.append(name.strip())
        rest = rest.strip()
    result = Type(rest, ANY) if rest in CONTAINERS else Type(rest)
    wrong = next((name for name in opened if name not in CONTAINERS), None)
    if wrong is None and rest not in (*SCALARS, *CONTAINERS):
        wrong = rest
    if wrong is not None or len(opened) > _MAX_DEPTH:
        name = text if wrong is None else wrong
        close = _ELSEWHERE.get(name.lower()) or nearest(name.lower(), (*SCALARS, *CONTAINERS))
        hint = (
            f"did you mean {close!r}?" if close else "there are: any, bool, int, float, str, artifact, list[…], dict[…]"
        )
        message = f"{show(text)} is not a type"
        raise WrongTypeError(message, where=where, hint=hint)
    for name in reversed(opened):
        result = Type(name, result)
    return result


def accepts(declared: Type, given: Type) -> bool:
    """Whether a value that is known to be `given` may be a `declared`; what is not known is given the benefit."""
    if "any" in (declared.name, given.name):
        return True
    if declared.item is not None and given.item is not None:
        return declared.name == given.name and accepts(declared.item, given.item)
    return declared == given or (declared, given) == (FLOAT, INT)


def join(first: Type, second: Type) -> Type:
    """The narrowest type that holds the values of both."""
    if first == second:
        return first
    if {first, second} == {INT, FLOAT}:
        return FLOAT
    if first.name == second.name and first.item is not None and second.item is not None:
        return Type(first.name, join(first.item, second.item))
    return ANY


def type_of(value: Any) -> Type:
    """The type of a JSON value."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int | float | str):
        return INT if isinstance(value, int) else FLOAT if isinstance(value, float) else STR
    if isinstance(value, list | tuple):
        return list_of(_joined(value))
    if isinstance(value, dict):
        return ARTIFACT if is_artifact(value) else dict_of(_joined(value.values()))
    return ANY


def _joined(values: Any) -> Type:
    result: Type | None = None
    for value in values:
        result = type_of(value) if result is None else join(result, type_of(value))
    return ANY if result is None else result


def check_value(value: Any, declared: Type) -> str | None:
    """What is wrong with `value` as a `declared`, or None.

    The problem says where inside the value it is: `[3].loss: expected float, got str 'x'`.
    """
    return _check(value, declared, "")


def _check(value: Any, declared: Type, at: str) -> str | None:
    if declared.name == "any":
        return _check_json(value, at)
    if declared.item is not None:
        return _check_items(value, declared, declared.item, at)
    if declared.name == "artifact":
        return None if is_artifact(value) else _problem(at, declared, value)
    if declared.name == "float":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _problem(at, declared, value)
        return None if math.isfinite(value) else f"{at}: expected a finite number, got {value}".removeprefix(": ")
    wanted = {"bool": bool, "int": int, "str": str}[declared.name]
    return None if type(value) is wanted else _problem(at, declared, value)


def _check_items(value: Any, declared: Type, item: Type, at: str) -> str | None:
    if declared.name == "list":
        if not isinstance(value, list | tuple):
            return _problem(at, declared, value)
        found = (_check(part, item, f"{at}[{index}]") for index, part in enumerate(value))
    else:
        if not isinstance(value, dict):
            return _problem(at, declared, value)
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            return f"{at}: expected str keys, got {show(wrong)}".removeprefix(": ")
        found = (_check(part, item, f"{at}.{key}" if at else key) for key, part in value.items())
    return next((problem for problem in found if problem is not None), None)


def _check_json(value: Any, at: str) -> str | None:
    if value is None or isinstance(value, bool | int | str):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else _problem(at, ANY, value)
    if isinstance(value, list | tuple):
        return _check_items(value, Type("list", ANY), ANY, at)
    if isinstance(value, dict):
        return _check_items(value, Type("dict", ANY), ANY, at)
    return _problem(at, ANY, value)


def _problem(at: str, declared: Type, value: Any) -> str:
    expected = "a JSON value" if declared.name == "any" else str(declared)
    got = "null" if value is None else f"{type(value).__name__} {show(value)}"
    return f"{at}: expected {expected}, got {got}".removeprefix(": ")


def is_artifact(value: Any) -> bool:
    """Whether a value is an artifact: names a digest, and has nothing but the fields of an artifact."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("$artifact"), str)
        and _DIGEST.fullmatch(value["$artifact"]) is not None
        and all(key in _ARTIFACT_FIELDS and type(part) is _ARTIFACT_FIELDS[key] for key, part in value.items())
        and value.get("size", 0) >= 0
    )


def artifact(digest: str, *, size: int, name: str, media: str) -> dict[str, Any]:
    """The value of an artifact.

    Args:
        digest: `sha256:` and 64 hexadecimal digits.
        size: bytes.
        name: as its producer calls it.
        media: media type, such as `application/json`.
    """
    return {"$artifact": digest, "size": size, "name": name, "media": media}
