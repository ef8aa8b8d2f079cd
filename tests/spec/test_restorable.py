"""Owns the tests of what is said about results that are there already: ids as templates, and what may not have one."""

from __future__ import annotations

from typing import Any

from meson_core.spec import Step, Workflow, compile_plan, digest, load, resolve
from meson_core.spec.schema import json_schema
from tests.spec.authoring import checked, for_each, problems, step, workflow


def only_step(workflow: Workflow) -> Step:
    (found,) = (node for node in workflow.body if isinstance(node, Step))
    return found


def test_an_id_is_kept_in_its_normal_form() -> None:
    spellings = ["f/${ p+1 }/${ q[ 'd' ] }", 'f/${p + 1}/${q["d"]}']
    params = {"p": {"type": "int"}, "q": {"type": "any"}}

    found = [checked(step("a", artifact=text), params=params) for text in spellings]

    assert {only_step(each).artifact for each in found} == {"f/${p + 1}/${q['d']}"}
    assert len({digest(each) for each in found}) == 1


def test_what_is_not_said_leaves_every_version_as_it_was() -> None:
    plain = checked(step("a"))

    assert digest(plain) == digest(checked(step("a", artifact=None, cache=False)))
    assert len({digest(checked(step("a", cache=cache))) for cache in (False, True, "inputs")}) == 3


def test_an_id_sees_what_the_inputs_see_and_the_inputs_first() -> None:
    done = checked(
        step("dates", outputs="all: list[str]"),
        for_each("each", {"date": "dates.all"}, step("a", artifact="${day}/${date}/${n}", inputs={"day": "date[:7]"})),
        params={"n": {"type": "int"}, "day": {"type": "list[int]"}},
    )
    resolution = resolve(compile_plan(done))
    node = resolution.plan.by_name["a"]

    found = [resolution.of(node, "artifact", at) for at in range(3)]

    assert [reference.target for bound in found if bound for reference in bound.references] == [
        "input", "variable", "param",
    ]  # fmt: skip


def test_an_id_makes_an_edge() -> None:
    done = checked(step("a", outputs="n: int"), step("b", artifact="b/${a.n}"))

    assert done.body[1].after == ("a",)


def test_mistakes_in_an_id_are_told_with_the_step() -> None:
    told = problems(
        workflow(
            step("a", outputs="xs: list[int]", artifact="a/${nobody}"),
            step("b", artifact="b/${a.xs}"),
            step("c", artifact="c/${1 +}"),
            step("d", artifact="d/${x}", inputs={"x": "{'k': 1}"}),
        )
    )

    assert len(told) == 4
    assert any(
        "step 'a': artifact id: `nobody`: there is no step, parameter or loop variable 'nobody'" in text
        for text in told
    )
    assert any("step 'b': artifact id: `a.xs` gives list[int]; a text or a number is needed" in text for text in told)
    assert any("step 'c': artifact id" in text for text in told)
    assert any("step 'd': artifact id: `x` gives dict" in text for text in told)


def test_what_may_come_late_cannot_tell_results_apart() -> None:
    def late(**more: Any) -> list[str]:
        return problems(
            workflow(
                step("a", outputs="n: int"),
                step("b", outputs="n: int"),
                step("c", inputs={"n": "a.n"}, after=["a", "b"], join="any", **more),
            )
        )

    assert late() == []
    for more in ({"cache": True}, {"cache": "inputs"}, {"artifact": "c"}, {"artifact": "c/${a.n}"}):
        told = late(**more)
        assert "`a.n` may come after a join `any` has gone on without it" in told[0]


def test_the_schema_and_the_reader_know_both_words() -> None:
    properties = json_schema()["$defs"]["Step"]["properties"]

    assert set(properties["cache"]["enum"]) == {False, True, "inputs"}
    assert "artifact" in properties
    spec = load(workflow(step("a", artifact="x", cache=True)))
    assert (only_step(spec).artifact, only_step(spec).cache) == ("x", True)
