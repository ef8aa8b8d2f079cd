"""Owns what names in expressions stand for: every expression of a plan, bound to the producers of what it names.

A subworkflow is a namespace of its own. In a namespace an expression sees its parameters, the loop variables of the
for_each and the carried names of the repeat around it, and the outputs of its steps (`step.output`), wherever they stand:

- in the same item and iteration: just that value;
- further in: the values are gathered level by level, from the outermost inwards (`Level`);
- never in another branch of the same choose, and never in what comes later.

Where an expression stands decides what it sees: inputs, loop variables and conditions of a choose see what their node
sees; `until` and `carry` stand at the end of an iteration of the repeat's body; a workflow's outputs stand at its end.

A reference is an edge: from the ancestor of the producer to the ancestor of the consumer that stand in one scope.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from meson_core.errors import (
    AuthoringError,
    ExpressionError,
    InvalidWorkflowError,
    OutOfScopeError,
    UnknownNameError,
    Where,
)
from meson_core.expressions import Expression, Root, parse, parse_template
from meson_core.spec import model
from meson_core.spec.model import Choose, ForEach, Repeat, Step, Subworkflow, Workflow
from meson_core.spec.plan import ROOT, Plan, PlanNode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

What: TypeAlias = Literal["input", "artifact", "variable", "carry", "first", "until", "when", "output"]


class Role(NamedTuple):
    """What an expression is for, on the node that has it.

    Args:
        what: "input" of a step or subworkflow, "artifact" (a part of the id of a step's result), "variable" of a for_each, "carry" or "until" of a repeat, "first" (the
            value of a carried name in the first iteration), "when" of a choose, "output" of a workflow.
        key: the input, variable, carried name or output; the number of the branch for "when", of the expression in the
            template for "artifact"; "" for "until".
    """

    what: What
    key: str | int = ""

    def __str__(self) -> str:
        if self.what == "when":
            return f"when {int(self.key) + 1}"
        if self.what == "artifact":
            return "artifact id"
        return f"{self.what} {self.key!r}" if self.key else self.what


class Level(NamedTuple):
    """One step inwards from the scope that consumer and producer share to the producer.

    Args:
        kind: "each": one value per item of a for_each, as a list in item order; "last": the last iteration of a repeat;
            "choice": the value, or null when this branch of a choose was not taken. "choice" has no index.
        node: number of the for_each, repeat or choose.
        scope: number of its scope that holds the producer.
    """

    kind: Literal["each", "last", "choice"]
    node: int
    scope: int


@dataclass(frozen=True, slots=True)
class Reference:
    """One thing that an expression names.

    Args:
        name: the bare name in the expression.
        target: what it is.
        node: whose it is: of a parameter the subworkflow (or `ROOT`), of a loop variable the for_each, of a carried name
            the repeat, of an output the step or subworkflow, of an input (which only the artifact id of a step sees) that step.
        output: which output; "" for anything else.
        shared: how many leading indexes of the consumer address it. For a loop variable and a carried name they include
            the item and the iteration.
        levels: the way from there to the producer of an output.
    """

    name: str
    target: Literal["param", "variable", "carry", "output", "input"]
    node: int
    output: str = ""
    shared: int = 0
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """An expression with what it names.

    Args:
        expression: as parsed.
        references: each distinct one, in the order of the text.
        depth: how many indexes the place where it is evaluated has.
    """

    expression: Expression
    references: tuple[Reference, ...]
    depth: int

    def evaluate(self, fetch: Callable[[Reference], Any]) -> Any:
        """Its value.

        Args:
            fetch: gives the value of one reference, as seen from the place of the expression.

        Raises:
            EvaluationError: the values do not allow it.
        """
        context: dict[str, Any] = {}
        for reference in self.references:
            value = fetch(reference)
            if reference.target == "output":
                context.setdefault(reference.name, {})[reference.output] = value
            else:
                context[reference.name] = value
        return self.expression.evaluate(context)


@dataclass(frozen=True, slots=True)
class Resolution:
    """All expressions of a plan.

    Args:
        plan: what they are in.
        bound: by node and role; `ROOT` has the outputs of the workflow itself. Literal bindings are not in it.
    """

    plan: Plan
    bound: dict[tuple[int, Role], Bound]

    def of(self, node: int, what: What, key: str | int = "") -> Bound | None:
        """The expression of one role, or None when there is none (a literal, or a parameter left to its default)."""
        return self.bound.get((node, Role(what, key)))


class Edge(NamedTuple):
    """A dependency that a reference makes, between two nodes of one scope."""

    scope: int
    producer: int
    consumer: int


@dataclass(slots=True)
class Analysis:
    """What was found in a plan that may have mistakes.

    Args:
        resolution: every expression that could be bound.
        edges: what refers to what, with the text of the first reference that says so.
        problems: the mistakes.
    """

    resolution: Resolution
    edges: dict[Edge, str] = field(default_factory=dict)
    problems: list[AuthoringError] = field(default_factory=list)


def resolve(plan: Plan) -> Resolution:
    """Bind every expression of the plan of a checked workflow.

    Raises:
        InvalidWorkflowError: an expression cannot be bound; a checked workflow never does this.
    """
    analysis = analyse(plan)
    if analysis.problems:
        raise InvalidWorkflowError(plan.workflow.name, analysis.problems)
    return analysis.resolution


def analyse(plan: Plan) -> Analysis:
    """Bind what can be bound, and collect what cannot."""
    return _Resolver(plan).run()


def workflow_of(plan: Plan, namespace: int) -> Workflow:
    """The workflow whose namespace a subworkflow node (or `ROOT`) opens."""
    if namespace == ROOT:
        return plan.workflow
    spec = plan.nodes[namespace].spec
    assert isinstance(spec, Subworkflow)
    return spec.workflow


def place_of(plan: Plan, node: int) -> Where | None:
    """Where the author wrote a node, or the closest thing around it whose place is known."""
    while node != ROOT:
        source = plan.nodes[node].spec.source
        if source is not None:
            return Where(source.file, source.line)
        node = plan.scopes[plan.nodes[node].scope].owner
    source = plan.workflow.source
    return None if source is None else Where(source.file, source.line)


def title_of(plan: Plan, node: int) -> str:
    """A node as people call it: `step 'train'`; inside a subworkflow with its path."""
    return f"workflow {plan.workflow.name!r}" if node == ROOT else titled(plan.nodes[node].spec, plan.nodes[node].path)


def titled(spec: model.Node, path: tuple[str, ...]) -> str:
    """A node as people call it, by its path from the outermost subworkflow inwards."""
    return f"{spec.node} {'.'.join(path)!r}"


class _Place(NamedTuple):
    """Where an expression stands: in front of `node`, or (None) at the end of `scope`."""

    scope: int
    node: int | None


class _Resolver:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.analysis = Analysis(Resolution(plan, {}))
        #: scope → the subworkflow node (or ROOT) whose namespace it belongs to
        self.namespace: list[int] = []
        #: scope → how many scopes are around it
        self.level: list[int] = []
        #: namespace → node names in it
        self.names: dict[int, dict[str, int]] = {ROOT: {}}
        for scope in plan.scopes:  # an owner's scope always comes before the scopes inside it
            inside = scope.owner == ROOT or isinstance(plan.nodes[scope.owner].spec, Subworkflow)
            outer = -1 if scope.owner == ROOT else plan.nodes[scope.owner].scope
            namespace = scope.owner if inside else self.namespace[outer]
            self.namespace.append(namespace)
            self.level.append(0 if outer < 0 else self.level[outer] + 1)
            names = self.names.setdefault(namespace, {})
            for node in scope.nodes:
                names.setdefault(plan.nodes[node].spec.name, node)

    def title(self, node: int) -> str:
        return title_of(self.plan, node)

    def run(self) -> Analysis:
        for node in self.plan.nodes:
            spec = node.spec
            before = _Place(node.scope, node.id)
            if isinstance(spec, Step | Subworkflow):
                self.bindings(node, "input", spec.inputs, before)
            if isinstance(spec, Step) and spec.artifact is not None:
                self.artifact(node, spec, before)
            if isinstance(spec, ForEach):
                self.bindings(node, "variable", spec.variables, before)
            elif isinstance(spec, Choose):
                for index, branch in enumerate(spec.branches):
                    self.bind(node.id, Role("when", index), branch.when, before)
            elif isinstance(spec, Repeat):
                self.repeat(node, spec, before)
            elif isinstance(spec, Subworkflow):
                self.outputs(node.id, spec.workflow, _Place(node.scopes[0], None))
        self.outputs(ROOT, self.plan.workflow, _Place(0, None))
        return self.analysis

    def bindings(self, node: PlanNode, what: What, bindings: dict[str, model.Binding], place: _Place) -> None:
        for name, binding in bindings.items():
            if isinstance(binding, model.Expression):
                self.bind(node.id, Role(what, name), binding.expr, place)

    def artifact(self, node: PlanNode, spec: Step, place: _Place) -> None:
        try:
            template = parse_template(spec.artifact or "")
        except ExpressionError:
            return  # told where the definition is checked by itself
        for at, expression in enumerate(template.expressions):
            self.bind(node.id, Role("artifact", at), expression.text, place, inputs=spec.inputs)

    def outputs(self, owner: int, workflow: Workflow, place: _Place) -> None:
        for name, text in workflow.outputs.items():
            self.bind(owner, Role("output", name), text, place)

    def repeat(self, node: PlanNode, spec: Repeat, before: _Place) -> None:
        end = _Place(node.scopes[0], None)
        until = self.bind(node.id, Role("until"), spec.until, end)
        if until is not None:
            self.check_until(node, until)
        for name, text in spec.carry.items():
            self.bind(node.id, Role("carry", name), text, end)
            first = self.lexical(name, before.scope)
            if first is None:
                known = self.lexical_names(before.scope)
                message = (
                    f"{self.title(node.id)} carries {name!r}, but no parameter or loop variable around it has that name"
                )
                problem = UnknownNameError(message, name=name, known=known, where=place_of(self.plan, node.id))
                self.analysis.problems.append(problem)
            else:
                bound = Bound(parse(name), (first,), node.depth)
                self.analysis.resolution.bound[node.id, Role("first", name)] = bound

    def check_until(self, node: PlanNode, until: Bound) -> None:
        """Refuse a condition that is the same after every iteration; `False`, which only counts, is meant so."""
        if until.expression.constant and until.expression.canonical == "False":
            return
        inside = any(
            (reference.target == "carry" and reference.node == node.id)
            or (reference.target == "output" and self.contains(node.id, self.plan.nodes[reference.node].scope))
            for reference in until.references
        )
        if not inside:
            message = (
                f"{self.title(node.id)}: until `{until.expression.text}` sees nothing of the iteration that ended, "
                "so it could never change"
            )
            known = ", ".join(
                f"{name}.{output}"
                for name, at in self.names[self.namespace[node.scope]].items()
                if self.contains(node.id, self.plan.nodes[at].scope)
                for output in self.outputs_of(self.plan.nodes[at].spec) or ()
            )
            hint = f"refer to something inside the loop: {known}" if known else "no step inside the loop has an output"
            self.analysis.problems.append(OutOfScopeError(message, where=place_of(self.plan, node.id), hint=hint))

    # --- one expression ------------------------------------------------------------------------------------------------

    def bind(self, owner: int, role: Role, text: str, place: _Place, *, inputs: Collection[str] = ()) -> Bound | None:
        """Bind one expression; names of `inputs` stand for the inputs of its owner, before anything else."""
        where = place_of(self.plan, owner)
        subject = f"{self.title(owner)}: {role}"
        try:
            expression = parse(text)
        except ExpressionError as error:
            self.analysis.problems.append(
                ExpressionError(
                    f"{subject}: {error.message}", text=text, column=error.column, where=where, hint=error.hint
                )
            )
            return None
        found: dict[Reference, None] = {}
        sound = True
        for root in expression.roots:
            if root.name in inputs:
                found[Reference(root.name, "input", owner, shared=self.plan.nodes[owner].depth)] = None
                continue
            try:
                found[self.reference(root, place, f"{subject}: `{text}`", where, inputs)] = None
            except AuthoringError as problem:
                self.analysis.problems.append(problem)
                sound = False
        if not sound:
            return None
        bound = Bound(expression, tuple(found), self.plan.scopes[place.scope].depth)
        self.analysis.resolution.bound[owner, role] = bound
        return bound

    def reference(
        self, root: Root, place: _Place, subject: str, where: Where | None, inputs: Collection[str] = ()
    ) -> Reference:
        lexical = self.lexical(root.name, place.scope)
        if lexical is not None:
            return lexical
        names = self.names[self.namespace[place.scope]]
        if root.name not in names:
            raise self.unknown(root.name, place.scope, subject, where, inputs)
        producer = self.plan.nodes[names[root.name]]
        outputs = self.outputs_of(producer.spec)
        if outputs is None:
            message = f"{subject}: {self.title(producer.id)} has no value of its own"
            raise OutOfScopeError(message, where=where, hint="name a step inside it")
        output = root.path[0] if root.path else None
        if not isinstance(output, str):
            message = f"{subject}: {self.title(producer.id)} is not a value; an expression names one of its outputs"
            hint = f"write {root.name}.{outputs[0]}" if outputs else "it declares no outputs"
            raise OutOfScopeError(message, where=where, hint=hint)
        if output not in outputs:
            message = f"{subject}: {self.title(producer.id)} has no output {output!r}"
            raise UnknownNameError(message, name=output, known=outputs, where=where)
        shared, levels = self.way(producer, place, root.name + "." + output, subject, where)
        return Reference(root.name, "output", producer.id, output, shared, levels)

    @staticmethod
    def outputs_of(spec: model.Node) -> list[str] | None:
        """Names of the outputs that expressions may name, or None for what has no outputs."""
        if isinstance(spec, Step):
            return list(spec.outputs)
        return list(spec.workflow.outputs) if isinstance(spec, Subworkflow) else None

    # --- names -----------------------------------------------------------------------------------------------------------

    def lexical(self, name: str, scope: int) -> Reference | None:
        """What a bare name stands for by its place alone: a loop variable, a carried name or a parameter."""
        for owner in self.around(scope):
            spec, depth = self.plan.nodes[owner].spec, self.plan.nodes[owner].depth + 1
            if isinstance(spec, ForEach) and name in spec.variables:
                return Reference(name, "variable", owner, shared=depth)
            if isinstance(spec, Repeat) and name in spec.carry and self.has_first(name, owner):
                return Reference(name, "carry", owner, shared=depth)
        namespace = self.namespace[scope]
        if name not in workflow_of(self.plan, namespace).params:
            return None
        return Reference(name, "param", namespace, shared=0 if namespace == ROOT else self.plan.nodes[namespace].depth)

    def has_first(self, name: str, repeat: int) -> bool:
        return self.lexical(name, self.plan.nodes[repeat].scope) is not None

    def lexical_names(self, scope: int) -> list[str]:
        names = list(workflow_of(self.plan, self.namespace[scope]).params)
        for owner in self.around(scope):
            spec = self.plan.nodes[owner].spec
            if isinstance(spec, ForEach):
                names += spec.variables
        return names

    def around(self, scope: int) -> Iterator[int]:
        """The composites around a scope within its namespace, from the inside out."""
        namespace = self.namespace[scope]
        while (owner := self.plan.scopes[scope].owner) != namespace:
            yield owner
            scope = self.plan.nodes[owner].scope

    def unknown(
        self, name: str, scope: int, subject: str, where: Where | None, inputs: Collection[str] = ()
    ) -> AuthoringError:
        namespace = self.namespace[scope]
        for node in self.plan.nodes:
            spec = node.spec
            if isinstance(spec, ForEach) and name in spec.variables and self.namespace[node.scope] == namespace:
                message = f"{subject}: {name!r} is a loop variable of {self.title(node.id)} and is seen only inside it"
                return OutOfScopeError(message, where=where, hint="a step inside can hand it on as an output")
            if spec.name == name:
                other = self.namespace[node.scope]
                if other == ROOT:
                    message = f"{subject}: {self.title(node.id)} is outside of {self.title(namespace)}"
                    hint = "give the subworkflow a parameter, and pass the value as its input"
                else:
                    message = f"{subject}: {self.title(node.id)} is inside {self.title(other)}"
                    outputs = ", ".join(workflow_of(self.plan, other).outputs)
                    hint = f"that shows only its outputs: {outputs or 'none'}"
                return OutOfScopeError(message, where=where, hint=hint)
        known = [*inputs, *self.lexical_names(scope), *self.names[namespace]]
        if namespace != ROOT and name in self.plan.workflow.params:
            message = f"{subject}: {name!r} is a parameter outside of {self.title(namespace)}"
            hint = "give the subworkflow a parameter of that name, and pass the value as its input"
            return OutOfScopeError(message, where=where, hint=hint)
        message = f"{subject}: there is no step, parameter or loop variable {name!r}"
        return UnknownNameError(message, name=name, known=known, where=where)

    # --- the way from consumer to producer ------------------------------------------------------------------------------

    def outwards(self, scope: int) -> Iterator[int]:
        """The scope and all scopes around it."""
        while True:
            yield scope
            owner = self.plan.scopes[scope].owner
            if owner == ROOT:
                return
            scope = self.plan.nodes[owner].scope

    def contains(self, node: int, scope: int) -> bool:
        """Whether a scope is somewhere inside a node."""
        return any(self.plan.scopes[around].owner == node for around in self.outwards(scope))

    def way(
        self, producer: PlanNode, place: _Place, text: str, subject: str, where: Where | None
    ) -> tuple[int, tuple[Level, ...]]:
        mine, theirs = place.scope, producer.scope
        consumer, ancestor = place.node, producer.id
        levels: list[Level] = []
        while mine != theirs:
            if self.level[theirs] >= self.level[mine]:
                ancestor = self.plan.scopes[theirs].owner
                levels.append(self.inwards(ancestor, theirs))
                theirs = self.plan.nodes[ancestor].scope
            else:
                consumer = self.plan.scopes[mine].owner
                mine = self.plan.nodes[consumer].scope
        # Branches of one choose are as deep as each other: the loop above leaves the second one last.
        if consumer == ancestor:
            raise self.never(producer, place, consumer, subject, where)
        if consumer is not None:
            self.analysis.edges.setdefault(Edge(mine, ancestor, consumer), f"{subject.partition(': `')[0]} is `{text}`")
        return self.plan.scopes[mine].depth, tuple(reversed(levels))

    def inwards(self, node: int, scope: int) -> Level:
        spec = self.plan.nodes[node].spec
        kind: Literal["each", "last", "choice"] = (
            "each" if isinstance(spec, ForEach) else "last" if isinstance(spec, Repeat) else "choice"
        )
        return Level(kind, node, scope)

    def never(
        self, producer: PlanNode, place: _Place, common: int | None, subject: str, where: Where | None
    ) -> AuthoringError:
        if producer.id == place.node:
            message = f"{subject}: {self.title(producer.id)} refers to itself"
            return OutOfScopeError(message, where=where, hint="in a repeat, carry hands a value to the next iteration")
        assert common is not None
        around = self.title(common)
        if common == place.node:
            message = f"{subject}: {self.title(producer.id)} is inside {around}, which this decides on before it starts"
            return OutOfScopeError(message, where=where, hint="refer to something that comes before it")
        message = f"{subject}: {self.title(producer.id)} is in another branch of {around}; only one of them is taken"
        return OutOfScopeError(
            message, where=where, hint="refer to something before the choose, or to both from after it"
        )
