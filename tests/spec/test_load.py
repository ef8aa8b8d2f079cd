"""Owns the tests of plain data that does not have the form of a workflow."""

from __future__ import annotations

from typing import Any

import pytest

from meson_core.errors import InvalidWorkflowError, SpecError, UnknownNameError, WrongTypeError
from meson_core.spec import load
from tests.spec.authoring import Data, choose, for_each, problems, repeat, step, subworkflow, workflow

A = step("a")

MALFORMED: list[tuple[str, Any, list[str]]] = [
    ("not a mapping", [1], ["the workflow must be a mapping, got [1]"]),
    ("nothing", None, ["the workflow must be a mapping, got null"]),
    ("empty", {}, ["name: is missing", "body: is missing"]),
    ("no nodes", workflow(), ["body: is empty; it needs at least one"]),
    ("a body that is none", {"name": "wf", "body": 3}, ["body: must be a list, got 3"]),
    ("a node that is none", workflow(3), ["body → #1: must be a mapping, got 3"]),  # type: ignore[arg-type]
    (
        "a newer format",
        workflow(A, format=2),
        ["the definition has format 2, this version of Meson reads format 1\n  hint: install a newer version of Meson"],
    ),
    (
        "an unknown field",
        workflow(A, parms={}),
        ["the workflow: there is no field 'parms'\n  hint: did you mean 'params'?"],
    ),
    (
        "no node",
        workflow({"name": "a"}),
        ["body → a: says no `node`, which is one of step, for_each, repeat, choose, subworkflow"],
    ),
    (
        "a wrong node",
        workflow({"node": "foreach", "name": "a"}),
        ["body → a: there is no node 'foreach'\n  hint: did you mean 'for_each'?"],
    ),
    (
        "a wrong name",
        workflow(step("2nd"), {"node": "step", "name": "", "kind": "x"}),
        [
            "body → 2nd → name: a name has letters, digits and _, and does not begin with a digit, got '2nd'",
            "body → #2 → name: a name has letters, digits and _, and does not begin with a digit, got ''",
        ],
    ),
    (
        "a long name",
        workflow(step("a" * 201)),
        [f"body → {'a' * 201} → name: has more than 200 characters, got '{'a' * 58}…"],
    ),
    (
        "wrong keys",
        workflow(for_each("f", {"a b": [1]}, step("s", inputs={"x-y": 1}, outputs="n m: int")), params={"p q": "int"}),
        [
            "params → p q: a name has letters, digits and _, and does not begin with a digit, got 'p q'",
            "body → f → variables → a b: a name has letters, digits and _, and does not begin with a digit, got 'a b'",
            "body → f → body → s → inputs → x-y: a name has letters, digits and _, and does not begin with a digit, got 'x-y'",
            "body → f → body → s → outputs → n m: a name has letters, digits and _, and does not begin with a digit, got 'n m'",
        ],
    ),
    (
        "retries",
        workflow(repeat("body", "False", step("train", retry={"user": -2, "factor": 0.5, "jitter": 2, "usr": 1}))),
        [
            "body → body → body → train → retry → user: must be ≥ 0, got -2",
            "body → body → body → train → retry → factor: must be ≥ 1, got 0.5",
            "body → body → body → train → retry → jitter: must be ≤ 1, got 2",
            "body → body → body → train → retry: there is no field 'usr'\n  hint: did you mean 'user'?",
        ],
    ),
    (
        "numbers",
        workflow(
            step("s", timeout_s=0, priority="high", isolate="perhaps", resources={"cpus": -2, "memory": 1.5}),
            timeout_s=float("inf"),
        ),
        [
            "body → s → resources → cpus: must be ≥ 0, got -2",
            "body → s → resources → memory: must be a whole number, got 1.5",
            "body → s → timeout_s: must be > 0, got 0",
            "body → s → priority: must be a whole number, got 'high'",
            "body → s → isolate: must be true or false, got 'perhaps'",
            "timeout_s: must be a finite number, got inf",
        ],
    ),
    (
        "words out of a list",
        workflow(for_each("f", {"v": [1]}, A, mode="zip", join="alll", on_failure="stop")),
        [
            "body → f → join: must be 'all', 'any' or 'none_failed', got 'alll'\n  hint: did you mean 'all'?",
            (
                "body → f → on_failure: must be 'fail_at_once', 'finish' or 'ignore', got 'stop'"
                "\n  hint: there are: fail_at_once, finish, ignore"
            ),
            "body → f → mode: must be 'crossed' or 'zipped', got 'zip'\n  hint: did you mean 'zipped'?",
        ],
    ),
    (
        "bindings",
        workflow(
            {
                "node": "step",
                "name": "s",
                "kind": "x",
                "inputs": {"a": 3, "b": {"expr": 3}, "c": {}, "d": {"expr": "1", "value": 1}},
            }
        ),
        [
            "body → s → inputs → a: must be a mapping, got 3",
            "body → s → inputs → b → expr: must be a text, got 3",
            "body → s → inputs → c → value: is missing",
            "body → s → inputs → d: there is no field 'value'\n  hint: there are: expr",
        ],
    ),
    (
        "empty composites",
        workflow(
            for_each("f", {}, A),
            repeat("r", "False"),
            choose("c"),
            choose("d", ("True", [])),
            subworkflow("s", {"name": "inner", "body": []}),
        ),
        [
            "body → f → variables: is empty; it needs at least one",
            "body → r → body: is empty; it needs at least one",
            "body → c → branches: is empty; it needs at least one",
            "body → d → branches → #1 → body: is empty; it needs at least one",
            "body → s → workflow → body: is empty; it needs at least one",
        ],
    ),
    (
        "deep inside",
        workflow(
            choose(
                "c", ("True", [A]), otherwise=[subworkflow("s", workflow(step("i", knd="x"), params={"p": {"tpe": 1}}))]
            )
        ),
        [
            "body → c → otherwise → s → workflow → params → p: there is no field 'tpe'\n  hint: did you mean 'type'?",
            "body → c → otherwise → s → workflow → body → i: there is no field 'knd'\n  hint: did you mean 'kind'?",
        ],
    ),
    (
        "no JSON in options",
        workflow(step("s", options={"a": {"b": [object]}})),
        ["body → s → options → a → b → #1: input was not a valid JSON value, got <class 'object'>"],
    ),
    (
        "until is missing",
        workflow({"node": "repeat", "name": "r", "body": [A]}),
        ["body → r → until: is missing", "body → r → max_iterations: is missing"],
    ),
]


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_malformed(data: Any, expected: list[str]) -> None:
    """Every malformed definition gives its messages: paths by name, the value, the nearest right name."""
    assert problems(data) == expected


def test_the_place_is_that_of_the_node() -> None:
    """The nearest `source` around a problem is its place."""
    data = workflow(
        step("a", retry={"user": -1}, source={"file": "wf.py", "line": 7}),
        step("b", timeout_s=-1),
        step("c", timeout_s=-1, source={"file": "other.py"}),
        step("d", timeout_s=-1, source={"file": 3}),
        source={"file": "wf.py", "line": 2},
    )

    assert problems(data) == [
        "wf.py:7: body → a → retry → user: must be ≥ 0, got -1",
        "wf.py:2: body → b → timeout_s: must be > 0, got -1",
        "other.py: body → c → timeout_s: must be > 0, got -1",
        "wf.py:2: body → d → source → file: must be a text, got 3",
        "wf.py:2: body → d → timeout_s: must be > 0, got -1",
    ]


def test_classes_of_problems() -> None:
    with pytest.raises(InvalidWorkflowError) as caught:
        load(workflow(step("a", retry={"usr": 1, "user": -1, "timeout": "x"})))

    number, wrong, unknown = caught.value.problems
    assert type(number) is SpecError
    assert type(wrong) is WrongTypeError
    assert isinstance(unknown, UnknownNameError)
    assert unknown.name == "usr"
    assert "user" in unknown.known


@pytest.mark.parametrize("place", ["nodes", "options"])
def test_bottomless_data_is_refused(place: str) -> None:
    """Data nested beyond reason is told as such, whatever Python or pydantic would do with it."""
    value: Any = []
    data: Data = A
    for _ in range(5000):
        value = [value]
        data = repeat("r", "False", data)
    whole = workflow(data) if place == "nodes" else workflow(step("s", options={"x": value}))

    assert problems(whole) == [
        "the data is nested more than 120 levels deep\n  hint: move inner parts into subworkflows of their own"
    ]
