"""Owns one run of the property: what is killed when, and what is looked at after each kill and at the end."""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meson_core import events as ev
from tests.catalogue.flow import DAYS, workflow
from tests.catalogue.model import dangling, judge, judge_store
from tests.catalogue.workers import Beside, forget_without_end, prune_without_end, put_without_end
from tests.crash.yard import Yard, wait_until

if TYPE_CHECKING:
    from pathlib import Path

#: What is killed; those that come more often die in more places that matter.
KINDS = ("orchestrator", "orchestrator", "executor", "worker", "pruner", "pruner", "putter", "putter", "all")
PATIENCE_S = 60.0
#: Seconds after which a moment has come in any case.
MOMENT_S = 10.0
_HOUR_S = 3600.0


@dataclass(slots=True)
class Outcome:
    """What became of one run of the property.

    Args:
        kills: by what was killed.
        runs: that were begun and have ended.
        versions: in the catalogue.
        restored: steps that were skipped because their artifact was there.
        deleted: digests that were deleted while all this went on.
        forgotten: versions that were given up meanwhile.
        wrong: what should not be.
    """

    kills: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    versions: int = 0
    restored: int = 0
    deleted: int = 0
    forgotten: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_at(moments: int, seed: int, folder: Path, *, forgetting: bool) -> Outcome:
    """Kill something at so many random moments, while runs, hands and prunes go on; then let all end, and judge.

    Args:
        moments: how many.
        seed: of what is killed when.
        folder: an empty one.
        forgetting: prunes give up old versions too.
    """
    rng = random.Random(seed)
    outcome = Outcome()
    yard = Yard(folder)
    pruner = Beside(forget_without_end if forgetting else prune_without_end, yard.project, folder / "pruned")
    putter = Beside(put_without_end, yard.project, folder / "put")
    run_ids: list[str] = []
    pause = threading.Event()
    try:
        while sum(outcome.kills.values()) < moments and not outcome.wrong:
            kind = rng.choice(KINDS)
            beside = pruner if kind == "pruner" else putter if kind == "putter" else None
            # Moments are told by what has happened, not by the clock: on a busy machine all would be while nothing does.
            seen = _facts(yard, run_ids) if beside is None else beside.lines()
            goal = seen + rng.randrange(14 if beside is None else 4)
            deadline = time.monotonic() + MOMENT_S
            while time.monotonic() < deadline:
                if not run_ids or yard.ended(run_ids[-1]):
                    run_ids.append(_begin_run(yard, rng.randrange(DAYS)))
                if not yard.orchestrating:
                    yard.start_orchestrator()
                pruner.start()
                putter.start()
                if (_facts(yard, run_ids) if beside is None else beside.lines()) >= goal:
                    break
                pause.wait(0.002)
            pause.wait(rng.uniform(0.0, 0.02))
            _kill(kind, yard, pruner, putter)
            outcome.kills[kind] = outcome.kills.get(kind, 0) + 1
            outcome.wrong += dangling(yard.client, 300)
        putter.start()
        putter.kill()
        if not yard.orchestrating:
            yard.start_orchestrator()
        wait_until(lambda: all(yard.ended(each) for each in run_ids), PATIENCE_S, "the end of all runs")
        yard.kill_orchestrator()
        yard.kill([*yard.executors(), *yard.workers()])
        pruner.start()
        pruner.kill()
        _judge(yard, outcome, run_ids, pruner, putter, forgetting=forgetting)
    except (TimeoutError, AssertionError) as error:
        outcome.wrong.append(f"{error}\n{yard.complaints()[-4000:]}")
    finally:
        for beside in (pruner, putter):
            beside.end()
        yard.close()
    return outcome


def _facts(yard: Yard, run_ids: list[str]) -> int:
    return sum(yard.seq(run_id) for run_id in run_ids[-2:]) + 1000 * len(run_ids)


def _kill(kind: str, yard: Yard, pruner: Beside, putter: Beside) -> None:
    if kind in ("orchestrator", "all"):
        yard.kill_orchestrator()
    if kind in ("executor", "all"):
        yard.kill(yard.executors())
    if kind in ("worker", "all"):
        yard.kill(yard.workers())
    if kind in ("pruner", "all"):
        pruner.kill()
    if kind in ("putter", "all"):
        putter.kill()


def _begin_run(yard: Yard, day: int) -> str:
    return yard.client.start(workflow(), {"day": day}, code=yard.client.bundle().digest, wait_s=None)


def _judge(
    yard: Yard, outcome: Outcome, run_ids: list[str], pruner: Beside, putter: Beside, *, forgetting: bool
) -> None:
    client = yard.client
    outcome.runs = len(run_ids)
    events = [row.event for run_id in run_ids for row in client.events(run_id)]
    outcome.restored = sum(isinstance(event, ev.ResultFound) for event in events)
    for line in pruner.told():
        outcome.deleted += int(str(line[0]))
        outcome.forgotten += int(str(line[1]))
    outcome.wrong += [
        event.failure.message
        for event in events
        if isinstance(event, ev.AttemptFailed)
        and ("LOST" in event.failure.message or "is not in" in event.failure.message)
    ]
    outcome.wrong += judge(client, putter.told(), forgetting=forgetting)
    artifacts = yard.project / ".meson" / "artifacts"
    for path in [*artifacts.glob("sha256/*"), *artifacts.glob("*/??/*"), *artifacts.glob("unpacked/*")]:
        then = path.stat().st_mtime - 2 * _HOUR_S
        os.utime(path, (then, then))
    client.prune_artifacts(grace_s=_HOUR_S)
    outcome.wrong += judge_store(client, artifacts)
    outcome.versions = len(client.artifacts(limit=1_000_000))
