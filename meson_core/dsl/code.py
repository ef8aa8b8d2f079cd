"""Owns how a step function is found again on another machine: as a module, as a file, or as its own source text.

- A function of a module that is imported by its dotted name: `{"module": "pipelines.train"}`; where it is not imported
  from the project's root (a `src` layout, a module beside the workflow's file) with the folder that it is imported from:
  `{"module": "steps", "path": "flows"}`.
- A function of a script in the project: `{"file": "flows/recommend.py"}`, relative to the project's root.
- Anything else (of a notebook, of standard input, or inside a function): `{"source": "def train(...): ..."}`, see
  `meson_core.dsl.source`.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from meson_core.dsl.source import source_of
from meson_core.errors import SpecError, Where

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_runtime.declare import StepFunction

_MAIN = "__main__"


def locate(function: StepFunction[Any], root: str | None) -> dict[str, str]:
    """Options of kind "python" for a step function.

    Args:
        function: the step function.
        root: absolute folder of the project; None when there is no project, as in a notebook.

    Raises:
        SpecError: it cannot be found again, with the reason.
    """
    fn = function.fn
    where = Where(function.file, function.line)
    if fn.__name__ == "<lambda>":
        msg = "a lambda cannot be a step: it has no name"
        raise SpecError(msg, where=where, hint="write a def with @step above it")
    file = _file_of(fn)
    if file is None or "<locals>" in fn.__qualname__:
        return {"function": fn.__name__, "source": source_of(fn, where)}
    path = _inside(file, root)
    if fn.__module__ != _MAIN:
        folder = PurePath() if path is None else _imported_from(path, fn.__module__)
        if folder is not None:
            found = {"function": fn.__qualname__, "module": fn.__module__}
            return found | {"path": folder.as_posix()} if folder.parts else found
    if path is None and root is not None:
        msg = f"step function {fn.__name__!r} is in {file}, outside of the project at {root}"
        raise SpecError(msg, where=where, hint="move the file into the project, or into an installed package")
    return {"function": fn.__qualname__, "file": path.as_posix() if path else PurePath(file).name}


def _file_of(fn: Callable[..., Any]) -> str | None:
    """The file of the function's module, when the function was read from it (and not typed into a notebook)."""
    file = fn.__globals__.get("__file__")
    if not isinstance(file, str):
        return None
    written = PurePath(fn.__code__.co_filename)
    same = written == PurePath(file) or (not written.is_absolute() and written.name == PurePath(file).name)
    return file if same else None


def _inside(file: str, root: str | None) -> PurePath | None:
    if root is None:
        return None
    try:
        path = PurePath(file).relative_to(root)
    except ValueError:
        return None
    # An environment may lie in the project, but what is installed in it is no part of the code bundle.
    return None if "site-packages" in path.parts else path


def _imported_from(path: PurePath, module: str) -> PurePath | None:
    """The folder that a module is imported from when its file is at `path`; None when that cannot be its file."""
    parts = path.with_suffix("").parts
    names = parts[:-1] if parts[-1] == "__init__" else parts
    dotted = tuple(module.split("."))
    return PurePath(*names[: -len(dotted)]) if names[-len(dotted) :] == dotted else None
