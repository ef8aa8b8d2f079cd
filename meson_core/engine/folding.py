"""Owns the change between scopes as objects and scopes as bytes: folding, packing, and back."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec

from meson_core.engine.memory import Composite, Folds, Memory, Scope
from meson_core.engine.shapes import (
    CANCELLED,
    CHOOSE,
    FAILED,
    FOR_EACH,
    REPEAT,
    RUNNING,
    SUCCEEDED,
    NodeShape,
    ScopeShape,
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


# --- scopes and rows ----------------------------------------------------------------------------------------------


def scope_of(composite: Composite, index: int, *, take: bool = True) -> Scope:
    """A fresh scope object for this opening, every node waiting, with the attempt numbers of before.

    Args:
        composite: where it opens.
        index: which opening.
        take: whether the composites of before move into it; False leaves the composite as it is.
    """
    node = composite.node
    shape = node.scopes[composite.slot]
    folds = composite.folds[composite.slot]
    above = composite.scope.indexes
    size = shape.size
    start = index * size
    indexes = (*above, index) if node.kind in (FOR_EACH, REPEAT) else above
    scope = Scope(shape, composite, index, indexes, folds.attempts[start : start + size])
    if folds.inner:
        for position in shape.composites:
            packed = folds.inner.pop(start + position, None) if take else folds.inner.get(start + position)
            if packed is not None:
                scope.inner[position] = packed
    return scope


def unfold(composite: Composite, index: int) -> Scope:
    """The scope object of an opening that was folded, in the states that it had."""
    return _with_states(composite, scope_of(composite, index))


def peek(composite: Composite, index: int) -> Scope:
    """A copy of an opening that was folded, to look at; the composite keeps its own."""
    return _with_states(composite, scope_of(composite, index, take=False))


def _with_states(composite: Composite, scope: Scope) -> Scope:
    start = scope.index * scope.shape.size
    scope.states[:] = composite.folds[composite.slot].states[start : start + scope.shape.size]
    return scope


def fold(composite: Composite, scope: Scope, verdict: int) -> None:
    """Put the scope back into the composite's arrays."""
    folds = composite.folds[composite.slot]
    size = folds.size
    start = scope.index * size
    folds.states[start : start + size] = scope.states
    folds.attempts[start : start + size] = scope.attempts
    folds.verdicts[scope.index] = verdict
    for position, inner in scope.inner.items():
        folds.inner[start + position] = inner if isinstance(inner, bytes) else pack(inner)


def unpark(m: Memory, composite: Composite, index: int) -> Scope:
    """Put an opening that is to be done again under way; nothing in it is started yet."""
    scope = unfold(composite, index)
    composite.live[index] = scope
    if composite.node.kind == FOR_EACH:
        m.under_way[composite.node.id] += 1
    revive(m, scope)
    return scope


def revive(m: Memory, scope: Scope) -> None:
    """Put the composites in it that are to go on under way; nothing in them is started yet."""
    recount(scope)
    for position in scope.shape.composites:
        if scope.states[position] == RUNNING:
            inner = composite_at(scope, position)
            assert inner is not None
            m.composites[inner.instance] = inner


def recount(scope: Scope) -> None:
    """Derive from the states what a scope under way knows about itself."""
    states = scope.states
    nodes = scope.shape.nodes
    scope.left = sum(state < SUCCEEDED for state in states)
    scope.failed = any(state == FAILED and not node.forgiving for node, state in zip(nodes, states, strict=True))
    scope.cancelled = CANCELLED in states
    scope.missing = [sum(states[before] < SUCCEEDED for before in node.predecessors) for node in nodes]


# --- composites and bytes -----------------------------------------------------------------------------------------


def composite_at(scope: Scope, position: int) -> Composite | None:
    """What is known of the composite there; None when it never started."""
    inner = scope.inner.get(position)
    if isinstance(inner, bytes):
        inner = scope.inner[position] = composite_from_tree(scope.shape.nodes[position], scope, _decode(inner))
    return inner


def pack(composite: Composite) -> bytes:
    """A composite of which nothing is under way, as bytes."""
    assert not composite.live
    return _encode(tree_of_composite(composite))


def forget(composite: Composite) -> None:
    """Go back to before the start, with nothing kept but attempt numbers, all the way down."""
    for folds, shape in zip(composite.folds, composite.node.scopes, strict=True):
        folds.resize(0)
        for key, packed in folds.inner.items():
            inner = composite_from_tree(shape.nodes[key % shape.size], composite.scope, _decode(packed))
            forget(inner)
            folds.inner[key] = pack(inner)
    composite.todo.clear()
    composite.slot = -1 if composite.node.kind == CHOOSE else 0
    composite.total = composite.next = composite.failed = 0
    composite.doomed = ""


def tree_of_composite(composite: Composite) -> list[Any]:
    """Plain data; what is under way inside it is left to the caller."""
    return [
        composite.total,
        composite.next,
        composite.slot,
        composite.failed,
        composite.pending,
        composite.doomed,
        array("I", composite.todo).tobytes(),
        [_tree_of_folds(folds) for folds in composite.folds],
    ]


def composite_from_tree(node: NodeShape, scope: Scope, tree: list[Any]) -> Composite:
    """What `tree_of_composite` wrote."""
    composite = Composite(node, scope)
    total, next_, slot, failed, pending, doomed, todo, folds = tree
    composite.total = total
    composite.next = next_
    composite.slot = slot
    composite.failed = failed
    composite.pending = pending
    composite.doomed = doomed
    composite.todo.extend(array("I", todo))
    composite.folds = [_folds_from_tree(shape, tree) for shape, tree in zip(node.scopes, folds, strict=True)]
    return composite


def _tree_of_folds(folds: Folds) -> list[Any]:
    inner = sorted(folds.inner.items())
    return [bytes(folds.states), folds.attempts.tobytes(), bytes(folds.verdicts), inner]


def _folds_from_tree(shape: ScopeShape, tree: list[Any]) -> Folds:
    folds = Folds(shape.size)
    states, attempts, verdicts, inner = tree
    folds.states += states
    folds.attempts.frombytes(attempts)
    folds.verdicts += verdicts
    folds.inner = dict(inner)
    return folds
