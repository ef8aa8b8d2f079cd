"""Owns the reference interpreter: what a workflow means, in plain recursion over its definition.

It knows no plan, no instances numbered by position, no events and no time. Names live in dictionaries that are handed
inwards and wrapped outwards; every step instance is asked for its attempts one after the other. Whole runs are judged
by it: whatever was interrupted, lost or run in another order, the states and outputs must be these.

Only `fail_at_once` is left out, since what it stops depends on who was quicker.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from meson_core.errors import EvaluationError
from meson_core.expressions import parse, parse_template
from meson_core.spec.model import Choose, Constant, ForEach, Node, Repeat, Step, Subworkflow, Workflow
from meson_core.spec.states import Cause, FailureMode, Join, RunState, State, satisfies

if TYPE_CHECKING:
    from meson_core.spec.model import Binding

Names: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]
Indexes: TypeAlias = tuple[int, ...]
Key: TypeAlias = tuple[Path, Indexes]


class Failed(NamedTuple):
    """An attempt that failed."""

    cause: Cause = Cause.user
    final: bool = False


#: (path of the step, indexes, inputs, attempt from 1) → outputs, or why there are none.
Behaviour: TypeAlias = Callable[[Path, Indexes, Mapping[str, Any], int], "Names | Failed"]


#: (id of its result, path of the step, inputs) → the outputs of a result that is there already, or None.
Shelf: TypeAlias = Callable[[str | None, Path, Mapping[str, Any]], "Names | None"]


@dataclass
class Result:
    """How a run ends.

    Args:
        state: of the run.
        states: of every instance, of steps and composites.
        outputs: of every step instance that succeeded or was restored.
        results: the outputs of the workflow; empty unless it succeeded.
    """

    state: RunState = RunState.succeeded
    states: dict[Key, State] = field(default_factory=dict)
    outputs: dict[Key, Names] = field(default_factory=dict)
    results: Names = field(default_factory=dict)


def nothing(artifact: str | None, path: Path, inputs: Mapping[str, Any]) -> None:
    """No result is there already."""


def interpret(workflow: Workflow, params: Mapping[str, Any], behaviour: Behaviour, shelf: Shelf = nothing) -> Result:
    """Run a checked workflow in the mind.

    Args:
        workflow: as `meson_core.spec.check` returns it.
        params: all its parameters.
        behaviour: what attempts do.
        shelf: what is there already, for steps that ask.
    """
    interpreter = _Interpreter(behaviour, shelf)
    fine, shown = interpreter.graph(workflow.body, dict(params), (), ())
    result = interpreter.result
    if fine:
        names = {**params, **shown}
        result.results = {name: parse(text).evaluate(names) for name, text in workflow.outputs.items()}
    else:
        result.state = RunState.failed
    return result


class _Interpreter:
    def __init__(self, behaviour: Behaviour, shelf: Shelf) -> None:
        self.behaviour = behaviour
        self.shelf = shelf
        self.result = Result()

    def graph(self, nodes: tuple[Node, ...], names: Names, path: Path, at: Indexes) -> tuple[bool, Names]:
        """Whether nothing failed that is not forgiven, and what the nodes show to what comes after them."""
        ended: dict[str, tuple[State, FailureMode]] = {}
        shown: Names = {}
        while len(ended) < len(nodes):
            node = next(
                node for node in nodes if node.name not in ended and all(before in ended for before in node.after)
            )
            assert node.on_failure is not FailureMode.fail_at_once
            joined = [satisfies(state, node.join, mode) for state, mode in (ended[before] for before in node.after)]
            if (any(joined) or not joined) if node.join is Join.any else all(joined):
                state, more = self.node(node, {**names, **shown}, path, at)
            else:
                state, more = State.upstream_failed, absent([node])
                self.never_opened(node, state, path, at)
            self.result.states[(*path, node.name), at] = state
            ended[node.name] = state, node.on_failure
            shown |= more
        fine = all(state is not State.failed or mode is FailureMode.ignore for state, mode in ended.values())
        return fine, shown

    def node(self, node: Node, names: Names, path: Path, at: Indexes) -> tuple[State, Names]:
        if isinstance(node, Step):
            return self.step(node, names, path, at)
        if isinstance(node, ForEach):
            return self.for_each(node, names, path, at)
        if isinstance(node, Repeat):
            return self.repeat(node, names, path, at)
        if isinstance(node, Choose):
            return self.choose(node, names, path, at)
        return self.subworkflow(node, names, path, at)

    def step(self, node: Step, names: Names, path: Path, at: Indexes) -> tuple[State, Names]:
        key = ((*path, node.name), at)
        try:
            inputs = {name: value_of(binding, names) for name, binding in node.inputs.items()}
            artifact = named(node.artifact, {**names, **inputs})
        except EvaluationError:
            return State.failed, absent([node])
        there = self.shelf(artifact, key[0], inputs) if artifact is not None or node.cache else None
        if there is not None:
            self.result.outputs[key] = there
            return State.skipped, {node.name: {name: there.get(name) for name in node.outputs}}
        left: dict[Cause, float] = {
            Cause.user: node.retry.user,
            Cause.platform: float("inf") if node.retry.platform is None else node.retry.platform,
            Cause.timeout: node.retry.timeout,
        }
        for attempt in itertools.count(1):
            outcome = self.behaviour(*key, inputs, attempt)
            if not isinstance(outcome, Failed):
                self.result.outputs[key] = outcome
                return State.succeeded, {node.name: {name: outcome.get(name) for name in node.outputs}}
            left[outcome.cause] -= 1
            if outcome.final or left[outcome.cause] < 0:
                break
        return State.failed, absent([node])

    def for_each(self, node: ForEach, names: Names, path: Path, at: Indexes) -> tuple[State, Names]:
        try:
            lists = {name: value_of(binding, names) for name, binding in node.variables.items()}
            rows = list(
                itertools.product(*lists.values()) if node.mode == "crossed" else zip(*lists.values(), strict=True)
            )
        except (EvaluationError, ValueError, TypeError):
            return State.failed, gathered(node, [])
        items = [
            self.graph(node.body, {**names, **dict(zip(lists, row, strict=True))}, path, (*at, index))
            for index, row in enumerate(rows)
        ]
        failed = sum(not fine for fine, _ in items)
        state = State.failed if failed > node.max_failed else State.succeeded
        return state, gathered(node, [shown for _, shown in items])

    def repeat(self, node: Repeat, names: Names, path: Path, at: Indexes) -> tuple[State, Names]:
        carried: Names = {}
        shown: Names = {}
        for iteration in range(node.max_iterations):
            inner = {**names, **carried}
            fine, shown = self.graph(node.body, inner, path, (*at, iteration))
            if not fine:
                return State.failed, shown
            seen = {**inner, **shown}
            try:
                if parse(node.until).evaluate(seen):
                    return State.succeeded, shown
                if iteration + 1 < node.max_iterations:
                    carried = {name: parse(text).evaluate(seen) for name, text in node.carry.items()}
            except EvaluationError:
                return State.failed, shown
        return State.failed if node.on_exhausted == "fail" else State.succeeded, shown

    def choose(self, node: Choose, names: Names, path: Path, at: Indexes) -> tuple[State, Names]:
        bodies = [*(branch.body for branch in node.branches), *([node.otherwise] if node.otherwise else [])]
        try:
            holds = [True for branch in node.branches if parse(branch.when).evaluate(names)]
            way = next((way for way, branch in enumerate(node.branches) if parse(branch.when).evaluate(names)), None)
        except EvaluationError:
            for body in bodies:
                self.absent_graph(body, State.upstream_failed, path, at)
            return State.failed, absent([node])
        if not holds and node.otherwise:
            way = len(node.branches)
        for other, body in enumerate(bodies):
            if other != way:
                self.absent_graph(body, State.not_chosen, path, at)
        if way is None:
            return State.succeeded, absent([node])
        fine, shown = self.graph(bodies[way], names, path, at)
        return State.succeeded if fine else State.failed, {**absent([node]), **shown}

    def subworkflow(self, node: Subworkflow, names: Names, path: Path, at: Indexes) -> tuple[State, Names]:
        inner = {name: parameter.default for name, parameter in node.workflow.params.items()}
        inner |= {name: value_of(binding, names) for name, binding in node.inputs.items()}
        fine, shown = self.graph(node.workflow.body, inner, (*path, node.name), at)
        if not fine:
            return State.failed, absent([node])
        seen = {**inner, **shown}
        outputs = {name: parse(text).evaluate(seen) for name, text in node.workflow.outputs.items()}
        return State.succeeded, {node.name: outputs}

    # --- what does not run --------------------------------------------------------------------------------------------

    def never_opened(self, node: Node, state: State, path: Path, at: Indexes) -> None:
        """What exists inside a choose or a subworkflow ends with it; items and iterations never come into being."""
        if isinstance(node, Choose):
            for body in (*(branch.body for branch in node.branches), node.otherwise):
                self.absent_graph(body, state, path, at)
        elif isinstance(node, Subworkflow):
            self.absent_graph(node.workflow.body, state, (*path, node.name), at)

    def absent_graph(self, nodes: tuple[Node, ...], state: State, path: Path, at: Indexes) -> None:
        for node in nodes:
            self.result.states[(*path, node.name), at] = state
            self.never_opened(node, state, path, at)


def value_of(binding: Binding, names: Names) -> Any:
    """What a binding stands for."""
    return binding.value if isinstance(binding, Constant) else parse(binding.expr).evaluate(names)


def named(artifact: str | None, names: Names) -> str | None:
    """The id of a result."""
    if artifact is None:
        return None
    template = parse_template(artifact)
    return template.fill([expression.evaluate(names) for expression in template.expressions])


def absent(nodes: list[Node] | tuple[Node, ...]) -> Names:
    """What nodes show that have no values: null for everything that they would have shown."""
    shown: Names = {}
    for node in nodes:
        if isinstance(node, Step):
            shown[node.name] = dict.fromkeys(node.outputs)
        elif isinstance(node, Subworkflow):
            shown[node.name] = dict.fromkeys(node.workflow.outputs)
        elif isinstance(node, Choose):
            for body in (*(branch.body for branch in node.branches), node.otherwise):
                shown |= absent(body)
        else:
            shown |= absent(node.body)
    return shown


def gathered(node: ForEach, items: list[Names]) -> Names:
    """What a for_each shows: for everything that is shown inside, the list over its items."""
    return {
        name: {output: [item[name][output] for item in items] for output in outputs}
        for name, outputs in absent(node.body).items()
    }
