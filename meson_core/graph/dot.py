"""Owns the DOT text of a plan, for Graphviz and the many tools that read its language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.graph.reduction import reduced
from meson_core.graph.words import detail_of
from meson_core.spec.plan import is_branching
from meson_core.spec.states import STATES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.spec.plan import Plan, PlanNode, PlanScope


def dot(plan: Plan, states: Mapping[int, State] | None = None) -> str:
    """A plan as a directed graph with clusters.

    Args:
        plan: of a checked workflow.
        states: node number → state, for colours.
    """
    return "\n".join(_Writer(plan, states or {}).lines()) + "\n"


class _Writer:
    def __init__(self, plan: Plan, states: Mapping[int, State]) -> None:
        self.plan = plan
        self.states = states

    def lines(self) -> Iterator[str]:
        yield f"digraph {_quoted(self.plan.workflow.name)} {{"
        yield "  graph [rankdir=LR compound=true fontname=Helvetica fontsize=11 style=rounded color=gray70]"
        yield "  node [shape=box style=rounded fontname=Helvetica fontsize=11]"
        yield "  edge [color=gray50]"
        yield from self.scope(self.plan.scopes[0], "  ")
        yield "}"

    def scope(self, scope: PlanScope, indent: str) -> Iterator[str]:
        nodes = [self.plan.nodes[node] for node in scope.nodes]
        for node in nodes:
            yield from self.node(node, indent)
        for node, before in zip(nodes, reduced([node.predecessors for node in nodes]), strict=True):
            for other in before:
                yield f"{indent}{self.edge(nodes[other], node)}"

    def node(self, node: PlanNode, indent: str) -> Iterator[str]:
        label = f"label={_quoted(node.spec.name, detail_of(node.spec))}"
        if node.is_step:
            yield f"{indent}n{node.id} [{label}{self.colours(node)}]"
            return
        yield f"{indent}subgraph cluster_n{node.id} {{"
        yield f"{indent}  graph [{label}{self.colours(node)}]"
        for scope in node.scopes:
            inner = self.plan.scopes[scope]
            if is_branching(node):
                yield f"{indent}  subgraph cluster_s{scope} {{"
                yield f"{indent}    graph [label={_quoted(inner.label)}]"
                yield from self.scope(inner, f"{indent}    ")
                yield f"{indent}  }}"
            else:
                yield from self.scope(inner, f"{indent}  ")
        yield f"{indent}}}"

    def colours(self, node: PlanNode) -> str:
        if node.id not in self.states:
            return ""
        facts = STATES[self.states[node.id]]
        if facts.look == "fill" and node.is_step:
            return f' style="rounded,filled" color="{facts.colour}" fillcolor="{facts.colour}40"'
        return f' color="{facts.colour}" penwidth=2'

    def edge(self, before: PlanNode, after: PlanNode) -> str:
        """Edges join steps; one of a cluster is drawn only to its border."""
        ends = [
            f"{word}=cluster_n{node.id}" for word, node in (("ltail", before), ("lhead", after)) if not node.is_step
        ]
        options = f" [{' '.join(ends)}]" if ends else ""
        return f"n{self.step_in(before, last=True)} -> n{self.step_in(after, last=False)}{options}"

    def step_in(self, node: PlanNode, *, last: bool) -> int:
        """A step that stands at the beginning or at the end of a node."""
        while not node.is_step:
            scope = self.plan.scopes[node.scopes[0]]
            nodes = [self.plan.nodes[inner] for inner in scope.nodes]
            node = next(inner for inner in nodes if not (inner.successors if last else inner.predecessors))
        return node.id


def _quoted(*lines: str) -> str:
    escaped = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return f'"{escaped}"'
