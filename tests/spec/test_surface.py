"""Owns the list of what the packages `spec` and `expressions` show: plugins build on it."""

from __future__ import annotations

import meson_core.expressions
import meson_core.spec

SPEC = """
ENDED ROOT STATES Bound BrokenKind Cause FailureMode Instance Join KindFacts Kinds Level Node OptionProblem Plan PlanNode
PlanScope Reference Resolution Role RunState State Step Workflow artifact bind_parameters canonical_json check
compile_plan digest is_artifact json_schema load resolve satisfies version
"""
EXPRESSIONS = "FUNCTIONS RESERVED Expression Function Lookup Root Template literal parse parse_template show"


def test_spec() -> None:
    assert meson_core.spec.__all__ == SPEC.split()
    assert all(hasattr(meson_core.spec, name) for name in SPEC.split())


def test_expressions() -> None:
    assert meson_core.expressions.__all__ == EXPRESSIONS.split()
    assert all(hasattr(meson_core.expressions, name) for name in EXPRESSIONS.split())
