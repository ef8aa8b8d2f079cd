"""Owns writing a workflow as a YAML document, in the words of people; reading it gives the same workflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from meson_core.dsl.documents.reader import NODES
from meson_core.dsl.documents.yaml_text import is_plain_text
from meson_core.dsl.policies import step_fields
from meson_core.errors import UnknownNameError
from meson_core.resources import parse_size
from meson_core.spec import model
from meson_core.spec.plan import compile_plan
from meson_core.spec.references import Edge, analyse
from meson_core.spec.shape import Parts, edges_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meson_core.spec.plan import Plan, PlanNode, PlanScope
    from meson_core.spec.shape import Shape

_WIDTH = 110
_BREAKS = re.compile("[\r\x85\u2028\u2029]")
_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "GiB": 2**30, "MiB": 2**20}


def write_yaml(workflow: model.Workflow) -> str:
    """A workflow as YAML, without the places in which its parts were written first.

    Raises:
        UnknownNameError: a node comes after something that is not beside it.
    """
    _check_after(workflow.name, workflow.body)
    writer = _Writer(compile_plan(workflow))
    return yaml.dump(
        writer.workflow(workflow, writer.plan.scopes[0]),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
    )


def _check_after(owner: str, graph: Sequence[model.Node]) -> None:
    siblings = {node.name for node in graph}
    for node in graph:
        for name in node.after:
            if name not in siblings:
                msg = f"{owner}: {node.name!r} comes after {name!r}, which is not beside it"
                raise UnknownNameError(msg, name=name, known=siblings)
        for _, inner in model.graphs(node):
            _check_after(node.name, inner)


# --- the data of the document -----------------------------------------------------------------------------------------


class _Writer:
    """Writes from the plan, which knows the edges that references make: what a document need not say."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.implied = analyse(plan).edges

    def workflow(self, workflow: model.Workflow, scope: PlanScope) -> dict[str, Any]:
        data: dict[str, Any] = {"name": workflow.name}
        if workflow.doc:
            data["doc"] = workflow.doc
        if workflow.timeout_s is not None:
            data["timeout"] = _number(workflow.timeout_s)
        if workflow.params:
            data["params"] = {name: _parameter(declared) for name, declared in workflow.params.items()}
        data |= self.graph(scope)
        if workflow.outputs:
            data["outputs"] = dict(workflow.outputs)
        return data

    def graph(self, scope: PlanScope) -> dict[str, Any]:
        """A graph by its shape, where that makes its order and its edges (but for implied ones); else by `after`."""
        nodes = [self.plan.nodes[node] for node in scope.nodes]
        shape = shape_of([node.predecessors for node in nodes])
        if isinstance(shape, Parts) and shape.way != "mesh" and self.is_written_by(shape, nodes):
            return {shape.way: [self.part(part, nodes) for part in shape.parts]}
        return {"body": {node.spec.name: self.after(node) | self.node(node) for node in nodes}}

    def is_written_by(self, shape: Shape, nodes: Sequence[PlanNode]) -> bool:
        edges = {(before, node.position) for node in nodes for before in node.predecessors}
        written = edges_of(shape)
        return (
            list(_leaves(shape)) == list(range(len(nodes)))
            and written <= edges
            and all(
                Edge(nodes[after].scope, nodes[before].id, nodes[after].id) in self.implied
                for before, after in edges - written
            )
        )

    def part(self, shape: Shape, nodes: Sequence[PlanNode]) -> dict[str, Any]:
        if isinstance(shape, int):
            return {nodes[shape].spec.name: self.node(nodes[shape])}
        return {shape.way: [self.part(part, nodes) for part in shape.parts]}

    @staticmethod
    def after(node: PlanNode) -> dict[str, Any]:
        return {"after": list(node.spec.after)} if node.spec.after else {}

    def node(self, planned: PlanNode) -> dict[str, Any]:
        node = planned.spec
        inner = [self.plan.scopes[scope] for scope in planned.scopes]
        match node:
            case model.Step():
                return _step(node) | _policies(node)
            case model.ForEach():
                said: dict[str, Any] = {"for_each": _bindings(node.variables)}
                said |= node.model_dump(
                    mode="json", exclude_defaults=True, include={"mode", "max_parallel", "max_failed"}
                )
                return said | _policies(node) | self.graph(inner[0])
            case model.Repeat():
                header: dict[str, Any] = {"until": node.until, "max_iterations": node.max_iterations}
                if node.carry:
                    header["carry"] = dict(node.carry)
                if node.on_exhausted != "continue":
                    header["on_exhausted"] = node.on_exhausted
                return {"repeat": header} | _policies(node) | self.graph(inner[0])
            case model.Choose():
                ways = zip(node.branches, inner, strict=False)
                said = {"choose": [{"when": branch.when, **self.graph(scope)} for branch, scope in ways]}
                if node.otherwise:
                    otherwise = self.graph(inner[-1])
                    said["otherwise"] = otherwise.get("body", otherwise)
                return said | _policies(node)
            case model.Subworkflow():
                said = {"subworkflow": self.workflow(node.workflow, inner[0])}
                if node.inputs:
                    said["inputs"] = _bindings(node.inputs)
                return said | _policies(node)


def _leaves(shape: Shape) -> Iterator[int]:
    if isinstance(shape, int):
        yield shape
    else:
        for part in shape.parts:
            yield from _leaves(part)


def _parameter(declared: model.Parameter) -> Any:
    fields = declared.model_dump(mode="json", exclude_defaults=True, exclude={"type", "required", "default"})
    if declared.required and declared.default is None and not fields:
        return declared.type
    said: dict[str, Any] = {"type": declared.type}
    if not declared.required:
        said["default"] = declared.default
    elif declared.default is not None:
        said |= {"default": declared.default, "required": True}
    return said | {rule: _number(bound) if isinstance(bound, float) else bound for rule, bound in fields.items()}


def _policies(node: model.Node) -> dict[str, Any]:
    return node.model_dump(mode="json", exclude_defaults=True, include={"join", "on_failure"})


def _step(step: model.Step) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": step.kind}
    if step.doc:
        said["doc"] = step.doc
    words = {*NODES["kind"], *NODES, "node", "name"}
    said |= {word: value for word, value in step.options.items() if word not in words}
    hidden = {word: value for word, value in step.options.items() if word in words}
    if hidden:
        said["options"] = hidden
    if step.inputs:
        said["inputs"] = _bindings(step.inputs)
    for word in ("input_types", "outputs"):
        types: Mapping[str, str] = getattr(step, word)
        if types:
            said[word] = dict(types)
    return said | _resources(step.resources) | _times(step)


def _resources(resources: model.Resources) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if resources.cpus != 1:
        said["cpus"] = _number(resources.cpus)
    for word, size in (("memory", resources.memory), ("disk", resources.disk)):
        if size:
            said[word] = _size(size)
    other = {name: _number(amount) for name, amount in resources.other.items()}
    if other.get("gpus"):
        said["gpus"] = other.pop("gpus")
    if other:
        said["resources"] = other
    if resources.constraints:
        one, *more = resources.constraints
        said["where"] = [one, *more] if more else one
    return said


def _times(step: model.Step) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if step.retry != model.Retry():
        plain = step_fields({"retries": step.retry.user}, step.name, None)["retry"]
        same = model.Retry.model_validate(plain) == step.retry
        said["retries"] = step.retry.user if same else step.retry.model_dump(mode="json", exclude_defaults=True)
    if step.timeout_s is not None:
        said["timeout"] = _number(step.timeout_s)
    if step.grace_s != model.Step.model_fields["grace_s"].default:
        said["grace"] = _number(step.grace_s)
    return said | step.model_dump(
        mode="json", exclude_defaults=True, include={"priority", "isolate", "artifact", "cache"}
    )


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _size(size: int) -> int | str:
    for unit, factor in _UNITS.items():
        if size % factor == 0 and parse_size(f"{size // factor} {unit}") == size:
            return f"{size // factor} {unit}"
    return size


def _bindings(bindings: Mapping[str, model.Binding]) -> dict[str, Any]:
    return {name: _binding(binding) for name, binding in bindings.items()}


def _binding(binding: model.Binding) -> Any:
    if isinstance(binding, model.Expression):
        return f"${{{binding.expr}}}"
    value = _literal(binding.value)
    # These two would be read as the binding itself.
    return {"value": binding.value} if isinstance(value, dict) and set(value) in ({"expr"}, {"value"}) else value


def _literal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


# --- the text ---------------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Writes short lists and mappings of scalars in one line, and texts of several lines as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Items of a list are indented, too."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Parts that are equal by chance are written out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None
    if _BREAKS.search(text):
        style = '"'  # in other styles they would be read as spaces
    elif "\n" in text.strip("\n") and not text.startswith((" ", "\n", "\t")):
        style = "|"
    elif not is_plain_text(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=_is_short(items))


def _dict(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=_is_short(list(data.values())))


def _is_short(values: list[Any]) -> bool:
    scalars = all(not isinstance(value, list | dict) and "\n" not in str(value) for value in values)
    return scalars and sum(len(str(value)) + 2 for value in values) < _WIDTH // 2


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(dict, _dict)
