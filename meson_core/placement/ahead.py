"""Owns how much short work may be sent to an executor before it fits.

An attempt of a millisecond would wait longer for its commit than it works. Executors queue what does not fit, so they get
about `AHEAD_S` seconds of work ahead, by the durations seen so far: nothing of steps that take longer than that, and nothing
of a step before the first of its attempts has ended. Only what short attempts hold counts, for nobody waits behind a long
one: the cores that they turn over, times the attempts that each core ends in `AHEAD_S`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meson_core.placement.stock import Machine, Need

#: Seconds of work that an executor has ahead.
AHEAD_S = 0.05
#: Attempts that are sent ahead for each one that is at work, at most.
MAX_AHEAD = 512
#: How much of the latest duration goes into the mean.
_LEARNING = 0.2


class Pace:
    """How long the attempts of one step take."""

    __slots__ = ("depth", "mean_s")

    def __init__(self) -> None:
        self.mean_s: float | None = None
        #: Attempts that may be sent ahead for each one at work; 0: it is not known to be short.
        self.depth = 0

    def learn(self, seconds: float) -> None:
        """One attempt was at work for so long."""
        seconds = max(seconds, 0.0)
        self.mean_s = seconds if self.mean_s is None else self.mean_s + _LEARNING * (seconds - self.mean_s)
        self.depth = MAX_AHEAD if self.mean_s <= AHEAD_S / MAX_AHEAD else int(AHEAD_S / self.mean_s)


def may_send(machine: Machine, need: Need, depth: int) -> bool:
    """Whether one more attempt may be sent ahead.

    Args:
        machine: where it would go.
        need: what it takes.
        depth: of its step's pace.
    """
    for name, amount in need:
        brisk = machine.brisk.get(name, 0)
        # What long attempts hold is neither free nor brisk. An offer may say that nothing is free, never less.
        turned_over = min(machine.free.get(name, 0) + brisk, machine.total.get(name, 0))
        if turned_over < amount or brisk + amount > turned_over * (1 + depth):
            return False
    return True
