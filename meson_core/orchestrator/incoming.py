"""Owns what has come in since the last turn of the loop, and the bell that wakes it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.ports import Placement, Report, RequestClass


class Incoming:
    """Where everything goes that the loop has to take up."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()
        self._room = asyncio.Event()
        #: Reports of the resource scheduler.
        self.reports: deque[Report] = deque()
        #: What to do in the next turn: something that was waited for is there.
        self.settled: deque[Callable[[], None]] = deque()
        #: Orders that were not ready when their commit was submitted.
        self.late: list[Placement] = []
        #: What waits for machines now, when that has changed.
        self.demand: Sequence[RequestClass] | None = None

    async def wait(self) -> None:
        """Until there is something to do."""
        await self._bell.wait()
        self._bell.clear()

    def wake(self) -> None:
        """There is something to do."""
        self._bell.set()

    async def report(self, report: Report) -> None:
        """The scheduler has something to tell; returns when it was taken up, so that it gathers what comes meanwhile."""
        self.reports.append(report)
        self._room.clear()
        self._bell.set()
        await self._room.wait()

    def taken(self) -> None:
        """All reports were taken up."""
        self._room.set()

    def settle(self, action: Callable[[], None]) -> None:
        """Have this done in the next turn."""
        self.settled.append(action)
        self._bell.set()

    def launch_late(self, placements: Sequence[Placement]) -> None:
        """Send these as soon as nothing is being written: their commit is in the log then."""
        self.late.extend(placements)
        self._bell.set()

    def tell_demand(self, classes: Sequence[RequestClass]) -> None:
        """Other attempts wait for machines than before."""
        self.demand = classes
        self._bell.set()
