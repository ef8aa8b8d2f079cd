"""Owns the figures of a run with 100,000 instances: memory of the orchestrator, and what a restart in the middle takes."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from benchmarks.projects import fresh_project, wait_until
from benchmarks.report import Figure
from meson_core.events import AttemptPlaced, AttemptStarted, AttemptSucceeded
from meson_core.spec.states import RunState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.projects import Project
    from meson_core.client import Client

#: Seconds within which any of these runs must get anywhere.
_PATIENCE_S = 300.0


def scale(folder: Path, rounds: int, count: int) -> Iterator[Figure]:
    """A run of that size, killed half way, restarted and finished; another one from start to end."""
    whole, idle, restarts, cold_restarts = [], [], [], []
    for _ in range(rounds):
        with fresh_project(folder) as project:
            idle.append(project.drive("one_step")["max_rss"] / 1e6)
        with fresh_project(folder) as project:
            whole.append(project.drive("fan_out", "-p", f"count={count}")["max_rss"] / 1e6)
        restarts.append(_restart(folder, count, executor=False))
        cold_restarts.append(_restart(folder, count, executor=True))
    what = f"{count:,}-way for_each"
    note = "largest resident size of the process, workflow file and libraries included; baseline: a run of one step"
    yield Figure(f"memory of the orchestrator: {what}", tuple(whole), "MB", tuple(idle), budget=300, note=note)
    note = "from the start of the process to the first attempt that begins; half of the run is done"
    yield Figure(f"restart after kill -9 of the orchestrator: {what}", tuple(restarts), "s", budget=5, note=note)
    name = f"restart after kill -9 of orchestrator and executor: {what}"
    yield Figure(name, tuple(cold_restarts), "s", budget=5, note=note)


def _restart(folder: Path, count: int, *, executor: bool) -> float:
    """Seconds from the start of an orchestrator to the first attempt that its log says it launched."""
    with fresh_project(folder) as project, project.client() as client:
        with project.driven("fan_out", "-p", f"count={count}") as driven:
            run_id = driven.read("started")["run_id"]
            _wait_for(client, run_id, count)  # at least two for each instance: about the middle
            driven.process.send_signal(signal.SIGKILL)
            driven.process.wait()
        if executor:
            _kill_executor(project)
        before = client.store.position(run_id)
        assert before is not None
        began = time.time()
        with project.driven("fan_out", "--resume") as driven:
            driven.read("started")
            driven.read("ended")
        row = client.run(run_id)
        if row.state is not RunState.succeeded:
            raise RuntimeError(f"the run that was restarted ended as {row.state.value}")
        return _first_launch(client, run_id, before[0]) - began


def _wait_for(client: Client, run_id: str, facts: int) -> None:
    def far_enough() -> bool:
        position = client.store.position(run_id)
        return position is not None and position[0] >= facts

    wait_until(far_enough, _PATIENCE_S, f"{facts:,} facts of the run")


def _kill_executor(project: Project) -> None:
    pid = project.executor_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    project.settle()


def _first_launch(client: Client, run_id: str, after_seq: int) -> float:
    """When the first attempt began that was placed after the restart."""
    placed = set()
    while page := client.events(run_id, after_seq=after_seq, limit=5000):
        for row in page:
            event = row.event
            if isinstance(event, AttemptPlaced):
                placed.add((event.instance, event.attempt))
            elif isinstance(event, AttemptStarted | AttemptSucceeded) and (event.instance, event.attempt) in placed:
                # The start of a short attempt is told with its end.
                return event.started_at if isinstance(event, AttemptSucceeded) else event.at
            after_seq = row.seq
    raise RuntimeError("nothing was launched after the restart")
