"""Owns recorded outputs as the orchestrator needs them: the latest ones in memory, all others in the store.

What is not committed yet is only here, so it stays until its commit is through. Beyond that, the oldest go first once
they take more than the budget: work goes on in the neighbourhood of what has just ended.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What an entry costs beside its bytes, roughly.
_OVERHEAD = 250
_decode = msgspec.json.Decoder().decode


class OutputSource(Protocol):
    """The committed outputs of one run."""

    def outputs_below(self, node: int, prefix: tuple[int, ...]) -> Iterable[tuple[tuple[int, ...], bytes]]:
        """Indexes and outputs (a JSON object) of all succeeded instances of a step below a prefix of indexes."""


class Outputs:
    """The outputs of one run.

    Args:
        source: the committed ones.
        budget: bytes that committed outputs may take in memory.
    """

    def __init__(self, source: OutputSource, budget: int = 32 * 1024 * 1024) -> None:
        self._source = source
        self._budget = budget
        self._latest: dict[int, dict[tuple[int, ...], bytes]] = {}
        self._order: deque[tuple[int, tuple[int, ...], int]] = deque()
        self._size = 0
        #: How many were ever recorded, and how many of those have left memory.
        self.recorded = 0
        self._evicted = 0

    def record(self, node: int, indexes: tuple[int, ...], outputs: bytes) -> None:
        """An instance has succeeded; its outputs are about to be committed."""
        size = len(outputs) + _OVERHEAD
        self._latest.setdefault(node, {})[indexes] = outputs
        self._order.append((node, indexes, size))
        self._size += size
        self.recorded += 1

    def committed(self, mark: int) -> None:
        """The first `mark` of all that were recorded are in the store."""
        while self._size > self._budget and self._evicted < mark and self._order:
            node, indexes, size = self._order.popleft()
            self._evicted += 1
            self._size -= size
            self._latest[node].pop(indexes, None)

    def one(self, node: int, indexes: tuple[int, ...]) -> dict[str, Any] | None:
        """The outputs of one instance; None when it has none."""
        found = self._latest.get(node, {}).get(indexes)
        if found is None:
            found = next((data for at, data in self._source.outputs_below(node, indexes) if at == indexes), None)
            if found is None:
                return None
            self._keep(node, indexes, found)
        outputs: dict[str, Any] = _decode(found)
        return outputs

    def below(self, node: int, prefix: tuple[int, ...], expected: int | None) -> dict[tuple[int, ...], bytes]:
        """The outputs of all instances of a step below a prefix.

        Args:
            node: the step.
            prefix: the first indexes.
            expected: how many there are at most, when it is known: so many found in memory are all.
        """
        depth = len(prefix)
        latest = self._latest.get(node, {})
        here = {indexes: data for indexes, data in latest.items() if indexes[:depth] == prefix}
        if expected is not None and len(here) == expected:
            return here
        return {**dict(self._source.outputs_below(node, prefix)), **here}

    def _keep(self, node: int, indexes: tuple[int, ...], outputs: bytes) -> None:
        self._latest.setdefault(node, {})[indexes] = outputs
        size = len(outputs) + _OVERHEAD
        # It is in the store already: the first to go.
        self._order.appendleft((node, indexes, size))
        self._size += size
        self._evicted -= 1
