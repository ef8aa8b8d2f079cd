"""Owns the tree of a plan for the terminal: one row for every node, sequence, parallel and branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meson_core.graph.marks import SIGNS
from meson_core.graph.reduction import reduced
from meson_core.graph.words import detail_of, one_line, signature_of, tally_of
from meson_core.spec.plan import is_branching
from meson_core.spec.shape import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.spec.plan import Plan, PlanNode, PlanScope
    from meson_core.spec.shape import Shape
    from meson_core.spec.states import State

_LAST = ("└─ ", "   ")
_OTHER = ("├─ ", "│  ")
#: Details stand in a column, unless names are longer than this.
_WIDEST = 48


class Row(NamedTuple):
    """One line of the tree.

    Args:
        indent: the lines that lead to it.
        label: the name of a node, or what a group or branch is.
        detail: what a node does, in a few words.
        node: its number; None for a group, a branch, or the workflow itself.
    """

    indent: str
    label: str
    detail: str
    node: int | None


def rows(plan: Plan) -> list[Row]:
    """The tree of a plan, row by row, the workflow first."""
    workflow = plan.workflow
    return [Row("", workflow.name, signature_of(workflow), None), *_Tree(plan).scope(plan.scopes[0], "")]


def text_tree(
    plan: Plan,
    states: Mapping[int, State] | None = None,
    counts: Mapping[int, Mapping[State, int]] | None = None,
) -> str:
    """A plan as a tree of plain text.

    Args:
        plan: of a checked workflow.
        states: node number → state, shown by a sign before the name.
        counts: node number → how many instances are in which state, shown in place of what the node does.
    """
    found = rows(plan)
    width = min(max(len(row.indent) + len(row.label) for row in found) + (2 if states else 0), _WIDEST)
    lines = []
    for row in found:
        state = None if row.node is None or states is None else states.get(row.node)
        sign = "" if state is None else f"{SIGNS[state]} "
        tally = None if row.node is None or counts is None else counts.get(row.node)
        detail = tally_of(tally) if tally else row.detail
        lines.append(f"{row.indent + sign + row.label:<{width}}  {detail}".rstrip())
    return "\n".join(lines) + "\n"


class _Tree:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def scope(self, scope: PlanScope, indent: str) -> Iterator[Row]:
        nodes = [self.plan.nodes[node] for node in scope.nodes]
        predecessors = reduced([node.predecessors for node in nodes])
        shape = shape_of(predecessors)
        assert shape is not None, "a graph is never empty"
        if not isinstance(shape, int) and shape.way == "sequence":
            yield from self.parts(shape.parts, nodes, predecessors, indent)
        else:
            yield from self.parts((shape,), nodes, predecessors, indent)

    def parts(
        self, parts: tuple[Shape, ...], nodes: list[PlanNode], predecessors: list[list[int]], indent: str
    ) -> Iterator[Row]:
        for number, part in enumerate(parts, start=1):
            lead, below = _LAST if number == len(parts) else _OTHER
            if isinstance(part, int):
                yield from self.node(nodes[part], indent + lead, indent + below)
            elif part.way == "mesh":
                yield Row(indent + lead, "in this order", "", None)
                yield from self.mesh(part.parts, nodes, predecessors, indent + below)
            else:
                yield Row(indent + lead, f"in {part.way}", "", None)
                yield from self.parts(part.parts, nodes, predecessors, indent + below)

    def mesh(
        self, parts: tuple[Shape, ...], nodes: list[PlanNode], predecessors: list[list[int]], indent: str
    ) -> Iterator[Row]:
        """What is neither sequence nor parallel: in an order that holds, each node with those before it."""
        inside = {part for part in parts if isinstance(part, int)}
        for number, at in enumerate(sorted(inside, key=parts.index), start=1):
            lead, below = _LAST if number == len(parts) else _OTHER
            first, *others = self.node(nodes[at], indent + lead, indent + below)
            before = [nodes[other].spec.name for other in predecessors[at] if other in inside]
            yield first._replace(detail=f"{first.detail} · after {', '.join(before)}") if before else first
            yield from others

    def node(self, node: PlanNode, lead: str, below: str) -> Iterator[Row]:
        yield Row(lead, node.spec.name, detail_of(node.spec), node.id)
        for number, scope in enumerate(node.scopes, start=1):
            inner = self.plan.scopes[scope]
            if is_branching(node):
                branch_lead, branch_below = _LAST if number == len(node.scopes) else _OTHER
                yield Row(below + branch_lead, one_line(inner.label), "", None)
                yield from self.scope(inner, below + branch_below)
            else:
                yield from self.scope(inner, below)
