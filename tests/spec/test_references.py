"""Owns the tests of what names stand for: which producer, over which levels, and which edges that makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from meson_core.errors import InvalidWorkflowError
from meson_core.spec import ROOT, Bound, Reference, Resolution, Workflow, check, compile_plan, load, resolve
from tests.spec.authoring import checked, choose, for_each, repeat, step, subworkflow, workflow
from tests.spec.interpreters import ByReferences, by_scopes
from tests.strategies import workflows

LOSS = step("train", outputs="loss: float")


def resolved(workflow: Workflow) -> Resolution:
    return resolve(compile_plan(workflow))


def bound(resolution: Resolution, node: str, what: Any, key: str | int = "") -> Bound:
    found = resolution.of(resolution.plan.by_name[node] if node else ROOT, what, key)
    assert found is not None
    return found


def told(resolution: Resolution, reference: Reference) -> str:
    """A reference as a short text: `output train.loss/1 each f last r`."""
    name = "run" if reference.node == ROOT else resolution.plan.nodes[reference.node].name
    levels = "".join(f" {level.kind} {resolution.plan.nodes[level.node].name}" for level in reference.levels)
    output = f".{reference.output}" if reference.output else ""
    return f"{reference.target} {name}{output}/{reference.shared}{levels}"


def refers(resolution: Resolution, node: str, what: Any, key: str | int = "") -> list[str]:
    return [told(resolution, reference) for reference in bound(resolution, node, what, key).references]


def test_beside_and_inwards_and_outwards() -> None:
    """One producer, seen from beside it, from outside, and from further in."""
    done = checked(
        step("cohort", outputs="regions: list[str], n: int"),
        for_each(
            "each",
            {"region": "cohort.regions"},
            LOSS,
            step("validate", inputs={"loss": "train.loss", "region": "region", "n": "cohort.n"}),
        ),
        step("select", inputs={"losses": "train.loss"}),
        outputs={"best": "min(train.loss)"},
    )
    resolution = resolved(done)

    assert refers(resolution, "each", "variable", "region") == ["output cohort.regions/0"]
    assert refers(resolution, "validate", "input", "loss") == ["output train.loss/1"]
    assert refers(resolution, "validate", "input", "region") == ["variable each/1"]
    assert refers(resolution, "validate", "input", "n") == ["output cohort.n/0"]
    assert refers(resolution, "select", "input", "losses") == ["output train.loss/0 each each"]
    assert refers(resolution, "", "output", "best") == ["output train.loss/0 each each"]
    assert bound(resolution, "validate", "input", "loss").depth == 1
    assert bound(resolution, "", "output", "best").depth == 0


def test_levels_in_every_order() -> None:
    """Levels are told from the outside inwards, choices included."""
    done = checked(
        repeat(
            "r",
            "len(p.n) > 3",
            for_each(
                "f",
                {"v": [1, 2]},
                choose(
                    "c", ("v > 1", [for_each("g", {"w": [1]}, repeat("q", "p.n > 2", step("p", outputs="n: int")))])
                ),
                step("near", inputs={"x": "p.n"}),
            ),
        ),
        step("far", inputs={"x": "p.n"}),
    )
    resolution = resolved(done)

    assert refers(resolution, "far", "input", "x") == ["output p.n/0 last r each f choice c each g last q"]
    assert refers(resolution, "near", "input", "x") == ["output p.n/2 choice c each g last q"]
    assert refers(resolution, "q", "until") == ["output p.n/4"]
    assert bound(resolution, "q", "until").depth == 4
    assert refers(resolution, "r", "until") == ["output p.n/1 each f choice c each g last q"]
    assert bound(resolution, "r", "until").depth == 1
    scopes = [level.scope for level in bound(resolution, "far", "input", "x").references[0].levels]
    assert [resolution.plan.scopes[scope].label for scope in scopes] == ["body", "body", "when v > 1", "body", "body"]


def test_until_and_carry_see_the_end_of_the_iteration() -> None:
    """`until` and `carry` see the iteration that ended; a carried name shadows the parameter that gives its first value."""
    done = checked(
        step("before", outputs="limit: float"),
        repeat(
            "r",
            "train.loss < before.limit or alpha < 0.01",
            step("train", outputs="loss: float", inputs={"alpha": "alpha", "beta": "beta"}),
            carry={"alpha": "alpha / 2 + train.loss"},
        ),
        step("after", inputs={"alpha": "alpha"}),
        params={"alpha": "float", "beta": "float"},
    )
    resolution = resolved(done)

    assert refers(resolution, "r", "until") == ["output train.loss/1", "output before.limit/0", "carry r/1"]
    assert refers(resolution, "r", "carry", "alpha") == ["carry r/1", "output train.loss/1"]
    assert refers(resolution, "r", "first", "alpha") == ["param run/0"]
    assert refers(resolution, "train", "input", "alpha") == ["carry r/1"]
    assert refers(resolution, "train", "input", "beta") == ["param run/0"]
    assert refers(resolution, "after", "input", "alpha") == ["param run/0"]
    assert done.body[1].after == ("before",)


def test_carried_names_within_carried_names() -> None:
    """An inner repeat's first value is the outer one's present value; a loop variable can be carried too."""
    done = checked(
        repeat(
            "outer",
            "a.n > 1",
            repeat("inner", "a.n > 2", step("a", outputs="n: int", inputs={"x": "alpha"}), carry={"alpha": "a.n"}),
            for_each(
                "f", {"v": "[alpha]"}, repeat("loop", "b.n > v", step("b", outputs="n: int"), carry={"v": "v + b.n"})
            ),
            carry={"alpha": "alpha + 1"},
        ),
        params={"alpha": "int"},
    )
    resolution = resolved(done)

    assert refers(resolution, "inner", "first", "alpha") == ["carry outer/1"]
    assert refers(resolution, "a", "input", "x") == ["carry inner/2"]
    assert refers(resolution, "outer", "first", "alpha") == ["param run/0"]
    assert refers(resolution, "outer", "carry", "alpha") == ["carry outer/1"]
    assert refers(resolution, "loop", "first", "v") == ["variable f/2"]
    assert refers(resolution, "loop", "carry", "v") == ["carry loop/3", "output b.n/3"]


def test_subworkflows_are_namespaces() -> None:
    """Inside, parameters are the subworkflow's own; outside, only its outputs are seen; names may repeat."""
    inner = workflow(
        for_each("f", {"v": "range(alpha)"}, step("train", outputs="n: int", inputs={"x": "v", "y": "alpha"})),
        name="inner",
        params={"alpha": "int"},
        outputs={"ns": "train.n"},
    )
    done = checked(
        step("train", outputs="n: int"),
        for_each("g", {"w": [1, 2]}, subworkflow("sub", inner, inputs={"alpha": "alpha + w + train.n"})),
        step("end", inputs={"x": "sub.ns"}),
        params={"alpha": "int"},
    )
    resolution = resolved(done)

    assert refers(resolution, "sub", "input", "alpha") == ["param run/0", "variable g/1", "output train.n/0"]
    assert refers(resolution, "sub.f", "variable", "v") == ["param sub/1"]
    assert refers(resolution, "sub.train", "input", "x") == ["variable sub.f/2"]
    assert refers(resolution, "sub.train", "input", "y") == ["param sub/1"]
    assert refers(resolution, "sub", "output", "ns") == ["output sub.train.n/1 each sub.f"]
    assert refers(resolution, "end", "input", "x") == ["output sub.ns/0 each g"]
    assert done.body[1].after == ("train",)


def test_references_are_edges() -> None:
    """A reference adds the edge between the siblings that hold consumer and producer, in the scope they share."""
    done = checked(
        step("last", inputs={"x": "deep.n", "y": "a.n"}),
        step("a", outputs="n: int"),
        repeat(
            "r",
            "False",
            step("uses", inputs={"x": "deep.n"}),
            choose("c", ("a.n > 1", [for_each("f", {"v": "[a.n, first.n]"}, step("deep", outputs="n: int"))])),
            step("first", outputs="n: int"),
        ),
        step("free", after=["a", "last", "a"]),
    )
    after = {node.name: node.after for node in done.body}
    inside = {node.name: node.after for node in done.body[2].model_copy().body}  # type: ignore[union-attr]

    assert after == {"last": ("a", "r"), "a": (), "r": ("a",), "free": ("last", "a")}
    assert inside == {"uses": ("c",), "c": ("first",), "first": ()}


def test_each_reference_is_told_once() -> None:
    """The same output twice in one expression is one thing to fetch; two outputs of one step are two."""
    done = checked(step("a", outputs="n: int, m: int"), step("b", inputs={"x": "a.n + a['n'] * a.m"}))
    reference = bound(resolved(done), "b", "input", "x")

    assert [(item.name, item.output) for item in reference.references] == [("a", "n"), ("a", "m")]
    assert reference.evaluate(lambda item: {"n": 2, "m": 3}[item.output]) == 8


def test_literals_have_no_expression() -> None:
    resolution = resolved(checked(step("a", inputs={"x": 3})))

    assert resolution.of(0, "input", "x") is None


def test_resolve_refuses_what_was_not_checked() -> None:
    plan = compile_plan(load(workflow(step("a", inputs={"x": "nope"}))))
    with pytest.raises(InvalidWorkflowError, match="there is no step, parameter or loop variable 'nope'"):
        resolve(plan)


@pytest.mark.slow
@given(workflows())
@settings(max_examples=150, deadline=None)
def test_references_mean_what_scopes_mean(workflow: Workflow) -> None:
    """Fetching by instance, shared indexes and levels gives what plain lexical scoping gives, in any nesting."""
    done = check(workflow)
    plan = compile_plan(done)

    assert ByReferences(plan, resolve(plan), {}).run() == by_scopes(done, {})


@pytest.mark.slow
@given(workflows())
@settings(max_examples=100, deadline=None)
def test_what_is_referred_to_comes_before(workflow: Workflow) -> None:
    """In the scope that they share, the producer's ancestor is a predecessor of the consumer's."""
    plan = compile_plan(check(workflow))
    resolution = resolve(plan)

    def line(node: int) -> dict[int, int]:
        """scope → the node in it that is, or holds, this node"""
        found: dict[int, int] = {}
        while node != ROOT:
            found[plan.nodes[node].scope] = node
            node = plan.scopes[plan.nodes[node].scope].owner
        return found

    for (owner, role), item in resolution.bound.items():
        for reference in item.references:
            if reference.target != "output" or role.what in ("output", "until", "carry"):
                continue
            consumer, producer = line(owner), line(reference.node)
            shared = max(consumer.keys() & producer.keys(), key=lambda scope: plan.scopes[scope].depth * 1000 + scope)
            mine, theirs = plan.nodes[consumer[shared]], plan.nodes[producer[shared]]

            assert theirs.position in mine.predecessors
            assert reference.shared == plan.scopes[shared].depth
