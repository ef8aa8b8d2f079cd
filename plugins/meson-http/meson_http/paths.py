"""Owns JSON paths: where in an answer a value is, in the part of RFC 9535 that names places and does not compute.

$                     the whole answer
$.version             a member;  $['a b'] when its name is no word
$.items[0].id         an item;   [-1] is the last one
$.items[*].id         the same of all items: a list
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, TypeAlias

from meson_core.errors import nearest

_STEP = re.compile(
    r"\.([A-Za-z_$][\w$-]*)|\[\s*(-?\d+)\s*\]|\[\s*'([^']*)'\s*\]|\[\s*\"([^\"]*)\"\s*\]|\.\*|\[\s*\*\s*\]"
)

#: All members, or all items.
ALL: Final = None
Steps: TypeAlias = tuple[str | int | None, ...]


class NotThereError(Exception):
    """An answer does not have the value of a path; says what is there instead."""


@lru_cache(maxsize=1024)
def parse(path: str) -> Steps:
    """The steps of a path.

    Raises:
        ValueError: it is none.
    """
    if not path.startswith("$"):
        raise ValueError(f"{path!r} is no JSON path: it begins with $, like $.model.version")
    steps: list[str | int | None] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(
                f"{path!r} is no JSON path: {path[at:]!r} is none of .name, ['name'], [0], [*], and filters are not there"
            )
        name, index, single, double = match.groups()
        text = next((one for one in (name, single, double) if one is not None), None)
        steps.append(text if text is not None else int(index) if index is not None else ALL)
        at = match.end()
    return tuple(steps)


def select(answer: Any, path: str) -> Any:
    """The value of a path in an answer; a list when the path has a `*` in it.

    Raises:
        NotThereError: it is not there.
    """
    return _select(answer, parse(path), "$")


def _select(value: Any, steps: Steps, at: str) -> Any:
    for number, step in enumerate(steps):
        if step is ALL:
            if not isinstance(value, dict | list):
                raise NotThereError(f"at {at} there is {_kind(value)}, which has no parts")
            parts = value.values() if isinstance(value, dict) else value
            return [_select(part, steps[number + 1 :], f"{at}[*]") for part in parts]
        if isinstance(step, str):
            if not isinstance(value, dict):
                raise NotThereError(f"at {at} there is {_kind(value)}, which has no {step!r}")
            if step not in value:
                raise NotThereError(f"there is no {at}.{step}{_instead(step, value)}")
            value, at = value[step], f"{at}.{step}"
        else:
            if not isinstance(value, list):
                raise NotThereError(f"at {at} there is {_kind(value)}, which has no items")
            if not -len(value) <= step < len(value):
                raise NotThereError(f"at {at} there are {len(value)} items, and no [{step}]")
            value, at = value[step], f"{at}[{step}]"
    return value


def _instead(name: str, known: dict[str, Any]) -> str:
    close = nearest(name, known)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; there are: {', '.join(list(known)[:12])}" if known else "; the object is empty"


def _kind(value: Any) -> str:
    for kind, name in ((dict, "an object"), (list, "a list"), (str, "a text"), (bool, "true or false")):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "a number"
