"""Owns the figures of small steps: a chain, fan-outs of Python steps and of processes, what the orchestrator spends.

Every round measures the bare baseline, then Meson in a new project: a warm-up first (as the skeleton's workers and Ray's
are warm), then from the wish for the run to its recorded end. Both write to the same disk.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import baselines, peers
from benchmarks.projects import fresh_project
from benchmarks.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN = 200


def chain(folder: Path, rounds: int) -> Iterator[Figure]:
    """Each step waits for the recorded end of the one before: latency."""
    bare, measured = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as own:
            bare.append(baselines.chain(CHAIN, Path(own)) * 1e3)
        measured.append(_driven(folder, "chain")["took_s"] / CHAIN * 1e3)
    yield Figure(f"chain of {CHAIN} no-op Python steps: a step", tuple(measured), "ms", tuple(bare), budget=1.5)


def fan_out(folder: Path, rounds: int, count: int) -> Iterator[Figure]:
    """All steps are ready at once: throughput, and the processor time of the orchestrator."""
    bare, measured, spent, others = [], [], [], []
    ray = peers.installed()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as own:
            bare.append(baselines.fan_out(count, Path(own)))
        found = _driven(folder, "fan_out", "-p", f"count={count}")
        measured.append(count / found["took_s"])
        spent.append(found["cpu_s"] / count * 1e6)
        if ray:
            others.append(peers.ray(count))
    what = f"fan-out of {count:,} no-op Python steps"
    note = "baseline: two warm workers and a durable log, nothing else"
    yield Figure(what, tuple(measured), "steps/s", tuple(bare), better="more", note=note)
    if ray:
        yield Figure(
            f"{what}, beside Ray {ray}",
            tuple(measured),
            "steps/s",
            tuple(others),
            budget=5,
            of="ratio",
            better="more",
            note="Ray keeps nothing; Meson's log is durable",
        )
    yield Figure(f"{what}: CPU of the orchestrator for an attempt", tuple(spent), "µs", budget=100)


def processes(folder: Path, rounds: int, count: int) -> Iterator[Figure]:
    """Processes, four at a time on both sides."""
    bare, measured = [], []
    for _ in range(rounds):
        bare.append(baselines.processes(count))
        measured.append(count / _driven(folder, "processes", "-p", f"count={count}")["took_s"])
    yield Figure(
        f"fan-out of {count:,} processes (true), 4 at a time",
        tuple(measured),
        "steps/s",
        tuple(bare),
        budget=0.7,
        of="ratio",
        better="more",
        note="baseline: one epoll thread, own session, two pipes; aim: 0.8",
    )


def _driven(folder: Path, workflow: str, *arguments: str) -> dict[str, Any]:
    with fresh_project(folder) as project:
        warm_up = "one_step" if workflow == "chain" else workflow
        found = project.drive(workflow, "--warm-up", warm_up, *arguments)
    if found["state"] != "succeeded":
        raise RuntimeError(f"the run of {workflow} ended as {found['state']}")
    return found
