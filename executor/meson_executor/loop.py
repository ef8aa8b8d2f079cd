"""Owns waiting: one epoll loop with timers, and what is done once at the end of every turn.

Everything in the executor happens in this one thread, so a handler must not block.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from typing import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
#: Told once per change, so that what is read only later does not keep the loop awake.
EDGE = select.EPOLLET

#: Events taken up in one turn at most, so that facts never wait for a long row of others.
_MAX_EVENTS = 256


class Timer:
    """Something that is due; `cancel` it when it is not wanted any more."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Loop:
    """The executor's only place to wait.

    Attributes:
        now: monotonic seconds, read once after each wait.
        flushes: called at the end of each turn, in order.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        #: Watched since the last wait. What this turn reports of such a number was about its former owner.
        self._fresh: set[int] = set()
        self._signals: dict[int, Callable[[], None]] = {}
        self._wake = -1
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._running = True
        self.now = time.monotonic()
        self.flushes: list[Callable[[], None]] = []

    def watch(self, fd: int, handler: Callable[[int], None], events: int = READ) -> None:
        """Call `handler(events)` whenever `fd` is ready."""
        self._handlers[fd] = handler
        self._fresh.add(fd)
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Watch for other events."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Stop watching `fd`, which stays open."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self, fd: int) -> None:
        """Stop watching `fd` and close it.

        Closing alone would not do: a process that is just being started holds all our files for a moment after
        `posix_spawn` has returned, and as long as it does, what happens to them is told under their old numbers.
        """
        self.unwatch(fd)
        os.close(fd)

    def after(self, delay_s: float, action: Callable[[], None]) -> Timer:
        """Call `action` once, in `delay_s` seconds."""
        timer = Timer(action)
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + delay_s, self._count, timer))
        return timer

    def on_signal(self, number: int, action: Callable[[], None]) -> None:
        """Call `action` in a turn of its own when the process gets this signal; signals in a row may be one call."""
        if self._wake < 0:
            self._wake, waker = os.pipe()
            os.set_blocking(waker, False)
            signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
            self.watch(self._wake, self._on_wake)
        self._signals[number] = action
        # The handler has nothing to do: the interpreter writes the signal's number into the pipe.
        signal.signal(number, lambda _number, _frame: None)

    def stop(self) -> None:
        """Return from `run` at the end of this turn."""
        self._running = False

    def run(self) -> None:
        """Work until somebody calls `stop`."""
        poll = self._epoll.poll
        handlers = self._handlers
        fresh = self._fresh
        while self._running:
            ready = poll(self._patience(), _MAX_EVENTS)
            self.now = time.monotonic()
            fresh.clear()
            for fd, events in ready:
                handler = handlers.get(fd)
                if handler is not None and fd not in fresh:
                    handler(events)
            if self._timers:
                self._fire()
            for flush in self.flushes:
                flush()

    def end(self) -> None:
        """Give back what the loop itself holds."""
        self._epoll.close()

    def _on_wake(self, _events: int) -> None:
        for number in set(os.read(self._wake, 4096)):
            action = self._signals.get(number)
            if action is not None:
                action()

    def _patience(self) -> float:
        timers = self._timers
        while timers and timers[0][2].action is None:
            heapq.heappop(timers)
        if not timers:
            return -1
        return max(0.0, timers[0][0] - time.monotonic())

    def _fire(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self.now:
            action = heapq.heappop(timers)[2].action
            if action is not None:
                action()
