"""Owns the built-in resource matchers: quantities, constraints, and two ways of choosing among the machines that are left.

`quantities` and `constraints` refuse; `pack` and `spread` score, and the settings say which of the two has a say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meson_core.errors import EvaluationError
from meson_core.expressions import Expression, parse, show
from meson_core.hookspecs import hookimpl
from meson_core.resources import DISK, MEMORY, Refusal, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.ports import ResourceMatcher
    from meson_core.resources import Offer, Request, Verdict

_NEUTRAL = Score()
#: Less than this is not missing: amounts of offers are sums of fractions.
_EPSILON = 1e-6


class Quantities:
    """Refuses machines that have less of something than is asked for, now or at all."""

    name = "quantities"

    def compile(self, request: Request) -> Callable[[Sequence[Offer]], Sequence[Verdict]] | None:
        """Compare free and total amounts with those of the request."""
        asked = [(name, amount - _EPSILON, amount) for name, amount in request.quantities if amount > 0]
        if not asked:
            return None

        def judge(offer: Offer) -> Verdict:
            busy = None
            for name, least, amount in asked:
                free, total = offer.free.get(name, 0.0), offer.total.get(name, 0.0)
                if total < least:
                    return self._refusal(name, amount, free, total)
                if free < least and busy is None:
                    busy = (name, amount, free, total)
            return _NEUTRAL if busy is None else self._refusal(*busy)

        return lambda offers: [judge(offer) for offer in offers]

    def _refusal(self, name: str, amount: float, free: float, total: float) -> Refusal:
        constraint = f"{name} >= {_amount(name, amount)}"
        if total >= amount - _EPSILON:
            found = f"{_amount(name, max(free, 0.0))} free of {_amount(name, total)}"
            return Refusal(self.name, constraint, found, "busy")
        return Refusal(self.name, constraint, f"{_amount(name, total)} in all" if total else f"no {name}")


class Constraints:
    """Refuses machines for which a constraint of the request does not hold.

    A constraint sees the attributes of the offer by name, and the quantities that the machine has when it is idle:
    `zone == "a"`, `memory >= 64e9`. A machine without an attribute that a constraint names is refused.
    """

    name = "constraints"

    def compile(self, request: Request) -> Callable[[Sequence[Offer]], Sequence[Verdict]] | None:
        """Parse the constraints."""
        constraints = [(text, parse(text)) for text in request.constraints]
        if not constraints:
            return None

        def judge(offer: Offer) -> Verdict:
            known: dict[str, Any] = {**offer.total, **offer.attributes}
            for text, expression in constraints:
                found = _contradiction(expression, known)
                if found is not None:
                    return Refusal(self.name, text, found)
            return _NEUTRAL

        return lambda offers: [judge(offer) for offer in offers]


class Pack:
    """Prefers the machine that is fuller, so that others stay free for large requests."""

    name = "pack"
    sign = 1.0

    def compile(self, request: Request) -> Callable[[Sequence[Offer]], Sequence[Verdict]] | None:
        """Score by the mean part of the requested quantities that is in use."""
        names = [name for name, amount in request.quantities if amount > 0]
        if not names:
            return None

        def judge(offer: Offer) -> Verdict:
            used = 0.0
            for name in names:
                total = offer.total.get(name, 0.0)
                if total > 0:
                    used += 1.0 - offer.free.get(name, 0.0) / total
            return Score(self.sign * used / len(names))

        return lambda offers: [judge(offer) for offer in offers]


class Spread(Pack):
    """Prefers the machine that is emptier, so that attempts disturb each other less."""

    name = "spread"
    sign = -1.0


@hookimpl
def meson_resource_matchers() -> list[ResourceMatcher]:
    """The built-in matchers."""
    return [Quantities(), Constraints(), Pack(), Spread()]


def _contradiction(expression: Expression, known: dict[str, Any]) -> str | None:
    """What a machine has instead of what a constraint asks for; None when the constraint holds."""
    names = dict.fromkeys(root.name for root in expression.roots)
    missing = [name for name in names if name not in known]
    if missing:
        return f"no {' and no '.join(missing)}"
    try:
        if expression.evaluate(known):
            return None
    except EvaluationError as error:
        return error.message
    return ", ".join(f"{name} = {show(known[name])}" for name in names) or "a constraint that never holds"


def _amount(name: str, amount: float) -> str:
    if name not in (MEMORY, DISK):
        return f"{amount:g}"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if amount >= size:
            return f"{amount / size:.4g} {unit}"
    return f"{amount:.0f} B"
