"""Owns the tests of the compiled form: numbers, scopes, depths, edges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from meson_core.spec import ROOT, Workflow, check, compile_plan
from meson_core.spec.model import graphs
from meson_core.spec.plan import is_branching
from tests.spec.authoring import checked, choose, for_each, repeat, step, subworkflow, workflow
from tests.strategies import workflows


def test_numbers_and_names() -> None:
    """Nodes are numbered in document order, a composite before its content; only subworkflows are part of a path."""
    plan = compile_plan(
        checked(
            step("a"),
            for_each("f", {"v": [1]}, choose("c", ("True", [step("b")]), otherwise=[repeat("r", "False", step("d"))])),
            subworkflow("s", workflow(step("a"), subworkflow("t", workflow(step("a"))))),
        )
    )

    assert [(node.id, node.name, node.depth) for node in plan.nodes] == [
        (0, "a", 0),
        (1, "f", 0),
        (2, "c", 1),
        (3, "b", 1),
        (4, "r", 1),
        (5, "d", 2),
        (6, "s", 0),
        (7, "s.a", 0),
        (8, "s.t", 0),
        (9, "s.t.a", 0),
    ]
    assert [(scope.owner, scope.label, scope.depth) for scope in plan.scopes] == [
        (ROOT, "wf", 0),
        (1, "body", 1),
        (2, "when True", 1),
        (2, "otherwise", 1),
        (4, "body", 2),
        (6, "wf", 0),
        (8, "wf", 0),
    ]
    assert plan.by_name["s.t.a"] == 9
    assert [node.name for node in plan.nodes if node.is_step] == ["a", "b", "d", "s.a", "s.t.a"]
    assert [node.name for node in plan.nodes if is_branching(node)] == ["c"]


def test_edges() -> None:
    plan = compile_plan(checked(step("a", after=["c"]), step("b"), step("c", after=["b"]), step("d", after=["b", "c"])))

    assert [(node.predecessors, node.successors) for node in plan.nodes] == [
        ((2,), ()),
        ((), (2, 3)),
        ((1,), (0, 3)),
        ((1, 2), ()),
    ]
    assert plan.scopes[0].sources == (1,)


@pytest.mark.slow
@given(workflows())
@settings(max_examples=50, deadline=None)
def test_the_plan_holds_together(workflow: Workflow) -> None:
    """What a node says of its place is what its scope says of it."""
    plan = compile_plan(check(workflow))
    for node in plan.nodes:
        scope = plan.scopes[node.scope]

        assert plan.nodes[node.id] is node
        assert scope.nodes[node.position] == node.id
        assert node.depth == scope.depth
        assert (node.position in scope.sources) is (not node.predecessors)
        assert len(node.scopes) == len(graphs(node.spec))
        assert all(plan.scopes[inner].owner == node.id for inner in node.scopes)
        assert all(node.position in plan.nodes[scope.nodes[at]].successors for at in node.predecessors)
