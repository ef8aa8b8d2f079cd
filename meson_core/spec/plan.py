"""Owns the compiled form of a checked workflow: numbered nodes and scopes, which the engine and all others address.

A **scope** is one graph: the root, a for_each body, a repeat body, a branch of a choose, a subworkflow's body. Nodes
are numbered in document order (a composite before its content), scopes in the order in which they open; the numbers
are part of a workflow version and never change for it.

An **instance** is `(node, *indexes)`: the node's number and one index for every for_each and repeat around it, from the
outermost inwards (item ordinal, iteration number). It is a tuple everywhere, never a string to be parsed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from meson_core.spec.model import Choose, ForEach, Node, Repeat, Step, Subworkflow, Workflow, graphs
from meson_core.spec.states import Join

Instance: TypeAlias = tuple[int, ...]
#: The node number that stands for the run as a whole (owner of the root scope).
ROOT = -1


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node with its place.

    Args:
        id: its number.
        path: names from the outermost subworkflow inwards; `".".join(path)` is what people type.
        scope: number of the scope it stands in.
        position: its place in that scope's `nodes`.
        depth: how many indexes an instance of it has.
        spec: the definition.
        successors: positions, in the same scope, of the nodes after it.
        predecessors: positions of the nodes before it.
        scopes: numbers of the scopes inside it (one; for a choose one per branch, `otherwise` last).
    """

    id: int
    path: tuple[str, ...]
    scope: int
    position: int
    depth: int
    spec: Node
    successors: tuple[int, ...]
    predecessors: tuple[int, ...]
    scopes: tuple[int, ...]

    @property
    def name(self) -> str:
        """The dotted path, as people type it."""
        return ".".join(self.path)

    @property
    def is_step(self) -> bool:
        """Whether it is a leaf."""
        return isinstance(self.spec, Step)


@dataclass(frozen=True, slots=True)
class PlanScope:
    """One graph.

    Args:
        id: its number; 0 is the root.
        owner: number of the composite node that it belongs to, or `ROOT`.
        label: what people call it: "body", "when …", "otherwise".
        nodes: numbers of its nodes in document order.
        sources: positions of the nodes without predecessors.
        depth: how many indexes an instance of its nodes has.
    """

    id: int
    owner: int
    label: str
    nodes: tuple[int, ...]
    sources: tuple[int, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled workflow."""

    workflow: Workflow
    nodes: tuple[PlanNode, ...]
    scopes: tuple[PlanScope, ...]
    by_name: dict[str, int] = field(compare=False)
    """Dotted path → node number."""


def compile_plan(workflow: Workflow) -> Plan:
    """Number the nodes and scopes of a checked workflow.

    Args:
        workflow: one that `meson_core.spec.check.check` has returned (its `after` are complete and acyclic).
    """
    nodes: list[PlanNode | None] = []
    scopes: list[PlanScope | None] = []

    def open_scope(owner: int, label: str, graph: tuple[Node, ...], depth: int, prefix: tuple[str, ...]) -> int:
        scope_id = len(scopes)
        scopes.append(None)
        position = {node.name: at for at, node in enumerate(graph)}
        before = [tuple(sorted(position[name] for name in node.after)) for node in graph]
        after: list[list[int]] = [[] for _ in graph]
        for at, names in enumerate(before):
            for predecessor in names:
                after[predecessor].append(at)
        ids: list[int] = []
        for at, node in enumerate(graph):
            node_id = len(nodes)
            nodes.append(None)
            ids.append(node_id)
            path = (*prefix, node.name)
            inner_depth = depth + 1 if isinstance(node, ForEach | Repeat) else depth
            inner_prefix = path if isinstance(node, Subworkflow) else prefix
            inner = tuple(open_scope(node_id, lbl, body, inner_depth, inner_prefix) for lbl, body in graphs(node))
            nodes[node_id] = PlanNode(node_id, path, scope_id, at, depth, node, tuple(after[at]), before[at], inner)
        sources = tuple(at for at, names in enumerate(before) if not names)
        scopes[scope_id] = PlanScope(scope_id, owner, label, tuple(ids), sources, depth)
        return scope_id

    open_scope(ROOT, workflow.name, workflow.body, 0, ())
    numbered = tuple(node for node in nodes if node is not None)
    return Plan(
        workflow=workflow,
        nodes=numbered,
        scopes=tuple(scope for scope in scopes if scope is not None),
        by_name={node.name: node.id for node in numbered},
    )


def is_settled_before(plan: Plan, node: int) -> bool:
    """Whether all that a node may refer to has ended when it starts, so that no value it sees can change any more."""
    while node != ROOT:
        place = plan.nodes[node]
        if place.spec.join is Join.any:
            return False
        node = plan.scopes[place.scope].owner
    return True


def is_branching(node: PlanNode) -> bool:
    """Whether its scopes are alternatives (a choose) and not one body."""
    return isinstance(node.spec, Choose)
