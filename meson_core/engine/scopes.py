"""Owns joins: how the end of a node leads to its successors, and when a scope has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.engine.attempts import enter
from meson_core.engine.shapes import (
    ACTIVATED,
    CANCELLED,
    FAILED,
    SKIPPED,
    STATES,
    STEP,
    SUCCEEDED,
    UPSTREAM_FAILED,
    WAITING,
)
from meson_core.engine.stopping import stop_scope

if TYPE_CHECKING:
    from meson_core.engine.memory import Memory, Scope


def begin(m: Memory, scope: Scope) -> None:
    """A scope has come into being: start what waits for nothing."""
    if m.skipped_nodes or m.skipped_instances:
        skip_ordered(m, scope)
    for position in scope.shape.sources:
        if scope.states[position] == WAITING:
            start(m, scope, position)


def skip_ordered(m: Memory, scope: Scope) -> None:
    """Skip what a person has asked to skip before it existed."""
    for position, node in enumerate(scope.shape.nodes):
        ordered = node.id in m.skipped_nodes or (node.id, *scope.indexes) in m.skipped_instances
        if ordered and scope.states[position] <= ACTIVATED:
            m.end_unstarted(scope, position, SKIPPED, "skipped by a person")


def start(m: Memory, scope: Scope, position: int) -> None:
    """The join of this node is satisfied."""
    if scope.shape.nodes[position].kind == STEP:
        enter(m, scope, position)
    else:
        m.starts.append((scope, position))


def after_end(m: Memory, scope: Scope, position: int) -> bool:
    """Draw the consequences of the end of a node within its scope.

    Returns:
        Whether it was the last one of its scope.
    """
    states = scope.states
    state = states[position]
    node = scope.shape.nodes[position]
    if state >= FAILED:
        if state == CANCELLED:
            scope.cancelled = True
        elif state == FAILED and not node.forgiving:
            scope.failed = True
            if node.at_once:
                stop_scope(m, scope)
    for successor, join_any, satisfied_by in node.edges:
        if states[successor] <= ACTIVATED:
            _arrive(m, scope, successor, satisfied=satisfied_by[state], join_any=join_any, before=position)
    scope.left -= 1
    return not scope.left


def _arrive(m: Memory, scope: Scope, position: int, *, satisfied: bool, join_any: bool, before: int) -> None:
    missing = scope.missing
    missing[position] -= 1
    if satisfied:
        if join_any or not missing[position]:
            start(m, scope, position)
            return
    elif not join_any or not missing[position]:
        why = f"{scope.shape.nodes[before].name} {STATES[scope.states[before]].label}"
        m.end_unstarted(scope, position, UPSTREAM_FAILED, why)
        return
    if scope.states[position] == WAITING:
        _activate(m, scope, position)


def _activate(m: Memory, scope: Scope, position: int) -> None:
    nodes, states = scope.shape.nodes, scope.states
    left = (nodes[before].name for before in nodes[position].predecessors if states[before] < SUCCEEDED)
    m.move(scope, position, ACTIVATED, 0, f"waits for {next(left, 'what has just ended')}")


def consider(m: Memory, scope: Scope, position: int, states: bytes) -> None:
    """Decide on a waiting node whose predecessors may have ended already, in the given states of its scope."""
    node = scope.shape.nodes[position]
    missing = len(node.predecessors)
    verdicts: list[bool] = []
    for before in node.predecessors:
        if states[before] >= SUCCEEDED:
            missing -= 1
            verdicts.append(scope.shape.nodes[before].satisfies[node.join][states[before]])
    if node.join_any and node.predecessors:
        starts, fails = any(verdicts), not missing
    else:
        starts, fails = not missing and all(verdicts), not all(verdicts)
    if starts:
        start(m, scope, position)
    elif fails:
        m.end_unstarted(scope, position, UPSTREAM_FAILED, "what it depends on was not done again")
    elif verdicts:
        _activate(m, scope, position)
