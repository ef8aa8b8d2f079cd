"""Owns the stories of an end that was not meant: cancelling a run, its timeout, and stopping scopes inside scopes."""

from __future__ import annotations

import pytest

from meson_core.errors import NotFoundError
from meson_core.spec.states import FailureMode
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow


def test_cancelling_takes_each_state_its_own_way() -> None:
    story = Story(
        step("waiting", "running"),
        step("activated", "done running"),
        step("ready"),
        step("starting"),
        step("running"),
        step("lost"),
        step("retrying", retry={"user": 1}),
        step("held"),
        step("unknown"),
        step("done"),
    )
    story.created()
    story.held("held")
    story.works("done")
    for name in ("starting", "running", "lost", "retrying", "unknown"):
        story.placed(name)
    story.started("running")
    story.lost("lost")
    story.failed("retrying")
    story.intended("unknown")
    story.fenced("unknown")
    assert story.cancelled() == [
        "waiting: waiting → cancelled",
        "activated: activated → cancelled",
        "ready: ready → cancelled",
        "starting: starting → cancelling",
        "running: running → cancelling",
        "lost: lost → cancelling",
        "retrying: retrying → cancelled",
        "held: paused → cancelled",
        "unknown: outcome unknown → cancelled",
        "withdraw ready#1",
        "kill starting#1",
        "kill running#1",
        "kill lost#1",
        "no timer retrying#1",
        "run: cancelling",
    ]
    assert [story.order(command) for command in story.machine.outstanding()] == [
        "kill starting#1", "kill running#1", "kill lost#1", "fence lost#1",
    ]  # fmt: skip
    assert story.cancelled() == []
    assert story.killed("starting") == ["starting: cancelling → cancelled"]
    assert story.succeeded("running") == ["running: cancelling → succeeded"]
    assert story.fenced("lost") == ["lost: cancelling → cancelled", "end: cancelled", "run: cancelled"]
    assert story.cancelled() == []
    story.check()


@pytest.mark.parametrize("news", ["failed", "killed", "fenced", "given_back", "not_evaluated"])
def test_every_end_of_a_killed_attempt_is_its_cancellation(news: str) -> None:
    story = Story(step("a", retry={"user": 3, "platform": 3}))
    story.created()
    story.placed("a")
    story.cancelled()
    assert getattr(story, news)("a") == ["a: cancelling → cancelled", "end: cancelled", "run: cancelled"]


def test_an_attempt_that_is_lost_while_it_is_killed_must_be_fenced() -> None:
    story = Story(step("a"))
    story.created()
    story.placed("a")
    story.cancelled()
    assert story.lost("a") == ["fence a#1"]
    assert story.lost("a") == []
    assert story.found("a") == ["kill a#1"]
    assert story.found("a") == []
    assert [story.order(command) for command in story.machine.outstanding()] == ["kill a#1"]


def test_a_start_that_crosses_the_kill_changes_nothing() -> None:
    story = Story(step("a"))
    story.created()
    story.placed("a")
    story.cancelled()
    assert story.started("a") == []
    assert story.intended("a") == []
    assert story.sent("a") == []


def test_a_cancel_that_came_too_late_has_cancelled_nothing() -> None:
    story = Story(step("a"))
    story.created()
    story.placed("a")
    assert story.cancelled() == ["a: starting → cancelling", "kill a#1", "run: cancelling"]
    assert story.succeeded("a") == ["a: cancelling → succeeded", "end: succeeded", "run: succeeded"]


def test_a_cancelled_run_is_cancelled_even_if_something_failed() -> None:
    story = Story(step("a"), step("b"))
    story.created()
    story.fails("a")
    assert story.cancelled()[-1] == "run: cancelled"


def test_a_place_that_crosses_the_cancel_is_given_back() -> None:
    story = Story(step("a"), step("b"))
    story.created()
    story.placed("b")
    story.cancelled()
    assert story.placed("a") == []


def test_cancelling_reaches_everything_inside() -> None:
    story = Story(
        for_each("each", step("b"), choose("fork", step("c"))),
        repeat("loop", step("d")),
        subworkflow("sub", step("e"), step("f", "e")),
        choose("later", step("g"), after="each"),
        window=1,
    )
    story.created()
    story.items("each", 3)
    story.placed("b[0]")
    story.works("d[0]")  # the iteration is to be judged
    assert story.cancelled() == [
        "each: running → cancelling",
        "b[0]: starting → cancelling",
        "fork[0]: running → cancelling",
        "c[0]: waiting → cancelled",
        "fork[0]: cancelling → cancelled",
        "b[1] (and 1 more): waiting → cancelled",
        "fork[1] (and 1 more): waiting → cancelled",
        "c[1] (and 1 more): waiting → cancelled",
        "loop: running → cancelling",
        "loop: cancelling → cancelled",
        "sub: running → cancelling",
        "sub.e: ready → cancelled",
        "sub.f: waiting → cancelled",
        "later: waiting → cancelled",
        "g: waiting → cancelled",
        "sub: cancelling → cancelled",
        "kill b[0]#1",
        "withdraw sub.e#1",
        "run: cancelling",
    ]
    # Answers to questions that were open come too late.
    assert story.branch("fork[0]", 0) == []
    assert story.judged("loop", 0, done=False) == []
    assert story.not_evaluated("fork[0]") == []
    assert story.killed("b[0]") == [
        "b[0]: cancelling → cancelled", "each: cancelling → cancelled", "end: cancelled", "run: cancelled",
    ]  # fmt: skip
    story.check()


def test_cancelling_while_the_items_are_asked_for() -> None:
    story = Story(for_each("each", step("b")))
    story.created()
    assert story.cancelled() == [
        "each: running → cancelling", "each: cancelling → cancelled", "end: cancelled", "run: cancelled",
    ]  # fmt: skip
    assert story.items("each", 3) == []
    with pytest.raises(NotFoundError, match="there is no instance"):
        story.state("b[0]")
    assert story.counts("b") == {}


def test_a_success_is_kept_by_everything_around_it() -> None:
    story = Story(for_each("each", subworkflow("sub", step("a")), repeat("loop", step("b"))))
    story.created()
    story.items("each", 1)
    story.placed("sub.a[0]")
    story.placed("b[0,0]")
    story.cancelled()
    assert story.succeeded("sub.a[0]") == ["sub.a[0]: cancelling → succeeded", "sub[0]: cancelling → succeeded"]
    # Whether the repeat was done is not asked any more.
    assert story.succeeded("b[0,0]") == [
        "b[0,0]: cancelling → succeeded",
        "loop[0]: cancelling → cancelled",
        "each: cancelling → cancelled",
        "end: cancelled",
        "run: cancelled",
    ]


# --- scopes that stop inside others ---------------------------------------------------------------------------------


def test_failing_at_once_climbs_as_far_as_the_modes_say() -> None:
    at_once = FailureMode.fail_at_once
    story = Story(
        subworkflow(
            "sub",
            for_each("each", step("b", on_failure=at_once), step("c"), on_failure=at_once),
            step("beside"),
        ),
        step("outside"),
    )
    story.created()
    story.items("sub.each", 2)
    story.placed("sub.c[1]")
    assert story.fails("sub.b[0]") == [
        "sub.b[0]: starting → failed",
        "sub.c[0]: ready → cancelled",
        "sub.b[1]: ready → cancelled",
        "sub.c[1]: starting → cancelling",
        "withdraw sub.c[0]#1",
        "withdraw sub.b[1]#1",
        "kill sub.c[1]#1",
    ]
    assert story.killed("sub.c[1]") == [
        "sub.c[1]: cancelling → cancelled",
        "sub.each: running → failed",
        "sub.beside: ready → cancelled",
        "sub: running → failed",
        "withdraw sub.beside#1",
    ]
    # The subworkflow's own mode is `finish`.
    assert story.works("outside") == ["outside: starting → succeeded", "end: failed", "run: failed"]
    story.check()


def test_a_scope_that_is_stopped_while_it_is_stopped_already() -> None:
    story = Story(
        subworkflow("sub", step("a", on_failure=FailureMode.fail_at_once), step("b"), step("c")),
        step("d", on_failure=FailureMode.fail_at_once),
    )
    story.created()
    story.placed("sub.b")
    story.fails("sub.a")
    assert story.fails("d") == ["d: starting → failed", "sub: running → cancelling"]
    assert story.cancelled() == ["run: cancelling"]
    assert story.killed("sub.b") == [
        "sub.b: cancelling → cancelled",
        "sub: cancelling → failed",
        "end: cancelled",
        "run: cancelled",
    ]


def test_a_composite_that_has_just_asked_its_question_is_stopped() -> None:
    # Its question is open when the failure stops the scope in which it stands.
    story = Story(
        step("a"),
        step("b", on_failure=FailureMode.fail_at_once),
        for_each("next", step("c"), after="a"),
    )
    story.created()
    story.placed("b")
    story.works("a")
    assert story.failed("b") == [
        "b: starting → failed",
        "next: running → cancelling",
        "next: cancelling → cancelled",
        "end: failed",
        "run: failed",
    ]


def test_an_instance_that_waits_for_room_in_the_window_may_be_gone_when_there_is_some() -> None:
    inner = for_each("inner", step("b"))
    story = Story(for_each("outer", inner, step("c", on_failure=FailureMode.fail_at_once)), window=2)
    story.created()
    story.items("outer", 2)
    story.items("inner[0]", 2)
    story.items("inner[1]", 3)
    story.works("b[1,0]")  # two are under way: this one gets no more than its turn
    story.fails("c[1]")
    assert story.counts("b") == {"ready": 2, "succeeded": 1, "cancelled": 2}
    assert story.works("b[0,0]") == ["b[0,0]: starting → succeeded"]
    story.works("c[0]")
    assert story.works("b[0,1]")[-1] == "run: failed"
    story.check()


# --- the timeout of a run -------------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_is_stopped_and_has_failed() -> None:
    story = Story(step("a"), step("b", "a"), timeout_s=60.0)
    assert story.created() == ["a: waiting → ready", "timer of the run at 1060", "enqueue a#1", "run: running"]
    assert [story.order(command) for command in story.machine.outstanding()] == [
        "timer of the run at 1060",
        "enqueue a#1",
    ]
    story.placed("a")
    assert story.timed_out() == ["a: starting → cancelling", "b: waiting → cancelled", "kill a#1", "run: cancelling"]
    assert story.timed_out() == []
    assert story.killed("a") == ["a: cancelling → cancelled", "end: failed", "run: failed"]
    story.check()


def test_a_run_that_ends_in_time_needs_its_timer_no_more() -> None:
    story = Story(step("a"), timeout_s=60.0)
    story.created()
    assert story.works("a") == ["a: starting → succeeded", "no timer of the run", "end: succeeded", "run: succeeded"]
    assert story.timed_out() == []


def test_a_timer_that_a_run_never_set_means_nothing() -> None:
    story = Story(step("a"))
    story.created()
    assert story.timed_out() == []
    assert story.waited("a") == []
