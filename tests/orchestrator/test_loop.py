"""Owns the tests of the loop: log first, then act; one commit at a time; what a failing commit does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.errors import SequenceConflictError, StoreError, StoreLockedError
from meson_core.orchestrator.probe import Point
from meson_core.orchestrator.writing import RETRIES_S
from meson_core.ports import Gone
from meson_core.spec.states import Cause, FailureMode, RunState, State
from tests.orchestrator.cells import Cell, HandScheduler
from tests.orchestrator.flows import Resources, Retry, chain, fan, flow, step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meson_core.orchestrator.incoming import Incoming
    from meson_core.ports import Placement


async def test_a_run_goes_through_to_its_results(cell: Cell) -> None:
    """The whole way: wish, log, placement, order, fact, log, results."""
    run_id = cell.submit(chain(2))

    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        cell.scheduler.succeed(first, x=41)
        (second,) = await cell.launched(1)
        inputs = cell.scheduler.inputs(second)
        cell.scheduler.succeed(second, x=42)
        state = await orchestrator.run_until_ended(run_id)

    assert {"v": 41} == inputs
    assert RunState.succeeded is state
    row = cell.store.run(run_id)
    assert row is not None
    assert {"x": 42} == row.results
    assert ["RunCreated", "AttemptPlaced", "AttemptSucceeded", "AttemptPlaced", "AttemptSucceeded"] == (
        cell.names(run_id)
    )


async def test_nothing_is_launched_before_it_is_in_the_log(cell: Cell) -> None:
    """Log first, then act: what the log does not have, nobody has been told."""
    seen: list[tuple[list[str], int]] = []
    run_id = cell.submit(chain(1))
    cell.watch.at[Point.before_launch].append(lambda: seen.append((cell.names(run_id), len(cell.scheduler.launches))))

    async with cell.driven():
        await cell.launched(0)

    names, launches = seen[-1]
    assert "AttemptPlaced" in names
    assert 0 == launches


async def test_facts_are_acknowledged_after_their_commit(cell: Cell) -> None:
    """A fact that the executor may forget is in the log."""
    at_launch: list[list[object]] = []
    run_id = cell.submit(chain(2))
    cell.watch.at[Point.after_launch].append(lambda: at_launch.append(list(cell.scheduler.acknowledged)))

    async with cell.driven():
        (first,) = await cell.launched(0)
        cell.scheduler.succeed(first, x=1)
        await cell.launched(1)
        await cell.until(lambda: cell.scheduler.acknowledged)

    assert [1] == cell.scheduler.acknowledged
    assert all(not acknowledged for acknowledged in at_launch)
    assert "AttemptSucceeded" in cell.names(run_id)
    assert {"hand": 1} == cell.store.cursors(cell.settings.cell)


async def test_a_chain_costs_one_commit_a_step(cell: Cell) -> None:
    """The end of one step and the placing of the next are in one frame, or a chain would pay for two commits a step."""
    run_id = cell.submit(chain(5))

    async with cell.driven() as orchestrator:
        for node in range(5):
            (key,) = await cell.launched(node)
            cell.scheduler.succeed(key, x=node)
        await orchestrator.run_until_ended(run_id)

    assert 6 <= cell.watch.reached.count(Point.before_commit) <= 7


async def test_what_comes_while_a_commit_is_written_goes_into_the_next_one(cell: Cell) -> None:
    """Group commit: ten thousand ends must not cost ten thousand transactions."""
    run_id = cell.submit(fan(50))

    async with cell.driven() as orchestrator:
        keys = await cell.launched(1, 50)
        before = cell.watch.reached.count(Point.before_commit)
        for key in keys:
            cell.scheduler.succeed(key, x=key.instance[1])
        (gather,) = await cell.launched(2)
        commits = cell.watch.reached.count(Point.before_commit) - before
        inputs = cell.scheduler.inputs(gather)
        cell.scheduler.succeed(gather, x=inputs["all"])
        await orchestrator.run_until_ended(run_id)

    assert commits < 25
    assert {"all": list(range(50))} == inputs


# --- failing commits ----------------------------------------------------------------------------------------------


class Refusing:
    """A store whose commits fail as often as the test says."""

    def __init__(self, store: Any, failures: list[Exception]) -> None:
        self._store = store
        self.failures = failures
        self.commits: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, commit: Any) -> None:
        self.commits.append(commit)
        if self.failures:
            raise self.failures.pop(0)
        self._store.commit(commit)


async def test_a_failing_commit_launches_nothing_and_is_tried_again_as_it_is(cell: Cell) -> None:
    """A full disk is no reason to lose a run, nor to act on what is not written."""
    run_id = cell.submit(chain(1))
    store = Refusing(cell.store, [StoreError("disk full"), StoreError("disk full")])
    cell.store = store  # type: ignore[assignment]

    async with cell.driven() as orchestrator:
        for wait_s in RETRIES_S[:2]:
            await cell.until_due_in(wait_s)
            cell.clock.advance(wait_s)
        nothing = list(cell.scheduler.launches)
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert [] == nothing
    assert store.commits[0] is store.commits[1] is store.commits[2]
    assert RunState.succeeded is state


@pytest.mark.parametrize(
    "error",
    [StoreLockedError("cell 'local' was taken over"), SequenceConflictError("r", expected=1, found=2)],
)
async def test_an_orchestrator_that_lost_its_cell_stops_and_launches_nothing(cell: Cell, error: StoreError) -> None:
    """Two orchestrators that act on one cell would run things twice."""
    run_id = cell.submit(chain(1))
    store = Refusing(cell.store, [error])
    cell.store = store  # type: ignore[assignment]

    async with cell.driven() as orchestrator:
        with pytest.raises(type(error)) as raised:
            await orchestrator.run_until_ended(run_id)

    assert error is raised.value
    assert [] == cell.scheduler.launches
    assert 1 == len(store.commits)


async def test_a_store_that_stays_ill_stops_the_orchestrator(cell: Cell) -> None:
    """After the last try it says why, and the next orchestrator goes on."""
    run_id = cell.submit(chain(1))
    store = Refusing(cell.store, [StoreError("disk full")] * 100)
    real, cell.store = cell.store, store  # type: ignore[assignment]

    async with cell.driven() as orchestrator:
        for wait_s in RETRIES_S:
            await cell.until_due_in(wait_s)
            cell.clock.advance(wait_s)
        with pytest.raises(StoreError, match="disk full"):
            await orchestrator.run_until_ended(run_id)

    assert [] == cell.scheduler.launches
    cell.store = real
    async with cell.driven():
        await cell.launched(0)


# --- retries, timers, failures of launching ---------------------------------------------------------------------------


async def test_a_back_off_is_one_alarm_of_the_clock(cell: Cell) -> None:
    """The next attempt comes when its time has come, and not before."""
    retry = Retry(user=1, backoff_s=30.0, jitter=0.0)
    run_id = cell.submit(flow(step("s", retry=retry), outputs={"x": "s.x"}))

    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        cell.scheduler.fail(first, at=cell.clock.now())
        await cell.until(lambda: cell.states(run_id).get((0,)) is State.retrying)
        cell.clock.advance(29.0)
        early = len(cell.scheduler.of(0))
        cell.clock.advance(2.0)
        _, second = await cell.launched(0, 2)
        cell.scheduler.succeed(second, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert 1 == early
    assert (2, RunState.succeeded) == (second.attempt, state)


async def test_a_run_that_takes_too_long_is_stopped(cell: Cell) -> None:
    """Its timer is the run's own, and its attempts are killed."""
    run_id = cell.submit(flow(step("s"), timeout_s=100.0))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.clock.advance(101.0)
        await cell.until(lambda: cell.scheduler.kills)
        cell.scheduler.tell(_killed(key))
        state = await orchestrator.run_until_ended(run_id)

    assert [(key, 10.0)] == cell.scheduler.kills
    assert RunState.failed is state


def _killed(key: Any) -> Any:
    from meson_core import agents

    return agents.Killed(key, 1_000_000.0, None)


async def test_a_plugin_that_fails_at_launch_fails_its_step_alone(cell: Cell) -> None:
    """One broken plugin hurts only the steps that need it, and says what is wrong."""
    run_id = cell.submit(flow(step("bad", kind="moody"), step("good")))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(1)
        cell.scheduler.succeed(key, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.failed is state
    row = cell.row(run_id, 0)
    assert row.failure is not None
    assert (State.failed, "launch") == (row.state, row.failure.reason)
    assert "no licence for today" in row.failure.message
    assert State.succeeded is cell.row(run_id, 1).state
    (failed,) = [event for event in cell.events(run_id) if type(event).__name__ == "AttemptFailed"]
    assert (Cause.user, True) == (failed.cause, failed.final)  # type: ignore[union-attr]


async def test_an_input_that_cannot_be_evaluated_fails_its_step(cell: Cell) -> None:
    """The message names the expression and the values."""
    run_id = cell.submit(flow(step("a"), step("b", v="a.x[3]")))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=[1, 2])
        state = await orchestrator.run_until_ended(run_id)

    row = cell.row(run_id, 1)
    assert RunState.failed is state
    assert row.failure is not None
    assert "evaluation" == row.failure.reason
    assert "a.x[3]" in row.failure.message
    assert [] == cell.scheduler.of(1)


async def test_a_bug_of_the_engine_stops_its_run_and_no_other(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    """A fact about an attempt that was never made: that run is stopped in order, the other one goes on."""
    ill, well = cell.submit(chain(1)), cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        first, second = await cell.launched(0, 2)
        assert {ill, well} == {first.run_id, second.run_id}
        bad = first if first.run_id == ill else second
        good = second if bad is first else first
        cell.scheduler.succeed(bad._replace(attempt=7), x=1)
        await cell.until(lambda: cell.scheduler.kills)
        cell.scheduler.tell(_killed(bad))
        cell.scheduler.succeed(good, x=1)
        states = [await orchestrator.run_until_ended(run_id) for run_id in (ill, well)]

    assert [RunState.cancelled, RunState.succeeded] == states
    (cancel,) = [event for event in cell.events(ill) if type(event).__name__ == "RunCancelRequested"]
    assert "Meson, after a bug" in cancel.by  # type: ignore[union-attr]
    assert "attempt 7 was never made" in caplog.text


async def test_what_does_not_fit_waits_with_a_reason(cell: Cell) -> None:
    """`why` reads only this; it is written once a second."""
    run_id = cell.submit(flow(step("big", resources=Resources(cpus=5000.0))))

    async with cell.driven():
        await cell.until(lambda: cell.states(run_id).get((0,)) is State.ready)
        cell.clock.advance(1.5)
        await cell.until(lambda: cell.store.waits(run_id))
        (wait,) = cell.store.waits(run_id)
        await cell.until(lambda: cell.scheduler.demands)
        await cell.answered(cell.wish("cancel", run_id))
        cell.clock.advance(1.5)
        await cell.until(lambda: len(cell.scheduler.demands) == 2)

    assert [[(5000.0, 1)], []] == cell.scheduler.demands
    assert [] == cell.scheduler.launches
    assert (0, 1) == (wait.node, wait.waiting)
    assert "cpus" in wait.reason


async def test_a_machine_that_breaks_is_replaced_by_its_log(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    """Half a change may be left behind: a fresh machine takes the log, and the run is stopped in order."""
    ill, well = cell.submit(chain(2)), cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        keys = {key.run_id: key for key in await cell.launched(0, 2)}
        cell.scheduler.fail(keys[ill], cause="nonsense")  # type: ignore[arg-type]
        await cell.until(lambda: cell.scheduler.kills)
        asked = list(cell.scheduler.reconciled)
        cell.scheduler.tell(liveness=[Gone(keys[ill], "its executor does not know it")])
        cell.scheduler.succeed(keys[well], x=1)
        states = [await orchestrator.run_until_ended(run_id) for run_id in (ill, well)]

    assert [RunState.cancelled, RunState.succeeded] == states
    assert [keys[ill]] == asked
    assert {(0,): State.cancelled, (1,): State.cancelled} == cell.states(ill)
    (cancel,) = [event for event in cell.events(ill) if type(event).__name__ == "RunCancelRequested"]
    assert "Meson, after a bug: KeyError" in cancel.by  # type: ignore[union-attr]
    assert "went wrong" in caplog.text


async def test_what_was_placed_and_not_launched_gives_its_place_back(tmp_path: Path) -> None:
    """There is one core: an input that cannot be evaluated must not keep it for ever."""
    cell = Cell(tmp_path, HandScheduler(cpus=1.0))
    run_id = cell.submit(
        flow(step("a"), step("b", v="a.x[9]", on_failure=FailureMode.ignore), step("c", "b"), outputs={"x": "c.x"})
    )

    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        cell.scheduler.succeed(first, x=[])
        (last,) = await cell.launched(2)
        cell.scheduler.succeed(last, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    assert [] == cell.scheduler.of(1)
    cell.close()


async def test_leaving_does_not_wait_for_a_busy_run(tmp_path: Path) -> None:
    """What is decided is written and acted on; what comes meanwhile is for the next orchestrator."""
    cell = Cell(tmp_path, Busy())
    run_id = cell.submit(fan(3000))

    async with asyncio.timeout(20), cell.driven():
        await cell.launched(1, 1100)

    done = cell.names(run_id).count("AttemptSucceeded")
    assert 0 < done < 3000
    assert RunState.running is cell.state(run_id)
    cell.close()


class Busy(HandScheduler):
    """Machines that are done with everything at once."""

    async def launch(self, placements: Sequence[Placement]) -> None:
        await super().launch(placements)
        for placement in placements:
            self.succeed(placement.key, x=1)


async def test_reports_wait_while_the_loop_is_busy(cell: Cell) -> None:
    """A scheduler that is ahead of us gathers, and is not gathered from: one report at a time is in our hands."""
    held: list[int] = []
    cell.submit(fan(30))
    cell.watch.at[Point.received].append(lambda: held.append(len(_incoming(cell).reports)))

    async with cell.driven():
        keys = await cell.launched(1, 30)
        for key in keys:
            cell.scheduler.succeed(key, x=1)
        await cell.launched(2)

    assert {1} == set(held)


def _incoming(cell: Cell) -> Incoming:
    assert cell.orchestrator is not None
    return cell.orchestrator._incoming
