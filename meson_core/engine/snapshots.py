"""Owns snapshots: the whole state of a run as bytes, the same bytes for the same state, and back.

A digest comes first, so that damage is found out and not believed. What can be derived from the states (counters of missing predecessors, what is left of a scope) is not written.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from meson_core.engine import folding
from meson_core.engine.memory import LiveStep, Memory, Scope
from meson_core.engine.shapes import CANCELLING, FOR_EACH, RUNNING, STEP
from meson_core.errors import EngineError
from meson_core.spec.states import RunState

#: Raised when an older snapshot cannot be read any more; the log is replayed then.
SNAPSHOT_VERSION: Final = 2

_DIGEST_SIZE: Final = 8
_REPLAY: Final = "replay the log of the run instead"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def snapshot(m: Memory) -> bytes:
    """The state between two events."""
    body = _encode(
        [
            SNAPSHOT_VERSION,
            [len(scope.nodes) for scope in m.shapes.scopes],
            m.run_id,
            m.run_state.value,
            m.created,
            m.window,
            m.generation,
            m.timed_out,
            m.due,
            sorted(m.held),
            sorted(m.skipped_nodes),
            sorted(m.skipped_instances),
            sorted(m.fresh_nodes),
            sorted(m.fresh_instances),
            sorted(m.kept_jobs.items()),
            m.counts,
            sorted((node, list(hungry)) for node, hungry in m.hungry.items() if hungry),
            _tree_of_scope(m, m.root),
        ]
    )
    return _digest(body) + body


def restore(m: Memory, data: bytes) -> None:
    """Bring fresh memory into the state of a snapshot.

    Raises:
        EngineError: it is of another version, of another plan, or damaged.
    """
    body = data[_DIGEST_SIZE:]
    if data[:_DIGEST_SIZE] != _digest(body):
        message = "the snapshot is damaged"
        raise EngineError(message, hint=_REPLAY)
    tree = _decode(body)
    if tree[0] != SNAPSHOT_VERSION:
        message = f"the snapshot is of version {tree[0]}; this Meson reads {SNAPSHOT_VERSION}"
        raise EngineError(message, hint=_REPLAY)
    if tree[1] != [len(scope.nodes) for scope in m.shapes.scopes]:
        message = "the snapshot is of another workflow"
        raise EngineError(message, hint=_REPLAY)
    _, _, m.run_id, run_state, m.created, m.window, m.generation, m.timed_out, m.due, *rest = tree
    held, skipped_nodes, skipped_instances, fresh_nodes, fresh_instances, kept_jobs, m.counts, hungry, root = rest
    m.run_state = RunState(run_state)
    m.held = set(held)
    m.skipped_nodes = set(skipped_nodes)
    m.skipped_instances = {tuple(instance) for instance in skipped_instances}
    m.fresh_nodes = set(fresh_nodes)
    m.fresh_instances = {tuple(instance) for instance in fresh_instances}
    m.kept_jobs = {tuple(instance): (job, submission) for instance, (job, submission) in kept_jobs}
    m.hungry = {node: {tuple(instance): None for instance in instances} for node, instances in hungry}
    _fill_scope(m, m.root, root)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_SIZE).digest()


def _tree_of_scope(m: Memory, scope: Scope) -> list[Any]:
    composites: list[Any] = []
    for position in sorted(scope.inner):
        composite = folding.composite_at(scope, position)
        assert composite is not None
        live = [[index, _tree_of_scope(m, composite.live[index])] for index in sorted(composite.live)]
        composites.append([position, folding.tree_of_composite(composite), live])
    steps = [
        _tree_of_step(m.steps[scope.instance(position)])
        for position, node in enumerate(scope.shape.nodes)
        if node.kind == STEP and scope.instance(position) in m.steps
    ]
    return [bytes(scope.states), scope.attempts.tobytes(), steps, composites]


def _fill_scope(m: Memory, scope: Scope, tree: list[Any]) -> None:
    states, attempts, steps, composites = tree
    scope.states[:] = states
    del scope.attempts[:]
    scope.attempts.frombytes(attempts)
    folding.recount(scope)
    for step_tree in steps:
        step = _step_from_tree(scope, step_tree)
        m.steps[step.instance] = step
    for position, composite_tree, live in composites:
        composite = folding.composite_from_tree(scope.shape.nodes[position], scope, composite_tree)
        scope.inner[position] = composite
        if scope.states[position] in (RUNNING, CANCELLING):
            m.composites[composite.instance] = composite
            if composite.node.kind == FOR_EACH:
                m.under_way[composite.node.id] += len(live)
        for index, scope_tree in live:
            inner = folding.scope_of(composite, index, take=False)
            composite.live[index] = inner
            _fill_scope(m, inner, scope_tree)


def _tree_of_step(step: LiveStep) -> list[Any]:
    return [
        step.position, step.attempt, step.job, step.failures, step.machine, step.submission, step.lost, step.due,
        step.asking,
    ]  # fmt: skip


def _step_from_tree(scope: Scope, tree: list[Any]) -> LiveStep:
    position, attempt, job, failures, machine, submission, lost, due, asking = tree
    step = LiveStep(scope, scope.shape.nodes[position], scope.instance(position), attempt)
    step.job = job
    step.failures = (failures[0], failures[1], failures[2])
    step.machine = machine
    step.submission = submission
    step.lost = lost
    step.due = due
    step.asking = asking
    return step
