"""Owns small cells for placement tests: offers, tickets, and an admission with the built-in matchers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.builtin.matchers import Constraints, Pack, Quantities, Spread
from meson_core.placement import Admission, Ticket
from meson_core.resources import Offer, Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.placement import Assignment
    from meson_core.resources import Attribute

MATCHERS = (Quantities(), Constraints(), Pack())
SPREADING = (Quantities(), Constraints(), Spread())


def offer(name: str = "m1", *, attributes: dict[str, Attribute] | None = None, **total: float) -> Offer:
    """An idle machine."""
    return Offer(f"offer-{name}", name, dict(total), dict(total), attributes or {})


def request(*constraints: str, **quantities: float) -> Request:
    """A request; one core when nothing is said."""
    return Request(tuple(sorted((quantities or {"cpus": 1.0}).items())), constraints)


def ticket(
    number: int, *, run: str = "run", node: int = 0, owner: str = "ann", priority: int = 0, asks: Request | None = None
) -> Ticket:
    """The first attempt of an instance of a for_each."""
    return Ticket((run, (node, number), 1), asks or request(), (run, node), priority, owner)


def cell(*offers: Offer, ahead: bool = False, spread: bool = False) -> Admission:
    """An admission with machines."""
    admission = Admission(SPREADING if spread else MATCHERS, ahead=ahead)
    admission.offers(offers)
    return admission


def enqueue(admission: Admission, tickets: Iterable[Ticket], now: float = 0.0) -> None:
    """All of these want a machine."""
    for one in tickets:
        admission.enqueue(one, now)


def numbers(assignments: Iterable[Assignment]) -> list[int]:
    """Which items of the for_each were assigned."""
    return [assignment.key[1][1] for assignment in assignments]


def who(assignments: Iterable[Assignment]) -> list[str]:
    """Whose runs were served, in order."""
    return [assignment.key[0] for assignment in assignments]


def end(admission: Admission, assignments: Iterable[Assignment]) -> None:
    """The scheduler got these, and they have ended."""
    for assignment in assignments:
        admission.sent(assignment.key)
        admission.ended(assignment.key)
