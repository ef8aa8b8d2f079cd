"""Owns the verdict on a run that was hurt: it must have ended as the uninterrupted one, and done nothing twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.spec.plan import compile_plan
from meson_core.spec.states import RunState
from tests.reference import Failed, interpret
from tests.strategies import compute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.spec.model import Workflow
    from tests.crash.yard import Yard


def judge(yard: Yard, run_id: str, workflow: Workflow) -> list[str]:
    """What is wrong with a run that has ended; nothing, as a rule."""
    wrong = [*_same_context(yard, run_id, workflow), *_nothing_twice(yard, run_id, workflow)]
    return [f"{run_id}: {problem}" for problem in wrong]


def _same_context(yard: Yard, run_id: str, workflow: Workflow) -> list[str]:
    """State, results, and the state and outputs of every instance are those of the reference interpreter."""
    row = yard.row(run_id)
    assert row is not None
    expected = interpret(workflow, {name: given.default for name, given in workflow.params.items()}, _behaviour)
    wrong = []
    if row.state is not expected.state:
        wrong.append(f"ended as {row.state.value}, expected {expected.state.value}")
    if row.state is RunState.succeeded and row.results != expected.results:
        wrong.append(f"results {row.results!r}, expected {expected.results!r}")
    plan = compile_plan(workflow)
    events = [entry.event for entry in yard.client.events(run_id)]
    machine = RunMachine.replay(plan, events)
    outputs = {
        event.instance: event.outputs
        for event in events
        if isinstance(event, ev.AttemptSucceeded)
        or (isinstance(event, ev.OutcomeSettled) and event.verdict == "succeeded")
    }
    for (path, indexes), state in expected.states.items():
        name = ".".join(path)
        instance = (plan.by_name[name], *indexes)
        found = machine.state_of(instance)
        if found is not state:
            wrong.append(f"{name} {indexes} is {found.label}, expected {state.label}")
        values = expected.outputs.get((path, indexes))
        if values is not None and (instance not in outputs or msgspec.json.decode(outputs[instance]) != values):
            wrong.append(f"{name} {indexes} gave {outputs.get(instance)!r}, expected {values!r}")
    return wrong


def _behaviour(path: tuple[str, ...], indexes: tuple[int, ...], inputs: Mapping[str, Any], attempt: int) -> Any:
    """What `behaviours.act` does on the other side."""
    return Failed() if attempt <= inputs.get("fails", 0) else compute(inputs)


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
