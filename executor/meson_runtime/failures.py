"""Owns how an exception of a step is told: the author's own frames, with their source, and none of ours."""

from __future__ import annotations

import importlib
import os
import traceback
from typing import Any

#: Longest traceback that is sent, in characters; the middle of a longer one is left out.
_MAX_TEXT = 32 * 1024
_MAX_MESSAGE = 2000
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


def describe(error: BaseException, ours: tuple[str, ...] = ()) -> dict[str, Any]:
    """An exception as a failure object: one line, and the traceback.

    Args:
        error: what the step raised.
        ours: further folders whose frames the author is not to see.
    """
    return {"reason": "exception", "message": headline(error), "traceback": clean_traceback(error, ours)}


def headline(error: BaseException) -> str:
    """The exception in one line, as Python prints it last."""
    try:
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
    except Exception as broken:  # noqa: BLE001 - an exception whose own text cannot be made is told all the same
        text = f"{type(error).__name__} (its text cannot be shown: {type(broken).__name__})"
    # A SyntaxError has its place before the line that says what it is.
    lines = text.splitlines() or [type(error).__name__]
    line = lines[-1] if isinstance(error, SyntaxError) else lines[0]
    return line if len(line) <= _MAX_MESSAGE else line[: _MAX_MESSAGE - 1] + "…"


def clean_traceback(error: BaseException, ours: tuple[str, ...] = ()) -> str:
    """The traceback without the frames of Meson and of Python's import machinery, chained exceptions included."""
    try:
        told = traceback.TracebackException.from_exception(error)
        _clean(told, set(), (_OURS, "<frozen importlib", *ours))
        text = "".join(told.format())
    except Exception as broken:  # noqa: BLE001 - as above: what is known is told
        return f"{headline(error)}\n(its traceback cannot be shown: {broken!r})\n"
    if len(text) > _MAX_TEXT:
        half = _MAX_TEXT // 2
        text = "%s\n  … %d characters left out …\n%s" % (text[:half], len(text) - 2 * half, text[-half:])
    return text


def _clean(told: traceback.TracebackException | None, seen: set[int], ours: tuple[str, ...]) -> None:
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    told.stack[:] = [
        frame for frame in told.stack if not frame.filename.startswith(ours) and frame.filename != importlib.__file__
    ]
    _clean(told.__cause__, seen, ours)
    _clean(told.__context__, seen, ours)
    group: list[traceback.TracebackException] = getattr(told, "exceptions", None) or []
    for part in group:
        _clean(part, seen, ours)
