"""Owns what a step sees of Meson: `step`, `ctx` and `Artifact`; the warm worker that runs Python steps is beside them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from meson_runtime.declare import StepFunction, step

if TYPE_CHECKING:
    from meson_runtime.artifact import Artifact
    from meson_runtime.context import ctx

__all__ = ["Artifact", "StepFunction", "ctx", "step"]

# A module of steps needs `step` alone until one of them runs.
_LATER = {"Artifact": "meson_runtime.artifact", "ctx": "meson_runtime.context"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
