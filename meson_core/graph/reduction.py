"""Owns leaving out the edges that others imply, which pictures show and say in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: In larger graphs every edge is drawn, also one that others imply.
_MAX_REDUCED = 2000


def reduced(predecessors: Sequence[Sequence[int]]) -> list[list[int]]:
    """The same order with as few edges as possible: those that others imply are left out.

    Args:
        predecessors: for each node the positions of those before it; acyclic.
    """
    if len(predecessors) > _MAX_REDUCED:
        return [list(before) for before in predecessors]
    known: dict[int, int] = {}  # all that come before a node, as bits

    def ancestors(node: int) -> int:
        stack = [node]
        while stack:
            missing = [other for other in predecessors[stack[-1]] if other not in known]
            if missing:
                stack += missing
                continue
            at = stack.pop()
            bits = 0
            for other in predecessors[at]:
                bits |= known[other] | 1 << other
            known[at] = bits
        return known[node]

    kept = []
    for node, before in enumerate(predecessors):
        ancestors(node)
        implied = 0
        for other in before:
            implied |= known[other]
        kept.append([other for other in before if not implied >> other & 1])
    return kept
