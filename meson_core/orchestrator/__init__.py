"""Owns the process that drives runs: all asyncio, one TaskGroup, one loop.

- `serve`: the orchestrator as a whole; `running`: a workflow in one call.
- `loop`: the loop; `incoming` wakes it; `feeding` takes events into machines; `writing` is the writer thread.
- `context`, `items`, `outputs`: the values of a run.
- `orders`, `launching`: what a launch needs; `placing`: the queue and the offers; `facts`: what executors say, as events.
- `wishes`, `inbox`: what people want; `recovery`, `runs`: a run out of the store, and under way.
- `timers`, `clock`, `samples`, `snapshots`, `probe`: time, what goes beside the log, where tests look in.
"""

from __future__ import annotations

from meson_core.orchestrator.running import Outcome, run_workflow
from meson_core.orchestrator.serve import Orchestrator

__all__ = ["Orchestrator", "Outcome", "run_workflow"]
