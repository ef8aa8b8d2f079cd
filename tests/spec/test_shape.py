"""Owns the tests of shapes and of leaving out implied edges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from meson_core.graph.reduction import reduced
from meson_core.spec.shape import MAX_NODES, Parts, Shape, edges_of, shape_of
from tests.graph.drawn import closure, graphs


def _sequence(*parts: Shape) -> Parts:
    return Parts("sequence", parts)


def _parallel(*parts: Shape) -> Parts:
    return Parts("parallel", parts)


@pytest.mark.parametrize(
    ("predecessors", "shape"),
    [
        ([], None),
        ([[]], 0),
        ([[], [0], [1]], _sequence(0, 1, 2)),
        ([[], [], []], _parallel(0, 1, 2)),
        ([[], [0], [0], [1, 2]], _sequence(0, _parallel(1, 2), 3)),
        ([[], [0], [0, 1]], _sequence(0, 1, 2)),
        ([[], [0], [], [2]], _parallel(_sequence(0, 1), _sequence(2, 3))),
        ([[1], []], _sequence(1, 0)),
        ([[], [], [0, 1], [0, 1]], _sequence(_parallel(0, 1), _parallel(2, 3))),
        ([[], [], [0, 1], [1]], Parts("mesh", (1, 3, 0, 2))),
        ([[], [], [0, 1], [1], [2, 3]], _sequence(Parts("mesh", (1, 3, 0, 2)), 4)),
    ],
    ids=repr,
)
def test_a_graph_falls_apart_into_its_shape(predecessors: list[list[int]], shape: Shape | None) -> None:
    found = shape_of(predecessors)
    if isinstance(found, Parts) and found.way == "mesh" and isinstance(shape, Parts):
        assert set(shape.parts) == set(found.parts)
    elif "mesh" not in repr(shape):
        assert shape == found


def _members(shape: Shape) -> list[int]:
    return [shape] if isinstance(shape, int) else [node for part in shape.parts for node in _members(part)]


def _order(shape: Shape, predecessors: list[list[int]]) -> set[tuple[int, int]]:
    """Which pairs a shape says are ordered; in a mesh those that the edges order."""
    if isinstance(shape, int):
        return set()
    pairs = {pair for part in shape.parts for pair in _order(part, predecessors)}
    if shape.way == "sequence":
        for at, part in enumerate(shape.parts):
            later = [node for other in shape.parts[at + 1 :] for node in _members(other)]
            pairs |= {(before, after) for before in _members(part) for after in later}
    elif shape.way == "mesh":
        inside = set(_members(shape))
        pairs |= {(before, after) for before, after in closure(predecessors) if {before, after} <= inside}
    return pairs


@pytest.mark.slow
@given(predecessors=graphs())
@settings(deadline=None)
def test_a_shape_says_exactly_what_comes_before_what(predecessors: list[list[int]]) -> None:
    shape = shape_of(predecessors)

    assert shape is not None
    assert sorted(_members(shape)) == list(range(len(predecessors)))
    assert _order(shape, predecessors) == closure(predecessors)


@pytest.mark.slow
@given(predecessors=graphs())
@settings(deadline=None)
def test_a_mesh_stands_in_an_order_that_holds(predecessors: list[list[int]]) -> None:
    shape = shape_of(predecessors)
    assert shape is not None
    waiting = [shape]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Parts):
            waiting += part.parts
            if part.way == "mesh":
                place = {node: at for at, node in enumerate(part.parts)}
                for before, after in closure(predecessors):
                    if before in place and after in place:
                        assert place[before] < place[after]


def test_writing_a_shape_makes_its_edges() -> None:
    shape = shape_of([[], [0], [0], [1, 2], [1, 2]])

    assert shape is not None
    assert edges_of(shape) == {(0, 1), (0, 2), (1, 3), (2, 3), (1, 4), (2, 4)}


def test_a_huge_graph_is_left_as_it_is() -> None:
    count = MAX_NODES + 1
    shape = shape_of([[at - 1] if at else [] for at in range(count)])

    assert shape == Parts("mesh", tuple(range(count)))


@pytest.mark.slow
def test_a_deep_graph_does_not_exhaust_the_stack() -> None:
    """a >> (b | (c >> (d | ...))), far deeper than anybody nests."""
    count = 1500
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for at in range(0, count - 2, 2):  # at >> all that follows but at + 1, which stands beside it
        predecessors[at + 2] = [at]
        predecessors[at + 1] = [at]

    assert sorted(_members(shape_of(predecessors) or 0)) == list(range(count))


@pytest.mark.slow
@given(predecessors=graphs())
@settings(deadline=None)
def test_what_others_imply_is_left_out_and_nothing_else(predecessors: list[list[int]]) -> None:
    kept = reduced(predecessors)

    assert closure(kept) == closure(predecessors)
    for node, before in enumerate(kept):
        for other in before:
            fewer = [[x for x in b if (at, x) != (node, other)] for at, b in enumerate(kept)]
            assert closure(fewer) != closure(kept)
