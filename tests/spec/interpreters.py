"""Owns two ways to run a workflow in memory, which must agree: by lexical scopes, and by instances and references.

`by_scopes` walks the definition and knows nothing of plans, references or instances: names live in dictionaries that
are copied inwards and wrapped outwards. `by_references` keeps outputs by instance, and fetches what a reference says.
Both take steps to be `compute`, and nothing to fail.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from meson_core.expressions import parse
from meson_core.spec import ROOT, Plan, Reference, Resolution
from meson_core.spec.model import Binding, Choose, Constant, ForEach, Node, Repeat, Step, Subworkflow, Workflow
from tests.strategies import compute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Names = dict[str, Any]


def rows(node: ForEach, values: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The items of a for_each, in order."""
    lists = [values[name] for name in node.variables]
    return list(zip(*lists, strict=True)) if node.mode == "zipped" else list(itertools.product(*lists))


# --- by scopes ---------------------------------------------------------------------------------------------------------


def by_scopes(workflow: Workflow, params: Names) -> Names:
    """The outputs of a checked workflow."""
    given = {name: parameter.default for name, parameter in workflow.params.items()} | params
    names = given | _graph(workflow.body, given)
    return {name: parse(text).evaluate(names) for name, text in workflow.outputs.items()}


def _value(binding: Binding, names: Names) -> Any:
    return binding.value if isinstance(binding, Constant) else parse(binding.expr).evaluate(names)


def _graph(nodes: Iterable[Node], names: Names) -> Names:
    """What the nodes of a graph show to each other."""
    shown: Names = {}
    left = list(nodes)
    while left:
        node = next(node for node in left if all(before not in {other.name for other in left} for before in node.after))
        left.remove(node)
        shown |= _node(node, names | shown)
    return shown


def _absent(nodes: Iterable[Node]) -> Names:
    """What the nodes of a graph show when it has not been run."""
    shown: Names = {}
    for node in nodes:
        if isinstance(node, Step):
            shown[node.name] = dict.fromkeys(node.outputs)
        elif isinstance(node, Subworkflow):
            shown[node.name] = dict.fromkeys(node.workflow.outputs)
        elif isinstance(node, Choose):
            for branch in node.branches:
                shown |= _absent(branch.body)
            shown |= _absent(node.otherwise)
        else:
            shown |= _absent(node.body)
    return shown


def _node(node: Node, names: Names) -> Names:
    if isinstance(node, Step):
        return {node.name: compute({name: _value(binding, names) for name, binding in node.inputs.items()})}
    if isinstance(node, Subworkflow):
        given = {name: _value(binding, names) for name, binding in node.inputs.items()}
        return {node.name: by_scopes(node.workflow, given)}
    if isinstance(node, Choose):
        shown = _absent([node])
        for branch in node.branches:
            if parse(branch.when).evaluate(names):
                return shown | _graph(branch.body, names)
        return shown | _graph(node.otherwise, names)
    if isinstance(node, Repeat):
        carried: Names = {}
        for iteration in range(node.max_iterations):
            inner = names | carried
            shown = _graph(node.body, inner)
            if parse(node.until).evaluate(inner | shown) or iteration == node.max_iterations - 1:
                return shown
            carried = {name: parse(text).evaluate(inner | shown) for name, text in node.carry.items()}
    assert isinstance(node, ForEach)
    values = {name: _value(binding, names) for name, binding in node.variables.items()}
    items = [_graph(node.body, names | dict(zip(node.variables, row, strict=True))) for row in rows(node, values)]
    # Every item shows the same names.
    return {
        name: {output: [item[name][output] for item in items] for output in outputs}
        for name, outputs in _absent(node.body).items()
    }


# --- by references -----------------------------------------------------------------------------------------------------


class ByReferences:
    """Runs a plan; `outputs` has what each instance of a step gave."""

    def __init__(self, plan: Plan, resolution: Resolution, params: Names) -> None:
        self.plan = plan
        self.resolution = resolution
        self.params = {name: parameter.default for name, parameter in plan.workflow.params.items()} | params
        self.outputs: dict[tuple[int, ...], Names] = {}
        self.items: dict[tuple[int, ...], list[dict[str, Any]]] = {}
        self.carried: dict[tuple[int, ...], Names] = {}
        self.iterations: dict[tuple[int, ...], int] = {}
        self.chosen: dict[tuple[int, ...], int] = {}

    def run(self) -> Names:
        """The outputs of the workflow."""
        self.scope(0, ())
        return {name: self.evaluate(ROOT, "output", name, ()) for name in self.plan.workflow.outputs}

    def scope(self, scope: int, indexes: tuple[int, ...]) -> None:
        nodes = self.plan.scopes[scope].nodes
        left = list(nodes)
        while left:
            ready = next(
                node for node in left if not {nodes[at] for at in self.plan.nodes[node].predecessors} & {*left}
            )
            left.remove(ready)
            self.node(ready, indexes)

    def node(self, at: int, indexes: tuple[int, ...]) -> None:
        node = self.plan.nodes[at]
        spec, key = node.spec, (at, *indexes)
        assert len(indexes) == node.depth
        if isinstance(spec, Step):
            self.outputs[key] = compute(self.bindings(at, "input", spec.inputs, indexes))
        elif isinstance(spec, Subworkflow):
            self.scope(node.scopes[0], indexes)
        elif isinstance(spec, ForEach):
            values = self.bindings(at, "variable", spec.variables, indexes)
            self.items[key] = [dict(zip(spec.variables, row, strict=True)) for row in rows(spec, values)]
            for item in range(len(self.items[key])):
                self.scope(node.scopes[0], (*indexes, item))
        elif isinstance(spec, Choose):
            whens = (self.evaluate(at, "when", way, indexes) for way in range(len(spec.branches)))
            way = next((way for way, holds in enumerate(whens) if holds), len(spec.branches))
            if way < len(node.scopes):
                self.chosen[key] = node.scopes[way]
                self.scope(node.scopes[way], indexes)
        else:
            self.repeat(at, spec, indexes)

    def repeat(self, at: int, spec: Repeat, indexes: tuple[int, ...]) -> None:
        self.carried[at, *indexes, 0] = {name: self.evaluate(at, "first", name, indexes) for name in spec.carry}
        for iteration in range(spec.max_iterations):
            inner = (*indexes, iteration)
            self.iterations[at, *indexes] = iteration
            self.scope(self.plan.nodes[at].scopes[0], inner)
            if self.evaluate(at, "until", "", inner):
                return
            self.carried[at, *indexes, iteration + 1] = {
                name: self.evaluate(at, "carry", name, inner) for name in spec.carry
            }

    def bindings(self, at: int, what: Any, bindings: Mapping[str, Binding], indexes: tuple[int, ...]) -> dict[str, Any]:
        return {
            name: binding.value if isinstance(binding, Constant) else self.evaluate(at, what, name, indexes)
            for name, binding in bindings.items()
        }

    def evaluate(self, at: int, what: Any, key: str | int, indexes: tuple[int, ...]) -> Any:
        bound = self.resolution.of(at, what, key)
        assert bound is not None
        assert bound.depth == len(indexes)
        return bound.evaluate(lambda reference: self.fetch(reference, indexes))

    def fetch(self, reference: Reference, indexes: tuple[int, ...]) -> Any:
        shared = indexes[: reference.shared]
        key = (reference.node, *shared)
        if reference.target == "param":
            return self.param(reference, shared)
        if reference.target == "variable":
            return self.items[key[:-1]][key[-1]][reference.name]
        if reference.target == "carry":
            return self.carried[key][reference.name]
        return self.gather(reference, 0, shared)

    def param(self, reference: Reference, indexes: tuple[int, ...]) -> Any:
        if reference.node == ROOT:
            return self.params[reference.name]
        spec = self.plan.nodes[reference.node].spec
        assert isinstance(spec, Subworkflow)
        binding = spec.inputs.get(reference.name)
        if binding is None:
            return spec.workflow.params[reference.name].default
        return self.bindings(reference.node, "input", {reference.name: binding}, indexes)[reference.name]

    def gather(self, reference: Reference, at: int, indexes: tuple[int, ...]) -> Any:
        """What the producer gave, from one level inwards on."""
        if at == len(reference.levels):
            if isinstance(self.plan.nodes[reference.node].spec, Step):
                return self.outputs[reference.node, *indexes][reference.output]
            return self.evaluate(reference.node, "output", reference.output, indexes)
        level = reference.levels[at]
        key = (level.node, *indexes)
        if level.kind == "each":
            return [self.gather(reference, at + 1, (*indexes, item)) for item in range(len(self.items[key]))]
        if level.kind == "last":
            return self.gather(reference, at + 1, (*indexes, self.iterations[key]))
        return self.gather(reference, at + 1, indexes) if self.chosen.get(key) == level.scope else None
