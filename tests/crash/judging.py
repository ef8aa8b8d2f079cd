"""Owns the verdict on a run that was hurt: it must have ended as the uninterrupted one, and done nothing twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core import events as ev
from meson_core.spec.plan import compile_plan
from tests.spec.interpreters import by_scopes

if TYPE_CHECKING:
    from meson_core.spec.model import Workflow
    from tests.crash.yard import Yard


def judge(yard: Yard, run_id: str, workflow: Workflow) -> list[str]:
    """What is wrong with a run that has ended; nothing, as a rule."""
    wrong = [*_same_context(yard, run_id, workflow), *_nothing_twice(yard, run_id, workflow)]
    return [f"{run_id}: {problem}" for problem in wrong]


def _same_context(yard: Yard, run_id: str, workflow: Workflow) -> list[str]:
    row = yard.row(run_id)
    assert row is not None
    if row.state.value != "succeeded":
        return [f"ended as {row.state.value}"]
    expected = by_scopes(workflow, {})
    return [] if row.results == expected else [f"results {row.results!r}, expected {expected!r}"]


def _nothing_twice(yard: Yard, run_id: str, workflow: Workflow) -> list[str]:
    """Nothing that finished, in the log's words, was placed again; no attempt was executed more than once."""
    plan = compile_plan(workflow)
    wrong = []
    finished: set[tuple[int, ...]] = set()
    for row in yard.client.events(run_id):
        event = row.event
        if isinstance(event, ev.AttemptSucceeded):
            if event.instance in finished:
                wrong.append(f"{plan.nodes[event.instance[0]].name} {event.instance[1:]} succeeded twice")
            finished.add(event.instance)
        elif isinstance(event, ev.AttemptPlaced) and event.instance in finished:
            wrong.append(f"{plan.nodes[event.instance[0]].name} {event.instance[1:]} was placed after it had succeeded")
    begun: Counter[Any] = Counter()
    for line in yard.lines():
        if line["what"] == "begin" and line["run"] == run_id:
            begun[line["step"], tuple(line["indexes"]), line["attempt"]] += 1
    wrong += [f"attempt {key} was begun {times} times" for key, times in begun.items() if times > 1]
    return wrong


def show(value: Any) -> str:
    """Anything as JSON, for reports."""
    return msgspec.json.encode(value, enc_hook=str).decode()
