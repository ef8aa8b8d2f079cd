"""Owns the question where an author wrote something."""

from __future__ import annotations

import inspect

from meson_core.errors import Where

_OURS = ("meson_core", "meson_runtime")


def here() -> Where | None:
    """The innermost line on the stack that is not ours: the author's.

    None when everything on the stack is ours (the core builds a workflow by itself).
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            return Where(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def relative(where: Where | None, root: str | None) -> Where | None:
    """The same place with its file relative to the project root, when it is inside.

    Args:
        where: a place, or None.
        root: the absolute folder of the project, or None.
    """
    if where is None or root is None:
        return where
    prefix = root.rstrip("/") + "/"
    if not where.file.startswith(prefix):
        return where
    return Where(where.file.removeprefix(prefix), where.line)
