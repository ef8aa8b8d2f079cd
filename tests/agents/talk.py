"""Owns an executor's half of the conversation for tests: what it would say, as lines."""

from __future__ import annotations

import json
from typing import Any

from meson_core.agents import Roster, Session
from meson_core.ports import AttemptKey, Placement, Template
from meson_core.resources import Request

TEMPLATE = Template("t1", {"step": "train", "work": {"w": "program", "argv": ["true"]}})


def key(item: int = 0, attempt: int = 1, run_id: str = "run") -> AttemptKey:
    return AttemptKey(run_id, (3, item), attempt)


def placement(item: int = 0, template: Template = TEMPLATE) -> Placement:
    order = {"key": key(item), "step": template.template_id, "job": f"job-{item}", "job_first": True, "inputs": {}}
    return Placement(key(item), "offer", Request(), template, order)


def line(t: str, **fields: Any) -> bytes:
    return json.dumps({"t": t, **fields}).encode()


def welcome(*named: AttemptKey, incarnation: int = 1, seq: int = 0, executor: str = "local", v: int = 1) -> bytes:
    attempts = [[list(key), "running"] for key in named]
    return line(
        "welcome", v=v, executor=executor, incarnation=incarnation, machine="m", pid=1, totals={"cpus": 4.0}, seq=seq,
        attempts=attempts, notes=[], unheard_of="by this version",
    )  # fmt: skip


def succeeded(item: int, x: int = 0) -> dict[str, Any]:
    return {"f": "succeeded", "k": list(key(item)), "at": 2.0, "began": 1.0, "outputs": {"x": x}}


def started(item: int) -> dict[str, Any]:
    return {"f": "started", "k": list(key(item)), "at": 1.0}


def facts(seq: int, *facts: dict[str, Any]) -> bytes:
    return line("facts", seq=seq, facts=facts)


def session(roster: Roster | None = None, now: float = 0.0, lease_s: float = 15.0) -> Session:
    return Session(roster or Roster(), cell="local", epoch=7, lease_s=lease_s, now=now)


def opened(roster: Roster | None = None, *named: AttemptKey, incarnation: int = 1) -> Session:
    made = session(roster)
    made.hello()
    made.receive([welcome(*named, incarnation=incarnation)], 0.0)
    return made


def said(data: bytes | None) -> list[dict[str, Any]]:
    """What went down, as messages."""
    assert data is not None
    return [json.loads(line) for line in data.splitlines()]


def kinds(data: bytes | None) -> list[str]:
    return [message["t"] for message in said(data)]
