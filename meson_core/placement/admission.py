"""Owns the way from tickets to assignments: who is next meets what is free.

A round goes through the priorities from the highest down. Within one it serves who is next, each request class until no
machine takes another of it; a class that is stuck does not stop the others, so nothing is left free that somebody could
use. Two rules keep that from starving anybody:

- **Kept machines.** An attempt that has been overtaken for `PATIENCE_S` gets the machine that is nearest to fitting: nothing
  of its own or a lower priority is assigned to it any more until the attempt fits.
- **Nothing is sent ahead past somebody.** Once a class is stuck in a round, nothing that comes after it is sent ahead to the
  machines that it waits for; else they would never have anything free.

Quotas and permits belong between `next` and `best`: like a class that is stuck, what may not go now is set aside for the
rest of the round.
"""

from __future__ import annotations

from heapq import heapify, heappop, heapreplace
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from meson_core.placement.ahead import may_send
from meson_core.placement.queue import Key, Lane, Line, Owner, Run, Step, Ticket, Waiting
from meson_core.placement.shapes import Shape
from meson_core.placement.stock import Machine, Need, Stock
from meson_core.placement.waits import Wait, waits_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from meson_core.placement.matching import Matcher
    from meson_core.resources import Offer, Request

#: Seconds after which an attempt that others overtake gets a machine kept free.
PATIENCE_S = 30.0
#: Of how many machines one may be kept free; there is always one.
_ONE_KEPT_OF = 8
#: Steps and request classes that are remembered beyond the runs that used them.
_MAX_KNOWN = 4096


class Assignment(NamedTuple):
    """An attempt and where it goes.

    Args:
        key: which attempt.
        offer_id: the offer that it uses.
        machine: name of the machine.
        ahead: it does not fit yet, and waits at the executor.
    """

    key: Key
    offer_id: str
    machine: str
    ahead: bool


class _Held(NamedTuple):
    """What an attempt under way has taken."""

    machine: Machine
    need: Need
    brisk: bool


class Admission:
    """The queue and the offers of one cell.

    Args:
        matchers: the resource matchers that have a say.
        ahead: whether executors queue what does not fit yet.
    """

    def __init__(self, matchers: Iterable[Matcher], *, ahead: bool = False) -> None:
        self._matchers = tuple(matchers)
        self._ahead = ahead
        self._stock = Stock()
        self._shapes: dict[Request, Shape] = {}
        self._levels: dict[int, dict[tuple[Shape, bool], Line]] = {}
        self._waiting: dict[Key, Waiting] = {}
        self._held: dict[Key, _Held] = {}
        self._owners: dict[str, Owner] = {}
        self._runs: dict[str, Run] = {}
        self._paused: set[str] = set()
        self._steps: dict[Hashable, Step] = {}
        #: Machines that are kept for the next attempt of a line.
        self._kept: dict[Machine, Line] = {}
        #: Request classes of which nobody takes another in the present round.
        self._stuck: list[Shape] = []
        self._serials = count()
        self._turns = count()
        self._round = 0

    def __len__(self) -> int:
        """How many attempts wait."""
        return len(self._waiting)

    # --- what changes ---------------------------------------------------------------------------------------------

    def enqueue(self, ticket: Ticket, now: float) -> None:
        """An attempt wants a machine; one that waits or is assigned already is not taken twice.

        Args:
            ticket: what it wants.
            now: seconds; any clock that only goes forward.
        """
        if ticket.key in self._waiting or ticket.key in self._held:
            return
        lane = self._lane(ticket, now)
        waiting = self._waiting[ticket.key] = Waiting(ticket, next(self._serials), lane)
        if not lane.waiting:
            # Its line may have been given up meanwhile, or its step have become short.
            line = self._line(lane.priority, lane.shape, lane.step, now)
            if line is not lane.line:
                lane.line, lane.entry = line, None
        lane.tickets.append(waiting)
        lane.waiting += 1
        lane.line.waiting += 1
        lane.line.join(lane)

    def withdraw(self, key: Key) -> None:
        """It does not want one any more; not waiting is fine."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.live = False
            self._left(waiting.lane)

    def offers(self, offers: Iterable[Offer]) -> None:
        """All offers that there are now, as their scheduler made them."""
        self._stock.replace(offers)

    def sent(self, key: Key) -> None:
        """The scheduler has this assignment, and counts it in the offers that it makes from now on."""
        held = self._held.get(key)
        if held is not None:
            held.machine.pending.pop(key, None)

    def ended(self, key: Key) -> None:
        """Nothing of this attempt is under way any more; an attempt that was not assigned here is fine."""
        held = self._held.pop(key, None)
        if held is None:
            return
        machine = held.machine
        machine.end(key, held.need)
        if held.brisk:
            machine.add_brisk(held.need, -1)
        self._stock.changed(machine)

    def took(self, step: Hashable, seconds: float) -> None:
        """An attempt of this step was at work for so long."""
        known = self._step(step)
        was_brisk = known.pace.depth > 0
        known.pace.learn(seconds)
        if was_brisk != (known.pace.depth > 0):
            for lane in known.lanes:
                if lane.waiting:
                    old, line = lane.line, self._line(lane.priority, lane.shape, known, lane.line.served)
                    if line is not old:
                        old.waiting -= lane.waiting
                        line.waiting += lane.waiting
                        lane.line, lane.entry = line, None
                        line.join(lane)

    def pause(self, run_id: str) -> None:
        """Nothing of this run is assigned until it is resumed; it keeps its place."""
        self._paused.add(run_id)
        run = self._runs.get(run_id)
        if run is not None:
            run.paused = True

    def resume(self, run_id: str) -> None:
        """The pause is over."""
        self._paused.discard(run_id)
        run = self._runs.get(run_id)
        if run is not None:
            run.paused = False
            for lane in run.lanes.values():
                lane.line.join(lane)

    def forget(self, run_id: str) -> None:
        """The run has ended; what of it still waits is withdrawn."""
        self._paused.discard(run_id)
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        for lane in run.lanes.values():
            for waiting in lane.tickets:
                self.withdraw(waiting.ticket.key)
            lane.step.lanes.remove(lane)
        run.owner.runs -= 1
        if not run.owner.runs:
            del self._owners[run.owner_name]
        self._prune()

    # --- a round --------------------------------------------------------------------------------------------------

    def assign(self, now: float) -> list[Assignment]:
        """Place what can be placed.

        Args:
            now: as in `enqueue`.
        """
        assignments: list[Assignment] = []
        if not self._waiting or not self._stock.machines:
            return assignments
        self._round += 1
        self._stuck.clear()
        self._let_go()
        for priority in sorted(self._levels, reverse=True):
            level = self._levels[priority]
            self._serve(level, now, assignments)
            if not level:
                del self._levels[priority]
        return assignments

    def pop(self) -> Ticket | None:
        """Who is next, wherever it would go: for resource schedulers that place by themselves."""
        for priority in sorted(self._levels, reverse=True):
            entries = [lane.entry for line in self._levels[priority].values() if (lane := line.next()) is not None]
            if entries:
                return self._take(min(entry for entry in entries if entry is not None)[3])
        return None

    def waits(self) -> Iterator[Wait]:
        """Why everything waits that does, one for each step of each run; costs a look at every offer for each class."""
        lanes = [lane for run in self._runs.values() for lane in run.lanes.values() if lane.waiting]
        for shape in {lane.shape for lane in lanes}:
            shape.refresh(self._stock)
        return waits_of(lanes, self._stock.machines.values(), self._may_use)

    def _serve(self, level: dict[tuple[Shape, bool], Line], now: float, assignments: list[Assignment]) -> None:
        """Assign to one priority all that it can use."""
        heads = []
        for place, line in list(level.items()):
            lane = line.next()
            if lane is not None:
                line.shape.refresh(self._stock)
                heads.append((lane.entry, line))
            elif not line.waiting:
                del level[place]
        heapify(heads)
        while heads:
            entry, line = heads[0]
            lane = line.next()
            if lane is None:
                heappop(heads)
            elif lane.entry is not entry:
                heapreplace(heads, (lane.entry, line))
            elif not self._place(line, lane, now, assignments):
                self._set_aside(line, now)
                heappop(heads)

    def _place(self, line: Line, lane: Lane, now: float, assignments: list[Assignment]) -> bool:
        shape = line.shape
        machine = shape.best((lambda one: self._may_use(line, one)) if self._kept else None)
        ahead = machine is None
        if machine is None:
            machine = self._ahead_of(line, lane) if line.brisk else None
            if machine is None:
                return False
        key = self._take(lane).key
        need = shape.need
        machine.assign(key, need)
        if line.brisk:
            machine.add_brisk(need, 1)
        self._held[key] = _Held(machine, need, line.brisk)
        self._stock.changed(machine)
        shape.taken(machine)
        line.served = now
        if self._kept:
            self._kept = {one: keeper for one, keeper in self._kept.items() if keeper is not line}
        assignments.append(Assignment(key, machine.offer_id, machine.name, ahead))
        return True

    def _ahead_of(self, line: Line, lane: Lane) -> Machine | None:
        """A machine to which the next attempt of a short step may be sent before it fits."""
        if line.filled != self._round:
            line.filled = self._round
            line.spare = line.shape.able()
        need, depth = line.shape.need, lane.step.pace.depth
        while line.spare:
            machine = line.spare[-1]
            free = self._may_use(line, machine) and may_send(machine, need, depth)
            if free and not any(shape.takes(machine) for shape in self._stuck):
                return machine
            line.spare.pop()
        return None

    def _set_aside(self, line: Line, now: float) -> None:
        """Nobody takes another of this line in this round."""
        if self._ahead:
            self._stuck.append(line.shape)
        most = max(1, len(self._stock.machines) // _ONE_KEPT_OF)
        if now - line.served >= PATIENCE_S and len(self._kept) < most and line not in self._kept.values():
            free = [machine for machine in line.shape.able() if machine not in self._kept]
            if free:
                nearest = max(free, key=lambda one: (one.slack(line.shape.need), -one.order))
                self._kept[nearest] = line

    def _may_use(self, line: Line, machine: Machine) -> bool:
        keeper = self._kept.get(machine)
        return keeper is None or keeper is line or keeper.priority < line.priority

    def _let_go(self) -> None:
        """Free the machines that are kept for nobody any more."""
        for machine, line in list(self._kept.items()):
            if line.next() is None or not line.shape.takes(machine):
                del self._kept[machine]

    # --- lanes and lines ------------------------------------------------------------------------------------------

    def _take(self, lane: Lane) -> Ticket:
        """Let the head of a lane go, and its owner and run to the end of their turns."""
        waiting = lane.tickets.popleft()
        ticket = waiting.ticket
        del self._waiting[ticket.key]
        self._left(lane)
        turn = next(self._turns)
        lane.run.turn = turn
        lane.run.owner.turn = turn
        return ticket

    def _left(self, lane: Lane) -> None:
        lane.waiting -= 1
        lane.line.waiting -= 1

    def _line(self, priority: int, shape: Shape, step: Step, now: float) -> Line:
        brisk = self._ahead and step.pace.depth > 0
        level = self._levels.setdefault(priority, {})
        line = level.get((shape, brisk))
        if line is None:
            line = level[shape, brisk] = Line(priority, shape, brisk=brisk, now=now)
        return line

    def _lane(self, ticket: Ticket, now: float) -> Lane:
        run_id = ticket.key[0]
        run = self._runs.get(run_id)
        if run is None:
            owner = self._owners.get(ticket.owner)
            if owner is None:
                owner = self._owners[ticket.owner] = Owner(next(self._turns))
            owner.runs += 1
            run = self._runs[run_id] = Run(owner, ticket.owner, next(self._turns), paused=run_id in self._paused)
        place = (ticket.step, ticket.priority, ticket.request)
        lane = run.lanes.get(place)
        if lane is None:
            shape = self._shapes.get(ticket.request)
            if shape is None:
                shape = self._shapes[ticket.request] = Shape(ticket.request, self._matchers)
            step = self._step(ticket.step)
            line = self._line(ticket.priority, shape, step, now)
            lane = run.lanes[place] = Lane(run, ticket, shape, step, line)
            step.lanes.append(lane)
        return lane

    def _step(self, name: Hashable) -> Step:
        step = self._steps.get(name)
        if step is None:
            step = self._steps[name] = Step()
        return step

    def _prune(self) -> None:
        """Forget what no run of now needs, once it is much; runs to come may be of the same workflow."""
        if len(self._steps) > _MAX_KNOWN:
            self._steps = {name: step for name, step in self._steps.items() if step.lanes}
        if len(self._shapes) > _MAX_KNOWN:
            used = {lane.shape for step in self._steps.values() for lane in step.lanes}
            self._shapes = {request: shape for request, shape in self._shapes.items() if shape in used}
