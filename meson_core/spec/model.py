"""Owns the definition of a workflow: frozen models that are plain data, equal for every way of writing it.

A **graph** is a tuple of nodes; each names its predecessors among its siblings in `after`. Sequence and parallel are
notation for those edges and leave no trace. References inside expressions (`get_users.rows`, `alpha`, `region`) add
edges when the workflow is checked, so `after` in a checked workflow is complete.

Step names are unique in a workflow (a subworkflow is a namespace of its own), so an expression names any step by its
bare name: `step.output`. Outside a for_each, a step inside it stands for the list of its values in item order; outside
a repeat, for its last iteration; outside a choose, null when its branch was not taken.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from meson_core.spec.states import FailureMode, Join

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
Name: TypeAlias = Annotated[str, Field(pattern=NAME_PATTERN, max_length=200)]


class Model(BaseModel):
    """Base of all spec models: frozen, and refusing unknown fields by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Source(Model):
    """Where the author wrote a node; not part of the digest."""

    file: str
    line: int | None = None


class Expression(Model):
    """A binding whose value is computed from the context when it is needed."""

    expr: str


class Constant(Model):
    """A binding with a fixed JSON value."""

    value: JsonValue


def _kind_of_binding(given: Any) -> str:
    return (
        "#expression" if isinstance(given, Expression) or (isinstance(given, dict) and "expr" in given) else "#constant"
    )


Binding: TypeAlias = Annotated[
    Annotated[Expression, Tag("#expression")] | Annotated[Constant, Tag("#constant")], Discriminator(_kind_of_binding)
]


class Parameter(Model):
    """A typed parameter of a workflow."""

    type: str = "any"
    """A type of `meson_core.spec.types`: any, bool, int, float, str, artifact, list[T], dict[T]."""
    default: JsonValue = None
    required: bool = True
    """False when `default` counts (a default of null is a default)."""
    choices: tuple[JsonValue, ...] | None = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    doc: str = ""


class Resources(Model):
    """What each attempt of a step asks of a machine."""

    cpus: float = Field(default=1.0, ge=0)
    memory: int = Field(default=0, ge=0)
    """Bytes; a limit as well as a request when set. 0: no request and no limit."""
    disk: int = Field(default=0, ge=0)
    other: dict[str, float] = Field(default_factory=dict)
    """Further quantities by name: `gpus`, `licences`, …"""
    constraints: tuple[str, ...] = ()
    """Expressions over the attributes and quantities of an offer: `zone == "a"`, `gpus >= 1`."""


class Retry(Model):
    """How often, by cause, and how soon an attempt is tried again."""

    user: int = Field(default=0, ge=0)
    platform: int | None = Field(default=3, ge=0)
    """None: unlimited."""
    timeout: int = Field(default=0, ge=0)
    backoff_s: float = Field(default=1.0, ge=0)
    """Seconds before the first retry; each further one waits `factor` times as long, at most `max_backoff_s`."""
    factor: float = Field(default=2.0, ge=1)
    max_backoff_s: float = Field(default=300.0, ge=0)
    jitter: float = Field(default=0.1, ge=0, le=1)
    """Part of the wait that is spread by a hash of (run, instance, attempt)."""


class BaseNode(Model):
    """What every node has."""

    name: Name
    after: tuple[str, ...] = ()
    """Siblings that come before; complete once checked, and sorted by their order in the graph."""
    join: Join = Join.all
    on_failure: FailureMode = FailureMode.finish
    source: Source | None = None


class Step(BaseNode):
    """A leaf: a step kind with its options, bindings, resources and policies."""

    node: Literal["step"] = "step"
    kind: str
    options: dict[str, JsonValue] = Field(default_factory=dict)
    inputs: dict[Name, Binding] = Field(default_factory=dict)
    outputs: dict[Name, str] = Field(default_factory=dict)
    """Declared outputs, name → type."""
    input_types: dict[Name, str] = Field(default_factory=dict)
    """Declared inputs, name → type: what is bound to them is checked before anything runs. Others may have any type."""
    resources: Resources = Field(default_factory=Resources)
    retry: Retry = Field(default_factory=Retry)
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds that one attempt may take."""
    grace_s: float = Field(default=10.0, ge=0)
    """Seconds between TERM and KILL."""
    priority: int = 0
    isolate: bool = False
    """A process of its own for every attempt."""
    artifact: str | None = Field(default=None, min_length=1)
    """The id of its result, a text with expressions in it (`importance/${date}`): where a result of this id is present,
    the step is skipped and its outputs are restored."""
    cache: Literal[False, True, "inputs"] = False
    """True: skipped where a result with the same inputs, options and code is present; "inputs": whatever the code is."""
    doc: str = ""

    @property
    def restorable(self) -> bool:
        """Whether its results are kept to be recognised."""
        return self.artifact is not None or self.cache is not False


class ForEach(BaseNode):
    """Its body once per item; the items are known when what they refer to has finished."""

    node: Literal["for_each"] = "for_each"
    variables: dict[Name, Binding] = Field(min_length=1)
    order: tuple[Name, ...] = ()
    """The variables in their order, the last one changing fastest; empty where they stand in that of the alphabet. An object of
    JSON has no order, and the canonical text of a definition none but that one."""
    mode: Literal["crossed", "zipped"] = "crossed"
    max_parallel: int | None = Field(default=None, ge=1)
    max_failed: int = Field(default=0, ge=0)
    body: tuple[Node, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("variables"), dict):
            return data
        variables, order = data["variables"], data.get("order") or list(data["variables"])
        if not isinstance(order, list | tuple):
            return data
        if sorted(order, key=str) != sorted(variables, key=str):
            raise ValueError(f"`order` must name each variable once: {', '.join(map(str, variables))}")
        told = () if list(order) == sorted(order, key=str) else tuple(order)
        return {**data, "variables": {name: variables[name] for name in order}, "order": told}


class Repeat(BaseNode):
    """Its body again and again until a condition over it holds."""

    node: Literal["repeat"] = "repeat"
    until: str
    max_iterations: int = Field(ge=1)
    on_exhausted: Literal["continue", "fail"] = "continue"
    """What happens when `until` does not hold after the last allowed iteration."""
    carry: dict[Name, str] = Field(default_factory=dict)
    """Name → expression over the iteration that ended; shadows the parameter or loop variable of that name."""
    body: tuple[Node, ...] = Field(min_length=1)


class Branch(Model):
    """One way of a choose."""

    when: str
    body: tuple[Node, ...] = Field(min_length=1)


class Choose(BaseNode):
    """The first branch whose condition holds, else `otherwise`, else nothing."""

    node: Literal["choose"] = "choose"
    branches: tuple[Branch, ...] = Field(min_length=1)
    otherwise: tuple[Node, ...] = ()


class Subworkflow(BaseNode):
    """A whole workflow as one node; its outputs are those that the workflow declares."""

    node: Literal["subworkflow"] = "subworkflow"
    workflow: Workflow
    inputs: dict[Name, Binding] = Field(default_factory=dict)
    """Values of its parameters."""


Node: TypeAlias = Annotated[Step | ForEach | Repeat | Choose | Subworkflow, Field(discriminator="node")]


class Workflow(Model):
    """An immutable definition. `format` is the version of this model, raised when old definitions need upgrading."""

    format: Literal[1] = 1
    name: Name
    params: dict[Name, Parameter] = Field(default_factory=dict)
    body: tuple[Node, ...] = Field(min_length=1)
    outputs: dict[Name, str] = Field(default_factory=dict)
    """Name → expression: the result of a run, and what a subworkflow shows outside."""
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds that a run may take."""
    doc: str = ""
    source: Source | None = None


for _model in (ForEach, Repeat, Branch, Choose, Subworkflow, Workflow):
    _model.model_rebuild()


def graphs(node: Any) -> tuple[tuple[str, tuple[Node, ...]], ...]:
    """The labelled graphs inside a composite node, in order; empty for a step."""
    if isinstance(node, ForEach | Repeat):
        return (("body", node.body),)
    if isinstance(node, Choose):
        ways = tuple((f"when {branch.when}", branch.body) for branch in node.branches)
        return (*ways, ("otherwise", node.otherwise)) if node.otherwise else ways
    if isinstance(node, Subworkflow):
        return ((node.workflow.name, node.workflow.body),)
    return ()
