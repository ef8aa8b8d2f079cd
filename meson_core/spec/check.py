"""Owns the check of a workflow: all problems at once, or the workflow with its edges complete and its texts in normal form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.errors import CycleError, InvalidWorkflowError
from meson_core.expressions import parse, parse_template
from meson_core.spec.flow import flow_problems
from meson_core.spec.kinds import KindFacts
from meson_core.spec.model import (
    Binding,
    Branch,
    Choose,
    Expression,
    ForEach,
    Node,
    Repeat,
    Step,
    Subworkflow,
    Workflow,
)
from meson_core.spec.plan import compile_plan
from meson_core.spec.references import Edge, analyse, place_of, title_of
from meson_core.spec.structure import structure_problems, too_deep
from meson_core.spec.types import parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.errors import AuthoringError, MesonError
    from meson_core.spec.kinds import Kinds
    from meson_core.spec.plan import Plan


def check(workflow: Workflow, kinds: Kinds | None = None) -> Workflow:
    """The workflow as it can be compiled and run.

    In the result `after` is complete (also what references imply) and in the order of the graph, expressions and types
    are in normal form, and steps have the outputs that their kind fixes. Checking a checked workflow changes nothing.

    Args:
        workflow: as it was written.
        kinds: the step kinds that are installed; None: kinds and their options are not looked at.

    Raises:
        InvalidWorkflowError: with every problem that was found.
    """
    deep = too_deep(workflow)
    if deep is not None:
        raise InvalidWorkflowError(workflow.name, [deep])
    problems: list[MesonError] = list(structure_problems(workflow, kinds))
    plan = compile_plan(_prepared(workflow, kinds))
    analysis = analyse(plan)
    problems += analysis.problems
    problems += _cycles(plan, analysis.edges)
    problems += flow_problems(analysis.resolution)
    if problems:
        distinct = {str(problem): problem for problem in problems}
        raise InvalidWorkflowError(workflow.name, sorted(distinct.values(), key=_place_key))
    return _Completion(plan, analysis.edges).workflow(plan.workflow, 0)


def _place_key(problem: MesonError) -> tuple[str, int]:
    return ("", 0) if problem.where is None else (problem.where.file, problem.where.line or 0)


# --- what the analysis can work on even when there are mistakes -------------------------------------------------------


def _prepared(workflow: Workflow, kinds: Kinds | None) -> Workflow:
    """The workflow with what its kinds fix, and without the names in `after` that stand for no sibling."""
    return workflow.model_copy(update={"body": _prepared_graph(workflow.body, kinds)})


def _prepared_graph(graph: tuple[Node, ...], kinds: Kinds | None) -> tuple[Node, ...]:
    siblings = {node.name for node in graph}
    return tuple(_prepared_node(node, siblings, kinds) for node in graph)


def _prepared_node(node: Node, siblings: set[str], kinds: Kinds | None) -> Node:
    after = tuple(name for name in dict.fromkeys(node.after) if name in siblings and name != node.name)
    if isinstance(node, Step):
        facts = None if kinds is None else kinds.get(node.kind)
        if not isinstance(facts, KindFacts):
            return node.model_copy(update={"after": after})
        fixed = {
            "outputs": {**node.outputs, **facts.outputs},
            "input_types": {**node.input_types, **facts.inputs},
        }
        return node.model_copy(update={"after": after, **fixed})
    if isinstance(node, ForEach | Repeat):
        return node.model_copy(update={"after": after, "body": _prepared_graph(node.body, kinds)})
    if isinstance(node, Choose):
        branches = tuple(
            branch.model_copy(update={"body": _prepared_graph(branch.body, kinds)}) for branch in node.branches
        )
        otherwise = _prepared_graph(node.otherwise, kinds)
        return node.model_copy(update={"after": after, "branches": branches, "otherwise": otherwise})
    return node.model_copy(update={"after": after, "workflow": _prepared(node.workflow, kinds)})


# --- cycles ---------------------------------------------------------------------------------------------------------------


def _cycles(plan: Plan, edges: Mapping[Edge, str]) -> list[AuthoringError]:
    """Every set of nodes that wait for each other, as one cycle through each, with the reasons."""
    problems: list[AuthoringError] = []
    why: dict[int, dict[int, str]] = {node.id: {} for node in plan.nodes}
    for node in plan.nodes:
        siblings = plan.scopes[node.scope].nodes
        for position in node.predecessors:
            why[node.id][siblings[position]] = "after"
    for edge, reason in edges.items():
        why[edge.consumer].setdefault(edge.producer, reason)
    for scope in plan.scopes:
        waiting = _without_ends({node: set(why[node]) for node in scope.nodes})
        while waiting:
            cycle = _one_cycle(waiting)
            names = [title_of(plan, node) for node in cycle]
            reasons = [
                f"{title_of(plan, node)} comes after {before!r}" if reason == "after" else reason
                for node, previous in zip(cycle, [cycle[-1], *cycle[:-1]], strict=True)
                for before, reason in [(plan.nodes[previous].spec.name, why[node][previous])]
            ]
            message = f"{' → '.join([*names, names[0]])}: these wait for each other"
            problems.append(CycleError(message, where=place_of(plan, cycle[0]), hint="; ".join(reasons)))
            waiting = _without_ends(
                {node: before - set(cycle) for node, before in waiting.items() if node not in cycle}
            )
    return problems


def _without_ends(before: dict[int, set[int]]) -> dict[int, set[int]]:
    """Only the nodes that are on a cycle or behind one."""
    waiting = {node: others & before.keys() for node, others in before.items()}
    behind: dict[int, list[int]] = {node: [] for node in before}
    for node, others in waiting.items():
        for other in others:
            behind[other].append(node)
    ended = [node for node, others in waiting.items() if not others]
    for node in ended:  # grows while it is walked
        del waiting[node]
        for later in behind[node]:
            waiting[later].discard(node)
            if not waiting[later]:
                ended.append(later)
    return waiting


def _one_cycle(waiting: dict[int, set[int]]) -> list[int]:
    """A cycle in the direction of the flow, from its node that comes first in the document."""
    path: list[int] = [min(waiting)]
    while True:
        before = min(waiting[path[-1]])
        if before in path:
            cycle = path[path.index(before) :][::-1]
            first = cycle.index(min(cycle))
            return cycle[first:] + cycle[:first]
        path.append(before)


# --- the result -----------------------------------------------------------------------------------------------------------


class _Completion:
    """Writes a workflow anew with complete edges and texts in normal form."""

    def __init__(self, plan: Plan, edges: Mapping[Edge, str]) -> None:
        self.plan = plan
        self.before: dict[int, set[int]] = {}
        for edge in edges:
            self.before.setdefault(edge.consumer, set()).add(plan.nodes[edge.producer].position)

    def workflow(self, workflow: Workflow, scope: int) -> Workflow:
        params = {
            name: parameter.model_copy(update={"type": str(parse_type(parameter.type))})
            for name, parameter in workflow.params.items()
        }
        body = self.graph(scope)
        return workflow.model_copy(update={"params": params, "body": body, "outputs": _texts(workflow.outputs)})

    def graph(self, scope: int) -> tuple[Node, ...]:
        return tuple(self.node(node) for node in self.plan.scopes[scope].nodes)

    def node(self, at: int) -> Node:
        planned = self.plan.nodes[at]
        spec, siblings = planned.spec, self.plan.scopes[planned.scope].nodes
        positions = sorted({*planned.predecessors, *self.before.get(at, ())})
        after = tuple(self.plan.nodes[siblings[position]].spec.name for position in positions)
        graphs = [self.graph(scope) for scope in planned.scopes if not isinstance(spec, Subworkflow)]
        if isinstance(spec, Step):
            constraints = tuple(parse(text).canonical for text in spec.resources.constraints)
            artifact = None if spec.artifact is None else parse_template(spec.artifact).canonical
            return spec.model_copy(
                update={
                    "after": after,
                    "artifact": artifact,
                    "inputs": _bindings(spec.inputs),
                    "outputs": _types(spec.outputs),
                    "input_types": _types(spec.input_types),
                    "resources": spec.resources.model_copy(update={"constraints": constraints}),
                }
            )
        if isinstance(spec, ForEach):
            return spec.model_copy(update={"after": after, "variables": _bindings(spec.variables), "body": graphs[0]})
        if isinstance(spec, Repeat):
            until = parse(spec.until).canonical
            return spec.model_copy(
                update={"after": after, "until": until, "carry": _texts(spec.carry), "body": graphs[0]}
            )
        if isinstance(spec, Choose):
            branches = tuple(
                Branch(when=parse(branch.when).canonical, body=body)
                for branch, body in zip(spec.branches, graphs, strict=False)
            )
            otherwise = graphs[-1] if spec.otherwise else ()
            return spec.model_copy(update={"after": after, "branches": branches, "otherwise": otherwise})
        inner = self.workflow(spec.workflow, planned.scopes[0])
        return spec.model_copy(update={"after": after, "inputs": _bindings(spec.inputs), "workflow": inner})


def _texts(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: parse(text).canonical for name, text in texts.items()}


def _types(types: Mapping[str, str]) -> dict[str, str]:
    return {name: str(parse_type(text)) for name, text in types.items()}


def _bindings(bindings: Mapping[str, Binding]) -> dict[str, Binding]:
    return {
        name: Expression(expr=parse(binding.expr).canonical) if isinstance(binding, Expression) else binding
        for name, binding in bindings.items()
    }
