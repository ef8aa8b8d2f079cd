"""Owns the test that the language means what Python means, where both have a value."""

from __future__ import annotations

import builtins
import math
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meson_core.errors import EvaluationError
from meson_core.expressions import parse

SHARED = ("abs", "all", "any", "bool", "float", "int", "len", "max", "min", "round", "sorted", "str", "sum")


class Box(dict[str, Any]):
    """What Python needs to read `a.b` as the language does."""

    __getattr__ = dict.__getitem__


NAMES = {"n": 3, "x": 0.5, "s": "abc", "l": [3, 1, 2], "d": {"a": 1, "b": {"c": [0, 5]}}, "yes": True, "none": None}
PYTHON = {
    **NAMES,
    "d": Box(a=1, b=Box(c=[0, 5])),
    **{name: getattr(builtins, name) for name in SHARED},
}


def python(text: str) -> Any:
    """Python's own value; it warns of texts like `'' is not None`, which are fine here."""
    with warnings.catch_warnings(action="ignore"):
        return eval(text, {"__builtins__": {}}, dict(PYTHON))


leaves = st.one_of(
    st.sampled_from(["n", "x", "s", "l", "d.a", "d.b.c", "d['b']", "yes", "none", "True", "None", "''", "'abc'", "[]"]),
    st.integers(-5, 300).map(str),
    st.floats(-10, 10, allow_nan=False).map(repr),
)


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions out of smaller ones."""
    signs = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=", "and", "or", "in", "not in"]
    )
    return st.one_of(
        st.builds("({} {} {})".format, inner, signs, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("{{'k': {}}}".format, inner),
        st.builds("({} is not None)".format, inner),
        st.builds("{}({})".format, st.sampled_from(SHARED), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["max", "min", "round"]), inner, inner),
        st.builds("sorted({}, reverse={})".format, inner, st.sampled_from(["yes", "False"])),
    )


expressions = st.recursive(leaves, grow, max_leaves=12)


@pytest.mark.slow
@given(expressions)
@settings(max_examples=1000, deadline=None)
def test_means_what_python_means(text: str) -> None:
    """Where the language has a value, it is Python's; where Python has one and the language none, it refuses on purpose."""
    try:
        ours = parse(text).evaluate(NAMES)
    except EvaluationError:
        return
    theirs = python(text)

    assert ours == theirs
    assert type(ours) is (dict if type(theirs) is Box else type(theirs))


numbers = st.recursive(
    st.sampled_from(["n", "x", "d.a"]) | st.integers(-9, 9).map(str),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
        st.builds("({} if {} > {} else {})".format, inner, inner, inner, inner),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("abs({})".format, inner),
        st.builds("sum([{}, {}])".format, inner, inner),
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(numbers)
@settings(max_examples=300, deadline=None)
def test_has_a_value_where_python_has_one(text: str) -> None:
    """Arithmetic is refused only where Python fails too, or leaves the finite numbers."""
    try:
        theirs = python(text)
    except (ArithmeticError, ValueError):
        theirs = None
    try:
        ours = parse(text).evaluate(NAMES)
    except EvaluationError:
        ours = None

    assert ours == theirs or (theirs is not None and not math.isfinite(theirs))


@pytest.mark.slow
@given(expressions)
@settings(max_examples=300, deadline=None)
def test_the_normal_form_means_the_same(text: str) -> None:
    """The normal form is stable, names the same things, and has the same value."""
    expression = parse(text)
    normal = parse(expression.canonical)

    assert normal.canonical == expression.canonical
    assert [(root.name, root.path) for root in normal.roots] == [(root.name, root.path) for root in expression.roots]
    assert _outcome(normal.text) == _outcome(text)


def _outcome(text: str) -> object:
    try:
        return parse(text).evaluate(NAMES)
    except EvaluationError:
        return EvaluationError
