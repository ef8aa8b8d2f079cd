"""Owns the Mermaid text of a plan, which documents and code hosts draw by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.graph.reduction import reduced
from meson_core.graph.words import detail_of
from meson_core.spec.plan import is_branching
from meson_core.spec.states import STATES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.spec.plan import Plan, PlanNode, PlanScope

_DETAIL = 60


def mermaid(plan: Plan, states: Mapping[int, State] | None = None) -> str:
    """A plan as a Mermaid flowchart.

    Args:
        plan: of a checked workflow.
        states: node number → state, for colours.
    """
    return "\n".join(_lines(plan, states or {})) + "\n"


def _lines(plan: Plan, states: Mapping[int, State]) -> Iterator[str]:
    yield "flowchart LR"
    yield from _scope(plan, plan.scopes[0], "  ")
    used = sorted(set(states.values()))
    for state in used:
        facts = STATES[state]
        fill = f"fill:{facts.colour}" if facts.look == "fill" else "fill:none"
        yield f"  classDef {state.name} {fill},stroke:{facts.colour}"
    for state in used:
        nodes = ",".join(f"n{node}" for node in sorted(states) if states[node] is state)
        yield f"  class {nodes} {state.name}"


def _scope(plan: Plan, scope: PlanScope, indent: str) -> Iterator[str]:
    nodes = [plan.nodes[node] for node in scope.nodes]
    for node in nodes:
        yield from _node(plan, node, indent)
    for node, before in zip(nodes, reduced([node.predecessors for node in nodes]), strict=True):
        for other in before:
            yield f"{indent}n{nodes[other].id} --> n{node.id}"


def _node(plan: Plan, node: PlanNode, indent: str) -> Iterator[str]:
    label = f"{_quoted(node.spec.name)}<br/><small>{_quoted(detail_of(node.spec))}</small>"
    if node.is_step:
        yield f'{indent}n{node.id}["{label}"]'
        return
    yield f'{indent}subgraph n{node.id}["{label}"]'
    yield f"{indent}  direction LR"
    for scope in node.scopes:
        inner = plan.scopes[scope]
        if is_branching(node):
            yield f'{indent}  subgraph s{scope}["{_quoted(inner.label)}"]'
            yield f"{indent}    direction LR"
            yield from _scope(plan, inner, f"{indent}    ")
            yield f"{indent}  end"
        else:
            yield from _scope(plan, inner, f"{indent}  ")
    yield f"{indent}end"


def _quoted(text: str) -> str:
    """Text for a quoted label: Mermaid has entities, but no escapes, and reads Markdown and HTML."""
    if len(text) > _DETAIL:
        text = f"{text[: _DETAIL - 1]}…"
    return "".join(char if char.isalnum() or char in " .,_·=+-/…" else f"#{ord(char)};" for char in text)
