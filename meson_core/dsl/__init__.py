"""Owns authoring: operators and verbs in Python, YAML and JSON, all giving the same spec."""

from __future__ import annotations

from meson_core.dsl import draw
from meson_core.dsl.compose import end, parallel, sequence, start
from meson_core.dsl.composites import choose, for_each, repeat, when
from meson_core.dsl.params import param
from meson_core.dsl.steps import kind
from meson_core.dsl.sweeps import best, bootstrap, cross_validate, sweep
from meson_core.dsl.values import expr
from meson_core.dsl.workflows import subworkflow, workflow

__all__ = [
    "best",
    "bootstrap",
    "choose",
    "cross_validate",
    "draw",
    "end",
    "expr",
    "for_each",
    "kind",
    "parallel",
    "param",
    "repeat",
    "sequence",
    "start",
    "subworkflow",
    "sweep",
    "when",
    "workflow",
]
