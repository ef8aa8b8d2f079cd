"""Owns the tie between the loop and `meson_core.placement`: commands in, events' data out, waits told once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meson_core.placement import Admission, Ticket
from meson_core.ports import AttemptKey, RequestClass
from meson_core.store.records import WaitRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meson_core.commands import Enqueue
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.ports import Placement, ResourceMatcher
    from meson_core.resources import Offer, Request


class Placed(NamedTuple):
    """An attempt and the machine that takes it."""

    run: ActiveRun
    key: AttemptKey
    machine: str


class Placer:
    """The queue and the offers of one cell.

    Args:
        matchers: the resource matchers that have a say.
        runs: runs under way, by id.
        ahead: whether executors queue what does not fit yet.
        offers: whether the scheduler makes offers; one that places by itself gets everything at once.
        tell_demand: called with what waits, when that has changed.
    """

    def __init__(
        self,
        matchers: Iterable[ResourceMatcher],
        runs: dict[str, ActiveRun],
        *,
        ahead: bool,
        offers: bool,
        tell_demand: Callable[[Sequence[RequestClass]], None],
    ) -> None:
        self._admission = Admission(matchers, ahead=ahead)
        self._runs = runs
        self._offers = offers
        self._tell_demand = tell_demand
        #: The offer of each attempt that is placed and not handed over.
        self._chosen: dict[AttemptKey, str] = {}
        #: Runs of which nothing is placed, with the reason.
        self._blocked: dict[str, str] = {}
        self._told: set[tuple[str, int]] = set()
        self._demand: dict[Request, int] = {}
        #: Whether something has changed since the last round, so that another one may place more.
        self.due = False

    def enqueue(self, run: ActiveRun, command: Enqueue, now: float) -> None:
        """This attempt waits for a machine."""
        node = command.instance[0]
        definition = run.definition
        key = AttemptKey(run.run_id, command.instance, command.attempt)
        ticket = Ticket(
            key, definition.requests[node], definition.step_keys[node], definition.priorities[node], run.owner
        )
        self._admission.enqueue(ticket, now)
        self.due = True

    def withdraw(self, key: AttemptKey) -> None:
        """It does not wait any more."""
        self._admission.withdraw(key)

    def offers(self, offers: Sequence[Offer]) -> None:
        """All offers, as they stand at the scheduler."""
        self._admission.offers(offers)
        self.due = True

    def round(self, now: float) -> list[Placed]:
        """Place what fits."""
        self.due = False
        placed = []
        runs = self._runs
        if not self._offers:
            while (ticket := self._admission.pop()) is not None:
                placed.append(Placed(runs[ticket.key[0]], AttemptKey(*ticket.key), ""))
            return placed
        chosen = self._chosen
        for assignment in self._admission.assign(now):
            key = AttemptKey(*assignment.key)
            chosen[key] = assignment.offer_id
            placed.append(Placed(runs[key.run_id], key, assignment.machine))
        return placed

    def offer_of(self, key: AttemptKey) -> str:
        """The offer on which an attempt was placed, for its order; "" when it was placed without."""
        return self._chosen.pop(key, "")

    def sent(self, placements: Sequence[Placement]) -> None:
        """The scheduler has these orders, and counts them."""
        sent = self._admission.sent
        for placement in placements:
            sent(placement.key)

    def ended(self, key: AttemptKey) -> None:
        """Nothing of it is under way any more."""
        self._chosen.pop(key, None)
        self._admission.ended(key)
        self.due = True

    def took(self, run: ActiveRun, node: int, seconds: float) -> None:
        """An attempt of this step was at work for so long."""
        self._admission.took(run.definition.step_keys[node], seconds)

    def pause(self, run_id: str) -> None:
        """Nothing of this run is placed until it is resumed."""
        self._admission.pause(run_id)

    def block(self, run_id: str, reason: str) -> None:
        """Nothing of this run can be placed by this orchestrator, whatever people wish."""
        self._blocked[run_id] = reason
        self._admission.pause(run_id)

    def resume(self, run_id: str) -> None:
        """The pause is over."""
        if run_id in self._blocked:
            return
        self._admission.resume(run_id)
        self.due = True

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._blocked.pop(run_id, None)
        self._admission.forget(run_id)

    def waits(self, now: float) -> list[WaitRecord]:
        """Why attempts wait, and which of those told of before wait no more; also tells the scheduler what is in demand."""
        records = []
        told = set()
        demand: dict[Request, int] = {}
        for wait in self._admission.waits():
            told.add((wait.run_id, wait.node))
            detail = msgspec.to_builtins(wait)
            reason = self._blocked.get(wait.run_id, wait.reason)
            records.append(WaitRecord(wait.run_id, wait.node, now, wait.waiting, reason, detail))
            if wait.run_id not in self._blocked:
                request = self._runs[wait.run_id].definition.requests[wait.node]
                demand[request] = demand.get(request, 0) + wait.waiting
        for run_id, node in self._told - told:
            if run_id in self._runs:
                records.append(WaitRecord(run_id, node, now, 0, "", None))
        self._told = told
        if demand != self._demand:
            self._demand = demand
            self._tell_demand([RequestClass(request, waiting) for request, waiting in demand.items()])
        return records
