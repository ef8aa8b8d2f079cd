"""Owns time: the Clock port that everything in the orchestrator takes its time from, and the system's clock behind it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: A wait is looked at again at least so often: the system's clock may have been set meanwhile.
_MAX_WAIT_S = 60.0


class Alarm(Protocol):
    """Something that is due."""

    def cancel(self) -> None:
        """Forget it; twice is fine."""


class Clock(Protocol):
    """Where time comes from; tests turn a virtual one by hand."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    def call_at(self, due: float, action: Callable[[], None]) -> Alarm:
        """Call `action` once, from the event loop, when `now()` has reached `due`; never before it returns."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def call_at(self, due: float, action: Callable[[], None]) -> Alarm:
        alarm = _SystemAlarm(due, action)
        alarm.look()
        return alarm


class _SystemAlarm:
    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self._due = due
        self._action = action
        self._handle: asyncio.TimerHandle | None = None

    def look(self) -> None:
        left = self._due - time.time()
        if self._handle is not None and left <= 0:
            self._handle = None
            self._action()
            return
        self._handle = asyncio.get_running_loop().call_later(min(max(left, 0.0), _MAX_WAIT_S), self.look)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
