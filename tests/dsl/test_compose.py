"""Owns the tests of composition: what is wired to what, and what cannot be composed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meson_core import end, for_each, kind, parallel, param, sequence, start, step, workflow
from meson_core.dsl.build import build
from meson_core.dsl.compose import Graph, as_graph
from meson_core.errors import CycleError, SpecError, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

a, b, c, d, e = (kind("shell", name=name, outputs={"y": int}) for name in "abcde")


def _edges(part: Any) -> dict[str, list[str]]:
    """Node → its predecessors, in the order of the spec."""
    return {node.name: list(node.after) for node in build(workflow("w", part)).body}


@pytest.mark.parametrize(
    ("part", "edges"),
    [
        (a >> b >> c, {"a": [], "b": ["a"], "c": ["b"]}),
        (a | b, {"a": [], "b": []}),
        (a >> b | c >> d, {"a": [], "b": ["a"], "c": [], "d": ["c"]}),
        (a >> (b | c) >> d, {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}),
        (a >> [b, c] >> d, {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}),
        ([a, b] >> c, {"a": [], "b": [], "c": ["a", "b"]}),
        ([a, b] | c, {"a": [], "b": [], "c": []}),
        ([a >> b, (c, d)] >> e, {"a": [], "b": ["a"], "c": [], "d": [], "e": ["b", "c", "d"]}),
        ((a | b) >> (c | d), {"a": [], "b": [], "c": ["a", "b"], "d": ["a", "b"]}),
        (start >> a >> end, {"a": []}),
        (a >> start >> b, {"a": [], "b": ["a"]}),
        (a >> (b | end) >> c, {"a": [], "b": ["a"], "c": ["b"]}),
        (sequence(a, b).parallel(c, d).sequence(e), {"a": [], "b": ["a"], "c": ["b"], "d": ["b"], "e": ["c", "d"]}),
        (a.parallel(b, sequence(c, d)), {"a": [], "b": ["a"], "c": ["a"], "d": ["c"]}),
        (parallel(a, b, a), {"a": [], "b": []}),
        ((a >> b >> d) | (a >> c >> d), {"a": [], "b": ["a"], "d": ["b", "c"], "c": ["a"]}),
        ((a >> b) | b, {"a": [], "b": ["a"]}),
    ],
)
def test_sinks_are_wired_to_sources(part: Any, edges: dict[str, list[str]]) -> None:
    assert edges == _edges(part)


def test_a_step_function_composes_like_its_node() -> None:
    @step
    def f() -> int:
        return 1

    @step
    def g() -> int:
        return 1

    assert _edges(f >> [g, a] >> b) == {"f": [], "g": ["f"], "a": ["f"], "b": ["g", "a"]}
    assert _edges([a, b] >> f) == {"a": [], "b": [], "f": ["a", "b"]}
    assert _edges([a] | f | b) == {"a": [], "f": [], "b": []}
    assert _edges(start >> f) == {"f": []}


def test_a_node_is_one_however_often_it_is_named() -> None:
    @step
    def f() -> int:
        return 1

    assert _edges((f >> a) | (f >> b)) == {"f": [], "a": ["f"], "b": ["f"]}


def test_a_workflow_composes_as_a_node() -> None:
    inner = workflow("inner", a)

    assert _edges(inner >> b >> inner.named("again")) == {"inner": [], "b": ["inner"], "again": ["b"]}


def test_start_and_end_are_nothing() -> None:
    assert as_graph(start >> end).nodes == ()
    assert repr(start) == "<graph of nothing>"


@pytest.mark.parametrize(
    ("compose", "names"),
    [
        (lambda: a >> a, "a >> a"),
        (lambda: a >> b >> a, "a >> b >> a"),
        (lambda: (a >> b) | (b >> c >> a), "a >> b >> c >> a"),
        (lambda: sequence(a, b) >> (b | c), "b >> b"),
    ],
)
def test_a_cycle_is_refused_on_the_line_that_closes_it(compose: Callable[[], Graph], names: str) -> None:
    with pytest.raises(CycleError) as caught:
        compose()

    assert names in caught.value.message
    assert "repeat" in (caught.value.hint or "")
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def _plain() -> None: ...


@pytest.mark.parametrize(
    ("part", "message", "hint"),
    [
        (_plain, "_plain is a plain function, not a step", "write @step above def _plain"),
        (a.output["y"], "a.y is a value, not a part of a workflow", "bind it as an argument"),
        (param("p"), "p is a value", "bind it"),
        ("b", "'b' (str) is not a part of a workflow", "compose steps"),
        (None, "None (NoneType) is not a part", "compose steps"),
        ({"b": b}, "is not a part", "lists of these"),
        (for_each(x=[1]), "<for_each over x>", "for_each(...)(...)"),
    ],
)
def test_what_is_no_part_is_told_what_to_be(part: Any, message: str, hint: str) -> None:
    for compose in (lambda: a >> part, lambda: part >> a, lambda: a | [part], lambda: parallel(part)):
        with pytest.raises(WrongTypeError) as caught:
            compose()

        assert message in caught.value.message
        assert hint in (caught.value.hint or "")
        assert caught.value.where is not None
        assert caught.value.where.file == __file__


def test_parts_are_neither_true_nor_a_collection() -> None:
    with pytest.raises(WrongTypeError, match="neither true nor false"):
        _ = a and b
    with pytest.raises(WrongTypeError, match="cannot be looped over"):
        list(a >> b)


def test_a_long_chain_is_composed_in_one_pass() -> None:
    """Joining two at a time would copy what is there again and again."""
    nodes = [kind("shell", name=f"n{number}") for number in range(3000)]

    graph = sequence(*nodes)

    assert len(graph.edges) == 2999
    assert (graph.sources, graph.sinks) == ((nodes[0],), (nodes[-1],))


def test_an_empty_workflow_says_what_it_needs() -> None:
    with pytest.raises(SpecError, match="workflow 'w' is empty"):
        workflow("w", start >> end)
