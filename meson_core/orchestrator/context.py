"""Owns the values of a run: what every expression evaluates to, computed from parameters and recorded outputs alone.

Nothing here is state: whatever is remembered can be computed again from what is in the log, so a crash loses nothing and
a restarted orchestrator finds the same values. A run that is reopened gets a new context.

- Items: the lists of a for_each are evaluated once and addressed by ordinal.
- Carry: the carried values of an iteration are computed from the iteration before, back to the first.
- Inputs: what several instances of a step have in common is evaluated once and handed out as JSON text.
- Artifacts: a list of items may lie in one. Reading it takes time, so `ArtifactNeededError` asks for it; the caller
  fetches it elsewhere, gives it to `supply`, and asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.artifacts import ITERATION
from meson_core.errors import EvaluationError, MesonError
from meson_core.expressions import parse_template, show
from meson_core.orchestrator.items import Items, make_items
from meson_core.spec.model import Choose, Constant, Expression, ForEach, Repeat, Step, Subworkflow
from meson_core.spec.plan import ROOT, is_settled_before
from meson_core.spec.references import Role
from meson_core.spec.states import State
from meson_core.spec.types import is_artifact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.engine import RunMachine
    from meson_core.orchestrator.outputs import Outputs
    from meson_core.spec.model import Binding
    from meson_core.spec.plan import Instance, Plan
    from meson_core.spec.references import Bound, Level, Reference, Resolution

Indexes = tuple[int, ...]

#: Bytes of loop items that are kept, over all for_each instances of a run; the latest always are.
_ITEMS_BUDGET = 64 * 1024 * 1024
#: Values that instances have in common, per binding.
_SHARED_BUDGET = 256
#: Iterations, over all repeats, whose carried values are kept.
_CARRY_BUDGET = 4096

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class ArtifactNeededError(Exception):
    """A value lies in an artifact that is not at hand.

    Args:
        digest: of the artifact.
    """

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


class _InputPlan:
    """How one input of a step is computed.

    Args:
        depth: how many leading indexes its value depends on.
        fixed: its JSON when it is a constant.
        shared: values that were computed, by those indexes; None when every instance has its own.
    """

    __slots__ = ("bound", "depth", "fixed", "name", "shared")

    def __init__(self, name: str, bound: Bound | None, fixed: msgspec.Raw | None, depth: int, *, share: bool) -> None:
        self.name = name
        self.bound = bound
        self.fixed = fixed
        self.depth = depth
        self.shared: dict[Indexes, msgspec.Raw] | None = {} if share else None


class Context:
    """The values of one run.

    Args:
        plan: the compiled workflow.
        resolution: its expressions, bound.
        params: the run's parameters, by name.
        machine: asked for numbers of items and iterations, and for states.
        outputs: recorded outputs.
    """

    def __init__(
        self, plan: Plan, resolution: Resolution, params: Mapping[str, Any], machine: RunMachine, outputs: Outputs
    ) -> None:
        self._plan = plan
        self._resolution = resolution
        self._params = params
        self._machine = machine
        self._outputs = outputs
        self._items: dict[Instance, Items] = {}
        self._items_cost = 0
        self._carries: dict[tuple[Instance, int], dict[str, Any]] = {}
        self._input_plans: dict[int, list[_InputPlan]] = {}
        self._supplied: dict[str, Any] = {}

    # --- what the engine asks -----------------------------------------------------------------------------------------

    def items(self, instance: Instance) -> int:
        """How many items a for_each has.

        Raises:
            EvaluationError: its lists are no lists, or cannot be evaluated.
            ArtifactNeededError: see there.
        """
        return self._items_of(instance).count

    def branch(self, instance: Instance) -> int:
        """The way of a choose: the first whose condition holds, else `otherwise`, else -1.

        Raises:
            EvaluationError: a condition cannot be evaluated.
            ArtifactNeededError: see there.
        """
        node, indexes = instance[0], instance[1:]
        spec = self._plan.nodes[node].spec
        assert isinstance(spec, Choose)
        for position in range(len(spec.branches)):
            if self._value(node, Role("when", position), indexes):
                return position
        return len(spec.branches) if spec.otherwise else -1

    def judge(self, instance: Instance, iteration: int) -> bool:
        """Whether a repeat is done after this iteration; when not, the next one's carried values are known to exist.

        Raises:
            EvaluationError: the condition or a carried value cannot be evaluated.
            ArtifactNeededError: see there.
        """
        node = instance[0]
        indexes = (*instance[1:], iteration)
        if self._value(node, Role("until"), indexes):
            return True
        spec = self._plan.nodes[node].spec
        assert isinstance(spec, Repeat)
        if spec.carry and iteration + 1 < spec.max_iterations:
            self._carried(instance, iteration + 1)
        return False

    # --- what a launch needs ------------------------------------------------------------------------------------------

    def inputs(self, instance: Instance) -> dict[str, Any]:
        """The inputs of a step instance, by name: JSON values, or JSON text that others have in common with it.

        Raises:
            EvaluationError: one of them cannot be evaluated.
            ArtifactNeededError: see there.
        """
        node = instance[0]
        plans = self._input_plans.get(node)
        if plans is None:
            plans = self._input_plans[node] = self._plan_inputs(node)
        indexes = instance[1:]
        found: dict[str, Any] = {}
        for plan in plans:
            if plan.fixed is not None:
                found[plan.name] = plan.fixed
                continue
            assert plan.bound is not None
            shared = plan.shared
            if shared is None:
                found[plan.name] = self._evaluate(plan.bound, indexes)
                continue
            key = indexes[: plan.depth]
            text = shared.get(key)
            if text is None:
                text = msgspec.Raw(_encode(self._evaluate(plan.bound, indexes)))
                if len(shared) >= _SHARED_BUDGET:
                    shared.clear()
                shared[key] = text
            found[plan.name] = text
        return found

    def loop_values(self, instance: Instance) -> dict[str, Any]:
        """The loop variables that an instance sees, by name, and the number of its iteration.

        Raises:
            EvaluationError: a list of items cannot be evaluated.
            ArtifactNeededError: see there.
        """
        found: dict[str, Any] = {}
        place = self._plan.nodes[instance[0]]
        while (owner := self._plan.scopes[place.scope].owner) != ROOT:
            place = self._plan.nodes[owner]
            around, index = instance[1 : 1 + place.depth], 1 + place.depth
            if isinstance(place.spec, ForEach):
                items = self._items_of((owner, *around))
                for name in place.spec.variables:
                    found.setdefault(name, items.value(name, instance[index]))
            elif isinstance(place.spec, Repeat):
                found.setdefault(ITERATION, instance[index])
        return found

    def artifact_id(self, instance: Instance) -> str | None:
        """The id of the result of a step instance; None when its step declares none.

        Raises:
            EvaluationError: an expression in it cannot be evaluated, or is nothing that can be part of a text.
            ArtifactNeededError: see there.
        """
        node, indexes = instance[0], instance[1:]
        spec = self._plan.nodes[node].spec
        assert isinstance(spec, Step)
        if spec.artifact is None:
            return None
        template = parse_template(spec.artifact)
        return template.fill(
            self._value(node, Role("artifact", at), indexes) for at in range(len(template.expressions))
        )

    def result(self, name: str) -> Any:
        """A declared output of the workflow, once the run has succeeded.

        Raises:
            EvaluationError: it cannot be evaluated.
            ArtifactNeededError: see there.
        """
        return self._value(ROOT, Role("output", name), ())

    def supply(self, digest: str, found: bytes | EvaluationError) -> None:
        """The bytes of an artifact that was asked for, or why it cannot be had."""
        if isinstance(found, EvaluationError):
            self._supplied[digest] = found
            return
        try:
            self._supplied[digest] = _decode(found)
        except msgspec.DecodeError as error:
            message = f"the artifact {digest} was to be the items of a for_each, and is not JSON: {error}"
            self._supplied[digest] = EvaluationError(message)

    # --- expressions --------------------------------------------------------------------------------------------------

    def _plan_inputs(self, node: int) -> list[_InputPlan]:
        place = self._plan.nodes[node]
        spec = place.spec
        assert isinstance(spec, Step)
        settled = is_settled_before(self._plan, node)
        plans = []
        for name, binding in spec.inputs.items():
            if isinstance(binding, Constant):
                plans.append(_InputPlan(name, None, msgspec.Raw(_encode(binding.value)), 0, share=False))
                continue
            bound = self._resolution.bound[node, Role("input", name)]
            depth = max((reference.shared for reference in bound.references), default=0)
            plans.append(_InputPlan(name, bound, None, depth, share=settled and (depth < place.depth or depth == 0)))
        return plans

    def _value(self, node: int, role: Role, indexes: Indexes) -> Any:
        return self._evaluate(self._resolution.bound[node, role], indexes)

    def _evaluate(self, bound: Bound, indexes: Indexes) -> Any:
        return bound.evaluate(lambda reference: self._fetch(reference, indexes))

    def _binding(self, node: int, role: Role, binding: Binding, indexes: Indexes) -> Any:
        if isinstance(binding, Expression):
            return self._value(node, role, indexes)
        return binding.value

    def _fetch(self, reference: Reference, indexes: Indexes) -> Any:
        prefix = indexes[: reference.shared]
        if reference.target == "output":
            return self._gather(reference, prefix)
        if reference.target == "variable":
            return self._items_of((reference.node, *prefix[:-1])).value(reference.name, prefix[-1])
        if reference.target == "carry":
            return self._carried((reference.node, *prefix[:-1]), prefix[-1])[reference.name]
        if reference.target == "input":
            spec = self._plan.nodes[reference.node].spec
            assert isinstance(spec, Step)
            return self._binding(reference.node, Role("input", reference.name), spec.inputs[reference.name], indexes)
        if reference.node == ROOT:
            return self._params[reference.name]
        return self._argument(reference.node, reference.name, prefix)

    def _argument(self, node: int, name: str, indexes: Indexes) -> Any:
        """A parameter of a subworkflow."""
        spec = self._plan.nodes[node].spec
        assert isinstance(spec, Subworkflow)
        binding = spec.inputs.get(name)
        if binding is None:
            return spec.workflow.params[name].default
        return self._binding(node, Role("input", name), binding, indexes)

    # --- outputs ------------------------------------------------------------------------------------------------------

    def _gather(self, reference: Reference, prefix: Indexes) -> Any:
        """The value of an output, with a list for every for_each on the way to its producer."""
        levels = reference.levels
        if not any(level.kind == "each" for level in levels):
            for level in levels:
                if level.kind == "last":
                    total = self._machine.total_of((level.node, *prefix))
                    if total <= 0:
                        return None
                    prefix = (*prefix, total - 1)
            return self._output(reference, prefix)
        if isinstance(self._plan.nodes[reference.node].spec, Subworkflow):
            return self._collect(reference, levels, prefix, None)
        only = levels[0] if [level.kind for level in levels] == ["each"] else None
        expected = None if only is None else self._machine.total_of((only.node, *prefix))
        found = self._outputs.below(reference.node, prefix, expected)
        return self._collect(reference, levels, prefix, found)

    def _collect(
        self, reference: Reference, levels: Sequence[Level], prefix: Indexes, found: Mapping[Indexes, bytes] | None
    ) -> Any:
        if not levels:
            if found is None:
                return self._output(reference, prefix)
            data = found.get(prefix)
            return None if data is None else _decode(data).get(reference.output)
        level, inner = levels[0], levels[1:]
        if level.kind == "choice":
            return self._collect(reference, inner, prefix, found)
        total = self._machine.total_of((level.node, *prefix))
        if level.kind == "last":
            return self._collect(reference, inner, (*prefix, total - 1), found) if total > 0 else None
        if total == 0 and self._machine.state_of((level.node, *prefix)) is not State.succeeded:
            return None  # not chosen, or never begun: nothing is not the same as no items
        return [self._collect(reference, inner, (*prefix, index), found) for index in range(max(0, total))]

    def _output(self, reference: Reference, indexes: Indexes) -> Any:
        node = reference.node
        if isinstance(self._plan.nodes[node].spec, Subworkflow):
            if self._machine.state_of((node, *indexes)) is not State.succeeded:
                return None
            return self._value(node, Role("output", reference.output), indexes)
        outputs = self._outputs.one(node, indexes)
        return None if outputs is None else outputs.get(reference.output)

    # --- loops --------------------------------------------------------------------------------------------------------

    def _items_of(self, instance: Instance) -> Items:
        items = self._items.get(instance)
        if items is not None:
            return items
        node, indexes = instance[0], instance[1:]
        spec = self._plan.nodes[node].spec
        assert isinstance(spec, ForEach)
        lists = {}
        used = []
        cost = 0
        for name, binding in spec.variables.items():
            value = self._binding(node, Role("variable", name), binding, indexes)
            if is_artifact(value):
                used.append(value["$artifact"])
                value = self._content(value["$artifact"])
            lists[name] = value
            cost += _size(value)
        items = make_items(self._plan.nodes[node].name, spec, lists, cost)
        for digest in used:  # kept as items from now on, within their budget
            self._supplied.pop(digest, None)
        self._items[instance] = items
        self._items_cost += items.cost
        while self._items_cost > _ITEMS_BUDGET and len(self._items) > 1:
            self._items_cost -= self._items.pop(next(iter(self._items))).cost
        return items

    def _content(self, digest: str) -> Any:
        if digest not in self._supplied:
            raise ArtifactNeededError(digest)
        value = self._supplied[digest]
        if isinstance(value, EvaluationError):
            raise value
        return value

    def _carried(self, instance: Instance, iteration: int) -> dict[str, Any]:
        """The carried values that one iteration of a repeat sees."""
        start = iteration
        while start > 0 and (instance, start) not in self._carries:
            start -= 1
        values = self._carries.get((instance, start))
        if values is None:
            values = self._keep_carry(instance, 0, "first", instance[1:])
        for at in range(start + 1, iteration + 1):
            values = self._keep_carry(instance, at, "carry", (*instance[1:], at - 1))
        return values

    def _keep_carry(self, instance: Instance, iteration: int, what: Any, indexes: Indexes) -> dict[str, Any]:
        node = instance[0]
        spec = self._plan.nodes[node].spec
        assert isinstance(spec, Repeat)
        values = {name: self._value(node, Role(what, name), indexes) for name in spec.carry}
        if len(self._carries) >= _CARRY_BUDGET:
            del self._carries[next(iter(self._carries))]
        self._carries[instance, iteration] = values
        return values


def describe(error: MesonError) -> str:
    """One line for the log of a run."""
    return error.message if error.hint is None else f"{error.message} ({error.hint})"


def _size(value: Any) -> int:
    """Bytes that a list takes, judged by a few of its items."""
    if not isinstance(value, list) or not value:
        return 64
    few = value[:: max(1, len(value) // 16)]
    return len(value) * (56 + sum(len(show(item)) for item in few) // len(few))
