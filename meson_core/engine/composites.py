"""Owns for_each, repeat, choose and subworkflow: how they start, what answers do to them, how their scopes end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meson_core.commands import Evaluate
from meson_core.engine import folding, scopes
from meson_core.engine.memory import Composite, Memory, Scope
from meson_core.engine.shapes import (
    ACTIVATED,
    BROKEN,
    CANCELLED,
    CANCELLING,
    CHOOSE,
    FAILED,
    FINE,
    FOR_EACH,
    IMPLIED,
    NOT_CHOSEN,
    REPEAT,
    RUNNING,
    STOPPED,
    SUCCEEDED,
    VERDICT_STATE,
    WAITING,
)
from meson_core.engine.stopping import end_composite, stop_content
from meson_core.errors import InvalidTransitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.events import BranchChosen, EvaluationFailed, ItemsResolved, IterationJudged


# --- starting -----------------------------------------------------------------------------------------------------


def start(m: Memory, scope: Scope, position: int) -> None:
    """The join of this composite is satisfied; by now it may have been stopped, or started by another branch."""
    if scope.states[position] > ACTIVATED:
        return
    node = scope.shape.nodes[position]
    composite = folding.composite_at(scope, position)
    if composite is None:
        composite = scope.inner[position] = Composite(node, scope)
    m.composites[composite.instance] = composite
    m.move(scope, position, RUNNING)
    if node.kind == FOR_EACH:
        composite.total = -1
        composite.pending = True
        m.commands.append(Evaluate(composite.instance, "items"))
    elif node.kind == CHOOSE:
        composite.pending = True
        m.commands.append(Evaluate(composite.instance, "branch"))
    elif node.kind == REPEAT:
        _next_iteration(m, composite)
    else:
        _open_only(m, composite, 0)


def _open(m: Memory, composite: Composite, index: int) -> None:
    scope = folding.scope_of(composite, index)
    composite.live[index] = scope
    scopes.begin(m, scope)


def _open_only(m: Memory, composite: Composite, slot: int) -> None:
    """Open the one scope of a choose or subworkflow."""
    composite.slot = slot
    composite.total = composite.next = 1
    composite.folds[slot].resize(1)
    _open(m, composite, 0)


def _next_iteration(m: Memory, composite: Composite) -> None:
    index = composite.total
    composite.total = composite.next = index + 1
    composite.folds[0].resize(index + 1)
    m.exist(composite.node.scopes[0].members)
    _open(m, composite, index)


def _fill(m: Memory, composite: Composite) -> None:
    """Open items up to `max_parallel` and to the window, which all instances of the node share; each may have one."""
    node, live = composite.node, composite.live
    limit = min(m.window, node.max_parallel or m.window)
    while len(live) < limit and (composite.todo or composite.next < composite.total):
        if live and m.under_way[node.id] >= m.window:
            m.hungry.setdefault(node.id, {})[composite.instance] = None
            return
        if composite.todo:
            resume(m, folding.unpark(m, composite, composite.todo.popleft()))
        else:
            m.under_way[node.id] += 1
            composite.next += 1
            _open(m, composite, composite.next - 1)


def _feed(m: Memory, node: int) -> None:
    """An item of this for_each node has ended: others of its instances may have waited for room in the window."""
    hungry = m.hungry.get(node)
    while hungry and m.under_way[node] < m.window:
        instance = next(iter(hungry))
        del hungry[instance]
        composite = m.composites.get(instance)
        if composite is not None:
            _fill(m, composite)


def resume(m: Memory, scope: Scope) -> None:
    """Go on with a scope that was reopened: start what can start, in it and in the composites that are to go on."""
    states = bytes(scope.states)
    for position in scope.shape.order:
        if states[position] == WAITING:
            scopes.consider(m, scope, position, states)
        elif states[position] == RUNNING:
            composite = m.composites[scope.instance(position)]
            if composite.node.kind == FOR_EACH:
                _fill(m, composite)
            else:
                resume(m, folding.unpark(m, composite, composite.todo.popleft()))


# --- ends of scopes -----------------------------------------------------------------------------------------------


def scope_ended(m: Memory, scope: Scope) -> None:
    """The last node of this scope has ended."""
    composite = scope.owner
    assert composite is not None
    verdict = BROKEN if scope.failed else STOPPED if scope.cancelled else FINE
    del composite.live[scope.index]
    folding.fold(composite, scope, verdict)
    kind = composite.node.kind
    if kind == FOR_EACH:
        _item_ended(m, composite, verdict)
    elif kind == REPEAT:
        _iteration_ended(m, composite, verdict)
    else:
        end_composite(m, composite, FAILED if composite.doomed else VERDICT_STATE[verdict], composite.doomed)


def _item_ended(m: Memory, composite: Composite, verdict: int) -> None:
    node = composite.node
    m.under_way[node.id] -= 1
    if verdict == BROKEN:
        composite.failed += 1
        if composite.failed > node.max_failed and node.at_once:
            stop_content(m, composite)
    _fill(m, composite)
    if not composite.live:
        _end_for_each(m, composite)
    if node.id in m.hungry:
        _feed(m, node.id)


def _end_for_each(m: Memory, composite: Composite) -> None:
    if composite.doomed:
        end_composite(m, composite, FAILED, composite.doomed)
    elif composite.failed > composite.node.max_failed:
        end_composite(m, composite, FAILED, f"{composite.failed} of {composite.total} items failed")
    elif STOPPED in composite.folds[0].verdicts:
        end_composite(m, composite, CANCELLED)
    else:
        end_composite(m, composite, SUCCEEDED)


def _iteration_ended(m: Memory, composite: Composite, verdict: int) -> None:
    iteration = composite.total - 1
    if composite.doomed or verdict == BROKEN:
        end_composite(m, composite, FAILED, composite.doomed or f"iteration {iteration + 1} failed")
    elif verdict == STOPPED or composite.scope.states[composite.position] == CANCELLING:
        end_composite(m, composite, CANCELLED)
    else:
        composite.pending = True
        m.commands.append(Evaluate(composite.instance, "iteration", iteration))


# --- answers ------------------------------------------------------------------------------------------------------


def expand(m: Memory, composite: Composite, event: ItemsResolved) -> None:
    if event.count < 0:
        message = f"{event.count} items"
        raise InvalidTransitionError(message)
    composite.pending = False
    composite.total = event.count
    composite.folds[0].resize(event.count)
    m.exist(composite.node.scopes[0].members, event.count)
    if event.count:
        _fill(m, composite)
    else:
        end_composite(m, composite, SUCCEEDED, "no items")


def choose(m: Memory, composite: Composite, event: BranchChosen) -> None:
    statics = composite.node.statics
    if not -1 <= event.branch < len(statics):
        message = f"branch {event.branch} of {len(statics)}"
        raise InvalidTransitionError(message)
    composite.pending = False
    for slot, members in enumerate(statics):
        if slot != event.branch:
            m.imply(members, composite.scope.indexes, NOT_CHOSEN, "")
    if event.branch < 0:
        end_composite(m, composite, SUCCEEDED, "no branch was taken")
    else:
        _open_only(m, composite, event.branch)


def judge(m: Memory, composite: Composite, event: IterationJudged) -> None:
    if event.iteration != composite.total - 1:
        return
    composite.pending = False
    if event.done:
        end_composite(m, composite, SUCCEEDED)
    elif composite.total < composite.node.max_iterations:
        _next_iteration(m, composite)
    else:
        state = FAILED if composite.node.exhausted_fails else SUCCEEDED
        end_composite(m, composite, state, f"{composite.total} iterations were not enough")


def doom(m: Memory, composite: Composite, event: EvaluationFailed) -> None:
    """Its items, its way, its until or its inputs cannot be computed."""
    if composite.slot < 0:
        for members in composite.node.statics:
            m.imply(members, composite.scope.indexes, IMPLIED[FAILED], "")
    if composite.live:
        composite.doomed = event.failure.message or "an expression of it failed"
        stop_content(m, composite)
    else:
        composite.pending = False
        end_composite(m, composite, FAILED, event.failure.message)


#: By event: the kind that it is for, and what it does.
ANSWERS: Final[dict[str, tuple[int, Callable[[Memory, Composite, Any], None]]]] = {
    "ItemsResolved": (FOR_EACH, expand),
    "BranchChosen": (CHOOSE, choose),
    "IterationJudged": (REPEAT, judge),
}
