"""Owns sweeps at a glance: of all items of a loop the best, the failed and the slowest, with the point that each stands for.

It reads the rows of the nodes that stand directly in the loop, in pages, and keeps a few numbers per item; a body with
loops inside costs no more than one without.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meson_core.client.names import find_node
from meson_core.client.records import Sweep, SweepItem
from meson_core.dsl.gathering import BEST, GATHER
from meson_core.errors import ConflictError, EvaluationError, NotFoundError, UnknownNameError
from meson_core.spec.model import Constant, ForEach, Step
from meson_core.spec.plan import ROOT
from meson_core.spec.references import Reference, Role, resolve
from meson_core.spec.states import ENDED, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meson_core.client.records import TreeNode
    from meson_core.spec.plan import Plan, PlanNode
    from meson_core.store.records import InstanceRow, RunRow
    from meson_core.store.store import Store

_PAGE = 1000
#: Which state speaks for an item whose nodes are in several.
_LOUDEST = (State.failed, State.upstream_failed, State.cancelled, State.outcome_unknown, State.lost, State.retrying)
_BAD = (State.failed, State.upstream_failed, State.cancelled)
_decode = msgspec.json.Decoder().decode


class Found(NamedTuple):
    """A sweep in a workflow.

    Args:
        loop: the for_each.
        results: the step that gathers.
        by: what the step that chooses the best goes by; None when there is no such step.
        lowest: whether it takes the lowest.
    """

    loop: PlanNode
    results: PlanNode
    by: str | None
    lowest: bool


def sweeps_in(plan: Plan) -> list[Found]:
    """The sweeps of a workflow, in document order."""
    found = []
    for node in plan.nodes:
        spec = node.spec
        if not isinstance(spec, Step) or not _does(spec, GATHER):
            continue
        loop = _fixed(spec, "loop")
        beside = [plan.nodes[number] for number in plan.scopes[node.scope].nodes]
        around = next((each for each in beside if isinstance(each.spec, ForEach) and each.spec.name == loop), None)
        if around is None:
            continue
        shared = {name: value for name, value in spec.inputs.items() if name != "loop"}
        chooses = (
            each.spec
            for each in plan.nodes
            if isinstance(each.spec, Step) and _does(each.spec, BEST) and shared.items() <= each.spec.inputs.items()
        )
        best = next(chooses, None)
        by = None if best is None else _fixed(best, "by")
        found.append(Found(around, node, by, best is None or bool(_fixed(best, "lowest"))))
    return found


def _does(spec: Step, options: Mapping[str, str]) -> bool:
    return spec.kind == "python" and all(spec.options.get(name) == value for name, value in options.items())


def _fixed(spec: Step, name: str) -> Any:
    binding = spec.inputs.get(name)
    return binding.value if isinstance(binding, Constant) else None


def find_sweep(plan: Plan, name: str | None) -> Found:
    """The sweep that is meant.

    Raises:
        NotFoundError: there is none.
        UnknownNameError: there is none of that name.
        ConflictError: there are several, and none is named.
    """
    found = sweeps_in(plan)
    workflow = plan.workflow.name
    if not found:
        raise NotFoundError(f"workflow {workflow!r} has no sweep", hint="instances of a loop: mesonctl show RUN --step")
    if name is None:
        outermost = [each for each in found if each.loop.depth == 0]
        if len(outermost) == 1 or len(found) == 1:
            return (outermost or found)[0]
        names = ", ".join(each.loop.name for each in found)
        raise ConflictError(f"workflow {workflow!r} has several sweeps: {names}", hint="name the one that is meant")
    number = next((each.loop.id for each in found if each.loop.name == name), None)
    if number is None:
        number = find_node(plan, name) if name in plan.by_name else -1
    chosen = next((each for each in found if number in (each.loop.id, each.results.id)), None)
    if chosen is None:
        known = [each.loop.name for each in found]
        raise UnknownNameError(f"workflow {workflow!r} has no sweep {name!r}", name=name, known=known)
    return chosen


class _Item:
    """What is kept of an item while rows go by."""

    __slots__ = ("began", "ended", "states", "value", "why")

    def __init__(self) -> None:
        self.began: float | None = None
        self.ended: float | None = None
        self.states: list[State] = []
        self.value: float | None = None
        self.why = ""

    @property
    def seconds(self) -> float | None:
        return None if self.began is None or self.ended is None else max(0.0, self.ended - self.began)

    @property
    def state(self) -> State:
        loud = next((state for state in _LOUDEST if state in self.states), None)
        if loud is not None:
            return loud
        return next((state for state in self.states if not ENDED[state]), State.succeeded)


def read_sweep(
    store: Store,
    row: RunRow,
    plan: Plan,
    found: Found,
    node: TreeNode,
    *,
    by: str | None,
    lowest: bool | None,
    limit: int,
) -> Sweep:
    """A sweep at a glance.

    Args:
        store: where the run is.
        row: the run.
        plan: its workflow.
        found: the sweep.
        node: its for_each in the tree of the run.
        by: the column that says how good an item is; None: what the workflow goes by, else the first number there is.
        lowest: whether less is better; None: as the workflow has it.
        limit: how many of each sort.

    Raises:
        UnknownNameError: there is no such column.
    """
    reader = _Reader(store, row, plan, found)
    chosen = by or found.by or reader.first_number()
    if by is not None and not any(by == column or by.startswith(f"{column}.") for column in reader.columns):
        raise UnknownNameError(
            f"no step in {found.loop.name!r} has an output {by!r}", name=by, known=list(reader.columns)
        )
    less = found.lowest if lowest is None else lowest
    items = reader.items(chosen)
    ended = {index: item for index, item in items.items() if item.state not in _BAD}
    scored = [(item.value, index) for index, item in ended.items() if item.value is not None]
    best = heapq.nsmallest(limit, scored, key=lambda each: (each[0] if less else -each[0], each[1]))
    timed = [(item.seconds, index) for index, item in items.items() if item.seconds is not None and item.states]
    slowest = heapq.nsmallest(limit, timed, key=lambda each: (-each[0], each[1]))
    bad = [index for index, item in sorted(items.items()) if item.state in _BAD]
    show = reader.shown
    return Sweep(
        name=found.loop.name,
        variables=tuple(reader.variables),
        by=chosen,
        lowest=less,
        begun=len(items),
        succeeded=sum(item.state is State.succeeded for item in items.values()),
        failed=len(bad),
        fraction=node.fraction,
        eta_s=node.eta_s,
        best=tuple(show(index, items[index], reader.outputs_at(index)) for _, index in best),
        failures=tuple(show(index, items[index], reader.outputs_at(index)) for index in bad[:limit]),
        slowest=tuple(show(index, items[index], reader.outputs_at(index)) for _, index in slowest),
    )


def read_items(store: Store, row: RunRow, plan: Plan, found: Found) -> Iterator[SweepItem]:
    """Every item of a sweep that has begun, in order, with all that is known of it.

    Args:
        store: where the run is.
        row: the run.
        plan: its workflow.
        found: the sweep.
    """
    reader = _Reader(store, row, plan, found)
    by = found.by or reader.first_number()
    outputs = reader.all_outputs()
    for indexes, item in sorted(reader.items(by).items()):
        yield reader.shown(indexes, item, outputs.get(indexes, {}))


class _Reader:
    def __init__(self, store: Store, row: RunRow, plan: Plan, found: Found) -> None:
        self.store = store
        self.row = row
        self.plan = plan
        self.loop = found.loop
        self.resolution = resolve(plan)
        spec = found.results.spec
        assert isinstance(spec, Step)
        assert isinstance(found.loop.spec, ForEach)
        columns: Mapping[str, str] = _fixed(spec, "outputs") or {}
        #: Column → the reference that the step has it from.
        self.columns: dict[str, Reference] = {}
        for name, column in columns.items():
            bound = self.resolution.of(found.results.id, "input", name)
            if bound is not None:
                self.columns[column] = bound.references[0]
        self.variables: tuple[str, ...] = tuple(found.loop.spec.variables)
        self.lists = self._lists(found.loop.spec)
        self.mode = found.loop.spec.mode

    # --- points -------------------------------------------------------------------------------------------------------

    def _lists(self, spec: ForEach) -> dict[str, list[Any]] | None:
        """The items of each variable; None where they depend on an item or iteration around the sweep."""
        lists: dict[str, list[Any]] = {}
        for name, binding in spec.variables.items():
            if isinstance(binding, Constant):
                values: Any = binding.value
            else:
                try:
                    values = self.resolution.bound[self.loop.id, Role("variable", name)].evaluate(self._fetch)
                except (LookupError, EvaluationError):
                    return None
            if not isinstance(values, list):
                return None
            lists[name] = values
        return lists

    def _fetch(self, reference: Reference) -> Any:
        if reference.target == "param" and reference.node == ROOT:
            return self.row.params[reference.name]
        if reference.target == "output" and not reference.levels and self.plan.nodes[reference.node].depth == 0:
            found = self.store.outputs_of(self.row.run_id, reference.node, limit=1)
            if found and found[0].outputs is not None:
                return _decode(found[0].outputs)[reference.output]
        raise LookupError(reference.name)

    def point(self, number: int) -> dict[str, Any]:
        """The values of the loop variables in one item."""
        if self.lists is None:
            return {}
        if self.mode == "zipped":
            return {name: values[number] for name, values in self.lists.items() if number < len(values)}
        found = {}
        for name in reversed(self.variables):
            number, at = divmod(number, max(1, len(self.lists[name])))
            found[name] = self.lists[name][at]
        return dict(reversed(found.items()))

    # --- items --------------------------------------------------------------------------------------------------------

    def items(self, by: str | None) -> dict[tuple[int, ...], _Item]:
        """Every item that has begun, by its indexes."""
        found: dict[tuple[int, ...], _Item] = {}
        depth = self.loop.depth + 1
        for number in self.plan.scopes[self.loop.scopes[0]].nodes:
            for row in self._rows(number):
                item = found.setdefault(row.instance[1 : 1 + depth], _Item())
                item.states.append(row.state)
                if row.started_at is not None:
                    item.began = row.started_at if item.began is None else min(item.began, row.started_at)
                if row.ended_at is not None:
                    item.ended = row.ended_at if item.ended is None else max(item.ended, row.ended_at)
                if row.state in _BAD and not item.why:
                    item.why = row.why if row.failure is None else row.failure.message
        column = None if by is None else self._column(by)
        if by is not None and column is not None:
            path = by[len(column) :].lstrip(".")
            reference = self.columns[column]
            for indexes, outputs in self._outputs(reference):
                # In a repeat the last iteration comes last.
                known = found.get(indexes[:depth])
                if known is not None:
                    known.value = _number(outputs.get(reference.output), path)
        return found

    def first_number(self) -> str | None:
        """The first column that has a number where it has anything."""
        for column, reference in self.columns.items():
            outputs = next(self._outputs(reference), None)
            if outputs is not None:
                value = outputs[1].get(reference.output)
                path = next(_paths(value), None)
                if path is not None:
                    return f"{column}.{path}" if path else column
        return None

    def outputs_at(self, indexes: tuple[int, ...]) -> dict[str, Any]:
        """What the steps of one item have put out, by column."""
        outputs: dict[str, Any] = {}
        for column, reference in self.columns.items():
            rows = self.store.outputs_of(self.row.run_id, reference.node, prefix=indexes)
            last = next((row.outputs for row in reversed(rows) if row.outputs is not None), None)
            outputs[column] = None if last is None else _decode(last).get(reference.output)
        return outputs

    def all_outputs(self) -> dict[tuple[int, ...], dict[str, Any]]:
        """The same of every item, in one pass over each step."""
        found: dict[tuple[int, ...], dict[str, Any]] = {}
        for column, reference in self.columns.items():
            for indexes, outputs in self._outputs(reference):
                item = found.setdefault(indexes[: self.loop.depth + 1], dict.fromkeys(self.columns))
                item[column] = outputs.get(reference.output)
        return found

    def shown(self, indexes: tuple[int, ...], item: _Item, outputs: dict[str, Any]) -> SweepItem:
        """An item with its point."""
        return SweepItem(
            indexes=indexes,
            point=self.point(indexes[-1]),
            state=item.state.name,
            seconds=item.seconds,
            value=item.value,
            outputs=outputs,
            why=item.why,
        )

    def _column(self, by: str) -> str | None:
        return next((column for column in self.columns if by == column or by.startswith(f"{column}.")), None)

    def _rows(self, node: int) -> Iterator[InstanceRow]:
        after = None
        while page := self.store.instances(self.row.run_id, node=node, after=after, limit=_PAGE):
            yield from page
            after = page[-1].instance

    def _outputs(self, reference: Reference) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
        for row in self.store.outputs_of(self.row.run_id, reference.node):
            if row.outputs is not None:
                yield row.indexes, _decode(row.outputs)


def _number(value: Any, path: str) -> float | None:
    if path and isinstance(value, dict):
        for name in _parts(value, path):
            value, path = value[name], path[len(name) :].lstrip(".")
            return _number(value, path)
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and not path else None


def _parts(value: Mapping[str, Any], path: str) -> Sequence[str]:
    """The key of an object with which a path goes on; keys may have dots, too, and the longest one counts."""
    fitting = [name for name in value if path == name or path.startswith(f"{name}.")]
    return [max(fitting, key=len)] if fitting else []


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            for path in _paths(part):
                yield f"{name}.{path}" if path else str(name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield ""
