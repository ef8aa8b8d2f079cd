"""Owns the checks of a definition that need no knowledge of what refers to what: names, `after`, kinds, numbers, literals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from meson_core.errors import (
    CycleError,
    DuplicateNameError,
    ExpressionError,
    MesonError,
    OutOfScopeError,
    PluginBrokenError,
    PluginMissingError,
    SpecError,
    UnknownNameError,
    Where,
    WrongTypeError,
    nearest,
)
from meson_core.expressions import RESERVED, parse, parse_template, show
from meson_core.resources import CPUS, DISK, MEMORY
from meson_core.spec.infer import infer
from meson_core.spec.kinds import BrokenKind, KindFacts
from meson_core.spec.load import MAX_NODE_DEPTH
from meson_core.spec.model import (
    Choose,
    Constant,
    ForEach,
    Node,
    Repeat,
    Resources,
    Step,
    Subworkflow,
    Workflow,
    graphs,
)
from meson_core.spec.parameters import declaration_problems, value_problem
from meson_core.spec.references import titled
from meson_core.spec.types import ANY, BOOL, Type, check_value, parse_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meson_core.spec.kinds import Kinds


def structure_problems(workflow: Workflow, kinds: Kinds | None) -> list[MesonError]:
    """Everything that is wrong with a workflow apart from its references.

    Args:
        workflow: any.
        kinds: the step kinds that are installed; None: kinds are not looked at.
    """
    return _Structure(kinds).run(workflow)


def too_deep(workflow: Workflow) -> SpecError | None:
    """The problem of a workflow that is nested so deeply that nothing else looks at it."""
    stack = [(node, 1) for node in workflow.body]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_NODE_DEPTH:
            message = f"{titled(node, (node.name,))} is nested more than {MAX_NODE_DEPTH} levels deep"
            return SpecError(message, where=_place(node), hint="split the workflow")
        stack += [(inner, depth + 1) for _, body in graphs(node) for inner in body]
    return None


class _Namespace(NamedTuple):
    """One workflow or subworkflow.

    Args:
        workflow: whose names they are.
        nodes: the first node of each name.
        where: its place.
    """

    workflow: Workflow
    nodes: dict[str, Node]
    where: Where | None


class _AnyNames:
    """Names of which nothing is known: the attributes of an offer."""

    def value(self, name: str) -> Type:  # the protocol's argument
        return ANY

    def member(self, name: str, key: str) -> None:
        """There are no steps among them."""


class _Structure:
    def __init__(self, kinds: Kinds | None) -> None:
        self.kinds = kinds
        #: names of the subworkflows around
        self.path: tuple[str, ...] = ()
        self.problems: list[MesonError] = []

    def run(self, workflow: Workflow) -> list[MesonError]:
        self.workflow(workflow, None)
        return self.problems

    def title(self, node: Node) -> str:
        return titled(node, (*self.path, node.name))

    def add(self, problem: MesonError) -> None:
        self.problems.append(problem)

    # --- workflows and graphs ------------------------------------------------------------------------------------------

    def workflow(self, workflow: Workflow, outer: Where | None) -> None:
        where = _place(workflow) or outer
        title = f"workflow {workflow.name!r}"
        namespace = _Namespace(workflow, {}, where)
        for name, parameter in workflow.params.items():
            self.reserved(f"{title}: parameter", name, where)
            self.problems += declaration_problems(f"{title}: parameter {name!r}", parameter, where)
        for node in _all_nodes(workflow.body):
            self.unique(node, namespace)
        self.graph(workflow.body, namespace, {}, where)

    def unique(self, node: Node, namespace: _Namespace) -> None:
        where = _place(node) or namespace.where
        other = namespace.nodes.setdefault(node.name, node)
        if other is not node:
            place = _place(other)
            beside = f" ({place})" if place is not None else ""
            message = f"{self.title(node)}: there is already a {self.title(other)}{beside} in workflow {namespace.workflow.name!r}"
            self.add(DuplicateNameError(message, where=where, hint="give one of them another name"))
        if node.name in namespace.workflow.params:
            message = f"{self.title(node)} has the name of a parameter of workflow {namespace.workflow.name!r}"
            self.add(DuplicateNameError(message, where=where, hint="rename one: expressions could not tell them apart"))
        self.reserved(node.node, node.name, where)

    def reserved(self, what: str, name: str, where: Where | None) -> None:
        if name in RESERVED:
            message = f"{what} {name!r}: that is a word of the expression language"
            self.add(SpecError(message, where=where, hint="expressions could not refer to it; take another name"))

    def graph(
        self,
        nodes: Sequence[Node],
        namespace: _Namespace,
        variables: Mapping[str, Node],
        outer: Where | None,
    ) -> None:
        siblings = {node.name for node in nodes}
        for node in nodes:
            where = _place(node) or outer
            self.after(node, siblings, namespace, where)
            inner = dict(variables)
            if isinstance(node, Step):
                self.step(node, where)
            elif isinstance(node, ForEach):
                self.for_each(node, namespace, variables, where)
                inner |= dict.fromkeys(node.variables, node)
            elif isinstance(node, Subworkflow):
                self.subworkflow(node, where)
                self.path = (*self.path, node.name)
                self.workflow(node.workflow, where)
                self.path = self.path[:-1]
                continue
            for _, body in graphs(node):
                self.graph(body, namespace, inner, where)

    def after(self, node: Node, siblings: set[str], namespace: _Namespace, where: Where | None) -> None:
        for name in dict.fromkeys(node.after):
            if name == node.name:
                if namespace.nodes[name] is not node:
                    continue  # it comes after its namesake, and that there are two is a problem already
                self.add(
                    CycleError(f"{self.title(node)} comes after itself", where=where, hint="remove it from `after`")
                )
            elif name in siblings:
                continue
            elif name in namespace.nodes:
                message = (
                    f"{self.title(node)}: after {name!r}: {self.title(namespace.nodes[name])} does not stand beside it"
                )
                hint = f"`after` names siblings: {', '.join(sorted(siblings - {node.name})) or 'there are none'}"
                self.add(OutOfScopeError(message, where=where, hint=hint))
            else:
                message = f"{self.title(node)}: after {name!r}: there is no such node"
                self.add(UnknownNameError(message, name=name, known=siblings - {node.name}, where=where))

    # --- composites --------------------------------------------------------------------------------------------------------

    def for_each(self, node: ForEach, namespace: _Namespace, outer: Mapping[str, Node], where: Where | None) -> None:
        lengths: dict[str, int] = {}
        for name, binding in node.variables.items():
            self.reserved(f"{self.title(node)}: loop variable", name, where)
            clash = (
                f"a parameter of workflow {namespace.workflow.name!r}"
                if name in namespace.workflow.params
                else self.title(namespace.nodes[name])
                if name in namespace.nodes
                else f"the loop variable of {self.title(outer[name])} around it"
                if name in outer
                else None
            )
            if clash is not None:
                message = f"{self.title(node)}: loop variable {name!r} has the name of {clash}"
                hint = "rename one: expressions could not tell them apart"
                self.add(DuplicateNameError(message, where=where, hint=hint))
            if isinstance(binding, Constant):
                if isinstance(binding.value, list):
                    lengths[name] = len(binding.value)
                else:
                    message = f"{self.title(node)}: loop variable {name!r} takes a list, got {show(binding.value)}"
                    self.add(WrongTypeError(message, where=where))
        if node.mode == "zipped" and len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            message = f"{self.title(node)}: zipped variables need as many items each: {told}"
            self.add(SpecError(message, where=where, hint="make them equally long, or use mode: crossed"))

    def subworkflow(self, node: Subworkflow, where: Where | None) -> None:
        params = node.workflow.params
        for name, binding in node.inputs.items():
            if name not in params:
                message = f"{self.title(node)}: workflow {node.workflow.name!r} has no parameter {name!r}"
                self.add(UnknownNameError(message, name=name, known=params, where=where))
            elif isinstance(binding, Constant) and _is_type(params[name].type):
                problem = value_problem(binding.value, params[name])
                if problem is not None:
                    self.add(WrongTypeError(f"{self.title(node)}: input {name!r}: {problem}", where=where))
        for name, parameter in params.items():
            if parameter.required and name not in node.inputs:
                message = f"{self.title(node)}: parameter {name!r} of workflow {node.workflow.name!r} needs a value"
                self.add(SpecError(message, where=where, hint="add it to `inputs`, or give the parameter a default"))

    # --- steps --------------------------------------------------------------------------------------------------------------

    def step(self, step: Step, where: Where | None) -> None:
        title = self.title(step)
        for what, types in (("output", step.outputs), ("input", step.input_types)):
            for name, text in types.items():
                try:
                    parse_type(text)
                except WrongTypeError as error:
                    message = f"{title}: {what} {name!r}: {error.message}"
                    self.add(WrongTypeError(message, where=where, hint=error.hint))
        facts = (self.kinds or {}).get(step.kind)
        fixed = facts.inputs if isinstance(facts, KindFacts) else {}
        for name, binding in step.inputs.items():
            declared = fixed.get(name) or step.input_types.get(name, "any")
            if isinstance(binding, Constant) and _is_type(declared):
                problem = check_value(binding.value, parse_type(declared))
                if problem is not None:
                    self.add(WrongTypeError(f"{title}: input {name!r}: {problem}", where=where))
        if step.retry.max_backoff_s < step.retry.backoff_s:
            retry = step.retry
            message = f"{title}: retry: max_backoff_s {retry.max_backoff_s:g} is below backoff_s {retry.backoff_s:g}"
            self.add(SpecError(message, where=where))
        if step.artifact is not None:
            try:
                parse_template(step.artifact)
            except ExpressionError as error:
                message = f"{title}: artifact id {error.message}"
                self.add(ExpressionError(message, text=error.text, column=error.column, where=where, hint=error.hint))
        self.resources(title, step.resources, where)
        self.kind(step, where)

    def resources(self, title: str, resources: Resources, where: Where | None) -> None:
        for name, amount in resources.other.items():
            if name in (CPUS, MEMORY, DISK):
                message = f"{title}: resources: {name} is a field of its own, not one of `other`"
                self.add(SpecError(message, where=where))
            if amount < 0:
                self.add(SpecError(f"{title}: resources: {name} must be ≥ 0, got {amount:g}", where=where))
        for text in resources.constraints:
            subject = f"{title}: constraint"
            try:
                expression = parse(text)
            except ExpressionError as error:
                message = f"{subject} {error.message}"
                self.add(ExpressionError(message, text=text, column=error.column, where=where, hint=error.hint))
                continue
            given, wrong = infer(expression, _AnyNames())
            for problem in wrong:
                self.add(WrongTypeError(f"{subject} `{text}`: {problem}", where=where))
            if expression.constant:
                message = f"{subject} `{text}` names no attribute of an offer, so that it says nothing"
                self.add(SpecError(message, where=where, hint='write for example zone == "a", or gpus >= 1'))
            elif given not in (BOOL, ANY):
                message = f"{subject} `{text}` gives {given}, not true or false"
                self.add(WrongTypeError(message, where=where, hint="compare it with something"))
            for root in expression.roots:
                if root.path:
                    message = f"{subject} `{text}`: {root.name} has no parts; attributes are plain values"
                    self.add(WrongTypeError(message, where=where))

    def kind(self, step: Step, where: Where | None) -> None:
        if self.kinds is None:
            return
        title, facts = self.title(step), self.kinds.get(step.kind)
        if facts is None:
            self.add(self.missing(step, self.kinds, where))
        elif isinstance(facts, BrokenKind):
            message = f"{title}: the plugin {facts.plugin!r} of its kind is installed, but did not load: {facts.error}"
            self.add(
                PluginBrokenError(
                    message,
                    plugin=facts.plugin,
                    distribution=facts.distribution,
                    where=where,
                    hint="`mesonctl plugins doctor` tells more",
                )
            )
        else:
            for problem in facts.validate(step.options) if facts.validate is not None else ():
                path = " → ".join(map(str, problem.path))
                message = (
                    f"{title}: option {path}: {problem.message}" if path else f"{title}: options: {problem.message}"
                )
                self.add(SpecError(message, where=where, hint=problem.hint))
            for name in step.outputs:
                if name not in facts.outputs and not facts.open_outputs:
                    message = f"{title}: steps of kind {step.kind!r} have no output {name!r}"
                    self.add(UnknownNameError(message, name=name, known=facts.outputs, where=where))

    def missing(self, step: Step, kinds: Kinds, where: Where | None) -> PluginMissingError:
        close = nearest(step.kind, kinds)
        broken = [facts for facts in kinds.values() if isinstance(facts, BrokenKind)]
        if close is not None:
            hint = f"did you mean {close!r}?"
        else:
            installed = sorted(name for name, facts in kinds.items() if not isinstance(facts, BrokenKind))
            hint = f"installed are: {', '.join(installed) or 'none'}"
        if broken:
            hint += f" (did not load: {', '.join(sorted(facts.plugin for facts in broken))})"
        message = f"{self.title(step)}: no step kind {step.kind!r} is installed"
        return PluginMissingError(message, plugin=step.kind, where=where, hint=hint)


def _all_nodes(graph: Sequence[Node]) -> Iterator[Node]:
    """The nodes of one namespace, in document order."""
    stack = [iter(graph)]
    while stack:
        for node in stack[-1]:
            yield node
            if isinstance(node, ForEach | Repeat | Choose):
                stack.append(iter([inner for _, body in graphs(node) for inner in body]))
                break
        else:
            stack.pop()


def _place(part: Any) -> Where | None:
    return None if part.source is None else Where(part.source.file, part.source.line)


def _is_type(text: str) -> bool:
    try:
        parse_type(text)
    except WrongTypeError:
        return False
    return True
