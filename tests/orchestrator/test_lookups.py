"""Owns the tests of results that are there already: a later run, a retry, a repeat; by id, by inputs, by code; and what stands in the way."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from meson_core.agents import Returned
from meson_core.events import ResultFound, ResultMissing, Selection
from meson_core.orchestrator.probe import Point
from meson_core.orchestrator.running import put_run
from meson_core.spec.model import Constant, Expression, ForEach, Parameter, Repeat
from meson_core.spec.states import RunState, State
from meson_core.store.wishes import Retry as RetryWish
from meson_core.store.wishes import Skip, Start
from tests.orchestrator.flows import flow, step

if TYPE_CHECKING:
    from meson_core.events import AnyEvent
    from meson_core.ports import AttemptKey
    from meson_core.spec.model import Workflow
    from tests.orchestrator.cells import Cell

A = Parameter(type="any", default=1, required=False)


def pair(**fields: Any) -> Workflow:
    """A step that asks, and one that uses what it gives."""
    return flow(step("a", v="p", **fields), step("b", v="a.x"), params={"p": A}, outputs={"x": "b.x"})


async def works(cell: Cell, run_id: str, *, before: int = 0, value: object = 7) -> list[AttemptKey]:
    """Every attempt of a run succeeds as it comes; what was launched."""
    orchestrator = cell.orchestrator
    assert orchestrator is not None
    done: list[AttemptKey] = []

    def step_on() -> bool:
        for key in [key for key in cell.scheduler.launches[before:] if key.run_id == run_id and key not in done]:
            done.append(key)
            cell.scheduler.succeed(key, x=value)
        row = cell.store.run(run_id)
        return row is not None and row.state.ended

    await cell.until(step_on)
    return done


async def over(cell: Cell, run_id: str) -> None:
    """Until a run has ended by itself."""

    def ended() -> bool:
        row = cell.store.run(run_id)
        return row is not None and row.state.ended

    await cell.until(ended)


def nodes_of(keys: list[AttemptKey]) -> list[int]:
    return [key.instance[0] for key in keys]


def answers(cell: Cell, run_id: str) -> list[AnyEvent]:
    return [event for event in cell.events(run_id) if isinstance(event, ResultFound | ResultMissing)]


async def test_a_later_run_skips_what_is_there_with_its_outputs(cell: Cell) -> None:
    async with cell.driven():
        first = cell.submit(pair(cache="inputs"))
        assert nodes_of(await works(cell, first, value=41)) == [0, 1]
        second = cell.submit(pair(cache="inputs"))
        (b,) = await works(cell, second, value=42)

    assert b.instance == (1,)
    assert cell.scheduler.inputs(b) == {"v": 41}
    assert cell.states(second) == {(0,): State.skipped, (1,): State.succeeded}
    row = cell.row(second, 0)
    assert bytes(row.outputs or b"") == b'{"x":41}'
    assert row.why == f"its result is there already, made by run {first}"


async def test_found_and_missing_are_answered_in_the_commit_that_asks(cell: Cell) -> None:
    """A chain of results that are there costs no commit for each of them."""
    chain = flow(
        step("a", v=1),
        *(step(f"s{at}", v=f"{'a' if at == 0 else f's{at - 1}'}.x", cache="inputs") for at in range(20)),
    )
    async with cell.driven():
        first = cell.submit(chain)
        await works(cell, first)
        second = cell.submit(chain)
        (key,) = [key for key in await cell.launched(0, 2) if key.run_id == second]
        before = cell.watch.reached.count(Point.before_commit)
        cell.scheduler.succeed(key, x=7)
        await cell.until(lambda: cell.state(second) is RunState.succeeded)
        commits = cell.watch.reached.count(Point.before_commit) - before

    assert commits == 1
    assert len(answers(cell, second)) == 20


async def test_other_inputs_are_another_result_and_an_id_is_not(cell: Cell) -> None:
    async with cell.driven():
        for fields, launched in (({"cache": "inputs"}, [0, 1]), ({"artifact": "fixed"}, [1])):
            await works(cell, cell.submit(pair(**fields), p=1))
            again = await works(cell, cell.submit(pair(**fields), p=2))
            assert nodes_of(again) == launched
        await works(cell, cell.submit(pair(artifact="by/${p}/${v}"), p=1))
        assert nodes_of(await works(cell, cell.submit(pair(artifact="by/${p}/${v}"), p=2))) == [0, 1]
        assert nodes_of(await works(cell, cell.submit(pair(artifact="by/${p}/${v}"), p=1))) == [1]


async def test_an_id_with_a_fingerprint_needs_both(cell: Cell) -> None:
    both = {"artifact": "fixed", "cache": "inputs"}
    async with cell.driven():
        await works(cell, cell.submit(pair(**both), p=1))
        assert nodes_of(await works(cell, cell.submit(pair(**both), p=2))) == [0, 1]
        assert nodes_of(await works(cell, cell.submit(pair(**both), p=1))) == [1]
        assert nodes_of(await works(cell, cell.submit(pair(cache="inputs"), p=1))) == [0, 1]


def bundle(cell: Cell, name: str, **files: str) -> str:
    """A code bundle with these files, `_` for a dot."""
    folder = cell.settings.directory / "code" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file.replace("_", ".")).write_text(text)
    return name


async def test_the_code_counts_unless_it_is_left_out(cell: Cell) -> None:
    """`helper` is imported by the step's file, `other` is not, and a text may be read by anybody."""
    fields = {"options": {"source": "import helper\n", "function": "f"}}
    helper = {"helper_py": "import deep\n", "deep_py": "x = 1\n", "other_py": "y = 1\n", "query_sql": "SELECT 1"}
    bundles = [
        bundle(cell, "c0", **helper),
        bundle(cell, "c1", **{**helper, "other_py": "y = 2\n"}),
        bundle(cell, "c2", **{**helper, "deep_py": "x = 2\n"}),
        bundle(cell, "c3", **{**helper, "query_sql": "SELECT 2"}),
    ]
    launched: dict[object, list[list[int]]] = {True: [], "inputs": []}
    async with cell.driven():
        for cache, told in launched.items():
            for code in bundles:
                run = put_run(cell.store, cell.settings.cell, pair(cache=cache, **fields), {}, code=code)
                told.append(nodes_of(await works(cell, run)))

    assert launched == {True: [[0, 1], [1], [0, 1], [0, 1]], "inputs": [[0, 1], [1], [1], [1]]}


async def test_without_a_code_bundle_the_code_cannot_be_compared(cell: Cell) -> None:
    async with cell.driven():
        await works(cell, cell.submit(pair(cache=True)))
        run_id = cell.submit(pair(cache=True))
        assert nodes_of(await works(cell, run_id)) == [0, 1]

    (answer,) = answers(cell, run_id)
    assert isinstance(answer, ResultMissing)
    assert (answer.key, answer.why) == ("", "the run has no code bundle that could be compared")


async def test_a_fresh_run_makes_it_anew_and_that_is_what_is_found_then(cell: Cell) -> None:
    workflow = pair(cache="inputs")
    async with cell.driven():
        first = cell.submit(workflow)
        await works(cell, first, value=1)
        row = cell.store.run(first)
        assert row is not None
        cell.wish("start", "fresh", Start(row.version, "", {"p": 1}, fresh=(0,)))
        assert nodes_of(await works(cell, "fresh", value=2)) == [0, 1]
        third = cell.submit(workflow)
        (b,) = await works(cell, third)

    assert cell.scheduler.inputs(b) == {"v": 2}


async def test_a_result_whose_artifact_is_gone_is_made_again(cell: Cell) -> None:
    digest = f"sha256:{hashlib.sha256(b'model').hexdigest()}"
    folder = cell.settings.directory / "artifacts"
    folder.mkdir(parents=True)
    (folder / digest).write_bytes(b"model")
    artifact = {"$artifact": digest, "size": 5, "name": "model", "media": "x"}
    workflow = pair(artifact="model")
    async with cell.driven():
        await works(cell, cell.submit(workflow), value=artifact)
        assert nodes_of(await works(cell, cell.submit(workflow), value=artifact)) == [1]
        (folder / digest).unlink()
        last = cell.submit(workflow)
        assert nodes_of(await works(cell, last, value=artifact)) == [0, 1]

    (answer,) = answers(cell, last)
    assert isinstance(answer, ResultMissing)
    assert f"the artifact {digest} of the result of run" in answer.why
    assert "is gone" in answer.why


async def test_an_artifact_among_the_inputs_counts_by_its_content(cell: Cell) -> None:
    digests = [f"sha256:{hashlib.sha256(text).hexdigest()}" for text in (b"a", b"b")]
    values = [
        {"$artifact": digests[0], "size": 1, "name": "a.txt", "media": "x"},
        {"$artifact": digests[0], "size": 1, "name": "b.txt", "media": "y"},
        {"$artifact": digests[1], "size": 1, "name": "a.txt", "media": "x"},
    ]
    async with cell.driven():
        launched = [nodes_of(await works(cell, cell.submit(pair(cache="inputs"), p=[value]))) for value in values]

    assert launched == [[0, 1], [1], [0, 1]]


async def test_a_result_that_does_not_fit_is_made_again(cell: Cell) -> None:
    """The same id at a step that declares something else."""
    async with cell.driven():
        await works(cell, cell.submit(pair(artifact="same")))
        other = flow(step("a", artifact="same", outputs="x y"))
        run_id = cell.submit(other)
        (key,) = [key for key in await cell.launched(0, 2) if key.run_id == run_id]
        cell.scheduler.succeed(key, x=1, y=2)
        await cell.until(lambda: cell.state(run_id) is RunState.succeeded)

    (answer,) = answers(cell, run_id)
    assert isinstance(answer, ResultMissing)
    assert "does not fit: it has no output 'y'" in answer.why


async def test_an_id_that_cannot_be_evaluated_fails_the_step(cell: Cell) -> None:
    async with cell.driven():
        run_id = cell.submit(flow(step("a", artifact="a/${p}"), params={"p": A}), p=[1])
        await over(cell, run_id)

    assert "only texts, numbers and truth values" in cell.row(run_id, 0).why


async def test_a_retry_keeps_what_is_there_and_makes_what_is_named(cell: Cell) -> None:
    workflow = flow(step("a", v=1, cache="inputs"), step("b", v="a.x", cache="inputs"), step("c", v="b.x"))
    async with cell.driven():
        run_id = cell.submit(workflow)
        await works(cell, run_id)
        before = len(cell.scheduler.launches)
        cell.wish("retry", run_id, RetryWish(Selection(nodes=(0,))))
        await cell.launched(0, 2)
        done = await works(cell, run_id, before=before)
        assert nodes_of(done) == [0, 2]
        assert cell.row(run_id, 1).state is State.skipped
        before = len(cell.scheduler.launches)
        cell.wish("retry", run_id, RetryWish(Selection(nodes=(0,)), fresh=(1,)))
        await cell.launched(0, 3)
        assert nodes_of(await works(cell, run_id, before=before)) == [0, 1, 2]


async def test_an_iteration_finds_what_the_one_before_it_made(cell: Cell) -> None:
    """Its result is not in the store yet: the success, the judgement and the next question are one commit."""
    loop = Repeat(name="loop", until="False", max_iterations=3, body=(step("a", v=1, cache="inputs"),))
    async with cell.driven():
        run_id = cell.submit(flow(loop))
        assert nodes_of(await works(cell, run_id)) == [1]

    assert [cell.row(run_id, 1, at).state for at in range(3)] == [State.succeeded, State.skipped, State.skipped]


async def test_items_are_recognised_one_by_one_and_their_values_gathered(cell: Cell) -> None:
    def dates(*items: str) -> Workflow:
        each = ForEach(
            name="each", variables={"date": Constant(value=list(items))}, body=(step("a", artifact="a/${date}"),)
        )
        return flow(each, step("all", v="a.x"))

    async with cell.driven():
        await works(cell, cell.submit(dates("mon", "tue")), value=1)
        second = cell.submit(dates("mon", "wed", "tue"))
        done = await works(cell, second, value=2)

    assert sorted(key.instance for key in done) == [(1, 1), (2,)]
    assert cell.scheduler.inputs(next(key for key in done if key.instance == (2,))) == {"v": [1, 2, 1]}


async def test_what_a_person_settles_or_skips_is_no_result(cell: Cell) -> None:
    workflow = flow(step("hold", v=1), step("a", "hold", v=1, cache="inputs"))
    async with cell.driven():
        first = cell.submit(workflow)
        (key,) = await cell.launched(0)
        receipt = cell.wish("skip", first, Skip(Selection(nodes=(1,))))
        await cell.answered(receipt)
        cell.scheduler.succeed(key, x=1)
        await cell.until(lambda: cell.state(first) is RunState.succeeded)
        assert nodes_of(await works(cell, cell.submit(workflow))) == [0, 1]


async def test_an_open_question_is_answered_by_the_next_orchestrator(cell: Cell) -> None:
    """The run is in the log, its steps are described in a thread, and the orchestrator leaves before that is done."""
    workflow = pair(cache="inputs")
    async with cell.driven():
        await works(cell, cell.submit(workflow), value=5)
    run_id = cell.submit(workflow)
    async with cell.driven() as orchestrator:
        cell.watch.at[Point.after_commit].append(orchestrator._loop.stop)
        await cell.until(lambda: cell.store.run(run_id) is not None)
    cell.watch.at[Point.after_commit].clear()
    async with cell.driven():
        (b,) = await works(cell, run_id)

    assert cell.scheduler.inputs(b) == {"v": 5}
    assert len([event for event in answers(cell, run_id) if isinstance(event, ResultFound)]) == 1


async def test_a_step_that_cannot_be_launched_says_so_and_not_that_it_is_missing(cell: Cell) -> None:
    async with cell.driven():
        run_id = cell.submit(flow(step("a", kind="moody", cache=True)))
        await over(cell, run_id)

    assert "no licence for today" in cell.row(run_id, 0).why


async def test_a_list_of_items_in_an_artifact_is_read_before_the_answer(cell: Cell) -> None:
    data = msgspec.json.encode([3, 4])
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    folder = cell.settings.directory / "artifacts"
    folder.mkdir(parents=True)
    (folder / digest).write_bytes(data)
    each = ForEach(name="each", variables={"i": Expression(expr="p")}, body=(step("a", v="i", cache="inputs"),))
    workflow = flow(each, params={"p": A})
    artifact = {"$artifact": digest, "size": len(data), "name": "items", "media": "application/json"}
    async with cell.driven():
        assert len(await works(cell, cell.submit(workflow, p=artifact))) == 2
        assert await works(cell, cell.submit(workflow, p=artifact)) == []


async def survives(cell: Cell, run_id: str) -> None:
    """Drive a run to its end: what never got to the machine is given back, all else succeeds."""
    orchestrator = cell.orchestrator
    assert orchestrator is not None
    told: set[AttemptKey] = set()

    def step_on() -> bool:
        row = cell.store.run(run_id)
        if row is not None and row.state.ended:
            return True
        for key in cell.scheduler.reconciled:
            if key not in cell.scheduler.launched and key not in told:
                told.add(key)
                cell.scheduler.tell(Returned(key, 1e6, "it never got to the machine"))
        for key in cell.scheduler.launches:
            if key.run_id == run_id and key not in told:
                told.add(key)
                cell.scheduler.succeed(key, x=key.instance[0])
        return False

    await cell.until(step_on)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("point", [point for point in Point if point is not Point.beside])
async def test_whenever_the_orchestrator_dies_results_are_kept_once_and_found(
    cell: Cell, point: Point, at: int
) -> None:
    """Two runs, of which the second finds what the first made; the orchestrator dies in each of them."""
    body = (step("a", v=1, cache="inputs"), step("b", v="a.x", artifact="b/${v}"), step("c", v="b.x"))
    workflow = flow(*body, outputs={"x": "c.x"})
    runs = []
    for _ in range(2):
        run_id = cell.submit(workflow)
        runs.append(run_id)
        left = [at]

        def die(left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise RuntimeError("the process ends here")

        cell.watch.at[point].append(die)
        # Some points are not reached so often.
        with contextlib.suppress(BaseExceptionGroup):
            async with cell.driven():
                await survives(cell, run_id)
        cell.watch.at[point].clear()
        async with cell.driven():
            await survives(cell, run_id)

    assert [cell.states(run)[0,] for run in runs] == [State.succeeded, State.skipped]
    assert [cell.states(run)[1,] for run in runs] == [State.succeeded, State.skipped]
    for run in runs:
        row = cell.store.run(run)
        assert row is not None
        assert (row.state, row.results) == (RunState.succeeded, {"x": 2}), cell.events(run)
        assert [bytes(cell.row(run, node).outputs or b"") for node in (0, 1)] == [b'{"x":0}', b'{"x":1}']
    assert {key.instance[0] for key in cell.scheduler.launches if key.run_id == runs[1]} == {2}
    keys = {event.key for event in answers(cell, runs[0]) if isinstance(event, ResultMissing)}
    assert {result.run_id for result in cell.store.results(keys).values()} == {runs[0]}
    assert len(keys) == 2


async def test_a_retry_with_the_current_code_compares_the_current_code(cell: Cell) -> None:
    fields: dict[str, Any] = {"options": {"source": "import helper\n", "function": "f"}}
    old, new = (bundle(cell, name, helper_py=f"x = {name!r}\n") for name in ("old", "new"))
    workflow = flow(step("a", v=1), step("b", "a", v=1, cache=True, **fields))
    async with cell.driven():
        run_id = put_run(cell.store, cell.settings.cell, workflow, {}, code=old)
        assert nodes_of(await works(cell, run_id)) == [0, 1]
        launched: list[list[int]] = []
        for code in (old, new, new):
            before, generation = len(cell.scheduler.launches), len(launched) + 2
            cell.wish("retry", run_id, RetryWish(Selection(nodes=(0,)), code))
            await cell.launched(0, generation)
            launched.append(nodes_of(await works(cell, run_id, before=before)))

    assert launched == [[0], [0, 1], [0]]
