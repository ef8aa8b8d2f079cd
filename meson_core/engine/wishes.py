"""Owns what people wish for single steps of a run that goes on: holding, releasing, skipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.engine import views
from meson_core.engine.dispatch import HOLD, RELEASE, SKIP
from meson_core.engine.scopes import skip_ordered
from meson_core.engine.shapes import STATES
from meson_core.engine.table import STEP_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.engine.memory import Memory
    from meson_core.events import InstancesSkipped, StepHeld, StepReleased
    from meson_core.spec.plan import Instance


def hold(m: Memory, event: StepHeld) -> None:
    """The step, or all steps inside the composite, start no new attempt; what is queued leaves the queue."""
    nodes = _with_content(m, event.node)
    m.held |= nodes
    for _, step in sorted(m.steps.items()):
        if step.node.id in nodes:
            HOLD[step.scope.states[step.position]](m, step, event)


def release(m: Memory, event: StepReleased) -> None:
    nodes = _with_content(m, event.node)
    m.held -= nodes
    for _, step in sorted(m.steps.items()):
        if step.node.id in nodes:
            RELEASE[step.scope.states[step.position]](m, step, event)


def make_fresh(m: Memory, nodes: Iterable[int], instances: Iterable[Instance] = ()) -> None:
    """From now on these, and what is inside them, are not restored from results that are there already."""
    shapes = m.shapes
    for node in nodes:
        m.fresh_nodes |= _with_content(m, node)
    for instance in instances:
        if shapes.nodes[instance[0]].asks:
            m.fresh_instances.add(instance)
        m.fresh_nodes.update(shapes.nodes[instance[0]].inside)
    m.fresh_nodes = {node for node in m.fresh_nodes if shapes.nodes[node].asks}


def skip(m: Memory, event: InstancesSkipped) -> None:
    """What has not begun is skipped now, what does not exist yet when it comes into being."""
    m.skipped_nodes.update(event.selection.nodes)
    m.skipped_instances.update(instance for instance in event.selection.instances if not _has_begun(m, instance))
    for _, step in sorted(m.steps.items()):
        if step.node.id in m.skipped_nodes or step.instance in m.skipped_instances:
            SKIP[step.scope.states[step.position]](m, step, event)
    skip_ordered(m, m.root)
    for _, composite in sorted(m.composites.items()):
        for _, scope in sorted(composite.live.items()):
            skip_ordered(m, scope)


def _has_begun(m: Memory, instance: Instance) -> bool:
    found = views.find(m, instance)
    return found is not None and STEP_TABLE["InstancesSkipped"][STATES[found[0]]].action == "ignore"


def _with_content(m: Memory, node: int) -> set[int]:
    return {node, *m.shapes.nodes[node].inside}
