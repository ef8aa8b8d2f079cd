"""Owns why a step is not done: put together from counts, from what its instances say, and from what placement wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.spec.plan import ROOT
from meson_core.spec.states import ENDED, RunState, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meson_core.spec.plan import Plan
    from meson_core.store.records import InstanceRow, NodeRow, SampleRecord, WaitRecord

#: What is told first: what needs a person, then what went wrong, then what is going on, then what waits.
_ORDER = (
    State.outcome_unknown,
    State.lost,
    State.failed,
    State.upstream_failed,
    State.cancelled,
    State.cancelling,
    State.retrying,
    State.paused,
    State.ready,
    State.starting,
    State.running,
    State.activated,
    State.waiting,
)
_WAITING = (State.waiting, State.activated)
_RUN = {
    RunState.paused: "the run is paused: nothing new starts until it is resumed",
    RunState.cancelling: "the run is being cancelled",
}
#: One instance in such a state says why it is in it.
_TELLING = frozenset(_ORDER) - {State.waiting, State.activated, State.ready}


def explain(
    plan: Plan,
    number: int,
    run_state: RunState,
    rows: Mapping[int, NodeRow],
    wait: WaitRecord | None,
    one_in: Callable[[State], InstanceRow | None],
) -> list[str]:
    """The reasons why a node is not done, the most telling first.

    Args:
        plan: the run's workflow.
        number: the node.
        run_state: the state of the run.
        rows: what is known of all nodes.
        wait: why its instances wait for machines, as placement saw it.
        one_in: gives some instance of the node in a state, or None.
    """
    counts = counts_of(plan, number, rows)
    lines = [_RUN[run_state]] if run_state in _RUN else []
    for state in _ORDER:
        count = counts[state]
        if not count:
            continue
        lines.append(_line(plan, number, state, count, sum(counts), rows, wait, one_in))
    if not any(counts):
        around = plan.scopes[plan.nodes[number].scope].owner
        if all_ended(counts_of(plan, around, rows)):
            return [*lines, f"there is nothing to do: {plan.nodes[around].name} has ended without it"]
        return [*lines, f"waiting: {_blocked(plan, number, rows)}"]
    rest = [state for state in State if counts[state] and state not in _ORDER]
    if rest:
        total = sum(counts)
        done = ", ".join(f"{counts[state]} {state.label}" for state in rest) if total > 1 else rest[0].label
        whole = sum(counts[state] for state in rest) == total
        lines.append(f"{'it' if total == 1 else 'all of it' if whole else 'the rest'} has ended: {done}")
    return lines


def _line(
    plan: Plan,
    number: int,
    state: State,
    count: int,
    total: int,
    rows: Mapping[int, NodeRow],
    wait: WaitRecord | None,
    one_in: Callable[[State], InstanceRow | None],
) -> str:
    subject = state.label if total == 1 else f"{count} {state.label}"
    if state is State.ready:
        if wait is not None:
            return f"{subject}: {wait.reason}"
        some = one_in(state)
        return f"{subject}: {some.why if some is not None and some.why else 'placement has not looked at it yet'}"
    if state in _WAITING:
        return f"{subject}: {_blocked(plan, number, rows)}"
    row = one_in(state) if state in _TELLING else None
    if row is None or not (row.why or row.message):
        return subject
    told = row.why or row.message or ""
    if total == 1:
        return f"{subject}: {told}"
    return f"{subject}, for example {list(row.instance[1:])}: {told}"


def _blocked(plan: Plan, number: int, rows: Mapping[int, NodeRow]) -> str:
    """What has to end, or to begin, before waiting instances of this node can go on."""
    node = plan.nodes[number]
    members = plan.scopes[node.scope].nodes
    owner = plan.scopes[node.scope].owner
    if owner != ROOT and not _begun(counts_of(plan, owner, rows)):
        return f"is inside {plan.nodes[owner].name}, which {_blocked(plan, owner, rows)}"
    open_ones = [
        f"{plan.nodes[members[position]].name} ({loudest(counts_of(plan, members[position], rows)).label})"
        for position in node.predecessors
        if not all_ended(counts_of(plan, members[position], rows))
    ]
    if open_ones:
        return "waits for " + ", ".join(open_ones)
    if owner == ROOT:
        return "about to start"
    return f"waits for its turn inside {plan.nodes[owner].name}: only some items are under way at a time"


def _begun(counts: Sequence[int]) -> bool:
    return any(counts[state] for state in State if state not in _WAITING)


def counts_of(plan: Plan, number: int, rows: Mapping[int, NodeRow]) -> Sequence[int]:
    """Instances by state; a node outside every loop has one, which waits until something else is known."""
    row = rows.get(number)
    if row is not None and any(row.counts):
        return row.counts
    counts = [0] * len(State)
    if not plan.nodes[number].depth:
        counts[State.waiting] = 1
    return counts


def all_ended(counts: Sequence[int]) -> bool:
    """Whether there are instances, and all of them have ended."""
    return any(counts) and all(ENDED[state] for state in State if counts[state])


def loudest(counts: Sequence[int]) -> State:
    """The state that says most about these instances."""
    return next((state for state in _ORDER if counts[state]), next((s for s in State if counts[s]), State.waiting))


def note_of(
    counts: Sequence[int],
    samples: Sequence[SampleRecord],
    wait: WaitRecord | None,
    one_in: Callable[[State], InstanceRow | None],
) -> str:
    """One line beside a node: the worst that happened, the latest message, or why it waits."""
    for state in (State.outcome_unknown, State.lost, State.failed, State.retrying, State.upstream_failed):
        if counts[state]:
            row = one_in(state)
            return row.why if row is not None else ""
    told = [sample for sample in samples if sample.message]
    if told:
        return max(told, key=lambda sample: sample.at).message or ""
    if counts[State.ready] and wait is not None:
        return wait.reason
    return ""
