"""Owns the layout of what is neither sequence nor parallel: columns, few crossings, straight lines.

After Sugiyama: each box stands in the column after its last predecessor; an edge that skips columns gets a waypoint in
each of them, so that it keeps a row to itself; the order in a column is by the average of the neighbours, from both sides
in turn; heights are the least squares to the neighbours' heights that keep order and distance (pool adjacent violators).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from meson_core.graph.blocks import FAN_GAP, ROW_GAP, Block, Box, Placed, Point, Port, Route, through

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SWEEPS = 12
_SETTLING = 200
_ROUGH = 6
#: Heights that move by less are settled.
_SETTLED = 0.02
#: Heights are moved about so many times in all; the larger the picture, the less a bend is seen.
_MAX_WORK = 60_000
_WAYPOINT_HEIGHT = 10.0
#: A bent box is worse than a long way, a bent waypoint worse still.
_WAYPOINT_WEIGHT = 4.0
_CHAIN_PULL = 16.0


@dataclass(eq=False, slots=True)
class _Item:
    """A box, or a waypoint of an edge."""

    box: Box | None
    column: int
    before: list[_Item] = field(default_factory=list)
    after: list[_Item] = field(default_factory=list)
    place: float = 0.0
    y: float = 0.0  # of its axis

    @property
    def above(self) -> float:
        return self.box.axis if self.box else _WAYPOINT_HEIGHT / 2

    @property
    def below(self) -> float:
        return self.box.height - self.box.axis if self.box else _WAYPOINT_HEIGHT / 2

    @property
    def weight(self) -> float:
        return 1.0 if self.box else _WAYPOINT_WEIGHT


def in_columns(boxes: Sequence[Box], predecessors: Mapping[int, Iterable[int]]) -> Block:
    """A block of boxes in columns.

    Args:
        boxes: so that each comes after its predecessors.
        predecessors: key → keys of boxes directly before it.
    """
    items = _items(boxes, predecessors)
    columns = _columns(items.values())
    _order(columns)
    _settle(columns)
    return _block(columns, items)


def _items(boxes: Sequence[Box], predecessors: Mapping[int, Iterable[int]]) -> dict[int, _Item]:
    items: dict[int, _Item] = {}
    for box in boxes:
        earlier = [items[key] for key in predecessors.get(box.key, ())]
        item = _Item(box, 1 + max((other.column for other in earlier), default=-1))
        items[box.key] = item
        for other in earlier:
            _connect(other, item)
    last = max(item.column for item in items.values())
    for item in list(items.values()):
        if not item.after and item.column < last:
            _way(item, last)
    return items


def _connect(before: _Item, after: _Item) -> None:
    end = _way(before, after.column - 1) if after.column > before.column + 1 else before
    end.after.append(after)
    after.before.append(end)


def _way(item: _Item, column: int) -> _Item:
    """Waypoints from an item up to a column; the last of them."""
    while item.column < column:
        further = _Item(None, item.column + 1)
        item.after.append(further)
        further.before.append(item)
        item = further
    return item


def _columns(items: Iterable[_Item]) -> list[list[_Item]]:
    """All items by column; waypoints stand where the walk from the boxes comes upon them."""
    columns: list[list[_Item]] = []
    seen: set[int] = set()
    waiting = sorted(items, key=lambda item: item.column, reverse=True)
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        while len(columns) <= item.column:
            columns.append([])
        columns[item.column].append(item)
        waiting += [other for other in reversed(item.after) if other.box is None]
    return columns


def _order(columns: list[list[_Item]]) -> None:
    for column in columns:
        _number(column)
    best, fewest = [list(column) for column in columns], _crossings(columns)
    for sweep in range(max(2, min(_SWEEPS, _MAX_WORK // 4 // sum(map(len, columns))))):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            keys = {id(item): _average(item.before if forward else item.after, item.place) for item in column}
            column.sort(key=lambda item: (keys[id(item)], item.place))
            _number(column)
        found = _crossings(columns)
        if found < fewest:
            best, fewest = [list(column) for column in columns], found
        if not fewest:
            break
    for column, items in zip(columns, best, strict=True):
        column[:] = items
        _number(column)


def _number(column: list[_Item]) -> None:
    for place, item in enumerate(column):
        item.place = float(place)


def _average(others: list[_Item], otherwise: float) -> float:
    return sum(other.place for other in others) / len(others) if others else otherwise


def _crossings(columns: list[list[_Item]]) -> int:
    """Pairs of edges between neighbouring columns that cross, counted by inversions."""
    total = 0
    for column in columns:
        ends: list[float] = []
        for item in column:
            ends += sorted(other.place for other in item.after)
        total += _inversions(ends)[0]
    return total


def _inversions(values: list[float]) -> tuple[int, list[float]]:
    """How many pairs stand in the wrong order, and the values in order."""
    if len(values) < 2:
        return 0, values
    half = len(values) // 2
    (left_count, left), (right_count, right) = _inversions(values[:half]), _inversions(values[half:])
    merged: list[float] = []
    count = left_count + right_count
    at = 0
    for value in right:
        while at < len(left) and left[at] <= value:
            merged.append(left[at])
            at += 1
        count += len(left) - at
        merged.append(value)
    return count, merged + left[at:]


def _settle(columns: list[list[_Item]]) -> None:
    offsets = [_offsets(column) for column in columns]
    for column, distances in zip(columns, offsets, strict=True):
        _fit(column, distances, [0.0 for _ in column])
    # By neighbours from one side first, which gives a rough place; then from both, until nothing moves.
    pulls = {id(item): _pulls(item) for column in columns for item in column}
    sweeps = max(_SWEEPS, min(_SETTLING, _MAX_WORK // len(pulls)))
    for sweep in range(sweeps):
        sides = (0, 1) if sweep >= _ROUGH else (sweep % 2,)
        order = range(len(columns)) if sweep % 2 == 0 else reversed(range(len(columns)))
        moved = 0.0
        for at in order:
            wished = [_wish(item, pulls[id(item)], sides) for item in columns[at]]
            moved = max(moved, _fit(columns[at], offsets[at], wished))
        if sweep >= _ROUGH and moved < _SETTLED:
            break


def _pulls(item: _Item) -> tuple[list[tuple[_Item, float]], list[tuple[_Item, float]]]:
    """The neighbours before and after, and how much each edge wants to be straight."""
    before = [(other, _CHAIN_PULL if len(other.after) == len(item.before) == 1 else 1.0) for other in item.before]
    after = [(other, _CHAIN_PULL if len(item.after) == len(other.before) == 1 else 1.0) for other in item.after]
    return before, after


def _wish(item: _Item, pulls: tuple[list[tuple[_Item, float]], ...], sides: tuple[int, ...]) -> float:
    total = weight = 0.0
    for side in sides:
        for other, pull in pulls[side]:
            total += pull * other.y
            weight += pull
    return total / weight if weight else item.y


def _offsets(column: list[_Item]) -> list[float]:
    """How far below the first item each one is at least."""
    offsets = [0.0]
    for upper, lower in pairwise(column):
        offsets.append(offsets[-1] + upper.below + ROW_GAP + lower.above)
    return offsets


def _fit(column: list[_Item], offsets: list[float], wished: list[float]) -> float:
    """Set the heights nearest to what is wished that keep the order and the distances; how far the farthest moved."""
    groups: list[tuple[float, float, int]] = []  # sum of weighted wishes, weight, how many
    for item, wish, offset in zip(column, wished, offsets, strict=True):
        group = ((wish - offset) * item.weight, item.weight, 1)
        while groups and groups[-1][0] * group[1] >= group[0] * groups[-1][1]:
            total, weight, count = groups.pop()
            group = (total + group[0], weight + group[1], count + group[2])
        groups.append(group)
    moved = 0.0
    at = 0
    for total, weight, count in groups:
        for item in column[at : at + count]:
            y = total / weight + offsets[at]
            moved = max(moved, abs(item.y - y))
            item.y = y
            at += 1
    return moved


def _block(columns: list[list[_Item]], items: Mapping[int, _Item]) -> Block:
    for item in (item for column in columns for item in column):
        item.y = float(round(item.y))  # a line that is straight but for a tenth of a pixel looks bent
    top = min(item.y - item.above for column in columns for item in column)
    bottom = max(item.y + item.below for column in columns for item in column)
    lefts: list[float] = []
    rights: list[float] = []
    x = 0.0
    for column in columns:
        lefts.append(x)
        rights.append(x + max(item.box.width if item.box else 0.0 for item in column))
        x = rights[-1] + FAN_GAP
    edges = {key: Point(_left(item, lefts, rights), item.y - top) for key, item in items.items()}
    boxes = tuple(
        Placed(item.box, Point(edges[key].x, edges[key].y - item.above)) for key, item in items.items() if item.box
    )

    def right(key: int, item: _Item) -> Point:
        return Point(edges[key].x + (item.box.width if item.box else 0.0), edges[key].y)

    routes = []
    keys = {id(item): key for key, item in items.items()}
    for key, item in items.items():
        for way in item.before:
            points = [edges[key], Point(lefts[item.column], edges[key].y)]
            while way.box is None:
                points += [Point(rights[way.column], way.y - top), Point(lefts[way.column], way.y - top)]
                way = way.before[0]
            before = keys[id(way)]
            points += [Point(rights[way.column], way.y - top), right(before, way)]
            routes.append(Route(before, key, through(*reversed(points))))
    entries = tuple(Port(key, (edges[key],)) for key, item in items.items() if not item.before)
    exits = []
    for key, item in items.items():
        if not any(_leads_on(other) for other in item.after):
            points = [right(key, item), Point(rights[item.column], edges[key].y)]
            while item.after:
                item = item.after[0]
                points += [Point(lefts[item.column], item.y - top), Point(rights[item.column], item.y - top)]
            exits.append(Port(key, through(*points)))
    width, height = rights[-1], bottom - top
    return Block(width, height, height / 2, boxes, tuple(routes), (), entries, tuple(exits))


def _left(item: _Item, lefts: list[float], rights: list[float]) -> float:
    width = item.box.width if item.box else 0.0
    return lefts[item.column] + (rights[item.column] - lefts[item.column] - width) / 2


def _leads_on(item: _Item) -> bool:
    """Whether a way ends at a box, and not at the right edge."""
    while item.box is None:
        if not item.after:
            return False
        item = item.after[0]
    return True
