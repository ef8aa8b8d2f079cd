"""Owns the tests of the checked workflow: complete edges, one normal form, and no further change."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from meson_core.spec import Workflow, check, compile_plan, digest, load
from meson_core.spec.digest import plain
from tests.spec.authoring import checked, choose, for_each, repeat, step, subworkflow, workflow
from tests.strategies import Style, workflows


def test_texts_are_in_normal_form() -> None:
    """Two ways to write one definition are equal once they are checked, and have one digest."""
    inner = {"name": "inner", "params": {"p": {"type": "list"}}, "outputs": {"o": "(p)"}, "body": [step("i")]}
    loose = checked(
        step("a", outputs="n: int", input_types={"x": "dict"}, inputs={"x": "{'a':( 1 )}"}),
        for_each("f", {"v": "[a.n ,1]"}, step("b", resources={"constraints": ['zone=="a"']})),
        repeat("r", "a2.n>alpha", step("a2", outputs="n: int"), carry={"alpha": "alpha*2"}),
        choose("c", ("true", [step("d")]), otherwise=[step("e")]),
        subworkflow("s", inner, inputs={"p": "[ ]"}),
        params={"alpha": "float"},
        outputs={"o": "(a.n)"},
    )
    tight = checked(
        step("a", outputs="n: int", input_types={"x": "dict[any]"}, inputs={"x": "{'a': 1}"}),
        for_each("f", {"v": "[a.n, 1]"}, step("b", resources={"constraints": ["zone == 'a'"]}), after=["a"]),
        repeat("r", "a2.n > alpha", step("a2", outputs="n: int"), carry={"alpha": "alpha * 2"}),
        choose("c", ("True", [step("d")]), otherwise=[step("e")]),
        subworkflow("s", inner | {"outputs": {"o": "p"}, "params": {"p": {"type": "list[any]"}}}, inputs={"p": "[]"}),
        params={"alpha": "float"},
        outputs={"o": "a.n"},
    )

    assert loose == tight
    assert digest(loose) == digest(tight)


def test_what_the_author_wrote_is_left_alone() -> None:
    """The check returns a new workflow."""
    written = load(workflow(step("a", outputs="n: int"), step("b", inputs={"x": "(a.n)"})))
    before = written.model_dump()
    check(written)

    assert written.model_dump() == before


@pytest.mark.slow
@given(workflows(Style(failures=True)))
@settings(max_examples=100, deadline=None)
def test_a_checked_workflow_is_a_fixed_point(workflow: Workflow) -> None:
    """Checking again changes nothing; nor does the way through plain data; nodes keep their order."""
    done = check(workflow)

    assert check(done) == done
    assert load(done.model_dump(mode="json")) == done
    assert load(plain(done)) == done
    assert digest(load(plain(done))) == digest(done)
    names = [node.path for node in compile_plan(done).nodes]
    assert names == [node.path for node in compile_plan(workflow).nodes]


@pytest.mark.slow
@given(workflows())
@settings(max_examples=50, deadline=None)
def test_edges_that_were_there_stay(workflow: Workflow) -> None:
    """The check adds edges, takes none away, and leaves every scope without cycles."""
    before, after = compile_plan(workflow), compile_plan(check(workflow))
    for mine, theirs in zip(before.nodes, after.nodes, strict=True):
        assert set(mine.predecessors) <= set(theirs.predecessors)
    for scope in after.scopes:
        done: set[int] = set()
        left = list(scope.nodes)
        while left:
            ready = [node for node in left if set(after.nodes[node].predecessors) <= done]
            assert ready
            done |= {after.nodes[node].position for node in ready}
            left = [node for node in left if node not in ready]
