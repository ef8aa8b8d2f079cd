"""Owns the points at which a test may look in, stall or end the orchestrator: explicit, few, and free when nobody does."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Point(StrEnum):
    """Moments between which a crash makes a difference."""

    received = "received"
    """Facts came in; nothing was decided on them."""
    before_commit = "before commit"
    """Decided; nothing is written. Called in the writer thread."""
    after_commit = "after commit"
    """Written; nobody knows yet. Called in the writer thread."""
    before_launch = "before launch"
    """Written; no order has gone out."""
    after_launch = "after launch"
    """The orders are out; the facts that led to them are not acknowledged."""
    beside = "beside the log"
    """Samples and reasons to wait are written. Called in the writer thread."""
    acknowledged = "acknowledged"
    """The facts are acknowledged."""


class Probe(Protocol):
    """What a test hangs in."""

    def reach(self, point: Point) -> None:
        """The orchestrator is at this point; what it raises ends the orchestrator."""


class NoProbe:
    """Nobody looks."""

    def reach(self, point: Point) -> None:
        return
