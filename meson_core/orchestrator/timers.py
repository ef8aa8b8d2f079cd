"""Owns the timers of all runs: one heap and one alarm, however many there are."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.orchestrator.clock import Alarm, Clock


class TimerKey(NamedTuple):
    """Which timer of which run."""

    run_id: str
    key: tuple[int, ...]


class Timers:
    """What is due when.

    Args:
        clock: where time comes from.
        wake: called when something has come due.
    """

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._due: dict[TimerKey, float] = {}
        self._heap: list[tuple[float, TimerKey]] = []
        self._alarm: Alarm | None = None
        self._alarm_at = float("inf")

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: TimerKey, due: float) -> None:
        """Have it fire at `due`; one of the same key is replaced."""
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        self._arm()

    def cancel(self, key: TimerKey) -> None:
        """Forget it; not there is fine."""
        self._due.pop(key, None)

    def cancel_run(self, run_id: str) -> None:
        """Forget all timers of a run."""
        for key in [key for key in self._due if key.run_id == run_id]:
            del self._due[key]

    def take_due(self) -> list[TimerKey]:
        """What has come due by now, in order; each once."""
        now = self._clock.now()
        taken = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, key = heapq.heappop(heap)
            if self._due.get(key) == due:
                del self._due[key]
                taken.append(key)
        if len(heap) > 64 and len(heap) > 4 * len(self._due):  # mostly cancelled ones
            self._heap = [(due, key) for key, due in self._due.items()]
            heapq.heapify(self._heap)
        self._arm()
        return taken

    def close(self) -> None:
        """Wake nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = float("-inf")

    def _arm(self) -> None:
        first = self._heap[0][0] if self._heap else float("inf")
        if first >= self._alarm_at or first == float("inf"):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = first
        self._alarm = self._clock.call_at(first, self._fire)

    def _fire(self) -> None:
        self._alarm = None
        self._alarm_at = float("inf")
        self._wake()
