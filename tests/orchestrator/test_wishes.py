"""Owns the tests of what people wish: carried out once, or refused with a reason, and what it does end to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from meson_core.agents import Killed, Remembered, Submitting
from meson_core.agents import Link as LinkFact
from meson_core.events import Selection
from meson_core.orchestrator.probe import Point
from meson_core.ports import Gone
from meson_core.spec.states import RunState, State
from meson_core.store.wishes import Plain, Retry, Send, Settle, Skip, Start, Step
from tests.orchestrator.flows import chain, fan, flow, step

if TYPE_CHECKING:
    from meson_core.store.wishes import WishBody, WishKind
    from tests.orchestrator.cells import Cell

T = 1_000_000.0


async def test_a_paused_run_places_nothing_and_what_runs_goes_on(cell: Cell) -> None:
    """Pause is not stop."""
    run_id = cell.submit(chain(2))

    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        await cell.answered(cell.wish("pause", run_id))
        cell.scheduler.succeed(first, x=1)
        await cell.until(lambda: cell.states(run_id).get((1,)) is State.ready)
        paused = (cell.state(run_id), list(cell.scheduler.of(1)))
        await cell.answered(cell.wish("resume", run_id))
        (second,) = await cell.launched(1)
        cell.scheduler.succeed(second, x=2)
        state = await orchestrator.run_until_ended(run_id)

    assert (RunState.paused, []) == paused
    assert RunState.succeeded is state


async def test_a_cancelled_run_kills_what_runs_and_starts_nothing(cell: Cell) -> None:
    """The attempts get their grace, and the run has ended when they have."""
    run_id = cell.submit(flow(step("a", grace_s=3.0), step("b", "a")))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        await cell.answered(cell.wish("cancel", run_id))
        await cell.until(lambda: cell.scheduler.kills)
        cell.scheduler.tell(Killed(key, T, T))
        state = await orchestrator.run_until_ended(run_id)

    assert [(key, 3.0)] == cell.scheduler.kills
    assert RunState.cancelled is state
    assert {(0,): State.cancelled, (1,): State.cancelled} == cell.states(run_id)


async def test_a_held_step_waits_for_its_release(cell: Cell) -> None:
    """A person wants to look before it goes on."""
    run_id = cell.submit(chain(2))

    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        await cell.answered(cell.wish("hold", run_id, Step(1)))
        cell.scheduler.succeed(first, x=1)
        await cell.until(lambda: cell.states(run_id).get((1,)) is State.paused)
        held = list(cell.scheduler.of(1))
        await cell.answered(cell.wish("release", run_id, Step(1)))
        (second,) = await cell.launched(1)
        cell.scheduler.succeed(second, x=2)
        state = await orchestrator.run_until_ended(run_id)

    assert [] == held
    assert RunState.succeeded is state


async def test_a_skipped_step_shows_null(cell: Cell) -> None:
    """What comes after it runs, with null in its place."""
    run_id = cell.submit(chain(3))

    async with cell.driven() as orchestrator:
        (first,) = await cell.launched(0)
        await cell.answered(cell.wish("skip", run_id, Skip(Selection(nodes=(1,)))))
        cell.scheduler.succeed(first, x=1)
        (third,) = await cell.launched(2)
        inputs = cell.scheduler.inputs(third)
        cell.scheduler.succeed(third, x=2)
        await orchestrator.run_until_ended(run_id)

    assert {"v": None} == inputs
    assert State.skipped is cell.states(run_id)[(1,)]


async def test_a_retry_does_again_just_what_failed_and_what_follows(cell: Cell) -> None:
    """Of twenty items one failed: one is done again, and the gathered list is whole."""
    run_id = cell.submit(fan(20))

    async with cell.driven() as orchestrator:
        keys = await cell.launched(1, 20)
        cell.scheduler.succeed(*keys[:7], *keys[8:], x="first")
        cell.scheduler.fail(keys[7])
        before = await orchestrator.run_until_ended(run_id)
        answer = await cell.answered(cell.wish("retry", run_id, Retry(Selection(failed=True), code="sha256:new")))
        again = (await cell.launched(1, 21))[20:]
        cell.scheduler.succeed(*again, x="second")
        (gather,) = await cell.launched(2)
        inputs = cell.scheduler.inputs(gather)
        cell.scheduler.succeed(gather, x=1)
        after = await orchestrator.run_until_ended(run_id)

    assert (RunState.failed, RunState.succeeded) == (before, after)
    assert {"run_id": run_id, "generation": 1} == answer.answer
    assert [(1, 7)] == [key.instance for key in again]
    assert [2] == [key.attempt for key in again]
    assert {"all": ["first"] * 7 + ["second"] + ["first"] * 12} == inputs
    body = cell.scheduler.launched[again[0]].template.body
    assert "sha256:new" == body["code"]
    assert body["project"].endswith("/code/sha256:new")
    assert ["CodeChanged", "RunReopened"] == [
        name for name in cell.names(run_id) if name in ("CodeChanged", "RunReopened")
    ]


async def test_a_message_reaches_the_running_attempt(cell: Cell) -> None:
    """`mesonctl send`: it is in the log, and it arrives."""
    run_id = cell.submit(chain(1))

    async with cell.driven():
        (key,) = await cell.launched(0)
        await cell.answered(cell.wish("send", run_id, Send((0,), "alpha", {"to": 0.5})))
        await cell.until(lambda: cell.scheduler.messages)

    assert [(key, "alpha", {"to": 0.5})] == cell.scheduler.messages
    assert "MessageSent" in cell.names(run_id)


async def test_an_unknown_outcome_is_settled_by_a_person(cell: Cell) -> None:
    """The intent is in the log, nothing was remembered, and the service cannot be asked: never a second submission."""
    run_id = cell.submit(flow(step("s"), outputs={"x": "s.x"}))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.tell(Submitting(key, T, "meson-1", recoverable=False))
        cell.scheduler.tell(liveness=[Gone(key, "its machine burnt")])
        await cell.until(lambda: cell.states(run_id).get((0,)) is State.outcome_unknown)
        launches = list(cell.scheduler.launches)
        await cell.answered(cell.wish("settle", run_id, Settle((0,), "succeeded", {"x": 5})))
        state = await orchestrator.run_until_ended(run_id)

    assert [key] == launches
    assert RunState.succeeded is state
    row = cell.store.run(run_id)
    assert row is not None
    assert {"x": 5} == row.results


async def test_the_next_attempt_attaches_to_the_job_that_was_remembered(cell: Cell) -> None:
    """The job key stays, and the external id goes with the order."""
    run_id = cell.submit(chain(1))

    async with cell.driven():
        (first,) = await cell.launched(0)
        cell.scheduler.tell(Submitting(first, T, "meson-1", recoverable=True), Remembered(first, T, "app-17"))
        cell.scheduler.tell(liveness=[Gone(first, "its machine burnt")])
        await cell.until(lambda: cell.states(run_id).get((0,)) is State.retrying)
        cell.clock.advance(10.0)
        _, second = await cell.launched(0, 2)

    orders = [cell.scheduler.launched[key].order for key in (first, second)]
    assert orders[0]["job"] == orders[1]["job"]
    assert [(True, None), (False, "app-17")] == [(order["job_first"], order["remembered"]) for order in orders]


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "body", "why"),
    [
        ("cancel", Plain(), "was succeeded"),
        ("pause", Plain(), "cannot be paused any more"),
        ("hold", Step(0), "cannot be held any more"),
        ("send", Send((0,), "a", 1), "cannot be sent anything any more"),
        ("retry", Retry(Selection(failed=True)), "nothing of run"),
        ("retry", Retry(Selection()), "nothing is selected"),
        ("retry", Retry(Selection(nodes=(9,))), "has no node 9"),
        ("retry", Retry(Selection(instances=((0, 4),))), "there is no instance (0, 4)"),
    ],
)
async def test_what_the_state_of_a_run_does_not_allow_is_refused(
    cell: Cell, what: WishKind, body: WishBody, why: str
) -> None:
    """The receipt says why; the log has nothing of it."""
    run_id = cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.succeed(key, x=1)
        await orchestrator.run_until_ended(run_id)
        before = len(cell.events(run_id))
        receipt = await cell.answered(cell.wish(what, run_id, body))

    assert why.replace("was succeeded", "has succeeded") in receipt.refusal
    assert before == len(cell.events(run_id))


async def test_wishes_for_what_is_not_there_are_refused(cell: Cell) -> None:
    """A run that does not exist, a definition that was never stored, a parameter of the wrong type."""
    run_id = cell.submit(chain(1))

    async with cell.driven():
        await cell.launched(0)
        digest = cell.store.run(run_id).version  # type: ignore[union-attr]
        refusals = [
            (await cell.answered(wish)).refusal
            for wish in (
                cell.wish("cancel", "nobody"),
                cell.wish("start", "r2", Start("sha256:none", "", {})),
                cell.wish("start", "r3", Start(digest, "", {"alpha": 1})),
                cell.wish("start", run_id, Start(digest, "", {})),
                cell.wish("settle", run_id, Settle((0,), "retry")),
                cell.wish("retry", run_id, Retry(Selection(failed=True))),
            )
        ]

    assert "there is no run 'nobody'" in refusals[0]
    assert "sha256:none" in refusals[1]
    assert "there is no parameter 'alpha'" in refusals[2]
    assert "there is a run" in refusals[3]
    assert "only a step whose outcome is unknown is settled" in refusals[4]
    assert "a run is retried once it has ended" in refusals[5]
    assert 1 == len(cell.store.runs())


async def test_a_retry_waits_for_the_end_that_is_on_its_way_to_the_log(cell: Cell) -> None:
    """A wish that comes in the same moment must not find a run that has half ended."""
    run_id = cell.submit(chain(1))

    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        cell.scheduler.fail(key)
        wish = cell.wish("retry", run_id, Retry(Selection(failed=True)))
        receipt = await cell.answered(wish)
        if receipt.refusal:  # it came before the end: then the end is what it says
            await orchestrator.run_until_ended(run_id)
            receipt = await cell.answered(cell.wish("retry", run_id, Retry(Selection(failed=True))))
        _, again = await cell.launched(0, 2)
        cell.scheduler.succeed(again, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    assert 1 == receipt.answer["generation"]


async def test_a_wish_is_carried_out_once_whatever_crashes(cell: Cell) -> None:
    """Receipt and events are in one commit: a second orchestrator finds the wish answered."""
    run_id = cell.submit(chain(1))
    async with cell.driven():
        await cell.launched(0)

    async with cell.driven():
        await cell.until(lambda: cell.scheduler.reconciled)

    assert 1 == cell.names(run_id).count("RunCreated")
    assert [] == cell.store.wishes()


async def test_a_retry_does_not_overtake_late_news_of_the_run(cell: Cell) -> None:
    """The end is being written and something late waits behind it: whoever reopened the run now would miss both."""
    run_id = cell.submit(chain(1))
    gate, passing = threading.Event(), threading.Event()
    passing.set()

    def guard() -> None:
        if not passing.is_set():
            assert gate.wait(10)

    cell.watch.at[Point.before_commit].append(guard)
    async with cell.driven() as orchestrator:
        (key,) = await cell.launched(0)
        await cell.until(lambda: cell.watch.reached[-1] is Point.acknowledged)
        passing.clear()
        cell.scheduler.fail(key)
        await cell.until(lambda: cell.watch.reached[-1] is Point.before_commit)
        cell.scheduler.tell(LinkFact(key, T, "ui", "http://localhost"))
        wish = cell.wish("retry", run_id, Retry(Selection(failed=True)))
        await cell.until(lambda: cell.watch.reached[-1] is Point.received)
        passing.set()
        gate.set()
        receipt = await cell.answered(wish)
        _, again = await cell.launched(0, 2)
        cell.scheduler.succeed(again, x=1)
        state = await orchestrator.run_until_ended(run_id)

    assert "" == receipt.refusal
    assert RunState.succeeded is state
    assert ["AttemptFailed", "LinkShown", "RunReopened"] == cell.names(run_id)[2:5]
