"""Owns the reopening of a run that has ended: what a selection means, and what is done again because of it.

It goes in two passes. **Marking** walks the tree, predecessors first: what is selected, and what comes after anything
that is done again, goes back to `waiting`; a composite in which something is done again goes back to `running`, and
remembers in `todo` which of its openings are concerned. Nothing is put under way, so a hundred thousand items cost
their bytes and no more. **Resuming** (`composites.resume`) then starts what can start, items as the window allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.commands import Change
from meson_core.engine import folding, views
from meson_core.engine.composites import resume
from meson_core.engine.shapes import (
    BROKEN,
    CANCELLED,
    FAILED,
    FOR_EACH,
    OPEN,
    REPEAT,
    RUNNING,
    SKIPPED,
    STEP,
    WAITING,
    NodeShape,
)
from meson_core.spec.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.engine.memory import Composite, Memory, Scope
    from meson_core.events import Selection
    from meson_core.spec.plan import Instance

_FAILING = bytes(1 if state in (FAILED, CANCELLED) else 0 for state in range(256))


class Choice:
    """A selection, prepared for quick questions.

    Args:
        nodes: every instance of these is selected.
        around: composites in which instances of `nodes` stand, by node.
        instances: selected by themselves.
        openings: composite instance → the openings in which selected instances stand.
    """

    __slots__ = ("around", "failed", "instances", "nodes", "openings")

    def __init__(self, m: Memory, selection: Selection) -> None:
        self.failed = selection.failed
        self.nodes = frozenset(selection.nodes)
        self.instances = frozenset(selection.instances)
        self.around: set[int] = set()
        self.openings: dict[Instance, set[int]] = {}
        for node in self.nodes:
            self.around.update(above.id for above in _lineage(m, node))
        for instance in self.instances:
            self._note(m, instance)

    def _note(self, m: Memory, instance: Instance) -> None:
        for above in _lineage(m, instance[0]):
            depth = m.shapes.depth(above.id)
            indexed = above.kind in (FOR_EACH, REPEAT)
            openings = self.openings.setdefault((above.id, *instance[1 : depth + 1]), set())
            openings.add(instance[depth + 1] if indexed else 0)

    def names(self, instance: Instance) -> bool:
        """Whether this very instance is selected by name."""
        return instance[0] in self.nodes or instance in self.instances

    def points_into(self, instance: Instance) -> bool:
        """Whether something inside this composite is selected by name."""
        return instance[0] in self.around or instance in self.openings

    def openings_of(self, m: Memory, composite: Composite) -> Iterable[int]:
        """The openings of this composite in which something may be selected, in order."""
        everything = range(composite.next)
        if composite.node.id in self.around:
            return everything
        chosen = self.openings.get(composite.instance, set())
        if self.failed and any(m.counts[node][FAILED] or m.counts[node][CANCELLED] for node in composite.node.inside):
            folds = composite.folds[composite.slot]
            if folds.inner or composite.node.scopes[composite.slot].composites:
                return everything
            chosen = chosen | _failing_rows(folds.states, folds.size)
        return sorted(index for index in chosen if 0 <= index < composite.next)


def _lineage(m: Memory, node: int) -> Iterable[NodeShape]:
    """The composites around a node, from the innermost outwards."""
    owner = m.shapes.scopes[m.shapes.nodes[node].scope_id].owner
    while owner is not None:
        yield owner
        owner = m.shapes.scopes[owner.scope_id].owner


def _failing_rows(states: bytearray, size: int) -> set[int]:
    rows: set[int] = set()
    flags = states.translate(_FAILING)
    at = flags.find(1)
    while at >= 0:
        row = at // size
        rows.add(row)
        at = flags.find(1, (row + 1) * size)
    return rows


def reopen(m: Memory, selection: Selection) -> bool:
    """Open again what is selected and everything downstream of it.

    Returns:
        Whether there was anything to open.
    """
    choice = Choice(m, selection)
    if not _mark(m, m.root, choice):
        return False
    m.skipped_nodes -= choice.nodes
    m.skipped_instances -= choice.instances
    m.skipped_instances = {instance for instance in m.skipped_instances if instance[0] not in choice.nodes}
    folding.revive(m, m.root)
    resume(m, m.root)
    return True


def _mark(m: Memory, scope: Scope, choice: Choice) -> bool:
    """Mark what is to be done again in a scope; whether there is anything."""
    again: set[int] = set()
    for position in scope.shape.order:
        node = scope.shape.nodes[position]
        named = choice.names(scope.instance(position))
        if scope.states[position] == SKIPPED and not named and _is_skipped_by_order(m, scope, position):
            continue  # a person's word: it counts as done, and nothing that comes after it has changed
        if named or any(before in again for before in node.predecessors):
            _reset(m, scope, position)
            again.add(position)
        elif node.kind != STEP:
            if _mark_inside(m, scope, position, choice):
                m.move(scope, position, RUNNING, 0, "reopened")
                again.add(position)
            elif _is_meant_as_a_whole(scope, position, choice):
                _reset(m, scope, position)
                again.add(position)
        elif choice.failed and scope.states[position] in (FAILED, CANCELLED):
            _reset(m, scope, position)
            again.add(position)
    return bool(again)


def _is_skipped_by_order(m: Memory, scope: Scope, position: int) -> bool:
    """By a person, and not because its result was there."""
    return scope.shape.nodes[position].id in m.skipped_nodes or scope.instance(position) in m.skipped_instances


def _is_meant_as_a_whole(scope: Scope, position: int, choice: Choice) -> bool:
    """It failed or was cancelled by itself, or what is meant inside it never came into being."""
    if choice.failed and scope.states[position] in (FAILED, CANCELLED):
        return True
    composite = folding.composite_at(scope, position)
    missing = scope.states[position] >= FAILED and (composite is None or composite.total <= 0)
    return missing and choice.points_into(scope.instance(position))


def _mark_inside(m: Memory, scope: Scope, position: int, choice: Choice) -> bool:
    """Mark what is to be done again inside a composite; whether there is anything."""
    composite = folding.composite_at(scope, position)
    if composite is None or composite.total <= 0:
        return False
    if choice.failed and composite.node.kind == FOR_EACH:
        _close_cancelled(m, composite)
    for index in choice.openings_of(m, composite):
        opening = folding.unfold(composite, index)
        marked = _mark(m, opening, choice)
        folds = composite.folds[composite.slot]
        verdict = folds.verdicts[index]
        if marked:
            composite.todo.append(index)
            composite.failed -= verdict == BROKEN
        folding.fold(composite, opening, OPEN if marked else verdict)
        if marked and composite.node.kind == REPEAT:
            _drop_iterations(m, composite, index + 1)
            break
    composite.doomed = ""
    return bool(composite.todo) or composite.next < composite.total


def _close_cancelled(m: Memory, composite: Composite) -> None:
    """The last items, which were cancelled before they were opened, wait again as they did, all at once."""
    folds, shape = composite.folds[0], composite.node.scopes[0]
    attempts = folds.attempts[: composite.total * folds.size].tobytes().rstrip(b"\0")
    used = max(
        len(folds.states.rstrip(bytes((CANCELLED,)))),
        -(-len(attempts) // folds.attempts.itemsize),
        1 + max((key for key in folds.inner if key < len(folds.states)), default=-1),
    )
    first = -(-used // folds.size)
    number = composite.total - first
    if not number:
        return
    composite.next = first
    folds.states[first * folds.size :] = bytes(number * folds.size)
    folds.verdicts[first:] = bytes(number)
    for member in shape.members:
        m.counts[member][CANCELLED] -= number
        m.counts[member][WAITING] += number
    for node in shape.nodes:
        instance = (node.id, *composite.scope.indexes, first)
        m.changes.append(Change(instance, State.cancelled, State.waiting, 0, "to be done again", number))


def _drop_iterations(m: Memory, composite: Composite, first: int) -> None:
    """Iterations from here on are as if they had never begun; only their attempt numbers are remembered."""
    for index in range(first, composite.total):
        opening = folding.unfold(composite, index)
        for position, node in enumerate(opening.shape.nodes):
            _reset(m, opening, position)
            for number in (node.id, *(number for static in node.statics for number in static)):
                m.counts[number][WAITING] -= 1
        folding.fold(composite, opening, OPEN)
    composite.total = composite.next = first
    composite.folds[0].resize(first)


def _reset(m: Memory, scope: Scope, position: int) -> None:
    """Back to waiting, and what is inside with it."""
    node = scope.shape.nodes[position]
    state = scope.states[position]
    if node.kind != STEP:
        composite = folding.composite_at(scope, position)
        for number, inner_state, count in views.tally_inside(node, state, composite):
            m.counts[number][inner_state] -= count
        for static in node.statics:
            m.exist(static)
        if composite is not None:
            folding.forget(composite)
    m.move(scope, position, WAITING, 0, "to be done again")
