"""Owns what is free on each machine: as offered, minus what was assigned since.

An offer is the truth at the moment when its scheduler made it. From then on the stock itself takes off what is assigned
and adds back what ends of that, until a newer offer of the same id replaces it. What has been assigned and not been sent
to the scheduler yet is not in any offer, so it is taken off the newer one as well. What was under way already when the
offer was made comes back with a newer offer only.

Amounts are whole millionths, because a sum of tenths of cores must come out even after a million additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from meson_core.resources import Offer, Request

_UNIT = 1_000_000
#: Name and amount, in millionths, of each quantity that a request asks for; those of which it asks nothing are left out.
Need: TypeAlias = tuple[tuple[str, int], ...]


def need_of(request: Request) -> Need:
    """What a request takes off a machine."""
    return tuple((name, _whole(amount)) for name, amount in request.quantities if _whole(amount) > 0)


def _whole(amount: float) -> int:
    return round(amount * _UNIT)


def shown(amount: int) -> str:
    """An amount in millionths, as people read it."""
    return f"{amount / _UNIT:g}" if amount < 10_000 * _UNIT else f"{amount // _UNIT:,}"


class Machine:
    """One offer with what is left of it.

    Args:
        offer: as it came.
        order: serial number, for a stable choice among equals.
    """

    __slots__ = (
        "_base",
        "_shown",
        "brisk",
        "free",
        "gone",
        "logged",
        "order",
        "pending",
        "taken",
        "total",
    )

    def __init__(self, offer: Offer, order: int) -> None:
        self.order = order
        #: Amounts of short attempts that are under way here, those sent ahead included.
        self.brisk: dict[str, int] = {}
        #: What was assigned and not sent to the scheduler yet.
        self.pending: dict[Hashable, Need] = {}
        #: What was taken off the present offer; it is given back when it ends.
        self.taken: set[Hashable] = set()
        #: The offer was withdrawn; whoever still knows this machine forgets it.
        self.gone = False
        #: How often the log had been read when this machine was last written into it.
        self.logged = -1
        self.renew(offer)

    def renew(self, offer: Offer) -> None:
        """Take over a newer offer."""
        self._base = offer
        self._shown: Offer | None = offer if not self.pending else None
        self.total = {name: _whole(amount) for name, amount in offer.total.items()}
        #: What is left, in millionths; below zero when work was sent ahead.
        self.free = {name: _whole(amount) for name, amount in offer.free.items()}
        self.taken = set(self.pending)
        for need in self.pending.values():
            self._add(need, -1)

    @property
    def offer_id(self) -> str:
        return self._base.offer_id

    @property
    def name(self) -> str:
        return self._base.machine

    def offer(self) -> Offer:
        """The offer as it stands now, for matchers."""
        if self._shown is None:
            free = {name: amount / _UNIT for name, amount in self.free.items()}
            self._shown = msgspec.structs.replace(self._base, free=free)
        return self._shown

    def fits(self, need: Need) -> bool:
        """Whether this is free now."""
        free = self.free
        for name, amount in need:  # noqa: SIM110 (asked for every assignment; a generator takes three times as long)
            if free.get(name, 0) < amount:
                return False
        return True

    def could_fit(self, need: Need) -> bool:
        """Whether this would be free if nothing were under way."""
        return all(self.total.get(name, 0) >= amount for name, amount in need)

    def assign(self, key: Hashable, need: Need) -> None:
        """Take this off, for the attempt `key`."""
        self._add(need, -1)
        self.pending[key] = need
        self.taken.add(key)

    def end(self, key: Hashable, need: Need) -> None:
        """Give back what `key` has taken off the present offer."""
        self.pending.pop(key, None)
        if key in self.taken:
            self.taken.discard(key)
            self._add(need, 1)

    def add_brisk(self, need: Need, sign: int) -> None:
        """Count short work that begins (1) or ends (-1)."""
        for name, amount in need:
            self.brisk[name] = self.brisk.get(name, 0) + sign * amount

    def slack(self, need: Need) -> float:
        """How much of what is needed most is free: 1 and more fits."""
        return min((self.free.get(name, 0) / amount for name, amount in need), default=1.0)

    def _add(self, need: Need, sign: int) -> None:
        free = self.free
        for name, amount in need:
            free[name] = free.get(name, 0) + sign * amount
        self._shown = None


class Stock:
    """All machines, and a log of which have changed, so that nobody has to look at all of them again."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self._log: list[Machine] = []
        #: Position in the log, counted over all time, of its first entry.
        self._start = 0
        self._reads = 0
        self._orders = 0

    def replace(self, offers: Iterable[Offer]) -> None:
        """All offers that there are now."""
        machines: dict[str, Machine] = {}
        for offer in offers:
            machine = self.machines.get(offer.offer_id)
            if machine is None:
                self._orders += 1
                machine = Machine(offer, self._orders)
            else:
                machine.renew(offer)
            machines[offer.offer_id] = machine
            self.changed(machine)
        for offer_id, machine in self.machines.items():
            if offer_id not in machines:
                machine.gone = True
        self.machines = machines

    def changed(self, machine: Machine) -> None:
        """Write into the log that this machine is not what it was."""
        if machine.logged != self._reads:
            machine.logged = self._reads
            self._log.append(machine)

    def since(self, position: int) -> tuple[Sequence[Machine], int]:
        """What changed since a position of the log, and the position to ask from next time."""
        self._reads += 1
        end = self._start + len(self._log)
        if position < self._start:
            found: Sequence[Machine] = list(self.machines.values())
        else:
            found = self._log[position - self._start :]
        if len(self._log) > 4 * len(self.machines) + 64:
            self._start = end
            self._log = []
        return found, end
