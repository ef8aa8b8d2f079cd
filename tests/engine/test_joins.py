"""Owns the stories of graphs: joins, and what the failure modes of nodes do to the rest of their scope."""

from __future__ import annotations

import pytest

from meson_core.spec.states import FailureMode, Join, State, satisfies
from tests.engine.stories import Story, step


def test_a_chain_goes_one_by_one() -> None:
    story = Story(step("a"), step("b", "a"), step("c", "b"))
    assert story.created() == ["a: waiting → ready", "enqueue a#1", "run: running"]
    assert story.works("a") == ["a: starting → succeeded", "b: waiting → ready", "enqueue b#1"]
    assert story.works("b") == ["b: starting → succeeded", "c: waiting → ready", "enqueue c#1"]
    assert story.works("c") == ["c: starting → succeeded", "end: succeeded", "run: succeeded"]
    story.check()


def test_the_order_in_which_nodes_are_written_does_not_matter() -> None:
    story = Story(step("c", "b"), step("b", "a"), step("a"))
    story.created()
    story.works("a", "b")
    assert story.works("c")[-1] == "run: succeeded"


def test_an_all_join_waits_for_everything_and_says_for_what() -> None:
    story = Story(step("a"), step("b"), step("c"), step("join", "a b c"))
    story.created()
    assert story.works("a") == ["a: starting → succeeded", "join: waiting → activated"]
    assert story.changes[-1].why == "waits for b"
    assert story.works("b") == ["b: starting → succeeded"]
    assert story.works("c") == ["c: starting → succeeded", "join: activated → ready", "enqueue join#1"]


def test_an_all_join_fails_as_soon_as_it_cannot_be_satisfied() -> None:
    story = Story(step("a"), step("b"), step("join", "a b"), step("after", "join"))
    story.created()
    assert story.fails("a") == [
        "a: starting → failed",
        "join: waiting → upstream failed",
        "after: waiting → upstream failed",
    ]
    assert story.changes[-2].why == "a failed"
    assert story.works("b") == ["b: starting → succeeded", "end: failed", "run: failed"]
    story.check()


def test_an_any_join_starts_with_the_first_and_once_only() -> None:
    story = Story(step("a"), step("b"), step("c"), step("join", "a b c", join=Join.any))
    story.created()
    assert story.fails("a") == ["a: starting → failed", "join: waiting → activated"]
    assert story.works("b") == ["b: starting → succeeded", "join: activated → ready", "enqueue join#1"]
    assert story.works("c") == ["c: starting → succeeded"]
    # The join went on, but nobody forgave the failure of `a`.
    assert story.works("join") == ["join: starting → succeeded", "end: failed", "run: failed"]
    story.check()


def test_an_any_join_fails_with_the_last_hope() -> None:
    story = Story(step("a"), step("b"), step("join", "a b", join=Join.any))
    story.created()
    story.fails("a")
    assert story.fails("b")[:2] == ["b: starting → failed", "join: activated → upstream failed"]


def test_an_any_join_that_has_ended_is_left_alone() -> None:
    story = Story(step("a"), step("b"), step("join", "a b", join=Join.any))
    story.created()
    story.works("a", "join")
    assert story.works("b") == ["b: starting → succeeded", "end: succeeded", "run: succeeded"]


@pytest.mark.parametrize("join", list(Join))
def test_a_forgiven_failure_satisfies_every_join(join: Join) -> None:
    story = Story(step("a", on_failure=FailureMode.ignore), step("b", "a", join=join))
    story.created()
    assert story.fails("a") == ["a: starting → failed", "b: waiting → ready", "enqueue b#1"]
    assert story.works("b")[-1] == "run: succeeded"


@pytest.mark.parametrize("join", list(Join))
def test_a_failure_satisfies_no_join(join: Join) -> None:
    story = Story(step("a"), step("b", "a", join=join))
    story.created()
    assert story.fails("a")[1] == "b: waiting → upstream failed"


@pytest.mark.parametrize("join", list(Join))
def test_what_is_skipped_satisfies_every_join(join: Join) -> None:
    story = Story(step("a"), step("b", "a", join=join))
    story.created()
    assert story.skipped("a") == [
        "a: ready → skipped", "b: waiting → ready", "withdraw a#1", "enqueue b#1",
    ]  # fmt: skip


def test_the_table_of_joins_is_the_one_of_the_product() -> None:
    every, first, none_failed = Join.all, Join.any, Join.none_failed
    expected = {
        State.succeeded: {every, first, none_failed},
        State.skipped: {every, first, none_failed},
        State.not_chosen: {none_failed},
    }
    for state in State:
        for join in Join:
            wanted = join in expected.get(state, set())
            assert satisfies(state, join, FailureMode.finish) == wanted
            assert satisfies(state, join, FailureMode.fail_at_once) == wanted
            assert satisfies(state, join, FailureMode.ignore) == (wanted or state is State.failed)


# --- failure modes --------------------------------------------------------------------------------------------------


def test_finish_lets_everything_else_go_on() -> None:
    story = Story(step("a"), step("b"), step("c", "b"))
    story.created()
    assert story.fails("a") == ["a: starting → failed"]
    assert story.works("b") == ["b: starting → succeeded", "c: waiting → ready", "enqueue c#1"]
    assert story.works("c") == ["c: starting → succeeded", "end: failed", "run: failed"]


def test_fail_at_once_stops_what_runs_and_what_waits() -> None:
    story = Story(
        step("a", on_failure=FailureMode.fail_at_once),
        step("queued"),
        step("starting"),
        step("running"),
        step("done"),
        step("next", "done running"),
    )
    story.created()
    story.placed("starting")
    story.placed("running")
    story.started("running")
    story.works("done")
    assert story.fails("a") == [
        "a: starting → failed",
        "queued: ready → cancelled",
        "starting: starting → cancelling",
        "running: running → cancelling",
        "next: activated → cancelled",
        "withdraw queued#1",
        "kill starting#1",
        "kill running#1",
    ]
    assert story.killed("starting") == ["starting: cancelling → cancelled"]
    assert story.succeeded("running") == ["running: cancelling → succeeded", "end: failed", "run: failed"]
    story.check()


def test_a_second_failure_does_not_stop_twice() -> None:
    story = Story(
        step("a", on_failure=FailureMode.fail_at_once),
        step("b", on_failure=FailureMode.fail_at_once),
        step("c"),
        step("d"),
    )
    story.created()
    for name in "bcd":
        story.placed(name)
    story.lost("d")
    story.fails("a")
    assert story.failed("b") == ["b: cancelling → cancelled"]
    assert story.killed("c") == ["c: cancelling → cancelled"]
    assert story.fenced("d") == ["d: cancelling → cancelled", "end: failed", "run: failed"]


def test_ends_that_come_together_are_told_one_by_one() -> None:
    story = Story(step("a"), step("b"), step("c"), step("join", "b c"))
    story.created()
    assert story.skipped("b", "c") == [
        "b: ready → skipped",
        "c: ready → skipped",
        "join: waiting → activated",
        "join: activated → ready",
        "withdraw b#1",
        "withdraw c#1",
        "enqueue join#1",
    ]
    story.check()


def test_a_chain_of_thousands_falls_without_a_stack() -> None:
    length = 5000
    story = Story(step("s0"), *(step(f"s{at}", f"s{at - 1}") for at in range(1, length)))
    story.created()
    told = story.fails("s0")
    assert told[length - 1] == f"s{length - 1}: waiting → upstream failed"
    assert told[-1] == "run: failed"
