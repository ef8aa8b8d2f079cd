"""Owns why attempts still wait: which constraint refused which offers, the nearest miss, and what would place them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from meson_core.placement.stock import shown
from meson_core.resources import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from meson_core.placement.queue import Lane, Line
    from meson_core.placement.shapes import Shape
    from meson_core.placement.stock import Machine


class Refused(msgspec.Struct, frozen=True):
    """How many offers one constraint refused.

    Args:
        matcher: which resource matcher.
        constraint: what was asked.
        kind: "busy" when the machines could satisfy it once they are idle, "never" when they never can.
        offers: how many.
    """

    matcher: str
    constraint: str
    kind: str
    offers: int


class Miss(msgspec.Struct, frozen=True):
    """The offer that comes nearest.

    Args:
        machine: its name.
        refusals: everything that stands in the way there.
    """

    machine: str
    refusals: tuple[Refusal, ...]


class Wait(msgspec.Struct, frozen=True):
    """Why the attempts of one step of one run wait.

    Args:
        run_id: the run.
        node: number of the step in its plan.
        waiting: how many attempts.
        before: attempts of a higher priority, and of steps that have waited for longer.
        reason: one sentence.
        change: what would place the next of them, one sentence; "" when it is only a matter of time.
        offers: how many offers there are.
        refused: by constraint, the most frequent first.
        nearest: the nearest miss; None when there are no offers, or one of them fits.
    """

    run_id: str
    node: int
    waiting: int
    before: int
    reason: str
    change: str = ""
    offers: int = 0
    refused: tuple[Refused, ...] = ()
    nearest: Miss | None = None


class _Outlook(msgspec.Struct, frozen=True):
    """What all attempts of one request class have in common."""

    offers: int
    refused: tuple[Refused, ...]
    nearest: Miss | None
    reason: str
    change: str


def waits_of(
    lanes: Iterable[Lane], machines: Iterable[Machine], may_use: Callable[[Line, Machine], bool]
) -> Iterator[Wait]:
    """Why everything waits that does.

    Args:
        lanes: those with attempts that wait; their shapes are up to date.
        machines: all there are.
        may_use: whether a machine is not kept for another line.
    """
    present = list(machines)
    outlooks: dict[Line, _Outlook] = {}
    before = 0
    for lane in sorted(lanes, key=_age):
        if lane.line not in outlooks:
            outlooks[lane.line] = _outlook(lane.line, present, may_use)
        yield _wait(lane, outlooks[lane.line], before)
        before += lane.waiting


def _age(lane: Lane) -> tuple[int, int]:
    head = lane.head()
    assert head is not None
    return -lane.priority, head.serial


def _wait(lane: Lane, outlook: _Outlook, before: int) -> Wait:
    reason, change = outlook.reason, outlook.change
    if lane.run.paused:
        reason, change = "the run is paused", "resume the run"
    elif not reason:
        reason = f"it waits for its turn: {_attempts(before)} before it" if before else "it is next"
    return Wait(
        run_id=lane.run_id,
        node=lane.node,
        waiting=lane.waiting,
        before=before,
        reason=reason,
        change=change,
        offers=outlook.offers,
        refused=outlook.refused,
        nearest=outlook.nearest,
    )


def _outlook(line: Line, machines: list[Machine], may_use: Callable[[Line, Machine], bool]) -> _Outlook:
    refusals = {machine: _refusals(line.shape, machine, may_use(line, machine)) for machine in machines}
    counted = Counter((one.matcher, one.constraint, one.kind) for found in refusals.values() for one in found)
    refused = tuple(Refused(*key, offers) for key, offers in counted.most_common())
    if not refusals:
        return _Outlook(0, (), None, "no machine is offered", "")
    nearest = min(refusals, key=lambda machine: (*_distance(refusals[machine]), machine.order))
    if not refusals[nearest]:
        return _Outlook(len(machines), refused, None, "", "")
    miss = Miss(nearest.name, refusals[nearest])
    never = [one for one in miss.refusals if one.kind == "never"]
    busy = [one for one in miss.refusals if one.kind == "busy"]
    could = sum(all(one.kind == "busy" for one in found) for found in refusals.values())
    if not never:
        reason = f"{_machines(could)} could take it, and {'is' if could == 1 else 'are'} busy: {_told(busy, nearest)}"
        return _Outlook(len(machines), refused, miss, reason, "")
    reason = f"none of {_machines(len(machines))} can take it: {_told(never, nearest)}"
    asked = " and ".join(f"`{one.constraint}`" for one in never)
    change = f"without {asked}, {nearest.name} would take it{' once it is idle' if busy else ''}"
    return _Outlook(len(machines), refused, miss, reason, change)


def _refusals(shape: Shape, machine: Machine, usable: bool) -> tuple[Refusal, ...]:
    """All that stands in the way of one more attempt on a machine."""
    judgement = shape.judgements[machine]
    if not isinstance(judgement, float):
        return judgement
    short = [(name, amount) for name, amount in shape.need if machine.free.get(name, 0) < amount]
    if short:
        return tuple(
            Refusal(
                "placement",
                f"{name} >= {shown(amount)}",
                f"{shown(max(machine.free.get(name, 0), 0))} free of {shown(machine.total.get(name, 0))}",
                "busy" if machine.total.get(name, 0) >= amount else "never",
            )
            for name, amount in short
        )
    if not usable:
        return (Refusal("placement", "its turn", "kept free for an attempt that has waited for longer", "busy"),)
    return ()


def _distance(refusals: tuple[Refusal, ...]) -> tuple[int, int]:
    return sum(one.kind == "never" for one in refusals), len(refusals)


def _told(refusals: list[Refusal], machine: Machine) -> str:
    return "; ".join(f"{one.constraint} ({machine.name}: {one.found})" for one in refusals)


def _machines(number: int) -> str:
    return f"{number:,} machine{'' if number == 1 else 's'}"


def _attempts(number: int) -> str:
    return f"{number:,} attempt{' is' if number == 1 else 's are'}"
