"""Owns geometry by shape: boxes in sequence stand from left to right, boxes side by side stand below each other.

A `Block` is some boxes with their places and the routes between them. Sequences and parallels of blocks are blocks again,
so that a picture is put together as the workflow is. Every box has an **axis**, the height at which edges come in and go
out; blocks in a sequence are aligned by it, which makes chains straight lines. No route crosses a box: a route bends only
in the gap between two parts, and a box that is first or last in its part has its row to itself.

Lengths are pixels; x grows to the right, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Between two parts of a sequence, without and with branching.
GAP = 40.0
FAN_GAP = 64.0
JUNCTION_GAP = 88.0
#: Between two parts side by side.
ROW_GAP = 18.0


class Point(NamedTuple):
    """A place."""

    x: float
    y: float


class Box(NamedTuple):
    """Something to be placed.

    Args:
        key: what it stands for.
        width: of it.
        height: of it.
        axis: where edges come in and go out, from its top.
    """

    key: int
    width: float
    height: float
    axis: float


class Port(NamedTuple):
    """Where edges leave or enter a block.

    Args:
        key: of the box.
        way: from the edge of the box as far towards the edge of the block as it is not straight; often a single point.
    """

    key: int
    way: tuple[Point, ...]

    @property
    def y(self) -> float:
        """Its height at the edge of the block."""
        return self.way[-1].y


class Placed(NamedTuple):
    """A box with its place.

    Args:
        box: the box.
        at: its upper left corner.
    """

    box: Box
    at: Point


class Route(NamedTuple):
    """One drawn connection.

    Args:
        before: key of the box that it leaves; None for a junction.
        after: key of the box that it enters; None for a junction.
        points: between points of one height it is straight, otherwise it bends.
    """

    before: int | None
    after: int | None
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Placed boxes and routes; the upper left corner is the origin.

    Args:
        width: of all of it.
        height: of all of it.
        axis: the height by which it is aligned.
        boxes: with their places.
        routes: between them.
        junctions: where several routes become several others.
        entries: where edges from before it enter.
        exits: where edges to what comes after it leave.
    """

    width: float
    height: float
    axis: float
    boxes: tuple[Placed, ...]
    routes: tuple[Route, ...]
    junctions: tuple[Point, ...]
    entries: tuple[Port, ...]
    exits: tuple[Port, ...]

    @classmethod
    def of(cls, box: Box) -> Block:
        """A block of one box."""
        left, right = Point(0.0, box.axis), Point(box.width, box.axis)
        placed = (Placed(box, Point(0.0, 0.0)),)
        return cls(
            box.width, box.height, box.axis, placed, (), (), (Port(box.key, (left,)),), (Port(box.key, (right,)),)
        )

    def moved(self, x: float, y: float) -> Block:
        """The same with everything in it shifted; the size stays."""

        def to(point: Point) -> Point:
            return Point(point.x + x, point.y + y)

        return Block(
            self.width,
            self.height,
            self.axis,
            tuple(Placed(box, to(at)) for box, at in self.boxes),
            tuple(Route(before, after, tuple(map(to, points))) for before, after, points in self.routes),
            tuple(map(to, self.junctions)),
            tuple(Port(key, tuple(map(to, way))) for key, way in self.entries),
            tuple(Port(key, tuple(map(to, way))) for key, way in self.exits),
        )


def in_sequence(parts: Sequence[Block]) -> Block:
    """Blocks from left to right, on one axis, every exit wired to every entry of the next."""
    axis = max(part.axis for part in parts)
    below = max(part.height - part.axis for part in parts)
    placed: list[Block] = []
    wiring: list[Route] = []
    junctions: list[Point] = []
    x = 0.0
    for part in parts:
        if not placed:
            placed.append(part.moved(0.0, axis - part.axis))
            x = part.width
            continue
        gap = _gap(placed[-1].exits, part.entries)
        moved = part.moved(x + gap, axis - part.axis)
        routes, junction = _wired(placed[-1].exits, moved.entries, x, x + gap, axis)
        wiring += routes
        junctions += junction
        placed.append(moved)
        x += gap + part.width
    return _joined(placed, x, axis + below, axis, placed[0].entries, placed[-1].exits, wiring, junctions)


def in_parallel(parts: Sequence[Block]) -> Block:
    """Blocks below each other, in the middle of the widest one; the axis is half-way between the first and the last."""
    width = max(part.width for part in parts)
    placed: list[Block] = []
    y = 0.0
    for part in parts:
        placed.append(part.moved((width - part.width) / 2, y))
        y += part.height + ROW_GAP
    height = y - ROW_GAP
    last = height - parts[-1].height + parts[-1].axis
    entries = [port for part in placed for port in part.entries]
    exits = [port for part in placed for port in part.exits]
    return _joined(placed, width, height, (parts[0].axis + last) / 2, entries, exits)


def _joined(
    parts: Sequence[Block],
    width: float,
    height: float,
    axis: float,
    entries: Sequence[Port],
    exits: Sequence[Port],
    routes: Sequence[Route] = (),
    junctions: Sequence[Point] = (),
) -> Block:
    return Block(
        width,
        height,
        axis,
        tuple(box for part in parts for box in part.boxes),
        (*(route for part in parts for route in part.routes), *routes),
        (*(point for part in parts for point in part.junctions), *junctions),
        tuple(entries),
        tuple(exits),
    )


def _gap(exits: Sequence[Port], entries: Sequence[Port]) -> float:
    if len(exits) > 1 and len(entries) > 1:
        return JUNCTION_GAP
    return FAN_GAP if len(exits) > 1 or len(entries) > 1 else GAP


def _wired(
    exits: Sequence[Port], entries: Sequence[Port], left: float, right: float, axis: float
) -> tuple[list[Route], list[Point]]:
    """Routes from every exit to every entry, that bend between `left` and `right`.

    Several exits before several entries mean that all of the first come before all of the second: they meet in a
    junction, since a bundle of crossing lines would say the same and could not be read.
    """
    if len(exits) > 1 and len(entries) > 1:
        middle = Point((left + right) / 2, axis)
        into = [Route(port.key, None, through(*port.way, Point(left, port.y), middle)) for port in exits]
        out = [Route(None, port.key, through(middle, Point(right, port.y), *reversed(port.way))) for port in entries]
        return into + out, [middle]
    return [
        Route(
            before.key,
            after.key,
            through(*before.way, Point(left, before.y), Point(right, after.y), *reversed(after.way)),
        )
        for before in exits
        for after in entries
    ], []


def through(*points: Point) -> tuple[Point, ...]:
    """The points without those that lie on the straight way between their neighbours."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and kept[-2].y == kept[-1].y == point.y:
            kept.pop()
        kept.append(point)
    return tuple(kept)
