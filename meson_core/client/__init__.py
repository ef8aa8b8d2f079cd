"""Owns the one door for those outside the loop: queries over projections, wishes into the inbox, the code bundle.

Importing it is cheap; `Client` and what it answers are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meson_core.client.client import Client, connect
    from meson_core.client.code_bundle import CodeBundle, bundle, locate
    from meson_core.client.records import (
        Attempt,
        Context,
        Input,
        Lineage,
        LogLine,
        RunTree,
        StepInstance,
        Submitted,
        Sweep,
        SweepItem,
        TreeNode,
        Why,
    )

_HOME = {
    "Attempt": "records",
    "Client": "client",
    "CodeBundle": "code_bundle",
    "Context": "records",
    "Input": "records",
    "Lineage": "records",
    "LogLine": "records",
    "RunTree": "records",
    "StepInstance": "records",
    "Submitted": "records",
    "Sweep": "records",
    "SweepItem": "records",
    "TreeNode": "records",
    "Why": "records",
    "bundle": "code_bundle",
    "connect": "client",
    "locate": "code_bundle",
}

__all__ = [
    "Attempt",
    "Client",
    "CodeBundle",
    "Context",
    "Input",
    "Lineage",
    "LogLine",
    "RunTree",
    "StepInstance",
    "Submitted",
    "Sweep",
    "SweepItem",
    "TreeNode",
    "Why",
    "bundle",
    "connect",
    "locate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
