"""Owns the process that drives runs: all asyncio, one TaskGroup, one loop.

    serve       the orchestrator as a whole        running     a workflow in one call
    loop        the loop itself                    incoming    what wakes it
    feeding     events into machines, one batch    facts       what executors say, as events
    writing     the writer thread                  probe       where tests look in
    context     the values of a run                items, outputs
    orders      what a launch needs                launching   templates and placements
    placing     the queue and the offers           timers, clock, samples, snapshots
    wishes      what people want                   inbox       the watch over it
    recovery    runs out of the store              runs        a run under way
"""

from __future__ import annotations

from meson_core.orchestrator.running import Outcome, run_workflow
from meson_core.orchestrator.serve import Orchestrator

__all__ = ["Orchestrator", "Outcome", "run_workflow"]
