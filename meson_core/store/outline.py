"""Owns the outline of a workflow version: of each node its name, the composite around it, and how many indexes it has."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from meson_core.spec.plan import Instance, Plan


class Entry(NamedTuple):
    """One node.

    Args:
        name: dotted, as people type it.
        owner: number of the innermost composite around it; -1 for the root.
        depth: how many indexes its instances have.
    """

    name: str
    owner: int
    depth: int


class Outline:
    """The nodes of a workflow version by number: as much of its plan as projections need.

    Args:
        entries: by node number.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    @classmethod
    def of(cls, plan: Plan) -> Outline:
        """The outline of a plan."""
        return cls([Entry(node.name, plan.scopes[node.scope].owner, node.depth) for node in plan.nodes])

    @classmethod
    def from_json(cls, data: bytes) -> Outline:
        """What `to_json` wrote."""
        return cls(msgspec.json.decode(data, type=list[Entry]))

    def to_json(self) -> bytes:
        """As it is stored."""
        return msgspec.json.encode(self.entries)

    def around(self, instance: Instance) -> list[Instance]:
        """The composite instances around an instance, from the innermost outwards."""
        found: list[Instance] = []
        node = self.entries[instance[0]].owner
        while node >= 0:
            entry = self.entries[node]
            found.append((node, *instance[1 : 1 + entry.depth]))
            node = entry.owner
        return found

    def inside(self, node: int) -> range:
        """The nodes inside a composite: those that follow it in document order, up to its last."""
        return range(node + 1, self._ends[node])

    @cached_property
    def _ends(self) -> list[int]:
        ends = [number + 1 for number in range(len(self.entries))]
        for number in reversed(range(len(self.entries))):
            owner = self.entries[number].owner
            if owner >= 0:
                ends[owner] = max(ends[owner], ends[number])
        return ends
