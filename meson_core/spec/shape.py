"""Owns the series-parallel shape of a graph: what of it is a sequence, what is parallel, and what is neither.

Any order of nodes falls apart in one way only: into parts side by side (nothing in one comes before anything in
another), or into parts one after the other (everything in one comes before everything in the next). What can be parted in
neither way is a *mesh*. People read, and documents write, the shape instead of the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Graphs with more nodes, and parts nested deeper, are left a mesh: nobody could read more of them.
MAX_NODES = 5000
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Parts:
    """A part of a graph that is made of parts.

    Args:
        way: "sequence", "parallel", or "mesh" (its parts are single nodes, each after all those that come before it).
        parts: in order.
    """

    way: Literal["sequence", "parallel", "mesh"]
    parts: tuple[Shape, ...]


#: The position of a single node, or parts.
Shape: TypeAlias = int | Parts


def shape_of(predecessors: Sequence[Sequence[int]]) -> Shape | None:
    """The shape of an acyclic graph; None when it has no nodes.

    Args:
        predecessors: for each node the positions of those directly before it.
    """
    order = _topological(predecessors)
    if not order:
        return None
    if len(order) > MAX_NODES:
        return Parts("mesh", tuple(order))
    return _Decomposition(predecessors, order).shape(order, 0)


def edges_of(shape: Shape) -> set[tuple[int, int]]:
    """The edges that writing a shape as sequences and parallels makes: sinks of a part to sources of the next."""
    return _wired(shape)[2]


def _wired(shape: Shape) -> tuple[list[int], list[int], set[tuple[int, int]]]:
    """Sources, sinks and edges."""
    if isinstance(shape, int):
        return [shape], [shape], set()
    sources: list[int] = []
    sinks: list[int] = []
    edges: set[tuple[int, int]] = set()
    for part in shape.parts:
        first, last, inner = _wired(part)
        edges |= inner
        if shape.way == "sequence":
            edges.update((before, after) for before in sinks for after in first)
            sources, sinks = sources or first, last
        else:
            sources, sinks = sources + first, sinks + last
    return sources, sinks, edges


def _topological(predecessors: Sequence[Sequence[int]]) -> list[int]:
    """Positions so that every node comes after its predecessors; otherwise as in the document."""
    successors: list[list[int]] = [[] for _ in predecessors]
    missing = [len(set(before)) for before in predecessors]
    for node, before in enumerate(predecessors):
        for other in set(before):
            successors[other].append(node)
    order: list[int] = []
    free = [node for node in reversed(range(len(missing))) if missing[node] == 0]
    while free:
        node = free.pop()
        order.append(node)
        for successor in reversed(successors[node]):
            missing[successor] -= 1
            if missing[successor] == 0:
                free.append(successor)
    return order


class _Decomposition:
    """Works on sets of nodes as the bits of integers, which makes each question one operation for all nodes."""

    def __init__(self, predecessors: Sequence[Sequence[int]], order: Sequence[int]) -> None:
        self.rank = {node: rank for rank, node in enumerate(order)}
        before = [0] * len(predecessors)
        for node in order:
            for other in predecessors[node]:
                before[node] |= before[other] | (1 << other)
        after = [0] * len(predecessors)
        for node in reversed(order):
            for other in predecessors[node]:
                after[other] |= after[node] | (1 << node)
        #: for each node, all that come before or after it
        self.ordered = [first | last for first, last in zip(before, after, strict=True)]

    def shape(self, nodes: Sequence[int], depth: int) -> Shape:
        """The shape of some nodes, given in topological order."""
        if len(nodes) == 1:
            return nodes[0]
        if depth < _MAX_DEPTH:
            for way in ("parallel", "sequence"):
                groups = list(self.groups(nodes, related=way == "parallel"))
                if len(groups) > 1:
                    key = min if way == "parallel" else self.first
                    parts = (self.shape(group, depth + 1) for group in sorted(groups, key=key))
                    return Parts("parallel" if way == "parallel" else "sequence", tuple(parts))
        return Parts("mesh", tuple(nodes))

    def first(self, group: Sequence[int]) -> int:
        return self.rank[group[0]]

    def groups(self, nodes: Sequence[int], *, related: bool) -> Iterator[list[int]]:
        """The nodes parted so that no two of different groups are ordered (or, if not `related`, are unordered)."""
        left = sum(1 << node for node in nodes)
        for node in nodes:
            if not left >> node & 1:
                continue
            group = frontier = 1 << node
            left &= ~group
            while frontier:
                some = (frontier & -frontier).bit_length() - 1
                frontier &= frontier - 1
                reached = left & (self.ordered[some] if related else ~self.ordered[some])
                group |= reached
                frontier |= reached
                left &= ~reached
            yield sorted(_members(group), key=self.rank.__getitem__)


def _members(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
