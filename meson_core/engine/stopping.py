"""Owns stopping: what is in a scope is cancelled, on request or because something in it failed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.commands import Change
from meson_core.engine import folding
from meson_core.engine.dispatch import STOP
from meson_core.engine.shapes import (
    ACTIVATED,
    CANCELLED,
    CANCELLING,
    IMPLIED,
    RUNNING,
    STATES,
    STEP,
    STOPPED,
    SUCCEEDED,
    WAITING,
)

if TYPE_CHECKING:
    from meson_core.engine.memory import Composite, Memory, Scope


def stop_scope(m: Memory, scope: Scope) -> None:
    """Cancel what is in it; what has ended stays as it is. Doing it twice changes nothing."""
    for position, state in enumerate(bytes(scope.states)):
        if state >= SUCCEEDED:
            continue
        if state <= ACTIVATED:
            m.end_unstarted(scope, position, CANCELLED)
        elif scope.shape.nodes[position].kind == STEP:
            step = m.steps[scope.instance(position)]
            STOP[state](m, step, None)
        elif state == RUNNING:
            stop_composite(m, m.composites[scope.instance(position)])


def stop_composite(m: Memory, composite: Composite) -> None:
    """Cancel a composite that is under way."""
    m.move(composite.scope, composite.position, CANCELLING)
    stop_content(m, composite)
    if not composite.live:
        end_composite(m, composite, CANCELLED)


def stop_content(m: Memory, composite: Composite) -> None:
    """Cancel what is in a composite: the scopes under way, those to be done again, the items not yet opened."""
    if composite.pending:
        composite.pending = False
        if composite.slot < 0:  # a choose that has not chosen
            for static in composite.node.statics:
                m.imply(static, composite.scope.indexes, CANCELLED, "")
    while composite.todo:
        folding.unpark(m, composite, composite.todo.popleft())
    for _, scope in sorted(composite.live.items()):
        stop_scope(m, scope)
    if composite.next < composite.total:
        _cancel_unopened(m, composite)


def _cancel_unopened(m: Memory, composite: Composite) -> None:
    """All at once: there may be a hundred thousand of them."""
    folds, shape = composite.folds[0], composite.node.scopes[0]
    first, number = composite.next, composite.total - composite.next
    composite.next = composite.total
    folds.states[first * folds.size :] = bytes((CANCELLED,)) * (number * folds.size)
    folds.verdicts[first:] = bytes((STOPPED,)) * number
    indexes = (*composite.scope.indexes, first)
    implied = IMPLIED[CANCELLED]
    for node in shape.members:
        m.counts[node][WAITING] -= number
        m.counts[node][implied] += number
        m.changes.append(Change((node, *indexes), STATES[WAITING], STATES[implied], 0, "", number))


def end_composite(m: Memory, composite: Composite, state: int, why: str = "") -> None:
    """It has ended; its own failure mode speaks to the scope that it stands in."""
    del m.composites[composite.instance]
    m.end(composite.scope, composite.position, state, 0, why)
