"""Owns the tests of parameters: declarations, values, texts from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from meson_core.errors import ParameterError, Where
from meson_core.spec import bind_parameters
from meson_core.spec.model import Parameter
from meson_core.spec.parameters import coerce, declaration_problems, value_problem
from meson_core.spec.types import parse_type

PARAMS = {
    "alpha": Parameter(type="float", default=0.1, required=False, ge=0, lt=1),
    "rounds": Parameter(type="int"),
    "regions": Parameter(type="list[str]", default=["a"], required=False, max_length=3),
    "note": Parameter(type="str", default=None, required=False),
}


def test_defaults_and_values() -> None:
    """Values win over defaults, texts over values; the order is that of the declarations."""
    bound = bind_parameters(PARAMS, {"regions": ["b"], "rounds": 2}, texts={"alpha": "0.2", "rounds": "3"})

    assert bound == {"alpha": 0.2, "rounds": 3, "regions": ["b"], "note": None}
    assert list(bound) == list(PARAMS)


def test_null_is_a_value_where_it_is_the_default() -> None:
    assert bind_parameters(PARAMS, {"rounds": 1, "note": None})["note"] is None
    with pytest.raises(ParameterError, match="alpha: expected float, got null"):
        bind_parameters(PARAMS, {"rounds": 1, "alpha": None})


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        bind_parameters(
            PARAMS,
            {"regions": ["a", 2], "alhpa": 1},
            texts={"alpha": "2", "rounds": "many", "zzz": "1"},
            workflow="nightly",
            where=Where("wf.py", 3),
        )

    assert str(caught.value) == (
        "wf.py:3: the parameters of 'nightly' have 5 problems:\n"
        "  rounds: expected int, got 'many'\n"
        "  there is no parameter 'alhpa'; did you mean 'alpha'?\n"
        "  there is no parameter 'zzz'; there are: alpha, note, regions, rounds\n"
        "  alpha: must be < 1, got 2.0\n"
        "  regions[1]: expected str, got int 2"
    )


def test_one_problem_is_one_line() -> None:
    with pytest.raises(ParameterError) as caught:
        bind_parameters(PARAMS, {})

    assert str(caught.value) == "the parameters of 'workflow' have a problem: rounds: a value is needed (int)"


def test_a_workflow_without_parameters_says_so() -> None:
    with pytest.raises(ParameterError) as caught:
        bind_parameters({}, {"a": 1})

    assert str(caught.value) == (
        "the parameters of 'workflow' have a problem: there is no parameter 'a'; there are none here"
        "\n  hint: the workflow declares no parameters"
    )


@pytest.mark.parametrize(
    ("text", "declared", "value"),
    [
        ("x y", "str", "x y"),
        ("null", "str", "null"),
        ("TRUE", "bool", True),
        ("off", "bool", False),
        ("-3", "int", -3),
        ("3", "float", 3.0),
        ("1e-3", "float", 0.001),
        ("[1, 2]", "list[int]", [1, 2]),
        ('{"a": 1}', "dict", {"a": 1}),
        ('{"a": [null]}', "any", {"a": [None]}),
        ("hello", "any", "hello"),
        ("[1,", "any", "[1,"),
        ("NaN", "any", "NaN"),
        ("3", "any", 3),
    ],
)
def test_coerce(text: str, declared: str, value: Any) -> None:
    result = coerce(text, parse_type(declared))

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "declared", "message"),
    [
        ("maybe", "bool", "expected bool (true or false), got 'maybe'"),
        ("2.5", "int", "expected int, got '2.5'"),
        ("x", "float", "expected float, got 'x'"),
        ("a,b", "list[str]", "expected list[str] as JSON, got 'a,b'"),
        ("[NaN]", "list[float]", "expected list[float] as JSON, got '[NaN]'"),
        ("[" * 100_000, "list", f"expected list[any] as JSON, got '{'[' * 100_000}'"),
    ],
)
def test_what_is_not_coerced(text: str, declared: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        coerce(text, parse_type(declared))

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("parameter", "value", "problem"),
    [
        (Parameter(type="int", ge=1), 0, "must be ≥ 1, got 0"),
        (Parameter(type="int", gt=1), 1, "must be > 1, got 1"),
        (Parameter(type="float", le=0.5), 0.6, "must be ≤ 0.5, got 0.6"),
        (Parameter(type="float", lt=0.5), 0.5, "must be < 0.5, got 0.5"),
        (Parameter(type="any", ge=1), "x", None),
        (Parameter(type="any", ge=1), True, None),
        (Parameter(type="str", choices=("a", "b")), "c", "must be one of 'a', 'b', got 'c'"),
        (Parameter(type="any", choices=(1, None)), True, "must be one of 1, null, got True"),
        (Parameter(type="any", choices=(1, None)), 1.0, None),
        (Parameter(type="str", min_length=2), "a", "needs at least 2 characters, got 'a'"),
        (Parameter(type="list", min_length=1), [], "needs at least 1 items, got []"),
        (Parameter(type="dict", max_length=0), {"a": 1}, "has at most 0 items, got 1"),
        (Parameter(type="str", pattern="^[a-z]+$"), "a1", "must match '^[a-z]+$', got 'a1'"),
        (Parameter(type="str", pattern="b"), "abc", None),
        (Parameter(type="str", min_length=1, max_length=9), "abc", None),
        (Parameter(type="bool"), 1, "expected bool, got int 1"),
    ],
)
def test_constraints(parameter: Parameter, value: Any, problem: str | None) -> None:
    assert value_problem(value, parameter) == problem


@pytest.mark.parametrize(
    ("parameter", "problems"),
    [
        (Parameter(type="int", default=3, required=False, ge=1), []),
        (Parameter(type="int", default=None, required=False), []),
        (Parameter(type="flaot"), ["p: 'flaot' is not a type\n  hint: did you mean 'float'?"]),
        (Parameter(type="str", ge=1, lt=2), ["p: ge, lt only make sense for numbers, the type is str"]),
        (
            Parameter(type="int", min_length=1),
            ["p: min_length only make sense for texts, lists and dicts, the type is int"],
        ),
        (Parameter(type="int", gt=5, le=3), ["p: no number is within its bounds (gt=5, le=3)"]),
        (
            Parameter(type="str", pattern="(", default="x", required=False),
            ["p: pattern '(' is not a regular expression: missing ), unterminated subpattern at position 0"],
        ),
        (Parameter(type="int", choices=(1, "b")), ["p: choice 'b': expected int, got str 'b'"]),
        (Parameter(type="int", choices=()), ["p: choices is empty, so that no value is allowed"]),
        (
            Parameter(type="int", default=1),
            ["p: it is required, so that its default 1 never counts\n  hint: set required: false"],
        ),
        (Parameter(type="int", default="x", required=False), ["p: its default: expected int, got str 'x'"]),
        (Parameter(type="int", default=0, required=False, ge=1), ["p: its default must be ≥ 1, got 0"]),
    ],
)
def test_declarations(parameter: Parameter, problems: list[str]) -> None:
    assert [str(problem) for problem in declaration_problems("p", parameter)] == problems
