"""Owns what people type for runs, steps and instances, and what they are told when there is no such thing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meson_core.errors import ConflictError, NotFoundError, UnknownNameError, nearest
from meson_core.spec.model import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.records import RunRow
    from meson_core.store.store import Store

#: Stands for the run that was created last.
LAST = "last"
_SHOWN = 5
_INSTANCE = re.compile(r"(?P<step>[^\[\]]+)(?P<indexes>(\[\d+(?:,\s*\d+)*\])*)")


def find_run(store: Store, ref: str) -> RunRow:
    """The run that is meant.

    Args:
        store: where it is.
        ref: its id, the beginning of its id, or "last".

    Raises:
        NotFoundError: no run, or several, could be meant.
        ConflictError: it has been submitted, and is none yet.
    """
    if ref == LAST:
        latest = store.runs(limit=1)
        if not latest:
            raise NotFoundError("there is no run in this store yet", hint="start one: mesonctl run FILE")
        return latest[0]
    found = [run] if (run := store.run(ref)) is not None else store.runs_by_prefix(ref, _SHOWN + 1) if ref else []
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(run.run_id for run in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise NotFoundError(f"{ref!r} is the beginning of several runs: {shown}", hint="type more of the id")
    submitted = [wish.run_id for wish in store.wishes() if wish.what == "start" and ref and wish.run_id.startswith(ref)]
    if submitted:
        raise ConflictError(
            f"run {submitted[0]} is submitted, and nobody has begun it yet",
            hint="it begins with the next orchestrator of this project: mesonctl serve",
        )
    close = nearest(ref, (run.run_id for run in store.runs(limit=200)))
    hint = f"did you mean {close!r}?" if close else "list them: mesonctl runs"
    raise NotFoundError(f"there is no run {ref!r} in this store", hint=hint)


def find_node(plan: Plan, name: str) -> int:
    """The number of a node.

    Args:
        plan: the run's workflow.
        name: its dotted name, or its last part where that says enough.

    Raises:
        UnknownNameError: there is none, or several could be meant.
    """
    number = plan.by_name.get(name)
    if number is not None:
        return number
    alike = [node for node in plan.nodes if node.path[-1] == name]
    if len(alike) == 1:
        return alike[0].id
    workflow = plan.workflow.name
    if alike:
        raise UnknownNameError(
            f"several steps of workflow {workflow!r} are called {name!r}",
            name=name,
            known=[node.name for node in alike],
        )
    raise UnknownNameError(f"workflow {workflow!r} has no step {name!r}", name=name, known=plan.by_name)


def find_steps(plan: Plan, text: str | None) -> tuple[list[int], Instance | None]:
    """The steps that a person means, and the one instance when it is just that.

    Args:
        plan: the run's workflow.
        text: a step, a part of the workflow, or an instance; None for all steps whose results are recognised.

    Raises:
        NotFoundError: there is no such instance.
        UnknownNameError: there is no such step.
    """
    if text is None:
        return [node.id for node in plan.nodes if isinstance(node.spec, Step) and node.spec.restorable], None
    if "[" in text:
        instance = find_instance(plan, text)
        return [instance[0]], instance
    meant = find_node(plan, text)
    inside = set(plan.nodes[meant].scopes)
    found = [meant]
    for node in plan.nodes[meant + 1 :]:  # what is inside a node follows it
        if node.scope in inside:
            found.append(node.id)
            inside.update(node.scopes)
    return [node for node in found if plan.nodes[node].is_step], None


def find_fresh(plan: Plan, fresh: bool | Sequence[str]) -> tuple[int, ...]:
    """The nodes whose results are to be made anew.

    Args:
        plan: the workflow.
        fresh: True for all that ask, else names.

    Raises:
        UnknownNameError: there is no such step.
    """
    if isinstance(fresh, bool):
        return tuple(find_steps(plan, None)[0]) if fresh else ()
    return tuple(find_node(plan, name) for name in fresh)


def find_instance(plan: Plan, text: str) -> Instance:
    """The instance that a person means by `step`, `step[3]` or `step[3][0]`.

    Args:
        plan: the run's workflow.
        text: the name of a step, and an index for every for_each and repeat around it.

    Raises:
        NotFoundError: it has another number of indexes, or is no such text.
        UnknownNameError: there is no such step.
    """
    match = _INSTANCE.fullmatch(text.strip())
    if match is None:
        raise NotFoundError(f"{text!r} does not name an instance", hint="write step, or step[3], or step[3][0]")
    node = plan.nodes[find_node(plan, match["step"].strip())]
    indexes = tuple(int(index) for index in re.findall(r"\d+", match["indexes"]))
    if len(indexes) != node.depth:
        form = node.name + "[…]" * node.depth
        loops = {0: "no loop", 1: "one loop"}.get(node.depth, f"{node.depth} loops")
        given = "1 index" if len(indexes) == 1 else f"{len(indexes)} indexes"
        raise NotFoundError(f"{text!r} has {given}, and {node.name!r} is in {loops}", hint=f"write {form}")
    return (node.id, *indexes)


def check_instance(plan: Plan, instance: Instance) -> None:
    """See that an instance can exist in this workflow.

    Raises:
        NotFoundError: its node is none, or it has another number of indexes than its node has loops around it.
    """
    if not instance or not 0 <= instance[0] < len(plan.nodes):
        raise NotFoundError(
            f"{list(instance)} does not name an instance of workflow {plan.workflow.name!r}",
            hint=f"it begins with the number of a node, from 0 to {len(plan.nodes) - 1}",
        )
    node = plan.nodes[instance[0]]
    if len(instance) - 1 != node.depth:
        raise NotFoundError(f"an instance of {node.name!r} has {node.depth} indexes; {list(instance)} is none")


def show_instance(plan: Plan, instance: Instance) -> str:
    """An instance as people read and type it."""
    return plan.nodes[instance[0]].name + "".join(f"[{index}]" for index in instance[1:])
