"""Owns writing a workflow as a YAML document, in the words of people; reading it gives the same workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from meson_core.dsl.documents.reader import NODES
from meson_core.dsl.documents.yaml_text import is_plain_text
from meson_core.dsl.policies import step_fields
from meson_core.resources import parse_size
from meson_core.spec import model
from meson_core.spec.shape import Parts, edges_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.spec.shape import Shape

_WIDTH = 110
_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "GiB": 2**30, "MiB": 2**20}


def write_yaml(workflow: model.Workflow) -> str:
    """A workflow as YAML, without the places in which its parts were written first."""
    return yaml.dump(
        _workflow(workflow), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False
    )


# --- the data of the document -----------------------------------------------------------------------------------------


def _workflow(workflow: model.Workflow) -> dict[str, Any]:
    data: dict[str, Any] = {"name": workflow.name}
    if workflow.doc:
        data["doc"] = workflow.doc
    if workflow.timeout_s is not None:
        data["timeout"] = _number(workflow.timeout_s)
    if workflow.params:
        data["params"] = {name: _parameter(declared) for name, declared in workflow.params.items()}
    data |= _graph(workflow.body)
    if workflow.outputs:
        data["outputs"] = dict(workflow.outputs)
    return data


def _parameter(declared: model.Parameter) -> Any:
    fields = declared.model_dump(mode="json", exclude_defaults=True, exclude={"type", "required", "default"})
    if declared.required and not fields:
        return declared.type
    said: dict[str, Any] = {"type": declared.type}
    if not declared.required:
        said["default"] = declared.default
    elif declared.default is not None:
        said |= {"default": declared.default, "required": True}
    return said | fields


def _graph(graph: Sequence[model.Node]) -> dict[str, Any]:
    """A graph by its shape, where sequences and parallels make just its edges and its order; else by `after`."""
    position = {node.name: at for at, node in enumerate(graph)}
    edges = {(position[name], at) for at, node in enumerate(graph) for name in node.after if name in position}
    known = all(name in position for node in graph for name in node.after) and len(position) == len(graph)
    shape = (
        shape_of([[before for before, after in edges if after == at] for at in range(len(graph))]) if known else None
    )
    if shape is not None and edges_of(shape) == edges and list(_leaves(shape)) == list(range(len(graph))):
        if isinstance(shape, Parts) and shape.way != "mesh":
            return {shape.way: [_part(part, graph) for part in shape.parts]}
        if isinstance(shape, int):
            return {"body": {graph[0].name: _node(graph[0])}}
    return {
        "body": {node.name: {**({"after": list(node.after)} if node.after else {}), **_node(node)} for node in graph}
    }


def _leaves(shape: Shape) -> Any:
    if isinstance(shape, int):
        yield shape
    else:
        for part in shape.parts:
            yield from _leaves(part)


def _part(shape: Shape, graph: Sequence[model.Node]) -> dict[str, Any]:
    if isinstance(shape, int):
        return {graph[shape].name: _node(graph[shape])}
    return {shape.way: [_part(part, graph) for part in shape.parts]}


def _node(node: model.Node) -> dict[str, Any]:
    match node:
        case model.Step():
            return _step(node) | _policies(node)
        case model.ForEach():
            said: dict[str, Any] = {"for_each": _bindings(node.variables)}
            said |= node.model_dump(mode="json", exclude_defaults=True, include={"mode", "max_parallel", "max_failed"})
            return said | _policies(node) | _graph(node.body)
        case model.Repeat():
            header: dict[str, Any] = {"until": node.until, "max_iterations": node.max_iterations}
            if node.carry:
                header["carry"] = dict(node.carry)
            if node.on_exhausted != "continue":
                header["on_exhausted"] = node.on_exhausted
            return {"repeat": header} | _policies(node) | _graph(node.body)
        case model.Choose():
            said = {"choose": [{"when": branch.when, **_graph(branch.body)} for branch in node.branches]}
            if node.otherwise:
                said["otherwise"] = _graph(node.otherwise)
                said["otherwise"] = said["otherwise"].get("body", said["otherwise"])
            return said | _policies(node)
        case model.Subworkflow():
            said = {"subworkflow": _workflow(node.workflow)}
            if node.inputs:
                said["inputs"] = _bindings(node.inputs)
            return said | _policies(node)


def _policies(node: model.Node) -> dict[str, Any]:
    return node.model_dump(mode="json", exclude_defaults=True, include={"join", "on_failure"})


def _step(step: model.Step) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": step.kind}
    if step.doc:
        said["doc"] = step.doc
    words = (*NODES["kind"], "node", "name")
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
    return said | step.model_dump(mode="json", exclude_defaults=True, include={"priority", "isolate"})


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
    style = "|" if "\n" in text.strip("\n") and not text.startswith((" ", "\n", "\t")) else None
    if style is None and not is_plain_text(text):
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
