"""Owns the checks of what flows through references: types of conditions, bindings, items, carried values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.errors import WrongTypeError
from meson_core.spec.infer import infer
from meson_core.spec.model import Constant, ForEach, Step, Subworkflow
from meson_core.spec.plan import is_settled_before
from meson_core.spec.references import (
    Bound,
    Reference,
    Resolution,
    Role,
    place_of,
    title_of,
    workflow_of,
)
from meson_core.spec.types import ANY, BOOL, Type, accepts, list_of, parse_type, type_of

if TYPE_CHECKING:
    from meson_core.errors import AuthoringError


#: Types whose values can be part of a text.
_IN_TEXTS = ("any", "bool", "int", "float", "str")


def flow_problems(resolution: Resolution) -> list[AuthoringError]:
    """Every expression whose value can never be what its place asks for."""
    return _Flow(resolution).run()


class _Names:
    """What one expression names, by type."""

    def __init__(self, flow: _Flow, bound: Bound) -> None:
        self.flow = flow
        self.outputs = {(ref.name, ref.output): ref for ref in bound.references if ref.target == "output"}
        self.bare = {ref.name: ref for ref in bound.references if ref.target != "output"}

    def value(self, name: str) -> Type:
        return self.flow.type_of_reference(self.bare[name])

    def member(self, name: str, key: str) -> Type | None:
        reference = self.outputs.get((name, key))
        return None if reference is None else self.flow.type_of_reference(reference)


class _Flow:
    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.plan = resolution.plan
        self.problems: list[AuthoringError] = []
        #: None while it is being found out: what depends on itself is not known
        self.types: dict[tuple[int, Role], Type | None] = {}

    def run(self) -> list[AuthoringError]:
        for (node, role), bound in self.resolution.bound.items():
            if role.what != "first":
                self.place(node, role, bound, self.type_of_role(node, role))
        for place in self.plan.nodes:
            if isinstance(place.spec, Step) and place.spec.restorable:
                self.settled(place.id)
        return self.problems

    def settled(self, node: int) -> None:
        """Refuse to recognise results of a step that may be launched with other inputs than it was looked up with."""
        if is_settled_before(self.plan, node):
            return
        for (owner, role), bound in self.resolution.bound.items():
            late = [reference for reference in bound.references if reference.target == "output"]
            if owner == node and role.what in ("input", "artifact") and late:
                seen = late[0]
                message = f"`{seen.name}.{seen.output}` may come after a join `any` has gone on without it"
                hint = "leave out `artifact` and `cache`, or join all"
                self.wrong(node, role, f"{message}, so results of the step cannot be told apart by it", hint)

    def wrong(self, node: int, role: Role, message: str, hint: str | None = None) -> None:
        where = place_of(self.plan, node)
        self.problems.append(WrongTypeError(f"{title_of(self.plan, node)}: {role}: {message}", where=where, hint=hint))

    def place(self, node: int, role: Role, bound: Bound, given: Type) -> None:
        """Compare what an expression gives with what its place asks for."""
        text = bound.expression.text
        if role.what in ("until", "when"):
            if not accepts(BOOL, given):
                self.wrong(node, role, f"`{text}` gives {given}, not true or false", "compare it with something")
        elif role.what == "variable":
            if given.name not in ("any", "list"):
                self.wrong(node, role, f"`{text}` gives {given}; the items of a for_each are a list")
        elif role.what == "artifact":
            if given.name not in _IN_TEXTS:
                self.wrong(node, role, f"`{text}` gives {given}; a text or a number is needed")
        elif role.what in ("input", "carry"):
            declared = self.declared(node, role)
            if not accepts(declared, given):
                self.wrong(node, role, f"`{text}` gives {given}, {declared} is needed")

    def declared(self, node: int, role: Role) -> Type:
        name, spec = str(role.key), self.plan.nodes[node].spec
        if role.what == "carry":
            first = self.resolution.of(node, "first", name)
            return ANY if first is None else self.type_of_reference(first.references[0])
        if isinstance(spec, Step):
            return _parsed(spec.input_types.get(name, "any"))
        assert isinstance(spec, Subworkflow)
        parameter = spec.workflow.params.get(name)
        return ANY if parameter is None else _parsed(parameter.type)

    def type_of_role(self, node: int, role: Role) -> Type:
        key = (node, role)
        if key not in self.types:
            self.types[key] = None
            bound = self.resolution.bound.get(key)
            given: Type = ANY
            if bound is not None:
                given, wrong = infer(bound.expression, _Names(self, bound))
                for problem in wrong:
                    self.wrong(node, role, problem)
            self.types[key] = given
        return self.types[key] or ANY

    def type_of_reference(self, reference: Reference) -> Type:
        node, name = reference.node, reference.name
        if reference.target == "param":
            return _parsed(workflow_of(self.plan, node).params[name].type)
        if reference.target == "carry":
            return self.declared(node, Role("carry", name))
        spec = self.plan.nodes[node].spec
        if reference.target == "input":
            assert isinstance(spec, Step)
            binding = spec.inputs[name]
            if isinstance(binding, Constant):
                return type_of(binding.value)
            return self.type_of_role(node, Role("input", name))
        if reference.target == "variable":
            assert isinstance(spec, ForEach)
            binding = spec.variables[name]
            items = (
                type_of(binding.value)
                if isinstance(binding, Constant)
                else self.type_of_role(node, Role("variable", name))
            )
            return ANY if items.item is None else items.item
        if isinstance(spec, Step):
            result = _parsed(spec.outputs[reference.output])
        else:
            result = self.type_of_role(node, Role("output", reference.output))
        for level in reference.levels:
            if level.kind == "each":
                result = list_of(result)
        return result


def _parsed(text: str) -> Type:
    """The type, or `any` for a text that is none (which is told elsewhere)."""
    try:
        return parse_type(text)
    except WrongTypeError:
        return ANY
