"""Owns one request class against all machines: the judgement on each, and the best of those that take it."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

from meson_core.placement.matching import Judge, Judgement
from meson_core.placement.stock import Machine, Need, Stock, need_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meson_core.placement.matching import Matcher
    from meson_core.resources import Request

_Entry: TypeAlias = tuple[float, int, Machine]


class Shape:
    """A request class.

    The matchers are asked again only about machines that have changed. Whether quantities fit is asked of the machine
    itself at each choice, which is cheap; so within a round of placement a machine is never overbooked on the word of a
    judgement that is older than the last assignment.

    Args:
        request: what each of its attempts asks for.
        matchers: of the cell.
    """

    __slots__ = ("_best", "_entries", "_judge", "_position", "judgements", "need", "request")

    def __init__(self, request: Request, matchers: Iterable[Matcher]) -> None:
        self.request = request
        self.need: Need = need_of(request)
        self.judgements: dict[Machine, Judgement] = {}
        self._judge = Judge(matchers, request)
        self._position = -1
        #: Machines that take it, best first; an entry counts while it is the one in `_entries`.
        self._best: list[_Entry] = []
        self._entries: dict[Machine, _Entry] = {}

    def refresh(self, stock: Stock) -> None:
        """Ask the matchers about everything that has changed since the last time."""
        changed, self._position = stock.since(self._position)
        if changed:
            self._ask([machine for machine in changed if not machine.gone])
            if len(self.judgements) > len(stock.machines):
                self.judgements = {machine: old for machine, old in self.judgements.items() if not machine.gone}

    def best(self, allowed: Callable[[Machine], bool] | None) -> Machine | None:
        """The machine that takes one more attempt.

        Args:
            allowed: which machines may be taken; None: all of them.
        """
        if allowed is not None:
            fitting = (entry for entry in self._entries.values() if entry[2].fits(self.need))
            choice = min((entry for entry in fitting if not entry[2].gone and allowed(entry[2])), default=None)
            return None if choice is None else choice[2]
        while self._best:
            entry = self._best[0]
            machine = entry[2]
            if self._entries.get(machine) is entry and not machine.gone:
                if machine.fits(self.need):
                    return machine
                # It comes back when it changes.
                del self._entries[machine]
            heappop(self._best)
        return None

    def taken(self, machine: Machine) -> None:
        """One more of this class was assigned to a machine; where there is a choice, that changes how well it fits."""
        if len(self._entries) > 1:
            self._ask([machine])

    def takes(self, machine: Machine) -> bool:
        """Whether a machine takes it, now or once it is idle."""
        judgement = self.judgements.get(machine)
        if judgement is None or machine.gone or not machine.could_fit(self.need):
            return False
        return isinstance(judgement, float) or all(refusal.kind == "busy" for refusal in judgement)

    def able(self) -> list[Machine]:
        """The machines that take it, now or once they are idle."""
        return [machine for machine in self.judgements if self.takes(machine)]

    def _ask(self, machines: Sequence[Machine]) -> None:
        for machine, judgement in zip(machines, self._judge.judge([one.offer() for one in machines]), strict=True):
            self.judgements[machine] = judgement
            if isinstance(judgement, float):
                entry = (-judgement, machine.order, machine)
                self._entries[machine] = entry
                heappush(self._best, entry)
            else:
                self._entries.pop(machine, None)
        if len(self._best) > 4 * len(self._entries) + 64:
            self._best = sorted(self._entries.values())
