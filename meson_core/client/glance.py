"""Owns a run at a glance: its tree of nodes, and why one of them is not done; made from projections, never from instances."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from meson_core.client.progress import Estimate
from meson_core.client.reasons import counts_of, explain, note_of
from meson_core.client.records import RunTree, TreeNode, Why
from meson_core.spec.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.spec.plan import Plan
    from meson_core.store.records import InstanceRow, RunRow, SampleRecord
    from meson_core.store.store import Store


def read_tree(store: Store, run: RunRow, plan: Plan) -> RunTree:
    """A run with all its nodes.

    Args:
        store: where it is.
        run: the run.
        plan: its workflow.
    """
    run_id = run.run_id
    rows = {each.node: each for each in store.nodes(run_id)}
    samples = store.samples(run_id)
    waits = {each.node: each for each in store.waits(run_id)}
    now = time.time() if run.ended_at is None else run.ended_at
    estimate = Estimate(plan, rows, samples, store.durations(run.workflow), now, run.created_at)
    by_node: dict[int, list[SampleRecord]] = {}
    for sample in samples:
        by_node.setdefault(sample.instance[0], []).append(sample)
    nodes = []
    for node in plan.nodes:
        progress = estimate.node(node.id)
        counts = counts_of(plan, node.id, rows)
        note = note_of(counts, by_node.get(node.id, ()), waits.get(node.id), _one_of(store, run_id, node.id))
        nodes.append(
            TreeNode(
                node=node.id,
                name=node.name,
                kind=node.spec.node,
                owner=plan.scopes[node.scope].owner,
                counts=tuple(counts),
                fraction=progress.fraction,
                eta_s=progress.eta_s,
                took_s=progress.took_s,
                mean_s=progress.mean_s,
                note=note,
            )
        )
    whole = estimate.run(run.ended_at)
    return RunTree(
        run_id=run_id,
        workflow=run.workflow,
        state=run.state,
        generation=run.generation,
        created_at=run.created_at,
        ended_at=run.ended_at,
        fraction=whole.fraction,
        eta_s=whole.eta_s,
        seq=run.seq,
        at=now,
        nodes=tuple(nodes),
    )


def read_why(store: Store, run: RunRow, plan: Plan, number: int) -> Why:
    """Why a node is not done.

    Args:
        store: where the run is.
        run: the run.
        plan: its workflow.
        number: the node.
    """
    rows = {each.node: each for each in store.nodes(run.run_id)}
    counts = counts_of(plan, number, rows)
    waiting = counts[State.ready]
    # What placement wrote last may be about instances that have found a machine since.
    wait = next((each for each in store.waits(run.run_id) if each.node == number), None) if waiting else None
    lines = explain(plan, number, run.state, rows, wait, _one_of(store, run.run_id, number))
    return Why(
        step=plan.nodes[number].name,
        lines=tuple(lines),
        counts={state.name: counts[state] for state in State if counts[state]},
        waiting=waiting,
        detail=None if wait is None else wait.detail,
    )


def _one_of(store: Store, run_id: str, node: int) -> Callable[[State], InstanceRow | None]:
    def one_in(state: State) -> InstanceRow | None:
        found = store.instances(run_id, node=node, states=(state,), limit=1)
        return found[0] if found else None

    return one_in
