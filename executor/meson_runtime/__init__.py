"""Owns what a step sees of Meson: `step`, `ctx`, `Artifact`, and the warm worker that runs Python steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meson_runtime.artifacts import Artifact
    from meson_runtime.context import ctx
    from meson_runtime.declare import step

__all__ = ["Artifact", "ctx", "step"]

_PLACES = {"Artifact": "artifacts", "ctx": "context", "step": "declare"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module("meson_runtime." + _PLACES[name]), name)
    globals()[name] = found
    return found
