"""Owns the way from authored nodes to the spec: names, edges, bindings, code; every mistake is collected."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from meson_core.dsl import policies
from meson_core.dsl.code import locate
from meson_core.dsl.composites import ChooseNode, Composite, ForEachLoop, ForEachNode, RepeatNode
from meson_core.dsl.durations import parse_duration
from meson_core.dsl.places import relative
from meson_core.dsl.signatures import ANY
from meson_core.dsl.steps import StepNode
from meson_core.dsl.values import LoopVariable, Reference, as_value, is_symbolic, symbols, text_of
from meson_core.dsl.workflows import AuthoredWorkflow, SubworkflowNode, walk
from meson_core.errors import (
    AuthoringError,
    DuplicateNameError,
    InvalidWorkflowError,
    OutOfScopeError,
    SpecError,
    Where,
    WrongTypeError,
)
from meson_core.spec.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.dsl.compose import Graph, Node
    from meson_core.spec.model import Workflow


def build(workflow: AuthoredWorkflow, *, root: str | None = None) -> Workflow:
    """The spec of a workflow, before it is checked.

    Args:
        workflow: as the author wrote it.
        root: absolute folder of the project: step functions in it are found by module or by file relative to it, and
            places are told relative to it. None: there is no project, as in a notebook.

    Raises:
        InvalidWorkflowError: everything that is wrong with how it was written.
    """
    builder = _Builder(workflow, root, [])
    data = builder.workflow()
    if builder.problems:
        raise InvalidWorkflowError(workflow.name, builder.problems)
    return load(data)


class _Builder:
    """Builds one workflow as plain data; a subworkflow gets a builder of its own, with the same list of problems."""

    def __init__(self, workflow: AuthoredWorkflow, root: str | None, problems: list[AuthoringError]) -> None:
        self.authored = workflow
        self.root = root
        self.problems = problems
        self.loops: list[ForEachLoop] = []
        self.nodes: dict[str, Node] = {}
        self.names = self._names()

    # --- names --------------------------------------------------------------------------------------------------------

    def _names(self) -> dict[Node, str]:
        """Every node's name; composites without one get the first default that is free, in document order."""
        nodes = list(walk(self.authored.graph))
        names: dict[Node, str] = {}
        seen: set[Node] = set()
        for node in nodes:
            name: str | None = getattr(node, "name", None)
            if node in seen:
                msg = f"{node.label!r} stands in two places, and a node has only one"
                hint = "make a second one: .named('...') gives it another name"
                self.problems.append(DuplicateNameError(msg, where=self.where(node.where), hint=hint))
            seen.add(node)
            if name is not None:
                names[node] = name
                self.nodes.setdefault(name, node)
        taken = {*names.values(), *self.authored.params}
        for node in nodes:
            if isinstance(node, Composite) and node not in names:
                name = node.default_name
                number = 1
                while name in taken:
                    number += 1
                    name = f"{node.default_name}_{number}"
                taken.add(name)
                names[node] = name
                self.nodes[name] = node
        return names

    # --- problems -----------------------------------------------------------------------------------------------------

    def where(self, where: Where | None) -> Where | None:
        return relative(where, self.root)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Goes on after a mistake, so that one look shows all of them."""
        try:
            yield
        except AuthoringError as problem:
            problem.where = self.where(problem.where)
            self.problems.append(problem)

    # --- the whole ----------------------------------------------------------------------------------------------------

    def workflow(self) -> dict[str, Any]:
        authored = self.authored
        owner = f"workflow {authored.name!r}"
        data: dict[str, Any] = {"name": authored.name, "doc": authored.doc, "source": self.source(authored.where)}
        data["params"] = {name: param.declared for name, param in authored.params.items()}
        if authored.timeout is not None:
            try:
                data["timeout_s"] = parse_duration(authored.timeout)
            except ValueError as error:
                self.problems.append(SpecError(f"{owner}: timeout: {error}", where=self.where(authored.where)))
        data["body"] = self.graph(authored.graph)
        for name, value in authored.outputs.items():
            with self.collecting():
                self.seen(value, f"{owner}: output {name!r}", authored.where)
        data["outputs"] = {name: text_of(value) for name, value in authored.outputs.items()}
        return data

    def source(self, where: Where | None) -> dict[str, Any] | None:
        place = self.where(where)
        return None if place is None else {"file": place.file, "line": place.line}

    def graph(self, graph: Graph) -> list[dict[str, Any]]:
        position = {node: at for at, node in enumerate(graph.nodes)}
        before: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for first, second in graph.edges:
            before[second].append(first)
        built: list[dict[str, Any]] = []
        for node in graph.nodes:
            after = [self.names[first] for first in sorted(before[node], key=position.__getitem__)]
            data = {"name": self.names[node], "after": after, "source": self.source(node.where)}
            with self.collecting():
                built.append(data | self.node(node, self.names[node]))
        return built

    def node(self, node: Node, name: str) -> dict[str, Any]:
        match node:
            case StepNode():
                return self.step(node)
            case ForEachNode():
                return self.for_each(node, f"for_each {name!r}")
            case RepeatNode():
                return self.repeat(node, f"repeat {name!r}")
            case ChooseNode():
                return self.choose(node, f"choose {name!r}")
            case SubworkflowNode():
                return self.subworkflow(node)
            case _:
                msg = f"{node!r} is not a node"
                raise WrongTypeError(msg, where=node.where)

    # --- values -------------------------------------------------------------------------------------------------------

    def bindings(self, bound: Mapping[str, Any], subject: str, where: Where | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in bound.items():
            with self.collecting():
                self.seen(value, f"{subject} {name!r}", where)
                found[name] = {"expr": as_value(value).text} if is_symbolic(value) else {"value": value}
        return found

    def seen(self, value: object, subject: str, where: Where | None) -> None:
        """Refuse a loop variable outside its loop, and a reference to a node that is not in the workflow.

        By name alone both might be taken for another variable or node of that name.
        """
        for used in symbols([value]):
            if isinstance(used, LoopVariable):
                self._seen_variable(used, subject, where)
            elif isinstance(used, Reference):
                self._seen_reference(used, subject, where)

    def _seen_variable(self, variable: LoopVariable, subject: str, where: Where | None) -> None:
        name = variable.name
        nearest = next((loop for loop in reversed(self.loops) if name in loop.names), None)
        if nearest is variable.loop:
            return
        if variable.loop in self.loops:
            msg = f"{subject}: an inner for_each has a loop variable {name!r}, too, and hides the one that is meant"
            raise OutOfScopeError(msg, where=where, hint="give one of them another name")
        at = self.where(variable.made)
        msg = f"{subject}: {name!r} is a loop variable of the for_each at {at} and is seen only inside it"
        raise OutOfScopeError(msg, where=where, hint="a step inside can hand it on as an output")

    def _seen_reference(self, reference: Reference, subject: str, where: Where | None) -> None:
        node = reference.node
        if node in self.names:
            return
        name, made = reference.node_name, self.where(reference.made)
        namesake = self.nodes.get(name)
        if namesake is None:
            msg = f"{subject}: {reference.text} names {name!r}, which is not in workflow {self.authored.name!r}"
            raise OutOfScopeError(msg, where=where, hint=f"put {name} into the graph, before what needs it")
        # A step function by itself stands for whatever node was made by calling it; two different calls do not.
        if _stands_for(node, namesake):
            return
        msg = (
            f"{subject}: {reference.text} names the {name!r} that was made at {made}, "
            f"but the one in the workflow was made at {self.where(namesake.where)}"
        )
        raise OutOfScopeError(msg, where=where, hint="keep the node in a variable, and use that in both places")

    # --- nodes --------------------------------------------------------------------------------------------------------

    def step(self, node: StepNode) -> dict[str, Any]:
        owner = f"step {node.name!r}"
        data: dict[str, Any] = {"node": "step", "kind": node.kind, "doc": node.doc, "outputs": dict(node.outputs)}
        data["inputs"] = self.bindings(node.bound, f"{owner}: argument", node.where) | self.by_name(node, owner)
        data["input_types"] = {argument.name: argument.type for argument in node.takes or () if argument.type != ANY}
        with self.collecting():
            data |= policies.step_fields(node.policies, owner, node.where)
        with self.collecting():
            data["options"] = dict(node.options) if node.function is None else locate(node.function, self.root)
        return data

    def by_name(self, node: StepNode, owner: str) -> dict[str, Any]:
        """Arguments that have no default and are not bound: the loop variable or parameter of their name."""
        found: dict[str, Any] = {}
        for argument in node.takes or ():
            if argument.name in node.bound or not argument.required:
                continue
            if argument.name in self.authored.params or any(argument.name in loop.names for loop in self.loops):
                found[argument.name] = {"expr": argument.name}
                continue
            msg = f"{owner}: nothing is bound to its argument {argument.name!r}"
            hint = f"bind it: {node.name}({argument.name}=...); or have a loop variable or a parameter of that name"
            self.problems.append(SpecError(msg, where=self.where(node.where), hint=hint))
        return found

    def for_each(self, node: ForEachNode, owner: str) -> dict[str, Any]:
        data: dict[str, Any] = {"node": "for_each", **policies.node_fields(node.policies, owner, node.where)}
        data["variables"] = self.bindings(node.variables, f"{owner}:", node.where)
        data |= {"mode": node.mode, "max_parallel": node.max_parallel, "max_failed": node.max_failed}
        self.loops.append(node.loop)
        data["body"] = self.graph(node.body)
        self.loops.pop()
        return data

    def repeat(self, node: RepeatNode, owner: str) -> dict[str, Any]:
        data: dict[str, Any] = {"node": "repeat", **policies.node_fields(node.policies, owner, node.where)}
        for what, value in {
            "until": node.until,
            **{f"carry {name!r}": value for name, value in node.carry.items()},
        }.items():
            with self.collecting():
                self.seen(value, f"{owner}: {what}", node.where)
        data |= {
            "until": text_of(node.until),
            "max_iterations": node.max_iterations,
            "on_exhausted": node.on_exhausted,
            "carry": {name: text_of(value) for name, value in node.carry.items()},
            "body": self.graph(node.body),
        }
        return data

    def choose(self, node: ChooseNode, owner: str) -> dict[str, Any]:
        data: dict[str, Any] = {"node": "choose", **policies.node_fields(node.policies, owner, node.where)}
        for branch in node.branches:
            with self.collecting():
                self.seen(branch.condition, f"{owner}: when", branch.where)
        data["branches"] = [
            {"when": text_of(branch.condition), "body": self.graph(branch.body)} for branch in node.branches
        ]
        data["otherwise"] = self.graph(node.otherwise)
        return data

    def subworkflow(self, node: SubworkflowNode) -> dict[str, Any]:
        owner = f"subworkflow {node.name!r}"
        data: dict[str, Any] = {"node": "subworkflow", **policies.node_fields(node.policies, owner, node.where)}
        data["inputs"] = self.bindings(node.bound, f"{owner}: parameter", node.where)
        inner = node.workflow
        if isinstance(inner, AuthoredWorkflow):
            data["workflow"] = _Builder(inner, self.root, self.problems).workflow()
        else:
            data["workflow"] = inner  # read from a document: a model of the spec already
        return data


def _stands_for(node: object, namesake: Node) -> bool:
    """Whether `node` is the bare step function that `namesake` was made of."""
    return (
        isinstance(node, StepNode)
        and isinstance(namesake, StepNode)
        and node.function is not None
        and node.function is namesake.function
        and not node.bound
    )
