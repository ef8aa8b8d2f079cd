"""Owns a clock that tests turn: time stands still, or jumps to what is due next when nothing else is going on.

Turned by hand, it is what the orchestrator takes its time from:

    clock = VirtualClock()
    async with Orchestrator(store, settings, plugins, clock=clock) as orchestrator:
        clock.advance(3600)

Left to itself, it makes whatever runs on asyncio take no time, `asyncio.sleep` and timeouts included:

    VirtualClock().run(main())        # in place of asyncio.run(main())

The event loop of `run` jumps whenever it has nothing to do and no file, socket or thread has anything for it. Work in
threads and other processes takes real time, which such a loop cannot see; `patience_s` says how long to wait for it.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
#: How late timers of an event loop are, as they always are a little: a loop whose time is exactly that of its next timer
#: may take it for not due yet, and would ask again for ever.
_LATE_S = 1e-6


class VirtualAlarm:
    """Something that is due.

    Args:
        due: seconds since the epoch.
        action: what to do then.
    """

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due = due
        self._action: Callable[[], None] | None = action

    @property
    def live(self) -> bool:
        """Whether it has neither fired nor been cancelled."""
        return self._action is not None

    def fire(self) -> None:
        """Do it now, unless it is done already."""
        action, self._action = self._action, None
        if action is not None:
            action()

    def cancel(self) -> None:
        """Forget it; twice is fine."""
        self._action = None


class VirtualClock:
    """Time for tests.

    Args:
        start: seconds since the epoch.
        patience_s: real seconds that the loop of `run` waits, when it is idle, before it jumps.
    """

    def __init__(self, start: float = 1_000_000_000.0, *, patience_s: float = 0.0) -> None:
        self.start = start
        self.patience_s = patience_s
        #: Called with each alarm that is set.
        self.on_alarm: Callable[[VirtualAlarm], None] = lambda alarm: None
        self._now = start
        self._alarms: list[tuple[float, int, VirtualAlarm]] = []
        self._serials = count()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def call_at(self, due: float, action: Callable[[], None]) -> VirtualAlarm:
        """Call `action` once, when time has come to `due`; never before this returns."""
        alarm = VirtualAlarm(due, action)
        heapq.heappush(self._alarms, (due, next(self._serials), alarm))
        self.on_alarm(alarm)
        return alarm

    async def sleep(self, seconds: float) -> None:
        """Wait until time has gone on so far."""
        woken = asyncio.Event()
        alarm = self.call_at(self._now + seconds, woken.set)
        try:
            await woken.wait()
        finally:
            alarm.cancel()

    def advance(self, seconds: float) -> None:
        """Turn the hands; what comes due on the way is called, in order, each at its own time."""
        until = self._now + seconds
        while (due := self.next_due()) is not None and due <= until:
            self._now = max(self._now, due)
            heapq.heappop(self._alarms)[2].fire()
        self._now = until

    def next_due(self) -> float | None:
        """When the next alarm is due; None when none is set."""
        while self._alarms and not self._alarms[0][2].live:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def due_in(self) -> list[float]:
        """Seconds until each alarm that is set."""
        return sorted(round(due - self._now, 6) for due, _, alarm in self._alarms if alarm.live)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on an event loop that lives by this clock."""
        with asyncio.Runner(loop_factory=lambda: _JumpingLoop(self)) as runner:
            return runner.run(main)


class _JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a virtual clock's."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        super().__init__(_IdleSelector(clock))

    def time(self) -> float:
        return self._clock.now() - self._clock.start


class _IdleSelector(selectors.DefaultSelector):
    """Jumps in time where others would wait.

    A loop asks its selector to wait for as long as none of its own timers is due; if it may wait at all, it is idle.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        clock = self._clock
        due = clock.next_due()
        jump = timeout if due is None else due - clock.now() if timeout is None else min(timeout, due - clock.now())
        if jump is None:
            return super().select(None)  # only somebody else can wake us
        found = super().select(0 if jump <= 0 else clock.patience_s)
        if not found:
            clock.advance(jump + _LATE_S if jump > 0 else 0.0)
        return found
