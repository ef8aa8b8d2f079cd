"""Owns the tests of taking over: what a new orchestrator does with what it finds in the log."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import msgspec
import pytest

from meson_core.agents import Remembered, Returned, Started, Submitting
from meson_core.errors import ConflictError, EngineError, NotFoundError, StoreLockedError
from meson_core.events import RunCreated, Selection
from meson_core.orchestrator.probe import Point
from meson_core.plugins import Plugins
from meson_core.plugins.record import KIND
from meson_core.ports import Gone, Present, Silent
from meson_core.spec.states import RunState, State
from meson_core.store.records import Commit, RunCommit
from meson_core.store.store import open_store
from meson_core.store.wishes import Retry
from tests.orchestrator.cells import Cell, HandScheduler
from tests.orchestrator.flows import Retry as Policy
from tests.orchestrator.flows import chain, fan, flow, step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = 1_000_000.0


class CrashError(Exception):
    """The process ends here."""


def crash() -> None:
    raise CrashError


async def crashed(cell: Cell, point: Point, when: Callable[[], object]) -> None:
    """Drive the cell until it comes to a point while something holds, and fall over there."""
    cell.watch.at[point].append(lambda: crash() if when() else None)
    with pytest.raises(BaseExceptionGroup) as error:
        async with cell.driven():
            await asyncio.wait_for(asyncio.Event().wait(), 10)
    assert error.group_contains(CrashError)
    cell.watch.at[point].clear()


@pytest.mark.parametrize("point", [Point.received, Point.before_commit])
async def test_what_was_not_written_never_happened(cell: Cell, point: Point) -> None:
    """The fact is told again, because it was not acknowledged, and the run ends as it would have."""
    run_id = cell.submit(chain(2))
    async with cell.driven():
        (first,) = await cell.launched(0)
    before = cell.events(run_id)

    cell.scheduler.succeed(first, x=1)
    await crashed(cell, point, lambda: not cell.scheduler.untold)

    assert before == cell.events(run_id)
    assert [first] == cell.scheduler.launches
    async with cell.driven() as orchestrator:
        (second,) = await cell.launched(1)
        cell.scheduler.succeed(second, x=2)
        state = await orchestrator.run_until_ended(run_id)
    assert RunState.succeeded is state
    assert 1 == cell.names(run_id).count("AttemptSucceeded") - 1


@pytest.mark.parametrize("point", [Point.after_commit, Point.before_launch])
async def test_an_order_that_never_went_out_comes_back_and_goes_out(cell: Cell, point: Point) -> None:
    """Between the commit and the order: the scheduler says that it never got it, and no budget pays."""
    run_id = cell.submit(flow(step("s", retry=Policy(platform=0))))

    await crashed(cell, point, lambda: "AttemptPlaced" in cell.names(run_id))

    assert [] == cell.scheduler.launches
    assert "AttemptPlaced" in cell.names(run_id)
    async with cell.driven() as orchestrator:
        await cell.until(lambda: cell.scheduler.reconciled)
        (asked,) = cell.scheduler.reconciled
        cell.scheduler.tell(Returned(asked, T, "it never got to the executor"))
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=1)
        state = await orchestrator.run_until_ended(run_id)
    assert (RunState.succeeded, 2) == (state, key.attempt)


@pytest.mark.parametrize("point", [Point.after_launch, Point.acknowledged])
async def test_what_was_launched_is_found_again_and_not_launched_twice(cell: Cell, point: Point) -> None:
    """The attempt goes on without us; its end counts, whoever is there to hear it."""
    run_id = cell.submit(chain(1))

    await crashed(cell, point, lambda: cell.scheduler.launches)

    (key,) = cell.scheduler.launches
    async with cell.driven() as orchestrator:
        await cell.until(lambda: cell.scheduler.reconciled)
        cell.scheduler.tell(liveness=[Present(key)])
        cell.scheduler.succeed(key, x=1)
        state = await orchestrator.run_until_ended(run_id)
    assert RunState.succeeded is state
    assert [key] == cell.scheduler.launches
    assert [key] == cell.scheduler.reconciled
    assert "AttemptFound" not in cell.names(run_id)


async def test_finished_work_is_not_done_again(cell: Cell) -> None:
    """Half of the items are in the log: the other half is what a new orchestrator waits for."""
    run_id = cell.submit(fan(10))
    async with cell.driven():
        keys = await cell.launched(1, 10)
        cell.scheduler.succeed(*keys[:5], x=1)
        await cell.until(lambda: cell.names(run_id).count("AttemptSucceeded") == 5)

    async with cell.driven() as orchestrator:
        await cell.until(lambda: len(cell.scheduler.reconciled) == 5)
        cell.scheduler.succeed(*keys[5:], x=2)
        (gather,) = await cell.launched(2)
        inputs = cell.scheduler.inputs(gather)
        cell.scheduler.succeed(gather, x=3)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    assert {"all": [1] * 5 + [2] * 5} == inputs
    assert set(keys[5:]) == set(cell.scheduler.reconciled)
    assert 10 == len(cell.scheduler.of(1))


async def test_a_lost_attempt_waits_until_it_is_found_or_fenced(cell: Cell) -> None:
    """Lost is not dead: nothing is launched in its place before that."""
    run_id = cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.tell(Started(key, T))
        cell.scheduler.tell(liveness=[Silent(key, "its executor has been silent for 15 s")])
        await cell.until(lambda: cell.scheduler.reconciled)
        lost = (cell.row(run_id, 0).state, len(cell.scheduler.launches))
        cell.scheduler.tell(liveness=[Present(key)])
        await cell.until(lambda: cell.row(run_id, 0).state is State.running)
        cell.scheduler.tell(liveness=[Silent(key, "again")])
        await cell.until(lambda: cell.row(run_id, 0).state is State.lost)
        cell.scheduler.tell(liveness=[Gone(key, "its machine burnt")])
        await cell.until(lambda: cell.row(run_id, 0).state is State.retrying)
        cell.clock.advance(10)
        _, again = await cell.launched(0, 2)
        cell.scheduler.succeed(again, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert (State.lost, 1) == lost
    assert RunState.succeeded is state


async def test_waits_go_on_after_a_restart(cell: Cell) -> None:
    """A back-off and the timeout of the run are due when they were due."""
    policy = Policy(user=1, backoff_s=50.0, jitter=0.0)
    run_id = cell.submit(flow(step("s", retry=policy), timeout_s=1000.0))
    async with cell.driven():
        (key,) = await cell.launched(0)
        cell.scheduler.fail(key, at=cell.clock.now())
        await cell.until(lambda: cell.states(run_id).get((0,)) is State.retrying)

    cell.clock.advance(30.0)
    async with cell.driven():
        early = len(cell.scheduler.launches)
        cell.clock.advance(25.0)
        _, second = await cell.launched(0, 2)
        cell.clock.advance(1000.0)
        await cell.until(lambda: cell.scheduler.kills)

    assert 1 == early
    assert [second] == [key for key, _ in cell.scheduler.kills]


async def test_a_kill_is_ordered_again_after_a_restart(cell: Cell) -> None:
    """The run was being cancelled when its orchestrator ended."""
    run_id = cell.submit(chain(1))
    async with cell.driven():
        (key,) = await cell.launched(0)
        await cell.answered(cell.wish("cancel", run_id))
        await cell.until(lambda: cell.scheduler.kills)

    async with cell.driven() as orchestrator:
        await cell.until(lambda: len(cell.scheduler.kills) == 2)
        cell.scheduler.tell(liveness=[Gone(key, "its executor does not know it")])
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.cancelled is state


async def test_a_paused_run_stays_paused_over_a_restart(cell: Cell) -> None:
    """A person paused it, and only a person lets it go on."""
    run_id = cell.submit(chain(2))
    async with cell.driven():
        (key,) = await cell.launched(0)
        await cell.answered(cell.wish("pause", run_id))
        cell.scheduler.succeed(key, x=1)
        await cell.until(lambda: cell.states(run_id).get((1,)) is State.ready)

    async with cell.driven():
        other = cell.submit(chain(1))
        await cell.launched(0, 2)
        paused = cell.scheduler.of(1)
        await cell.answered(cell.wish("resume", run_id))
        await cell.launched(1)

    assert [] == paused
    assert other != run_id


async def test_a_remembered_job_is_known_after_a_restart(cell: Cell) -> None:
    """The external id comes out of the store for the attempt that re-attaches."""
    run_id = cell.submit(chain(1))
    async with cell.driven():
        (key,) = await cell.launched(0)
        cell.scheduler.tell(Submitting(key, T, "meson-1", recoverable=True), Remembered(key, T, "app-17"))
        await cell.until(lambda: "JobRemembered" in cell.names(run_id))

    async with cell.driven():
        cell.scheduler.tell(liveness=[Gone(key, "its machine burnt")])
        await cell.until(lambda: cell.states(run_id).get((0,)) is State.retrying)
        cell.clock.advance(10)
        _, second = await cell.launched(0, 2)

    assert "app-17" == cell.scheduler.launched[second].order["remembered"]


async def test_snapshots_make_a_restart_short_and_change_nothing(cell: Cell) -> None:
    """A run of many events is restored from its latest snapshot and the events since."""
    run_id = cell.submit(fan(600))
    async with cell.driven():
        keys = await cell.launched(1, 600)
        cell.scheduler.succeed(*keys[:500], x=1)
        await cell.until(lambda: cell.names(run_id).count("AttemptSucceeded") == 500)

    snapshot, seq, tail = cell.store.load(run_id)
    assert snapshot is not None
    assert 1000 <= seq
    assert len(tail) < 200
    async with cell.driven() as orchestrator:
        cell.scheduler.succeed(*keys[500:], x=2)
        (gather,) = await cell.launched(2)
        inputs = cell.scheduler.inputs(gather)
        cell.scheduler.succeed(gather, x=1)
        state = await orchestrator.run_until_ended(run_id)
    assert RunState.succeeded is state
    assert {"all": [1] * 500 + [2] * 100} == inputs


async def test_one_orchestrator_drives_a_cell_and_the_next_has_a_later_epoch(tmp_path: Path) -> None:
    """The lock keeps the second one out while the first one lives; launches carry the epoch."""
    cell = Cell(tmp_path, HandScheduler())
    second = Cell(tmp_path, HandScheduler())
    epochs = []

    async with cell.driven():
        with pytest.raises(StoreLockedError, match="is driven by a test"):
            async with second.driven():
                pytest.fail("two drive one cell")
        assert cell.scheduler.setting is not None
        epochs.append(cell.scheduler.setting.epoch)
    async with second.driven():
        assert second.scheduler.setting is not None
        epochs.append(second.scheduler.setting.epoch)

    assert epochs[0] < epochs[1]
    cell.close()
    second.close()


async def test_a_reopened_run_survives_a_restart(cell: Cell) -> None:
    """The log holds two lives of it."""
    run_id = cell.submit(chain(2))
    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        cell.scheduler.succeed(first, x=1)
        (second,) = await cell.launched(1)
        cell.scheduler.fail(second)
        await orchestrator.run_until_ended(run_id)
        await cell.answered(cell.wish("retry", run_id, Retry(Selection(nodes=(0,)))))
        await cell.launched(0, 2)

    async with cell.driven() as orchestrator:
        cell.scheduler.succeed(cell.scheduler.of(0)[1], x=10)
        third = (await cell.launched(1, 2))[1]
        inputs = cell.scheduler.inputs(third)
        cell.scheduler.succeed(third, x=2)
        state = await orchestrator.run_until_ended(run_id)

    assert {"v": 10} == inputs
    assert RunState.succeeded is state


async def test_a_drain_gives_back_what_has_not_begun_and_waits_for_what_runs(cell: Cell) -> None:
    """Ctrl-C once: nothing is lost, nothing new is begun."""
    run_id = cell.submit(fan(2))

    async with cell.driven() as orchestrator:
        began, queued = await cell.launched(1, 2)
        draining = asyncio.get_running_loop().create_task(orchestrator.drain())
        await cell.until(lambda: cell.scheduler.forgotten)
        cell.scheduler.tell(Returned(queued, T, "the executor drains"))
        cell.scheduler.succeed(began, x=1)
        await asyncio.wait_for(draining, 10)
        launched = list(cell.scheduler.launches)

    assert {began, queued} == set(cell.scheduler.forgotten)
    assert [began, queued] == launched
    assert RunState.running is cell.state(run_id)
    assert State.ready is cell.row(run_id, 1, 1).state


async def test_who_waits_for_a_run_is_told_when_the_orchestrator_leaves(cell: Cell) -> None:
    """Nobody waits for ever for a run that goes on with somebody else."""
    run_id = cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        await cell.launched(0)
        waiting = asyncio.get_running_loop().create_task(orchestrator.run_until_ended(run_id))
        await orchestrator.stop()
        with pytest.raises(ConflictError, match="was stopped"):
            await waiting
        with pytest.raises(NotFoundError, match="there is no run 'nobody'"):
            await orchestrator.run_until_ended("nobody")


async def test_an_orchestrator_that_was_never_alone_with_the_store_reads_it_anew(tmp_path: Path) -> None:
    """Another process submits; the wish wakes the orchestrator."""
    cell = Cell(tmp_path, HandScheduler())
    other = open_store(cell.settings.store_location)

    async with cell.driven():
        mine, cell.store = cell.store, other
        run_id = cell.submit(chain(1))
        cell.store = mine
        await cell.launched(0)

    assert run_id == cell.store.runs()[0].run_id
    other.close()
    cell.close()


async def test_a_run_waits_for_the_plugin_versions_that_it_is_pinned_to(cell: Cell) -> None:
    """Another version may do something else: the run says what it waits for, and goes on once that is installed."""
    run_id = cell.submit(chain(2))
    async with cell.driven():
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=1)
        (second,) = await cell.launched(1)
    pinned = cell.plugins

    cell.plugins = with_version(pinned, "2.0")
    async with cell.driven():
        await cell.until(lambda: cell.scheduler.reconciled)
        cell.scheduler.tell(Returned(second, T, "the executor drains"))
        await cell.until(lambda: "AttemptReturned" in cell.names(run_id))
        await cell.answered(cell.wish("pause", run_id))
        await cell.answered(cell.wish("resume", run_id))
        cell.clock.advance(2.0)
        await cell.until(lambda: cell.store.waits(run_id))
        (wait,) = cell.store.waits(run_id)
        blocked = len(cell.scheduler.of(1))
    cell.plugins = pinned
    async with cell.driven():
        await cell.launched(1, 2)

    assert wait.reason == (
        "the run is pinned to meson-tests 1.0 for the step kind 'python', and 2.0 is installed, which would do s1: "
        "install what it needs, or cancel the run and retry it with the current code"
    )
    assert 1 == blocked


async def test_a_run_waits_for_a_plugin_that_is_gone(cell: Cell) -> None:
    """What it needs was there when it was submitted: it does not fail for that, it says what is missing."""
    run_id = cell.submit(chain(2))
    async with cell.driven():
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=1)
        (second,) = await cell.launched(1)
    there = cell.plugins

    cell.plugins = dataclasses.replace(there, declared={**there.declared, KIND: {}}, owners={})
    async with cell.driven():
        await cell.until(lambda: cell.scheduler.reconciled)
        cell.scheduler.tell(Returned(second, T, "the executor drains"))
        await cell.until(lambda: "AttemptReturned" in cell.names(run_id))
        cell.clock.advance(2.0)
        await cell.until(lambda: cell.store.waits(run_id))
        (wait,) = cell.store.waits(run_id)
    cell.plugins = there
    async with cell.driven():
        await cell.launched(1, 2)

    assert wait.reason.startswith("there is no step kind 'python', needed by s1: install what it needs")


def with_version(plugins: Plugins, version: str) -> Plugins:
    """The same plugins, of another version."""
    info = dataclasses.replace(plugins.listing[0], version=version)
    return Plugins((info,), plugins.declared, dict.fromkeys(plugins.owners, (info,)))


async def test_a_run_that_nobody_can_drive_is_left_alone(cell: Cell) -> None:
    """Its log is of a newer Meson: the others go on, and who asks for it is told."""
    well = cell.submit(chain(1))
    async with cell.driven():
        (key,) = await cell.launched(0)
    version = cell.store.run(well).version  # type: ignore[union-attr]
    created = RunCreated(T, "newer", version, "", msgspec.Raw(b"{}"), {}, engine=99)
    lease = cell.store.acquire(cell.settings.cell, "a newer Meson")
    cell.store.commit(Commit(lease.epoch, [RunCommit("newer", 0, [created], [], {}, RunState.running)]))
    lease.release()

    async with cell.driven() as orchestrator:
        cell.scheduler.succeed(key, x=1)
        state = await orchestrator.run_until_ended(well)
        with pytest.raises(EngineError, match="pinned to engine version 99"):
            await orchestrator.run_until_ended("newer")

    assert RunState.succeeded is state
    assert RunState.running is cell.state("newer")


async def test_a_run_that_breaks_again_while_it_is_stopped_is_left_alone(cell: Cell) -> None:
    """Whoever waits for it is told, and the orchestrator goes on with the others."""
    ill = cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        waiting = asyncio.get_running_loop().create_task(orchestrator.run_until_ended(ill))
        for kills in (1, 2):
            cell.scheduler.succeed(key._replace(attempt="one"))  # type: ignore[arg-type]
            if kills == 1:
                await cell.until(lambda: cell.scheduler.kills)
        with pytest.raises(EngineError, match="met a bug again"):
            await waiting
        well = cell.submit(chain(1))
        _, other = await cell.launched(0, 2)
        cell.scheduler.succeed(other, x=1)
        state = await orchestrator.run_until_ended(well)

    assert RunState.succeeded is state
