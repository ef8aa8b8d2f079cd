"""Owns workflows as authors write them, and workflows used as a part of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from meson_core.dsl.compose import Composable, Graph, Node, as_graph
from meson_core.dsl.composites import ChooseNode, ForEachNode, RepeatNode
from meson_core.dsl.names import checked_name, expect, shown
from meson_core.dsl.params import Param
from meson_core.dsl.places import here
from meson_core.dsl.steps import Outputs, StepNode, bindable, expression
from meson_core.dsl.values import symbols
from meson_core.errors import DuplicateNameError, SpecError, UnknownNameError, Where, WrongTypeError


class AnyWorkflow(Protocol):
    """What a subworkflow needs to know of its workflow: one of this module, or one of the spec (read from YAML)."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters by name."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Its outputs by name."""


@dataclass(frozen=True, eq=False)
class SubworkflowNode(Node):
    """A whole workflow as one node.

    Args:
        name: unique in the workflow around it.
        workflow: what it runs.
        bound: parameter → literal or value.
        policies: what was said about join and failure mode, unchecked.
    """

    name: str
    workflow: AnyWorkflow
    bound: Mapping[str, Any]
    policies: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    @property
    def output(self) -> Outputs:
        """References to the outputs that the workflow declares."""
        return Outputs(self, self.name, tuple(self.workflow.outputs))

    def named(self, name: str) -> SubworkflowNode:
        """The same workflow as a node of another name; needed where it is used twice."""
        return replace(self, name=checked_name(name, "subworkflow"), where=here())

    def __call__(self, **params: Any) -> SubworkflowNode:
        """A node with these parameters bound.

        Raises:
            UnknownNameError: the workflow has no such parameter.
        """
        where = here()
        owner = f"subworkflow {self.name!r}"
        for param in params:
            if param not in self.workflow.params:
                msg = f"{owner} has no parameter {param!r}"
                raise UnknownNameError(msg, name=param, known=self.workflow.params, where=where)
        bound = {param: bindable(value, f"{owner}: parameter {param!r}", where) for param, value in params.items()}
        return replace(self, bound={**self.bound, **bound}, where=where)

    def __repr__(self) -> str:
        return f"<subworkflow {self.name}>"


@dataclass(frozen=True, eq=False)
class AuthoredWorkflow(Composable):
    """A workflow in the author's words; `meson_core.dsl.build.build` makes the spec of it.

    It can stand in another workflow, as it is or called with parameters: `publish(model=select.output["model"])`.

    Args:
        name: of the workflow.
        graph: what it does.
        params: by name: those that are used in it, in the order of use, then those that were only listed.
        outputs: name → expression.
        timeout: seconds, or a text like "2 h", that a run may take.
        doc: one sentence for people.
        where: the line that made it.
    """

    name: str
    graph: Graph
    params: Mapping[str, Param]
    outputs: Mapping[str, Any]
    timeout: str | float | None
    doc: str
    where: Where | None = field(repr=False)

    @cached_property
    def node(self) -> SubworkflowNode:
        """It as a node, with nothing bound; always the same one."""
        return SubworkflowNode(name=self.name, workflow=self, bound={}, policies={}, where=self.where)

    def as_graph(self) -> Graph:
        """A graph of it as one node."""
        return self.node.as_graph()

    @property
    def output(self) -> Outputs:
        """References to its outputs, when it stands in another workflow."""
        return self.node.output

    def named(self, name: str) -> SubworkflowNode:
        """It as a node of another name."""
        return self.node.named(name)

    def __call__(self, **params: Any) -> SubworkflowNode:
        """It as a node, with these parameters bound."""
        return self.node(**params)

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


def subworkflow(
    workflow: AnyWorkflow,
    /,
    *,
    name: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    on_failure: str | None = None,
    join: str | None = None,
    **params: Any,
) -> SubworkflowNode:
    """A whole workflow as one node of another.

    Args:
        workflow: made by `workflow(...)`, or read from YAML or JSON.
        name: of the node; default: the workflow's.
        inputs: parameter → value, for those whose name is also a word of this function.
        on_failure: "finish", "fail_at_once" or "ignore".
        join: "all", "any" or "none_failed" of its predecessors.
        **params: parameter → value.
    """
    where = here()
    if not all(hasattr(workflow, attribute) for attribute in ("name", "params", "outputs")):
        msg = f"{shown(workflow)} is not a workflow"
        raise WrongTypeError(msg, where=where, hint="make one with workflow(name, graph)")
    node = SubworkflowNode(
        name=checked_name(name or workflow.name, "subworkflow", where),
        workflow=workflow,
        bound={},
        policies={"join": join, "on_failure": on_failure},
        where=where,
    )
    return node(**{**(inputs or {}), **params})


def workflow(
    name: str,
    graph: object,
    /,
    *,
    outputs: Mapping[str, Any] | None = None,
    params: Iterable[Param] = (),
    timeout: str | float | None = None,
    doc: str = "",
) -> AuthoredWorkflow:
    """A workflow: `workflow("recommendations", start >> get_users >> wrangle >> end)`.

    Args:
        name: of the workflow.
        graph: a step, a graph, or a list of parallel parts.
        outputs: name → expression: the result of a run, and what the workflow shows as a part of another. A text is an
            expression, too.
        params: parameters that no value in the graph is made of, but that are meant by name (in texts, or as the
            arguments of steps that are not bound); the others are found by themselves.
        timeout: seconds, or a text like "2 h", that a run may take.
        doc: one sentence for people.

    Raises:
        DuplicateNameError: two different parameters of one name.
    """
    where = here()
    checked_name(name, "workflow", where)
    body = as_graph(graph)
    if not body.nodes:
        msg = f"workflow {name!r} is empty"
        raise SpecError(msg, where=where, hint="it needs at least one step")
    given = {} if outputs is None else outputs
    expect(given, Mapping, f"workflow {name!r}: outputs must be a mapping of names to expressions", where)
    results: dict[str, Any] = {}
    for key, value in given.items():
        results[checked_name(key, "output", where)] = expression(value)
    return AuthoredWorkflow(
        name=name,
        graph=body,
        params=_parameters(name, (*_values(body), results), params),
        outputs=results,
        timeout=timeout,
        doc=doc,
        where=where,
    )


def _parameters(name: str, values: Iterable[object], listed: Iterable[Param]) -> dict[str, Param]:
    found: dict[str, Param] = {}
    listed = tuple(listed)
    for entry in listed:
        expect(entry, Param, f"workflow {name!r}: params must be a list of param(...)", here())
    for used in (*symbols(values), *listed):
        if not isinstance(used, Param):
            continue
        known = found.setdefault(used.name, used)
        if known is not used and known.declared != used.declared:
            msg = f"workflow {name!r} has two different parameters {used.name!r}: at {known.where} and at {used.where}"
            raise DuplicateNameError(msg, where=used.where, hint="declare it once and use that")
    return found


def _values(graph: Graph) -> Iterator[object]:
    """Every value that an author put into a graph, in document order."""
    for node in walk(graph):
        match node:
            case StepNode() | SubworkflowNode():
                yield node.bound
            case ForEachNode():
                yield node.variables
            case RepeatNode():
                yield (node.until, node.carry)
            case ChooseNode():
                yield tuple(branch.condition for branch in node.branches)
            case _:
                pass  # there are no other nodes


def bodies(node: Node) -> tuple[Graph, ...]:
    """The graphs inside a node that belong to the same workflow, in order."""
    match node:
        case ForEachNode() | RepeatNode():
            return (node.body,)
        case ChooseNode():
            return (*(branch.body for branch in node.branches), node.otherwise)
        case _:
            return ()


def walk(graph: Graph) -> Iterator[Node]:
    """All nodes of one workflow in document order: a composite before its content."""
    for node in graph.nodes:
        yield node
        for body in bodies(node):
            yield from walk(body)
