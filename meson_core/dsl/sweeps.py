"""Owns sweeps: a graph for many points, its results in one table, and the best of them.

A sweep is a for_each and a step behind it. `sweep(grid={"alpha": [0.1, 1]})` is the header of the loop, and calling it
with a body makes both: the node `sweep`, whose loop variables are the point, and the step `sweep_results`, which gathers
points and outputs into a table. `cross_validate` and `bootstrap` are the same with points of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from meson_core.dsl import gathering
from meson_core.dsl.compose import Composable, Graph, in_parallel, in_sequence
from meson_core.dsl.composites import ChooseNode, ForEachLoop, ForEachNode, RepeatNode, for_each
from meson_core.dsl.draw import Distribution
from meson_core.dsl.names import checked_name, expect, shown
from meson_core.dsl.places import here
from meson_core.dsl.steps import PYTHON, Outputs, StepNode, bindable, only_output
from meson_core.dsl.values import LoopVariable, Value, expr
from meson_core.dsl.workflows import SubworkflowNode
from meson_core.errors import SpecError, UnknownNameError, Where, WrongTypeError


@dataclass(frozen=True, eq=False)
class Swept(Composable):
    """A sweep as a part of a workflow: the loop, and behind it the step that gathers its results.

    Args:
        loop: the for_each.
        results: the step.
        columns: of the table, without number, point and state.
    """

    loop: ForEachNode
    results: StepNode
    columns: tuple[str, ...]

    def as_graph(self) -> Graph:
        """The loop, then the step."""
        return in_sequence((self.loop, self.results))

    @property
    def output(self) -> Outputs:
        """What was gathered: `table`, `count`, `failed`, and of every number `mean`, `sd`, `low`, `high`."""
        return self.results.output

    def __repr__(self) -> str:
        return f"<sweep {self.loop.label} over {', '.join(self.loop.variables)}>"


class SweepLoop:
    """The header of a sweep: the values of its present point are attributes; a call with the body makes the sweep."""

    def __init__(self, loop: ForEachLoop) -> None:
        self._loop = loop

    def __getitem__(self, variable: str) -> LoopVariable:
        return self._loop[variable]

    def __getattr__(self, variable: str) -> LoopVariable:
        return getattr(self._loop, variable)  # type: ignore[no-any-return]

    def __call__(self, body: object, /) -> Swept:
        """The sweep: `body` (a step, a graph, a list of parallel parts), once per point."""
        return _swept(self._loop(body))

    def sequence(self, *parts: object) -> Swept:
        """The sweep whose body is the parts one after the other."""
        return self(in_sequence(parts))

    def parallel(self, *parts: object) -> Swept:
        """The sweep whose body is the parts side by side."""
        return self(in_parallel(parts))

    def __repr__(self) -> str:
        return f"<sweep over {', '.join(self._loop.names)}>"


def sweep(
    *,
    grid: Mapping[str, Any] | None = None,
    random: Mapping[str, Distribution] | None = None,
    points: Any = None,
    n: int | Value | None = None,
    seed: int | Value = 0,
    names: Sequence[str] | None = None,
    max_parallel: int | None = None,
    max_failed: int = 0,
    on_failure: str | None = None,
    join: str | None = None,
    name: str = "sweep",
) -> SweepLoop:
    """The header of a sweep, over a grid, at random, or over given points.

    Args:
        grid: variable → its values; every combination is a point.
        random: variable → what its values are drawn from: `draw.log_uniform(1e-4, 1)`.
        points: a list of objects with the same names, or a reference to what will be one: the result of a query.
        n: how many points `random` draws; a whole number or a parameter.
        seed: of `random`; it stands in the definition, and the same seed gives the same points everywhere.
        names: of the variables, where `points` is a reference; without them the whole object is the variable `point`.
        max_parallel: how many points are at work at a time; None: as many as the machines take.
        max_failed: how many points may fail before the sweep fails.
        on_failure: what its failure does to the rest: "finish", "fail_at_once" or "ignore".
        join: "all", "any" or "none_failed" of its predecessors.
        name: of the for_each; the step that gathers is called after it, `<name>_results`.

    Raises:
        SpecError: it does not say which points there are, or says so twice.
        WrongTypeError: points that are none.
    """
    where = here()
    variables, mode = points_of(grid=grid, random=random, points=points, n=n, seed=seed, names=names, where=where)
    return SweepLoop(
        for_each(
            variables,
            mode="zipped" if mode == "zipped" else "crossed",
            max_parallel=max_parallel,
            max_failed=max_failed,
            on_failure=on_failure,
            join=join,
            name=name,
        )
    )


@overload
def cross_validate(body: None = None, /, *, k: int | Value = 5, seed: int | Value = 0, **more: Any) -> SweepLoop: ...


@overload
def cross_validate(body: object, /, *, k: int | Value = 5, seed: int | Value = 0, **more: Any) -> Swept: ...


def cross_validate(
    body: object = None, /, *, k: int | Value = 5, seed: int | Value = 0, **more: Any
) -> SweepLoop | Swept:
    """A graph once per fold: `cross_validate(train, k=5)`, or the header for one: `cross_validate(k=5)`.

    Loop variables are `fold` (from 0), `folds` (k) and `fold_seed`;
    `meson_runtime.sampling.fold_rows` deals out the rows.

    Args:
        body: a step, a graph, or a list of parallel parts.
        k: number of folds, 2 or more.
        seed: of the order in which rows are dealt out; it stands in the definition.
        **more: max_parallel, max_failed, on_failure, join and name, as of `sweep`.
    """
    variables = folds_of(k=k, seed=seed, where=here())
    return _repeated(body, variables, {"name": "cross_validate", **more})


@overload
def bootstrap(body: None = None, /, *, n: int | Value, seed: int | Value = 0, **more: Any) -> SweepLoop: ...


@overload
def bootstrap(body: object, /, *, n: int | Value, seed: int | Value = 0, **more: Any) -> Swept: ...


def bootstrap(body: object = None, /, *, n: int | Value, seed: int | Value = 0, **more: Any) -> SweepLoop | Swept:
    """A graph once per resample: `bootstrap(estimate, n=200, seed=7)`, or the header for one: `bootstrap(n=200, seed=7)`.

    Loop variables are `sample` (from 0) and `sample_seed` (another one each);
    `meson_runtime.sampling.resampled_rows` draws rows.

    Args:
        body: a step, a graph, or a list of parallel parts.
        n: number of resamples.
        seed: from which theirs are drawn; it stands in the definition.
        **more: max_parallel, max_failed, on_failure, join and name, as of `sweep`.
    """
    variables = resamples_of(n=n, seed=seed, where=here())
    return _repeated(body, variables, {"name": "bootstrap", **more})


def best(swept: Swept, /, *, by: str, lowest: bool = True, name: str | None = None) -> StepNode:
    """The best point of a sweep: `best(tried, by="rmse")`.

    Its outputs are `item` (the number), `point`, `value` (of `by`) and `outputs`: `best(...).output["point"]["alpha"]`.

    Args:
        swept: what a sweep gave when it was called.
        by: a column of its table, or a path into one that is an object: "scores.rmse".
        lowest: whether less is better.
        name: of the step; default: `<sweep>_best`.

    Raises:
        UnknownNameError: no step in the sweep has such an output.
    """
    where = here()
    hint = "give it what the sweep gave: tried = sweep(...)(body); best(tried, by=...)"
    expect(swept, Swept, "best takes a sweep", where, hint)
    expect(by, str, "best: by must be the name of an output", where)
    if not any(by == column or by.startswith(f"{column}.") for column in swept.columns):
        msg = f"best: no step in {swept.loop.label!r} has an output {by!r}"
        raise UnknownNameError(msg, name=by, known=swept.columns, where=where)
    taken = {word: value for word, value in swept.results.bound.items() if word != "loop"}
    return _step(
        gathering.best_name(swept.loop.label) if name is None else checked_name(name, "step", where),
        gathering.BEST,
        {"by": by, "lowest": bool(lowest), **taken},
        gathering.CHOSEN,
        gathering.BEST_DOC,
        where,
    )


# --- points -----------------------------------------------------------------------------------------------------------


def points_of(
    *,
    grid: Any = None,
    random: Any = None,
    points: Any = None,
    n: Any = None,
    seed: Any = 0,
    names: Sequence[str] | None = None,
    where: Where | None,
) -> tuple[Mapping[str, Any], str]:
    """The loop variables of a sweep with their items, and the mode of its loop; `where` is the author's line.

    Raises:
        AuthoringError: as `sweep`.
    """
    said = {
        word: value for word, value in {"grid": grid, "random": random, "points": points}.items() if value is not None
    }
    if len(said) != 1:
        msg = f"a sweep goes over one of grid, random and points, got {' and '.join(said) or 'none of them'}"
        raise SpecError(msg, where=where, hint='write sweep(grid={"alpha": [0.1, 1.0]})')
    if random is None and n is not None:
        msg = f"sweep: n is the number of points that random draws, and here is {next(iter(said))}"
        raise SpecError(msg, where=where)
    if grid is not None:
        expect(grid, Mapping, "sweep: the grid must name its variables", where, 'write {"alpha": [0.1, 1.0]}')
        return grid, "crossed"
    if random is not None:
        return _drawn(random, n, seed, where), "zipped"
    return _listed(points, names, where), "zipped"


def folds_of(*, k: Any, seed: Any, where: Where | None) -> dict[str, Any]:
    """The loop variables of a cross-validation with their items.

    Raises:
        WrongTypeError: not whole numbers.
    """
    folds = _whole("cross_validate: k", k, 2, where)
    dealt = _whole("cross_validate: seed", seed, None, where)
    return {
        "fold": expr("range({k})", k=folds),
        "folds": expr("[{k}] * {k}", k=folds),
        "fold_seed": expr("[{seed}] * {k}", seed=dealt, k=folds),
    }


def resamples_of(*, n: Any, seed: Any, where: Where | None) -> dict[str, Any]:
    """The loop variables of a bootstrap with their items.

    Raises:
        WrongTypeError: not whole numbers.
    """
    count = _whole("bootstrap: n", n, 1, where)
    first = _whole("bootstrap: seed", seed, None, where)
    return {
        "sample": expr("range({n})", n=count),
        "sample_seed": expr("draw_seeds({n}, {seed}, 'bootstrap')", n=count, seed=first),
    }


def _drawn(random: Any, n: Any, seed: Any, where: Where | None) -> dict[str, Value]:
    hint = 'write random={"alpha": draw.log_uniform(1e-4, 1)}'
    expect(random, Mapping, "sweep: random must name its variables", where, hint)
    count = _whole("sweep: n", n, 1, where)
    first = _whole("sweep: seed", seed, None, where)
    found: dict[str, Value] = {}
    for variable, distribution in random.items():
        checked_name(variable, "loop variable", where)
        expect(distribution, Distribution, f"sweep: {variable!r} must be drawn from a distribution", where, hint)
        found[variable] = distribution.drawn(count, first, variable)
    return found


def _listed(points: Any, names: Sequence[str] | None, where: Where | None) -> dict[str, Any]:
    output = points if isinstance(points, Value) else only_output(points)
    if output is not None:
        if names is None:
            return {"point": output}
        return {name: expr("pluck({points}, {name})", points=output, name=name) for name in names}
    found = bindable(points, "sweep: points", where)
    if not isinstance(found, list) or not found or not all(isinstance(point, Mapping) for point in found):
        msg = f"sweep: points must be a list of objects, or a reference to one, got {shown(points)}"
        raise WrongTypeError(msg, where=where, hint='write points=[{"alpha": 0.1, "depth": 2}, ...]')
    wanted = list(found[0] if names is None else names)
    for at, point in enumerate(found):
        if set(point) != set(wanted):
            msg = f"sweep: point {at} has {', '.join(point) or 'nothing'}, and others have {', '.join(wanted)}"
            raise SpecError(msg, where=where, hint="every point has the same names")
    return {name: [point[name] for point in found] for name in wanted}


def _whole(what: str, value: Any, least: int | None, where: Where | None) -> Any:
    if isinstance(value, Value) or (type(value) is int and (least is None or value >= least)):
        return value
    bound = "" if least is None else f", {least} or more"
    msg = f"{what} must be a whole number{bound}, got {shown(value)}"
    raise WrongTypeError(msg, where=where)


# --- nodes ------------------------------------------------------------------------------------------------------------


def _repeated(body: object, variables: Mapping[str, Any], more: Mapping[str, Any]) -> SweepLoop | Swept:
    loop = SweepLoop(for_each(variables, mode="zipped", **more))
    return loop if body is None else loop(body)


def _swept(loop: ForEachNode) -> Swept:
    where = loop.where
    name = loop.label
    made = {node.label: node for node in _producers(loop.body)}
    outputs = [(step, output) for step, node in made.items() for output in node.output]
    inputs = gathering.gathered(
        loop.variables, loop.mode, outputs, lambda step, output: made[step].output[output], lambda value: value
    )
    results = _step(
        gathering.results_name(name),
        gathering.GATHER,
        {"loop": name, **inputs},
        gathering.GATHERED,
        gathering.GATHER_DOC,
        where,
    )
    return Swept(loop, results, tuple(gathering.columns_of(loop.variables, outputs)))


def _step(
    name: str, options: Mapping[str, str], bound: Mapping[str, Any], outputs: Mapping[str, str], doc: str, where: Any
) -> StepNode:
    return StepNode(
        name=name, kind=PYTHON, options=options, bound=bound, outputs=outputs, policies={}, doc=doc, where=where
    )


def _producers(graph: Graph) -> Iterator[StepNode | SubworkflowNode]:
    """What has outputs in the body of a loop, but not in loops inside it: they have a list for every point."""
    for node in graph.nodes:
        if isinstance(node, StepNode | SubworkflowNode):
            yield node
        elif isinstance(node, RepeatNode):
            yield from _producers(node.body)
        elif isinstance(node, ChooseNode):
            for body in (*(branch.body for branch in node.branches), node.otherwise):
                yield from _producers(body)
