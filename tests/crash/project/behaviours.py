"""Owns what the steps of the crash runs do: outputs from inputs alone, failures that are counted by job, a diary.

A step fails in its first `fails` jobs. A job key changes only after a job has failed, so the position of a key among
those that were seen for an instance tells how many jobs failed before, however often an attempt was lost in between.
Every begin and end of an attempt is a line in the diary, appended in one write: what was killed has no end.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meson_runtime import ctx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIARY = Path(os.environ["MESON_CRASH_DIARY"]) if "MESON_CRASH_DIARY" in os.environ else None


class PlannedFailureError(Exception):
    """One of the failures that the workflow asks for."""


def note(what: str, **more: Any) -> None:
    """Append one line to the diary."""
    if DIARY is None:
        return
    line = {
        "what": what,
        "at": time.time(),
        "run": ctx.run_id,
        "step": ctx.step,
        "indexes": list(ctx.indexes),
        "attempt": ctx.attempt,
    }
    with (DIARY / "diary.jsonl").open("ab", buffering=0) as diary:
        diary.write((json.dumps(line | {"job": ctx.job_key} | more) + "\n").encode())


def jobs_before(step: str, indexes: Sequence[int], job_key: str) -> int:
    """How many jobs of this instance there were before this one."""
    assert DIARY is not None
    name = hashlib.sha256(json.dumps([step, list(indexes)]).encode()).hexdigest()
    path = DIARY / "jobs" / name
    seen = path.read_text().split() if path.exists() else []
    if job_key not in seen:
        # Appended before anything can fail: a crash right here repeats the job, and finds its key again.
        with path.open("a") as keys:
            keys.write(f"{job_key}\n")
        seen.append(job_key)
    return seen.index(job_key)


def outputs_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What `tests.strategies.compute` says, which the orchestrator's side is judged by."""
    text = json.dumps({name: inputs[name] for name in sorted(inputs) if name != "fails"}, sort_keys=True)
    outputs: dict[str, Any] = {}
    for name, given in inputs["gives"].items():
        number = int.from_bytes(hashlib.sha256(f"{name}:{text}".encode()).digest()[:4], "big")
        outputs[name] = {
            "int": number % 10,
            "float": (number % 100) / 8,
            "bool": number % 3 == 0,
            "str": "abcdefgh"[: number % 5],
            "list[int]": [number // 7**at % 5 for at in range(number % 4)],
        }[given]
    return outputs


def act(**inputs: Any) -> dict[str, Any]:
    """A step."""
    note("begin")
    threading.Event().wait(inputs["seed"] % 7 * 0.01)  # work takes time: long enough to be killed in
    if jobs_before(ctx.step, ctx.indexes, ctx.job_key) < inputs.get("fails", 0):
        note("fail")
        raise PlannedFailureError(f"{ctx.step} fails as planned")
    outputs = outputs_of(inputs)
    note("end")
    return outputs
