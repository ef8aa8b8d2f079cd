"""Owns the tests of values: whole random workflows against an interpreter of scopes, and the corners by hand."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.errors import EvaluationError
from meson_core.orchestrator.items import MAX_ITEMS, make_items
from meson_core.spec import check
from meson_core.spec.model import Constant, Expression, ForEach, Parameter, Repeat, Subworkflow
from meson_core.spec.states import FailureMode, Join, RunState
from tests.orchestrator.cells import Cell, HandScheduler
from tests.orchestrator.flows import fan, flow, step
from tests.spec.interpreters import by_scopes
from tests.strategies import Style, compute, random_workflow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meson_core.ports import Placement
    from meson_core.spec.model import Workflow


class Computing(HandScheduler):
    """Machines that compute the outputs of every step at once, in an order of their own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)

    async def launch(self, placements: Sequence[Placement]) -> None:
        await super().launch(placements)
        shuffled = list(placements)
        self.random.shuffle(shuffled)
        for placement in shuffled:
            self.succeed(placement.key, **compute(self.inputs(placement.key)))


async def results_of(cell: Cell, workflow: Workflow, **params: Any) -> Any:
    run_id = cell.submit(workflow, **params)
    async with cell.driven() as orchestrator:
        assert RunState.succeeded is await orchestrator.run_until_ended(run_id)
    row = cell.store.run(run_id)
    assert row is not None
    return row.results


@pytest.mark.parametrize("seed", range(40))
async def test_any_workflow_has_the_values_that_its_scopes_say(tmp_path: Path, seed: int) -> None:
    """Loops, choices and subworkflows in any nesting, seen by one who knows of scopes and dictionaries alone."""
    workflow = check(random_workflow(random.Random(seed), Style(kind="python", options={})))
    cell = Cell(tmp_path, Computing(seed))

    results = await results_of(cell, workflow)

    assert by_scopes(workflow, {}) == (results or {})
    cell.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
async def test_the_values_are_the_same_when_the_orchestrator_is_another_one_at_every_step(
    tmp_path: Path, seed: int
) -> None:
    """Nothing in memory is needed: whatever is not in the log can be computed again from it."""
    workflow = check(random_workflow(random.Random(seed), Style(kind="python", options={}, copies=8)))
    cell = Cell(tmp_path, HandScheduler())
    run_id = cell.submit(workflow)
    done: set[Any] = set()

    while cell.store.run(run_id) is None or not cell.state(run_id).ended:
        async with cell.driven():
            for key in [key for key in cell.scheduler.launches if key not in done]:
                done.add(key)
                cell.scheduler.succeed(key, **compute(cell.scheduler.inputs(key)))
            await cell.until(
                lambda: (
                    (cell.store.run(run_id) is not None and cell.state(run_id).ended)
                    or any(key not in done for key in cell.scheduler.launches)
                )
            )

    row = cell.store.run(run_id)
    assert row is not None
    assert RunState.succeeded is row.state
    assert by_scopes(workflow, {}) == (row.results or {})
    cell.close()


# --- items --------------------------------------------------------------------------------------------------------


def spec(mode: str, **variables: Any) -> ForEach:
    bindings = {name: Constant(value=value) for name, value in variables.items()}
    return ForEach(name="each", variables=bindings, mode=mode, body=(step("s"),))


def rows(mode: str, **lists: Any) -> list[tuple[Any, ...]]:
    items = make_items("each", spec(mode, **lists), lists, 0)
    return [tuple(items.value(name, at) for name in lists) for at in range(items.count)]


def test_crossed_lists_are_every_combination_the_last_one_fastest() -> None:
    """A reader expects the order of nested loops."""
    assert [("a", 1), ("a", 2), ("b", 1), ("b", 2)] == rows("crossed", letter=["a", "b"], number=[1, 2])


def test_zipped_lists_go_side_by_side() -> None:
    """The first items together, then the second ones."""
    assert [("a", 1), ("b", 2)] == rows("zipped", letter=["a", "b"], number=[1, 2])


def test_an_empty_list_has_no_items() -> None:
    """Crossed with anything, nothing is left."""
    assert [] == rows("crossed", letter=["a", "b"], number=[])


@pytest.mark.parametrize(
    ("mode", "lists", "told"),
    [
        ("zipped", {"a": [1, 2], "b": [1]}, "a has 2, b has 1"),
        ("crossed", {"a": 3}, "must be a list to go through, and is an int"),
        ("crossed", {"a": None}, "and is null"),
        ("crossed", {"a": {"x": 1}}, "and is a dict"),
        ("crossed", {"a": [0] * 4000, "b": [0] * 4000}, f"the most is {MAX_ITEMS:,}"),
    ],
)
def test_what_cannot_be_gone_through_is_told(mode: str, lists: dict[str, Any], told: str) -> None:
    """With the name of the for_each and the value that was met."""
    with pytest.raises(EvaluationError) as error:
        make_items("each", spec(mode, **lists), lists, 0)

    assert told in str(error.value)
    assert "for_each 'each'" in str(error.value)


async def test_items_that_are_no_list_fail_their_for_each(cell: Cell) -> None:
    """The reason is on the for_each, in words."""
    each = ForEach(name="each", variables={"i": Expression(expr="a.x")}, body=(step("work", i="i"),))
    run_id = cell.submit(flow(step("a"), each))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=7)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.failed is state
    assert "must be a list" in cell.row(run_id, 1).why


@pytest.mark.parametrize("restart", [False, True])
async def test_an_artifact_may_hold_the_items(cell: Cell, *, restart: bool) -> None:
    """It is read once, in a thread, and again by an orchestrator that takes over."""
    digest = "sha256:" + "1" * 64
    folder = cell.settings.directory / "artifacts"
    folder.mkdir(parents=True)
    (folder / digest).write_text(json.dumps(["north", "south"]))
    artifact = {"$artifact": digest, "size": 18, "name": "regions", "media": "application/json"}
    each = ForEach(
        name="each", variables={"i": Expression(expr="a.x")}, max_parallel=1, body=(step("work", region="i"),)
    )
    run_id = cell.submit(flow(step("a"), each))

    async with cell.driven():
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=artifact)
        (north,) = await cell.launched(2)
        if not restart:
            cell.scheduler.succeed(north, x=1)
            await cell.launched(2, 2)
    if restart:
        async with cell.driven():
            cell.scheduler.succeed(north, x=1)
            await cell.launched(2, 2)

    assert [{"region": "north"}, {"region": "south"}] == [cell.scheduler.inputs(one) for one in cell.scheduler.of(2)]
    assert 2 == cell.names(run_id).count("AttemptSucceeded")


@pytest.mark.parametrize(
    ("content", "told"), [("{", "is not JSON"), ('{"a": 1}', "must be a list"), (None, "no artifact")]
)
async def test_an_artifact_that_holds_no_items_fails_the_for_each(cell: Cell, content: str | None, told: str) -> None:
    """Missing, broken, or something else: the run says which."""
    digest = "sha256:" + "2" * 64
    folder = cell.settings.directory / "artifacts"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / digest).write_text(content)
    artifact = {"$artifact": digest, "size": 1, "name": "n", "media": "application/json"}
    each = ForEach(name="each", variables={"i": Expression(expr="a.x")}, body=(step("work", i="i"),))
    run_id = cell.submit(flow(step("a"), each))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=artifact)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.failed is state
    assert told in cell.row(run_id, 1).why


# --- null ---------------------------------------------------------------------------------------------------------


async def test_what_failed_and_was_forgiven_is_null_in_the_list(cell: Cell) -> None:
    """The others keep their places."""
    run_id = cell.submit(fan(3, max_failed=1))

    async with cell.driven():
        keys = await cell.launched(1, 3)
        cell.scheduler.succeed(keys[0], x=0)
        cell.scheduler.fail(keys[1])
        cell.scheduler.succeed(keys[2], x=2)
        (gather,) = await cell.launched(2)
        inputs = cell.scheduler.inputs(gather)

    assert {"all": [0, None, 2]} == inputs
    assert run_id


async def test_a_failure_that_is_ignored_is_null(cell: Cell) -> None:
    """The step after it runs without."""
    cell.submit(flow(step("a", on_failure=FailureMode.ignore), step("b", v="a.x")))

    async with cell.driven():
        (key,) = await cell.launched(0)
        cell.scheduler.fail(key)
        (after,) = await cell.launched(1)

    assert {"v": None} == cell.scheduler.inputs(after)


async def test_an_any_join_sees_what_there_is_when_each_attempt_starts(cell: Cell) -> None:
    """The other branch may end between two attempts: then the second one sees it."""
    cell.submit(flow(step("a"), step("b"), step("c", join=Join.any, a="a.x", b="b.x")))

    async with cell.driven():
        (first,) = await cell.launched(0)
        await cell.launched(1)
        cell.scheduler.succeed(first, x=1)
        (third,) = await cell.launched(2)

    assert {"a": 1, "b": None} == cell.scheduler.inputs(third)


async def test_carried_values_are_computed_from_iteration_to_iteration(cell: Cell) -> None:
    """The first is the parameter's, each further one comes from the iteration before; a restart changes nothing."""
    repeat = Repeat(
        name="again",
        until="work.x >= 16",
        max_iterations=10,
        carry={"alpha": "alpha * 2"},
        body=(step("work", a="alpha"),),
    )
    run_id = cell.submit(
        flow(repeat, params={"alpha": Parameter(type="int", required=False, default=1)}, outputs={"x": "work.x"}),
        alpha=2,
    )

    seen = []
    for number in range(1, 5):
        async with cell.driven():
            key = (await cell.launched(1, number))[-1]
            seen.append(cell.scheduler.inputs(key)["a"])
            cell.scheduler.succeed(key, x=seen[-1])
            # What the next iteration's orders are is known only once they have gone out.
            await cell.until(
                lambda number=number: cell.state(run_id).ended or len(cell.scheduler.of(1)) > number  # type: ignore[misc]
            )

    assert [2, 4, 8, 16] == seen
    row = cell.store.run(run_id)
    assert row is not None
    assert (RunState.succeeded, {"x": 16}) == (row.state, row.results)


async def test_a_subworkflow_gets_its_inputs_and_shows_its_outputs(tmp_path: Path) -> None:
    """Parameters go in, declared outputs come out, and a default counts where nothing is given."""
    inner = flow(
        step("work", a="alpha", b="beta"),
        params={
            "alpha": Parameter(type="any", required=False, default=None),
            "beta": Parameter(type="int", required=False, default=9),
        },
        outputs={"y": "work.x"},
    )
    sub = Subworkflow(name="sub", workflow=inner, inputs={"alpha": Expression(expr="first.x")})
    cell = Cell(tmp_path, HandScheduler())
    cell.submit(flow(step("first"), sub, step("last", v="sub.y")))

    async with cell.driven():
        (first,) = await cell.launched(0)
        cell.scheduler.succeed(first, x={"deep": [1]})
        (work,) = await cell.launched(2)
        cell.scheduler.succeed(work, x="shown")
        (last,) = await cell.launched(3)

    assert {"a": {"deep": [1]}, "b": 9} == cell.scheduler.inputs(work)
    assert {"v": "shown"} == cell.scheduler.inputs(last)
    cell.close()


async def test_an_output_of_the_workflow_that_cannot_be_evaluated_is_null(cell: Cell) -> None:
    """The run has succeeded all the same: its steps did what they were asked for."""
    workflow = flow(step("a"), outputs={"bad": "a.x / 0", "good": "a.x"})
    run_id = cell.submit(workflow)

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=1)
        state = await orchestrator.run_until_ended(run_id)

    row = cell.store.run(run_id)
    assert row is not None
    assert (RunState.succeeded, {"bad": None, "good": 1}) == (state, row.results)
