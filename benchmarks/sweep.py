"""Owns the figures of a wide loop with failures: what an instance costs, what a look at it takes, `retry --failed`.

A for_each of 20,000 of which every hundredth item fails. Its code is then repaired in the project's file, as an author
would, and the failed instances, and no others, are done again with the new code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.projects import REPOSITORY, environment, fresh_project, wait_until
from benchmarks.report import Figure
from meson_core.events import AttemptPlaced, RunReopened
from meson_core.spec.states import RunState, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.projects import Project
    from meson_core.client import Client
    from meson_core.spec.plan import Instance

#: How many runs of the small size are as long as a run that can be measured.
_SMALL_RUNS = 5
#: How often the big run is looked at while it goes on.
_LOOKS = 6
_PATIENCE_S = 120.0


def sweep(folder: Path, rounds: int, count: int, small: int) -> Iterator[Figure]:
    """Cost, looks and retry of a sweep with `count` items; `small` is what its cost is compared with."""
    costs: dict[str, tuple[list[float], list[float]]] = {"took_s": ([], []), "cpu_s": ([], [])}
    looks, imports, wrong = [], [], []
    for _ in range(rounds):
        with fresh_project(folder) as project:
            few = [_drive(project, small) for _ in range(_SMALL_RUNS)]
        with fresh_project(folder) as project:
            many = _drive(project, count)
        for key, (big, little) in costs.items():
            big.append(many[key] / count * 1e6)
            little.append(sum(found[key] for found in few) / (_SMALL_RUNS * small) * 1e6)
        with fresh_project(folder) as project, project.client() as client:
            run_id, found = _watched(project, client, count)
            looks += [look["took_s"] * 1e3 for look in found]
            imports.append(max(len(look["late"]) for look in found))
            wrong.append(float(_retried(project, client, run_id, count)))
    what = f"for_each of {count:,} with 1 % failing"
    note = f"baseline: of {small:,}"
    wall, bare = (tuple(values) for values in costs["took_s"])
    yield Figure(f"{what}: an instance, wall", wall, "µs", bare, budget=1.2, of="ratio", note=note)
    cpu, bare = (tuple(values) for values in costs["cpu_s"])
    yield Figure(f"{what}: an instance, CPU of the orchestrator", cpu, "µs", bare, note=note)
    note = f"a process each, while the run goes on; at most {max(imports)} modules were imported in that time"
    yield Figure(f"{what}: show after its imports", tuple(looks), "ms", budget=100, note=note)
    note = f"{count // 100:,} had failed; those that were done again and had not, or had and were not"
    yield Figure(f"{what}: retry --failed, wrong instances", tuple(wrong), "", budget=0, note=note)


def _drive(project: Project, count: int) -> dict[str, Any]:
    found = project.drive("sweep", "-p", f"count={count}", "--warm-up", "one_step")
    if found["state"] != "failed":
        raise RuntimeError(f"a sweep in which every hundredth item fails has {found['state']}")
    return found


# --- looking at it --------------------------------------------------------------------------------------------------


def _watched(project: Project, client: Client, count: int) -> tuple[str, list[dict[str, Any]]]:
    """Drive a sweep, and look at it again and again; its id, and what the looks found."""
    modules = project.root / "modules.txt"
    modules.write_text("")
    project.drive("one_step")
    modules.write_text("\n".join(_look(_lookers(project, 1)[0], "last")["late"]))
    lookers = _lookers(project, _LOOKS)
    found = []
    with project.driven("sweep", "-p", f"count={count}", "--warm-up", "one_step") as driven:
        run_id: str = driven.read("started")["run_id"]
        for number, looker in enumerate(lookers):
            # Two facts an instance at least (that a short one has begun is told with its end).
            _wait_for(client, run_id, 2 * count * number // (_LOOKS + 1))
            look = _look(looker, run_id)
            if client.run(run_id).state is RunState.running:
                found.append(look)
        driven.read("ended")
    if not found:
        raise RuntimeError("the run had ended before anybody could look at it")
    return run_id, found


def _wait_for(client: Client, run_id: str, facts: int) -> None:
    def far_enough() -> bool:
        position = client.store.position(run_id)
        return position is not None and (position[0] > facts or position[1].ended)

    wait_until(far_enough, _PATIENCE_S, f"{facts:,} facts of the run")


def _lookers(project: Project, count: int) -> list[subprocess.Popen[str]]:
    """Processes that have their imports behind them."""
    command = [sys.executable, "-m", "benchmarks.showing", str(project.root), str(project.root / "modules.txt")]
    lookers = [
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for looker in lookers:
        assert looker.stdout is not None
        if looker.stdout.readline() != "ready\n":
            raise RuntimeError("a process that was to look at a run did not get ready")
    return lookers


def _look(looker: subprocess.Popen[str], run_id: str) -> dict[str, Any]:
    told, _ = looker.communicate(f"{run_id}\n")
    found: dict[str, Any] = json.loads(told)
    if found["code"]:
        raise RuntimeError(f"mesonctl show {run_id}: exit code {found['code']}\n{found['answer']}")
    return found


# --- doing the failed ones again --------------------------------------------------------------------------------------


def _retried(project: Project, client: Client, run_id: str, count: int) -> int:
    """Repair the code, retry, and count the instances that were done again and had not failed, or the other way round."""
    failed = _instances(client, run_id, State.failed)
    if len(failed) != count // 100:
        raise RuntimeError(f"{len(failed)} of {count} items failed instead of {count // 100}")
    steps = project.root / "steps.py"
    steps.write_text(steps.read_text().replace("BROKEN = True", "BROKEN = False"))
    project.mesonctl("retry", run_id, "--failed", "--code", "current", "--json")
    state = client.run(run_id).state
    if state is not RunState.succeeded:
        raise RuntimeError(f"after the retry the run has {state.value}")
    again = _placed_after_reopening(client, run_id)
    return len(failed.symmetric_difference(again)) + len(again) - len(set(again))


def _instances(client: Client, run_id: str, state: State) -> set[Instance]:
    found: set[Instance] = set()
    after: Instance | None = None
    while page := client.instances(run_id, states=(state,), after=after, limit=1000):
        found.update(row.instance for row in page if len(row.instance) > 1)
        after = page[-1].instance
    return found


def _placed_after_reopening(client: Client, run_id: str) -> list[Instance]:
    placed: list[Instance] = []
    reopened, after_seq = False, 0
    while page := client.events(run_id, after_seq=after_seq, limit=5000):
        for row in page:
            reopened = reopened or isinstance(row.event, RunReopened)
            if reopened and isinstance(row.event, AttemptPlaced):
                placed.append(row.event.instance)
        after_seq = page[-1].seq
    return placed
