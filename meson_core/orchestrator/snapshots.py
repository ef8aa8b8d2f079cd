"""Owns the decision when the engine of a run is written down whole, so that a restart need not replay everything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.orchestrator.runs import ActiveRun

#: No run is written down more often than after so many events; replaying them takes a few milliseconds.
MIN_EVENTS = 1000
#: A snapshot may cost this part of what the events since the last one have cost.
_SHARE = 0.04
#: What one event costs at least, from its arrival to its commit.
_EVENT_S = 40e-6


class SnapshotPolicy:
    """Keeps the cost of snapshots a small part of the cost of events, whatever the size of a run.

    Args:
        stopwatch: seconds of processor time.
    """

    def __init__(self, stopwatch: Callable[[], float] = time.thread_time) -> None:
        self._stopwatch = stopwatch
        self._due: dict[str, int] = {}

    def take(self, run: ActiveRun) -> bytes | None:
        """A snapshot when one is due, of everything that the run has taken in."""
        since = run.seq - run.snapshot_seq
        if since < self._due.get(run.run_id, MIN_EVENTS):
            return None
        began = self._stopwatch()
        snapshot = run.machine.snapshot()
        cost_s = self._stopwatch() - began
        run.snapshot_seq = run.seq
        self._due[run.run_id] = max(MIN_EVENTS, int(cost_s / (_SHARE * _EVENT_S)))
        return snapshot

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._due.pop(run_id, None)
