"""Owns what can be asked of a run without changing it: states, what is under way, what is to be ordered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meson_core.commands import Command, EndRun, Enqueue, Evaluate, Fence, Kill, Launch, SetTimer
from meson_core.engine import folding
from meson_core.engine.attempts import question
from meson_core.engine.identity import RUN_TIMER
from meson_core.engine.shapes import (
    ACTIVATED,
    CANCELLING,
    CHOOSE,
    FOR_EACH,
    IMPLIED,
    LOST,
    NOT_CHOSEN,
    READY,
    REPEAT,
    RETRYING,
    RUNNING,
    STARTING,
    STATES,
    STEP,
    WAITING,
    NodeShape,
    ScopeShape,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.engine.memory import Composite, LiveStep, Memory, Scope
    from meson_core.spec.plan import Instance
    from meson_core.spec.states import State


#: More attempts than there can be.
ANY: Final = 1 << 32


class LiveAttempt(NamedTuple):
    """An attempt that may be at work somewhere.

    Args:
        job: the attempt that began its external job.
        machine: where it was placed.
        state: starting, running, lost or cancelling.
    """

    instance: Instance
    attempt: int
    job: int
    machine: str
    state: State


def live(m: Memory) -> Iterator[LiveAttempt]:
    for _, step in sorted(m.steps.items()):
        state = step.scope.states[step.position]
        if state in (STARTING, RUNNING, LOST, CANCELLING):
            yield LiveAttempt(step.instance, step.attempt, step.job, step.machine, STATES[state])


def outstanding(m: Memory) -> list[Command]:
    """What must be ordered again when it is not known whether earlier orders were carried out."""
    if m.run_state.ended:
        return [EndRun(m.run_state)]
    commands: list[Command] = [] if m.due is None else [SetTimer(RUN_TIMER, m.due)]
    for _, composite in sorted(m.composites.items()):
        if composite.pending:
            commands.append(_question(composite))
    for _, step in sorted(m.steps.items()):
        commands.extend(_orders(m, step))
    return commands


def _question(composite: Composite) -> Evaluate:
    if composite.node.kind == REPEAT:
        return Evaluate(composite.instance, "iteration", composite.total - 1)
    return Evaluate(composite.instance, "items" if composite.node.kind == FOR_EACH else "branch")


def _orders(m: Memory, step: LiveStep) -> Iterator[Command]:
    state = step.scope.states[step.position]
    if state == READY and step.asking:
        yield question(m, step)
    elif state == READY:
        yield Enqueue(step.instance, step.attempt, step.job)
    elif state in (STARTING, RUNNING):
        yield Launch(step.instance, step.attempt, step.job, step.machine)
    elif state == RETRYING:
        yield SetTimer((*step.instance, step.attempt), step.due)
    elif state == CANCELLING:
        yield Kill(step.instance, step.attempt, step.node.grace_s)
    if step.lost:
        yield Fence(step.instance, step.attempt)


# --- states of all that exists ------------------------------------------------------------------------------------


def find(m: Memory, instance: Instance) -> tuple[int, int] | None:
    """State and highest attempt number of any instance; None when it does not exist (yet, or any more)."""
    found = _opening_around(m, instance)
    if found is None:
        return None
    if isinstance(found, int):
        # What has not opened has had no attempt, unless it was open before a reopening.
        return found, ANY if m.generation else 0
    position = m.shapes.nodes[instance[0]].position
    return found.states[position], found.attempts[position]


def total_of(m: Memory, instance: Instance) -> int:
    """Items of a for_each, iterations that a repeat has begun, 1 for any other composite that has opened; else 0."""
    composite = m.composites.get(instance)
    if composite is None:
        node = m.shapes.nodes[instance[0]]
        scope = _opening_around(m, instance)
        if scope is None or isinstance(scope, int) or scope.states[node.position] <= ACTIVATED:
            return 0
        composite = folding.composite_at(scope, node.position)
    return 0 if composite is None else max(0, composite.total)


def _opening_around(m: Memory, instance: Instance) -> Scope | int | None:
    """The scope in which an instance stands; the state that is implied when that never opened; None when there is none."""
    node = m.shapes.nodes[instance[0]]
    path: list[ScopeShape] = []
    shape = m.shapes.scopes[node.scope_id]
    while shape.owner is not None:
        path.append(shape)
        shape = m.shapes.scopes[shape.owner.scope_id]
    scope = m.root
    indexes = iter(instance[1:])
    for inner in reversed(path):
        above = inner.owner
        assert above is not None
        composite = folding.composite_at(scope, above.position)
        index = 0
        if above.kind in (FOR_EACH, REPEAT):
            index = next(indexes)
        elif composite is None or composite.slot != inner.slot or not composite.total:
            other_way = composite is not None and composite.slot >= 0 and above.kind == CHOOSE
            return NOT_CHOSEN if other_way else IMPLIED[scope.states[above.position]]
        if composite is None or not 0 <= index < composite.total:
            return None
        if index in composite.live:
            scope = composite.live[index]
        elif above.kind == FOR_EACH and index >= composite.next:
            return WAITING  # not opened yet
        else:
            scope = folding.peek(composite, index)
    return scope


def tally(m: Memory) -> Iterator[tuple[int, int, int]]:
    """Every instance that exists, counted anew: (node, state, number)."""
    yield from tally_scope(m.root)


def tally_scope(scope: Scope) -> Iterator[tuple[int, int, int]]:
    for position, node in enumerate(scope.shape.nodes):
        yield node.id, scope.states[position], 1
        if node.kind != STEP:
            yield from tally_inside(node, scope.states[position], folding.composite_at(scope, position))


def tally_inside(node: NodeShape, state: int, composite: Composite | None) -> Iterator[tuple[int, int, int]]:
    """What exists inside a composite in this state."""
    if node.statics:
        slot = -1 if composite is None or not composite.total else composite.slot
        for other, members in enumerate(node.statics):
            if other != slot:
                after = NOT_CHOSEN if slot >= 0 else IMPLIED[state]
                for member in members:
                    yield member, after, 1
    if composite is None:
        return
    if node.kind == FOR_EACH and not composite.live and not node.scopes[0].composites:
        yield from _tally_rows(node.scopes[0], composite.folds[0].states)
        return
    for index in range(composite.total):
        scope = composite.live.get(index)
        if scope is not None:
            yield from tally_scope(scope)
        elif node.kind == FOR_EACH and index >= composite.next:
            break
        else:
            yield from tally_scope(folding.peek(composite, index))
    if composite.next < composite.total:
        for member in node.scopes[0].members:
            yield member, WAITING, composite.total - composite.next


def _tally_rows(shape: ScopeShape, states: bytearray) -> Iterator[tuple[int, int, int]]:
    """Folded scopes that hold nothing but steps, column by column."""
    for position, node in enumerate(shape.nodes):
        column = states[position :: shape.size]
        for state in range(len(STATES)):
            number = column.count(state)
            if number:
                yield node.id, state, number


# --- the story of an instance -------------------------------------------------------------------------------------


def story(m: Memory, instance: Instance) -> list[str]:
    """What the engine knows of an instance, oldest first: its last events, then how it stands."""
    lines = [
        f"{kind.__name__} at {at:.3f}" + (f", attempt {attempt}" if attempt else "")
        for kind, at, of, attempt in m.recent
        if of == instance
    ]
    found = find(m, instance)
    name = m.shapes.nodes[instance[0]].name + (str(list(instance[1:])) if len(instance) > 1 else "")
    if found is None:
        return [*lines, f"{name} does not exist now"]
    lines.append(f"{name} is {STATES[found[0]].label}")
    step = m.steps.get(instance)
    if step is not None:
        user, platform, timeout = step.failures
        lines.append(
            f"attempt {step.attempt} (job {step.job}) on machine {step.machine or 'none'}; "
            f"failures: {user} user, {platform} platform, {timeout} timeout"
        )
    return lines
