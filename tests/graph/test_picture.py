"""Owns the geometry of pictures: nothing overlaps, nothing sticks out, no line crosses a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from meson_core.graph.blocks import Block, Box, Point, Route
from meson_core.graph.layers import in_columns
from meson_core.graph.picture import Frame, Picture, picture_of
from meson_core.spec.check import check
from meson_core.spec.plan import ROOT, Plan, compile_plan
from tests.graph.drawn import everything, graphs, mesh, planned, step
from tests.strategies import workflows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.spec.model import Workflow

_SLACK = 0.01


def _around(plan: Plan, node: int) -> Iterator[int]:
    """The nodes around a node, from the inside out."""
    while (node := plan.scopes[plan.nodes[node].scope].owner) != ROOT:
        yield node


def _overlap(one: Frame, other: Frame) -> bool:
    return (
        one.x < other.x + other.width - _SLACK
        and other.x < one.x + one.width - _SLACK
        and one.y < other.y + other.height - _SLACK
        and other.y < one.y + one.height - _SLACK
    )


def _inside(inner: Frame, outer: Frame) -> bool:
    return (
        outer.x <= inner.x + _SLACK
        and outer.y <= inner.y + _SLACK
        and inner.x + inner.width <= outer.x + outer.width + _SLACK
        and inner.y + inner.height <= outer.y + outer.height + _SLACK
    )


def _points(route: Route) -> Iterator[Point]:
    """Points along a route, bends as they are drawn."""
    for start, end in zip(route.points, route.points[1:], strict=False):
        middle = (start.x + end.x) / 2
        for part in range(11):
            t = part / 10
            u = 1 - t
            x = u**3 * start.x + 3 * u * t * middle + t**3 * end.x if start.y != end.y else u * start.x + t * end.x
            y = (u**3 + 3 * u * u * t) * start.y + (3 * u * t * t + t**3) * end.y
            yield Point(x, y)


def _check(plan: Plan, picture: Picture) -> None:
    frames = {frame.node: frame for frame in picture.frames}
    whole = Frame(ROOT, 0, 0, picture.width, picture.height)
    assert sorted(frames) == list(range(len(plan.nodes)))
    for frame in picture.frames:
        owner = next(_around(plan, frame.node), None)
        assert _inside(frame, whole if owner is None else frames[owner])
    for scope in plan.scopes:
        for at, node in enumerate(scope.nodes):
            for other in scope.nodes[at + 1 :]:
                assert not _overlap(frames[node], frames[other])
    for at, branch in enumerate(picture.branches):
        assert _inside(branch.frame, frames[branch.frame.node])
        assert not any(
            _overlap(branch.frame, other.frame)
            for other in picture.branches[at + 1 :]
            if other.frame.node == branch.frame.node
        )
    for route in picture.routes:
        _check_route(plan, route, frames)


def _check_route(plan: Plan, route: Route, frames: dict[int, Frame]) -> None:
    ends = [key for key in (route.before, route.after) if key is not None]
    around = {*_around(plan, ends[0])}
    if route.before is not None:
        frame = frames[route.before]
        assert route.points[0].x == pytest.approx(frame.x + frame.width)
        assert frame.y < route.points[0].y < frame.y + frame.height
    if route.after is not None:
        frame = frames[route.after]
        assert route.points[-1].x == pytest.approx(frame.x)
        assert frame.y < route.points[-1].y < frame.y + frame.height
    for point in _points(route):
        for node, frame in frames.items():
            if node not in around:
                inside = frame.x + _SLACK < point.x < frame.x + frame.width - _SLACK
                assert not (inside and frame.y + _SLACK < point.y < frame.y + frame.height - _SLACK)


@pytest.mark.slow
@given(workflow=workflows())
@settings(max_examples=60, deadline=None)
def test_nothing_overlaps_and_no_line_crosses_a_box(workflow: Workflow) -> None:
    plan = compile_plan(check(workflow))

    _check(plan, picture_of(plan))


@pytest.mark.parametrize("plan", [everything(), mesh()], ids=["everything", "mesh"])
def test_known_plans_are_sound(plan: Plan) -> None:
    _check(plan, picture_of(plan))


def test_a_chain_is_a_straight_line() -> None:
    plan = everything()
    picture = picture_of(plan)
    top = [route for route in picture.routes if route.before in plan.scopes[0].nodes]

    assert top
    assert all(len({point.y for point in route.points}) == 1 for route in top)


def test_branches_fan_out_evenly() -> None:
    a, b, c, d = (step(name) for name in "abcd")
    frames = {frame.node: frame for frame in picture_of(planned(a >> (b | c) >> d)).frames}
    middle = [frames[node].y + frames[node].height / 2 for node in range(4)]

    assert middle[0] == middle[3] == (middle[1] + middle[2]) / 2


def test_several_before_several_meet_in_a_junction() -> None:
    parts = [step(name) for name in "abcdef"]
    picture = picture_of(planned(parts[:3] >> (parts[3] | parts[4] | parts[5])))

    assert len(picture.junctions) == 1
    assert len(picture.routes) == 6


# --- columns --------------------------------------------------------------------------------------------------------------


def _columns(predecessors: list[list[int]]) -> Block:
    order: list[int] = []
    while len(order) < len(predecessors):
        order += [
            node
            for node, before in enumerate(predecessors)
            if node not in order and all(other in order for other in before)
        ]
    boxes = [Box(node, 80.0 + 10 * (node % 3), 40.0 + 20 * (node % 2), 20.0) for node in order]
    return in_columns(boxes, dict(enumerate(predecessors)))


@pytest.mark.slow
@given(predecessors=graphs())
@settings(max_examples=60, deadline=None)
def test_columns_keep_boxes_and_lines_apart(predecessors: list[list[int]]) -> None:
    block = _columns(predecessors)
    frames = {box.key: Frame(box.key, at.x, at.y, box.width, box.height) for box, at in block.boxes}
    whole = Frame(ROOT, 0, 0, block.width, block.height)

    assert {(route.before, route.after) for route in block.routes} == {
        (other, node) for node, before in enumerate(predecessors) for other in before
    }
    for one in frames.values():
        assert _inside(one, whole)
        assert not any(_overlap(one, other) for other in frames.values() if other is not one)
    for route in block.routes:
        for point in _points(route):
            for frame in frames.values():
                inside = frame.x + _SLACK < point.x < frame.x + frame.width - _SLACK
                assert not (inside and frame.y + _SLACK < point.y < frame.y + frame.height - _SLACK)


def test_lines_do_not_cross_without_need() -> None:
    """Written in the worst order: the lines of a naive layout would all cross."""
    block = _columns([[], [], [], [2], [1], [0], [3, 4], [4, 5]])
    lines = [(route.points[0], route.points[-1]) for route in block.routes]
    crossing = [
        (one, other)
        for one in lines
        for other in lines
        if one[0].x == other[0].x and one[0].y < other[0].y and one[1].y > other[1].y
    ]

    assert crossing == []


def test_what_leaves_a_mesh_early_has_a_row_to_itself() -> None:
    block = _columns([[], [], [0, 1], [1], [2]])

    assert sorted(port.key for port in block.exits) == [3, 4]
    assert all(port.way[-1].x <= block.width for port in block.exits)
    assert {port.key for port in block.entries} == {0, 1}
