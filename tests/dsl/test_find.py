"""Owns the tests of `FILE[:workflow]`: which workflow is meant."""

from __future__ import annotations

import pytest

from meson_core import kind, load_yaml, workflow
from meson_core.dsl.find import Target, choose_workflow, parse_target, workflows_in
from meson_core.errors import NotFoundError, SpecError, UnknownNameError

a = kind("shell", name="a")
one, two = workflow("first", a), workflow("second", a)
read = load_yaml("{name: read, body: {s: {subworkflow: {name: inner, body: {a: {kind: shell}}}}}}")


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ("flow.py", "flow.py", None),
        ("flow.py:training", "flow.py", "training"),
        ("a:b/flow.py:training", "a:b/flow.py", "training"),
    ],
)
def test_a_target_is_a_file_and_perhaps_a_name(text: str, file: str, name: str | None) -> None:
    assert Target(file, name) == parse_target(text)


@pytest.mark.parametrize("text", ["", ":training", "flow.py:"])
def test_a_target_without_a_file_or_with_an_empty_name_is_refused(text: str) -> None:
    with pytest.raises(NotFoundError, match="does not say what to run"):
        parse_target(text)


def test_the_workflows_of_a_module_are_found_once_each() -> None:
    namespace = {"__name__": "flow", "first": one, "again": one, "_hidden": two, "number": 3, "read": read}

    assert workflows_in(namespace) == {"first": one, "read": read}


def test_the_only_one_needs_no_name() -> None:
    assert choose_workflow({"wf": one}, Target("flow.py", None)) is one


def test_one_is_found_by_its_variable_or_its_own_name() -> None:
    found = {"wf": one, "second": one, "other": two}

    assert choose_workflow(found, Target("flow.py", "second")) is one
    assert choose_workflow({"wf": one, "other": two}, Target("flow.py", "second")) is two


def test_what_is_a_part_of_another_is_not_meant() -> None:
    part = workflow("part", a)
    whole = workflow("whole", part >> workflow("between", part.named("again")))

    assert choose_workflow({"part": part, "whole": whole}, Target("flow.py", None)) is whole
    assert choose_workflow({"inner": read.body[0].workflow, "read": read}, Target("flow.py", None)) is read  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("found", "name", "error", "message", "hint"),
    [
        ({}, None, SpecError, "there is no workflow in this file", "give one a name of the module"),
        ({"x": one, "y": two}, None, SpecError, "several workflows in this file: x, y", "say which: flow.py:x"),
        ({"x": one, "y": two}, "frist", UnknownNameError, "there is no workflow 'frist'", "did you mean 'first'?"),
        (
            {"x": one, "y": workflow("first", a)},
            "first",
            SpecError,
            "are called 'first'",
            "use the name of a variable: x, y",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(
    found: dict[str, object], name: str | None, error: type[SpecError], message: str, hint: str
) -> None:
    with pytest.raises(error) as caught:
        choose_workflow(workflows_in(found), Target("flow.py", name))

    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert str(caught.value.where) == "flow.py"
