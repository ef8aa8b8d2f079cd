"""Owns the author's front door: the names that a workflow file needs, imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from meson_runtime import declare as _declare

__version__ = "0.1.0"

# Where each name lives. Type checkers read __init__.pyi, which says the same.
_HOMES = {
    "Artifact": "meson_runtime",
    "MesonError": "meson_core.errors",
    "Retry": "meson_core.spec.model",
    "best": "meson_core.dsl.sweeps",
    "bootstrap": "meson_core.dsl.sweeps",
    "build": "meson_core.dsl.build",
    "choose": "meson_core.dsl.composites",
    "connect": "meson_core.notebook.project",
    "cross_validate": "meson_core.dsl.sweeps",
    "ctx": "meson_runtime",
    "draw": "meson_core.dsl",
    "dump_yaml": "meson_core.dsl.documents",
    "end": "meson_core.dsl.compose",
    "expr": "meson_core.dsl.values",
    "for_each": "meson_core.dsl.composites",
    "kind": "meson_core.dsl.steps",
    "load_json": "meson_core.dsl.documents",
    "load_yaml": "meson_core.dsl.documents",
    "parallel": "meson_core.dsl.compose",
    "param": "meson_core.dsl.params",
    "repeat": "meson_core.dsl.composites",
    "sequence": "meson_core.dsl.compose",
    "start": "meson_core.dsl.compose",
    "step": "meson_runtime.declare",
    "subworkflow": "meson_core.dsl.workflows",
    "sweep": "meson_core.dsl.sweeps",
    "when": "meson_core.dsl.composites",
    "workflow": "meson_core.dsl.workflows",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one list is enough


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


# Step functions become nodes of a workflow with the help of the core, which they do not import by themselves.
_declare.register(lambda: import_module("meson_core.dsl.steps").authoring())
