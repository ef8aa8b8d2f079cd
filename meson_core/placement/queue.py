"""Owns who is next: the higher priority; then owners in turn, and their runs in turn; then first come, first served.

*In turn* is least recently served first: who is served gets the next number from one counter, and the lowest number is next.
So whoever has not been served for a while is next at once, but only once, and nobody can be overtaken for ever.

    Level   the attempts of one priority
    Line    of those, one request class whose steps are short, or one whose steps are not
    Lane    of those, the attempts of one step of one run, in the order of their arrival

A line has a heap of its lanes. The numbers of owners and runs only grow, so an entry may be too low but never too high: it is
put right when it comes to the top.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from meson_core.placement.ahead import Pace
from meson_core.resources import Request
from meson_core.spec.plan import Instance

if TYPE_CHECKING:
    from meson_core.placement.shapes import Shape
    from meson_core.placement.stock import Machine

#: Run, step instance and attempt: equal to `meson_core.ports.AttemptKey`.
Key: TypeAlias = tuple[str, Instance, int]


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """An attempt that wants a machine.

    Args:
        key: which attempt.
        request: what it needs.
        step: equal for all attempts of one step of one workflow version: they take about the same time.
        priority: higher goes first.
        owner: whose run it is.
    """

    key: Key
    request: Request
    step: Hashable
    priority: int = 0
    owner: str = ""


class Owner:
    """Somebody whose runs are known."""

    __slots__ = ("runs", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        #: How many runs of theirs are known.
        self.runs = 0


class Run:
    """A run that has or had attempts to place.

    Args:
        owner: whose it is.
        owner_name: their name.
        turn: its place among the runs of its owner.
        paused: whether nothing of it may be assigned.
    """

    __slots__ = ("lanes", "owner", "owner_name", "paused", "turn")

    def __init__(self, owner: Owner, owner_name: str, turn: int, *, paused: bool) -> None:
        self.owner = owner
        self.owner_name = owner_name
        self.turn = turn
        self.paused = paused
        self.lanes: dict[tuple[Hashable, int, Request], Lane] = {}


class Step:
    """What the attempts of one step of one workflow version have in common, over all runs."""

    __slots__ = ("lanes", "pace")

    def __init__(self) -> None:
        self.pace = Pace()
        self.lanes: list[Lane] = []


class Waiting:
    """A ticket in its lane.

    Args:
        ticket: as it came.
        serial: the order of arrival.
        lane: where it stands.
    """

    __slots__ = ("lane", "live", "serial", "ticket")

    def __init__(self, ticket: Ticket, serial: int, lane: Lane) -> None:
        self.ticket = ticket
        self.serial = serial
        self.lane = lane
        #: False once it was withdrawn; it is dropped when it comes to the head of its lane.
        self.live = True


_Entry: TypeAlias = "tuple[int, int, int, Lane]"


class Lane:
    """The waiting attempts of one step of one run."""

    __slots__ = ("entry", "line", "node", "priority", "run", "run_id", "shape", "step", "tickets", "waiting")

    def __init__(self, run: Run, ticket: Ticket, shape: Shape, step: Step, line: Line) -> None:
        self.run = run
        self.run_id = ticket.key[0]
        self.node = ticket.key[1][0]
        self.priority = ticket.priority
        self.shape = shape
        self.step = step
        self.tickets: deque[Waiting] = deque()
        #: Of `tickets`, those that are live.
        self.waiting = 0
        #: Where it stands, as long as something of it waits.
        self.line = line
        #: Its entry in the heap of its line; None while it has none.
        self.entry: _Entry | None = None

    def head(self) -> Waiting | None:
        """The first that still waits."""
        tickets = self.tickets
        while tickets:
            if tickets[0].live:
                return tickets[0]
            tickets.popleft()
        return None


class Line:
    """The waiting attempts of one priority and one request class, either all of short steps or none.

    Args:
        priority: of all its attempts.
        shape: the request class.
        brisk: whether its steps are known to be short, so that they may be sent ahead.
        now: when it began.
    """

    __slots__ = ("_heap", "brisk", "filled", "priority", "served", "shape", "spare", "waiting")

    def __init__(self, priority: int, shape: Shape, *, brisk: bool, now: float) -> None:
        self.priority = priority
        self.shape = shape
        self.brisk = brisk
        self.waiting = 0
        #: When one of its attempts was assigned last.
        self.served = now
        #: Machines to which something may still be sent ahead in the round `filled`.
        self.spare: list[Machine] = []
        self.filled = -1
        self._heap: list[_Entry] = []

    def join(self, lane: Lane) -> None:
        """A lane in which something waits gets an entry, if it has none and its run is not paused."""
        head = lane.head()
        if lane.entry is None and head is not None and not lane.run.paused:
            lane.entry = (lane.run.owner.turn, lane.run.turn, head.serial, lane)
            heappush(self._heap, lane.entry)

    def next(self) -> Lane | None:
        """The lane whose head is next; its `entry` says when."""
        heap = self._heap
        while heap:
            entry = heap[0]
            lane = entry[3]
            if lane.entry is not entry:
                heappop(heap)
                continue
            run = lane.run
            head = lane.head()
            if head is None or run.paused:
                lane.entry = None
                heappop(heap)
                continue
            if entry[2] == head.serial and entry[1] == run.turn and entry[0] == run.owner.turn:
                return lane
            lane.entry = (run.owner.turn, run.turn, head.serial, lane)
            heapreplace(heap, lane.entry)
        return None
