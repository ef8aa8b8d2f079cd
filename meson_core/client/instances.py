"""Owns step instances as people see them: with names, with all their attempts, and with what they have put out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.client.records import Attempt, StepInstance
from meson_core.spec.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.records import InstanceRow
    from meson_core.store.store import Store

#: More attempts of one instance than anybody looks at.
_MAX_ATTEMPTS = 1000
#: States of an attempt that is under way.
_AT_WORK = (State.starting, State.running, State.lost, State.cancelling)


def named(plan: Plan, row: InstanceRow) -> StepInstance:
    """An instance with the name of its step, and its outputs as values."""
    return StepInstance(
        step=plan.nodes[row.node].name,
        instance=row.instance,
        state=row.state.name,
        attempt=row.attempt,
        why=row.why,
        machine=row.machine,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outputs=None if row.outputs is None else msgspec.json.decode(row.outputs),
        failure=row.failure,
        external_id=row.external_id,
        fraction=row.fraction,
        message=row.message,
    )


def read_attempts(store: Store, run_id: str, plan: Plan, instance: Instance) -> list[Attempt]:
    """All attempts of one instance: those that came to nothing, and the present one."""
    step = plan.nodes[instance[0]].name
    found = [
        Attempt(
            step=step,
            instance=instance,
            attempt=each.attempt,
            outcome="killed" if each.cause is None else each.cause.value,
            machine=each.machine,
            began=each.began,
            ended=each.ended,
            failure=each.failure,
        )
        for each in store.attempts(run_id, instance, limit=_MAX_ATTEMPTS)
    ]
    present = store.instance(run_id, instance)
    if present is None or any(each.attempt == present.attempt for each in found):
        return found
    if present.state is State.succeeded or present.state in _AT_WORK:
        found.append(
            Attempt(
                step=step,
                instance=instance,
                attempt=present.attempt,
                outcome="succeeded" if present.state is State.succeeded else "running",
                machine=present.machine,
                began=present.started_at,
                ended=present.ended_at,
                failure=None,
            )
        )
    return found


def read_outputs(store: Store, run_id: str, plan: Plan, nodes: Iterable[int], limit: int) -> dict[str, Any]:
    """What steps have put out, by name; of a step inside a for_each or repeat `[indexes, outputs]` of each instance."""
    found: dict[str, Any] = {}
    for number in nodes:
        put_out = [
            (each.indexes, msgspec.json.decode(each.outputs))
            for each in store.outputs_of(run_id, number, limit=limit)
            if each.outputs is not None
        ]
        node = plan.nodes[number]
        if put_out:
            found[node.name] = put_out if node.depth else put_out[0][1]
    return found
