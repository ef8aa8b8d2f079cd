"""Owns the invariants of a run between events; tests check them after every event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.engine import folding, views
from meson_core.engine.shapes import (
    ACTIVATED,
    CANCELLED,
    CANCELLING,
    FAILED,
    FOR_EACH,
    OPEN,
    PAUSED,
    READY,
    REPEAT,
    RUNNING,
    STATES,
    STEP,
    SUCCEEDED,
    UPSTREAM_FAILED,
)
from meson_core.spec.states import RunState

if TYPE_CHECKING:
    from meson_core.engine.memory import Composite, Memory, Scope


def _check(holds: object, message: str) -> None:
    """`assert` that `python -O` does not remove."""
    if not holds:
        raise AssertionError(message)


def validate(m: Memory) -> None:
    """Check all invariants.

    Raises:
        AssertionError: what does not hold.
    """
    _check(not m.ended and not m.starts, "consequences are left to be drawn")
    if not m.created:
        return
    seen_steps: set[tuple[int, ...]] = set()
    seen_composites: set[tuple[int, ...]] = set()
    _validate_scope(m, m.root, seen_steps, seen_composites)
    _check(seen_steps == set(m.steps), f"steps under way: {seen_steps ^ set(m.steps)}")
    _check(seen_composites == set(m.composites), f"composites under way: {seen_composites ^ set(m.composites)}")
    _validate_counts(m)
    _validate_window(m)
    _check(m.run_state.ended == (m.root.left == 0), f"run is {m.run_state} with {m.root.left} nodes left")
    if m.run_state.ended:
        _check(not m.steps and not m.composites, "something is under way in a run that has ended")
    else:
        moving = m.steps or any(composite.pending for composite in m.composites.values())
        _check(moving, "the run goes on and nothing can move it")
    _check(not (m.run_state is RunState.cancelling and any(_could_start(m))), "cancelling, yet something may start")


def _could_start(m: Memory) -> list[bool]:
    return [step.scope.states[step.position] in (READY, ACTIVATED) for step in m.steps.values()]


def _validate_counts(m: Memory) -> None:
    counts = [[0] * len(STATES) for _ in m.shapes.nodes]
    for node, state, number in views.tally(m):
        counts[node][state] += number
    for node, (kept, counted) in enumerate(zip(m.counts, counts, strict=True)):
        _check(kept == counted, f"{m.shapes.nodes[node].name}: counts are kept as {kept}, and are {counted}")


def _validate_window(m: Memory) -> None:
    under_way = [0] * len(m.shapes.nodes)
    instances = [0] * len(m.shapes.nodes)
    for composite in m.composites.values():
        if composite.node.kind == FOR_EACH:
            under_way[composite.node.id] += len(composite.live)
            instances[composite.node.id] += 1
            most = composite.node.max_parallel
            _check(not most or len(composite.live) <= most, f"{composite.instance}: more than {most} at once")
            more = composite.todo or composite.next < composite.total
            _check(composite.live or composite.pending or not more, f"{composite.instance} starves")
    _check(under_way == m.under_way, f"items under way are kept as {m.under_way}, and are {under_way}")
    for node, number in enumerate(under_way):
        _check(number <= m.window + instances[node], f"node {node}: {number} items in a window of {m.window}")


def _validate_scope(m: Memory, scope: Scope, steps: set[tuple[int, ...]], composites: set[tuple[int, ...]]) -> None:
    states = scope.states
    where = f"scope {scope.shape.id}{list(scope.indexes)}"
    left = sum(state < SUCCEEDED for state in states)
    _check(scope.left == left, f"{where}: {scope.left} nodes are left, and {left}")
    failed = any(state == FAILED and not node.forgiving for node, state in zip(scope.shape.nodes, states, strict=True))
    _check(scope.failed == failed, f"{where}: failed is {scope.failed}")
    _check(scope.cancelled == (CANCELLED in states), f"{where}: cancelled is {scope.cancelled}")
    for position, node in enumerate(scope.shape.nodes):
        state = states[position]
        instance = scope.instance(position)
        if state <= ACTIVATED:
            _validate_waiting(scope, position)
        elif state == UPSTREAM_FAILED:
            bad = any(states[before] >= FAILED for before in node.predecessors)
            _check(bad, f"{instance} is upstream failed for no reason")
        elif node.kind == STEP:
            if state < SUCCEEDED:
                steps.add(instance)
                _validate_step(m, scope, position)
        elif state < SUCCEEDED:
            composites.add(instance)
            _check(state in (RUNNING, CANCELLING), f"{instance}: a composite is never {STATES[state].label}")
            composite = folding.composite_at(scope, position)
            _check(composite is not None, f"{instance} is under way without a trace")
            assert composite is not None
            _validate_composite(m, composite, steps, composites)


def _validate_waiting(scope: Scope, position: int) -> None:
    node, states, instance = scope.shape.nodes[position], scope.states, scope.instance(position)
    left = [before for before in node.predecessors if states[before] < SUCCEEDED]
    _check(left, f"{instance} waits for nothing")
    _check(scope.missing[position] == len(left), f"{instance}: {scope.missing[position]} are missing, and {left}")
    arrived = len(left) < len(node.predecessors)
    _check(arrived == (states[position] == ACTIVATED), f"{instance} is {STATES[states[position]].label}")


def _validate_step(m: Memory, scope: Scope, position: int) -> None:
    step = m.steps.get(scope.instance(position))
    _check(step is not None, f"{scope.instance(position)} is under way without a trace")
    assert step is not None
    _check(step.scope is scope and step.position == position, f"{step.instance} has lost its scope")
    _check(step.attempt == scope.attempts[position], f"{step.instance}: attempt {step.attempt}")
    _check(step.job <= step.attempt, f"{step.instance}: job {step.job} of attempt {step.attempt}")
    held = step.node.id in m.held
    may_ask = step.node.asks and scope.states[position] in (READY, PAUSED)
    _check(may_ask or not step.asking, f"{step.instance} asks, and is {STATES[scope.states[position]].label}")
    _check(not (held and scope.states[position] == READY), f"{step.instance} is held, and ready")


def _validate_composite(
    m: Memory, composite: Composite, steps: set[tuple[int, ...]], composites: set[tuple[int, ...]]
) -> None:
    instance = composite.instance
    _check(composite.live or composite.pending, f"{instance} is under way with nothing in it")
    _check(m.composites.get(instance) is composite, f"{instance} has lost its trace")
    _check(not (composite.pending and composite.node.kind != REPEAT and composite.live), f"{instance} is pending")
    for index, scope in composite.live.items():
        verdict = composite.folds[composite.slot].verdicts[index]
        _check(verdict == OPEN, f"{instance}: opening {index} is under way and has ended")
        _check(scope.owner is composite and scope.index == index, f"{instance}: opening {index} has lost its owner")
        _validate_scope(m, scope, steps, composites)
