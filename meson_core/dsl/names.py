"""Owns which names authors may give, and how messages show a value."""

from __future__ import annotations

import re

from meson_core.dsl.places import here
from meson_core.errors import SpecError, Where, WrongTypeError
from meson_core.expressions import RESERVED

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_NAME = 200
_MAX_SHOWN = 80


def checked_name(name: object, what: str, where: Where | None = None) -> str:
    """The name, when it can stand in an expression.

    Args:
        name: what the author wrote.
        what: of which thing, for the message ("step", "parameter").
        where: default: the author's present line.

    Raises:
        SpecError: it cannot; the hint has one that can.
    """
    article = "an" if what[0] in "aeiou" else "a"
    if not isinstance(name, str):
        msg = f"the name of {article} {what} must be a text, got {shown(name)}"
        raise WrongTypeError(msg, where=where or here())
    if _NAME.fullmatch(name) and name not in RESERVED and len(name) <= _MAX_NAME:
        return name
    msg = f"{shown(name)} cannot be the name of {article} {what}: expressions could not say it"
    better = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:_MAX_NAME] or what
    better = f"{better}_" if better in RESERVED else better
    better = f"_{better}" if better[0].isdigit() else better
    raise SpecError(msg, where=where or here(), hint=f"letters, digits and _ are fine: {better!r}")


def expect(
    value: object, kind: type | tuple[type, ...], what: str, where: Where | None, hint: str | None = None
) -> None:
    """Refuse what an author gave when it is not of the right sort; nothing holds authors to annotations.

    Args:
        value: what was given.
        kind: what it must be an instance of.
        what: begins the message: "the step kind must be a text".
        where: the author's line.
        hint: what to do next.

    Raises:
        WrongTypeError: it is of another sort.
    """
    if not isinstance(value, kind):
        msg = f"{what}, got {shown(value)}"
        raise WrongTypeError(msg, where=where, hint=hint)


def shown(value: object) -> str:
    """A value for a message, cut when it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
