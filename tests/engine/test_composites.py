"""Owns the stories of for_each, repeat, choose and subworkflow, alone and inside each other."""

from __future__ import annotations

import pytest

from meson_core.errors import InvalidTransitionError, NotFoundError
from meson_core.spec.states import FailureMode
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow

# --- for_each -------------------------------------------------------------------------------------------------------


def test_the_items_of_a_for_each_go_side_by_side() -> None:
    story = Story(for_each("each", step("b"), step("c", "b")), step("d", "each"))
    assert story.created() == ["each: waiting → running", "evaluate items of each", "run: running"]
    assert story.items("each", 2) == [
        "b[0]: waiting → ready",
        "b[1]: waiting → ready",
        "enqueue b[0]#1",
        "enqueue b[1]#1",
    ]
    assert story.works("b[1]") == ["b[1]: starting → succeeded", "c[1]: waiting → ready", "enqueue c[1]#1"]
    assert story.works("c[1]") == ["c[1]: starting → succeeded"]
    assert story.works("b[0]") == ["b[0]: starting → succeeded", "c[0]: waiting → ready", "enqueue c[0]#1"]
    assert story.works("c[0]") == [
        "c[0]: starting → succeeded",
        "each: running → succeeded",
        "d: waiting → ready",
        "enqueue d#1",
    ]
    story.check()


def test_nothing_to_do_is_done_at_once() -> None:
    story = Story(for_each("each", step("b")), step("c", "each"))
    story.created()
    assert story.items("each", 0) == ["each: running → succeeded", "c: waiting → ready", "enqueue c#1"]
    assert story.items("each", 3) == []
    assert story.counts("b") == {}


def test_a_window_moves_over_the_items() -> None:
    story = Story(for_each("each", step("b")), window=2)
    story.created()
    assert story.items("each", 4) == [
        "b[0]: waiting → ready", "b[1]: waiting → ready", "enqueue b[0]#1", "enqueue b[1]#1",
    ]  # fmt: skip
    assert story.counts("b") == {"waiting": 2, "ready": 2}
    assert story.state("b[3]") == "waiting"
    with pytest.raises(NotFoundError):
        story.state("b[4]")
    assert story.works("b[1]") == ["b[1]: starting → succeeded", "b[2]: waiting → ready", "enqueue b[2]#1"]
    assert story.state("b[1]") == "succeeded"
    story.works("b[0]", "b[2]")
    assert story.works("b[3]")[1] == "each: running → succeeded"
    assert story.counts("b") == {"succeeded": 4}
    story.check()


def test_max_parallel_is_kept_to() -> None:
    story = Story(for_each("each", step("b"), max_parallel=1))
    story.created()
    assert story.items("each", 3) == ["b[0]: waiting → ready", "enqueue b[0]#1"]
    assert story.works("b[0]") == ["b[0]: starting → succeeded", "b[1]: waiting → ready", "enqueue b[1]#1"]


def test_all_instances_of_a_for_each_share_one_window_and_none_starves() -> None:
    story = Story(for_each("outer", for_each("inner", step("b"))), window=3)
    story.created()
    story.items("outer", 3)
    assert len(story.items("inner[0]", 5)) == 6  # three of them
    assert story.items("inner[1]", 5) == ["b[1,0]: waiting → ready", "enqueue b[1,0]#1"]
    assert story.items("inner[2]", 2) == ["b[2,0]: waiting → ready", "enqueue b[2,0]#1"]
    # Five are under way, two more than the window: nothing is opened beyond one for each.
    assert story.works("b[0,0]") == ["b[0,0]: starting → succeeded"]
    assert story.works("b[0,1]") == ["b[0,1]: starting → succeeded"]
    assert story.works("b[0,2]") == ["b[0,2]: starting → succeeded", "b[0,3]: waiting → ready", "enqueue b[0,3]#1"]
    assert story.works("b[2,0]") == ["b[2,0]: starting → succeeded", "b[2,1]: waiting → ready", "enqueue b[2,1]#1"]
    assert story.works("b[2,1]") == [
        "b[2,1]: starting → succeeded", "inner[2]: running → succeeded", "b[1,1]: waiting → ready", "enqueue b[1,1]#1",
    ]  # fmt: skip
    story.check()


def test_up_to_max_failed_items_are_forgiven() -> None:
    story = Story(for_each("each", step("b"), max_failed=1), step("c", "each"))
    story.created()
    story.items("each", 3)
    story.fails("b[1]")
    story.works("b[0]")
    assert story.works("b[2]") == [
        "b[2]: starting → succeeded", "each: running → succeeded", "c: waiting → ready", "enqueue c#1",
    ]  # fmt: skip


def test_one_more_fails_it_after_the_rest_has_finished() -> None:
    story = Story(for_each("each", step("b"), max_failed=1), step("c", "each"))
    story.created()
    story.items("each", 3)
    story.fails("b[0]")
    assert story.fails("b[1]") == ["b[1]: starting → failed"]
    assert story.works("b[2]") == [
        "b[2]: starting → succeeded",
        "each: running → failed",
        "c: waiting → upstream failed",
        "end: failed",
        "run: failed",
    ]
    assert story.changes[-2].why == "2 of 3 items failed"


def test_fail_at_once_stops_the_other_items_once_it_is_certain() -> None:
    story = Story(
        for_each("each", step("b"), step("c", "b"), max_failed=1, on_failure=FailureMode.fail_at_once),
        step("beside"),
        window=4,
    )
    story.created()
    story.items("each", 8)
    story.placed("b[2]")
    assert "c[0]: waiting → upstream failed" in story.fails("b[0]")
    assert story.fails("b[1]") == [
        "b[1]: starting → failed",
        "c[1]: waiting → upstream failed",
        "b[2]: starting → cancelling",
        "c[2]: waiting → cancelled",
        "b[3]: ready → cancelled",
        "c[3]: waiting → cancelled",
        "b[4]: ready → cancelled",
        "c[4]: waiting → cancelled",
        "b[5] (and 2 more): waiting → cancelled",
        "c[5] (and 2 more): waiting → cancelled",
        "kill b[2]#1",
        "withdraw b[3]#1",
        "withdraw b[4]#1",
    ]
    assert story.counts("b") == {"cancelling": 1, "failed": 2, "cancelled": 5}
    assert story.state("c[7]") == "cancelled"
    # Its own failure mode speaks to the scope around it: that stops as well.
    assert story.killed("b[2]") == [
        "b[2]: cancelling → cancelled",
        "each: running → failed",
        "beside: ready → cancelled",
        "withdraw beside#1",
        "end: failed",
        "run: failed",
    ]
    story.check()


def test_a_failure_at_once_inside_an_item_stops_that_item_only() -> None:
    story = Story(for_each("each", step("b", on_failure=FailureMode.fail_at_once), step("beside")))
    story.created()
    story.items("each", 2)
    assert story.fails("b[0]") == ["b[0]: starting → failed", "beside[0]: ready → cancelled", "withdraw beside[0]#1"]
    assert story.state("beside[1]") == "ready"


def test_a_forgiven_for_each_lets_its_scope_go_on() -> None:
    story = Story(for_each("each", step("b"), on_failure=FailureMode.ignore), step("c", "each"))
    story.created()
    story.items("each", 1)
    assert story.fails("b[0]") == [
        "b[0]: starting → failed", "each: running → failed", "c: waiting → ready", "enqueue c#1",
    ]  # fmt: skip
    assert story.works("c")[-1] == "run: succeeded"


def test_items_that_cannot_be_computed_fail_it() -> None:
    story = Story(for_each("each", step("b")))
    story.created()
    assert story.not_evaluated("each") == ["each: running → failed", "end: failed", "run: failed"]
    assert story.items("each", 2) == []
    assert story.not_evaluated("each") == []


def test_a_negative_number_of_items_is_a_bug() -> None:
    story = Story(for_each("each", step("b")))
    story.created()
    with pytest.raises(InvalidTransitionError, match="-1 items"):
        story.items("each", -1)
    assert story.items("each", 1) == ["b[0]: waiting → ready", "enqueue b[0]#1"]


# --- repeat ---------------------------------------------------------------------------------------------------------


def test_a_repeat_goes_on_until_it_is_done() -> None:
    story = Story(repeat("loop", step("b")), step("c", "loop"))
    assert story.created() == [
        "loop: waiting → running", "b[0]: waiting → ready", "enqueue b[0]#1", "run: running",
    ]  # fmt: skip
    assert story.works("b[0]") == ["b[0]: starting → succeeded", "evaluate iteration of loop 0"]
    assert story.judged("loop", 0, done=False) == ["b[1]: waiting → ready", "enqueue b[1]#1"]
    assert story.judged("loop", 0, done=False) == []
    story.works("b[1]")
    assert story.judged("loop", 0, done=True) == []
    assert story.judged("loop", 1, done=True) == ["loop: running → succeeded", "c: waiting → ready", "enqueue c#1"]
    assert story.counts("b") == {"succeeded": 2}
    assert story.machine.total_of(story.instance("loop")) == 2
    story.check()


@pytest.mark.parametrize(("on_exhausted", "state"), [("continue", "succeeded"), ("fail", "failed")])
def test_a_repeat_that_is_exhausted(on_exhausted: str, state: str) -> None:
    story = Story(repeat("loop", step("b"), max_iterations=1, on_exhausted=on_exhausted))
    story.created()
    story.works("b[0]")
    assert story.judged("loop", 0, done=False)[0] == f"loop: running → {state}"
    assert story.changes[-1].why == "1 iterations were not enough"


def test_a_failed_iteration_fails_the_repeat() -> None:
    story = Story(repeat("loop", step("b"), step("c", "b")))
    story.created()
    assert story.fails("b[0]") == [
        "b[0]: starting → failed",
        "c[0]: waiting → upstream failed",
        "loop: running → failed",
        "end: failed",
        "run: failed",
    ]


def test_a_condition_that_cannot_be_computed_fails_the_repeat() -> None:
    story = Story(repeat("loop", step("b")))
    story.created()
    story.works("b[0]")
    assert story.not_evaluated("loop")[0] == "loop: running → failed"


# --- choose ---------------------------------------------------------------------------------------------------------


def test_the_steps_of_other_branches_are_not_chosen() -> None:
    story = Story(choose("fork", (step("a1"), step("a2", "a1")), step("b"), otherwise=step("c")), step("d", "fork"))
    assert story.created() == ["fork: waiting → running", "evaluate branch of fork", "run: running"]
    assert story.counts("a2") == {"waiting": 1}
    assert story.branch("fork", 1) == [
        "a1: waiting → not chosen",
        "a2: waiting → not chosen",
        "c: waiting → not chosen",
        "b: waiting → ready",
        "enqueue b#1",
    ]
    assert story.branch("fork", 0) == []
    assert story.works("b") == [
        "b: starting → succeeded", "fork: running → succeeded", "d: waiting → ready", "enqueue d#1",
    ]  # fmt: skip
    assert story.state("a1") == "not chosen"
    story.check()


def test_a_choose_without_a_way_to_take_has_succeeded() -> None:
    story = Story(choose("fork", step("a")), step("b", "fork"))
    story.created()
    assert story.branch("fork", -1) == [
        "a: waiting → not chosen", "fork: running → succeeded", "b: waiting → ready", "enqueue b#1",
    ]  # fmt: skip
    assert story.state("a") == "not chosen"


def test_a_way_that_cannot_be_computed_fails_the_choose() -> None:
    story = Story(choose("fork", step("a")), step("b", "fork"))
    story.created()
    assert story.not_evaluated("fork") == [
        "a: waiting → upstream failed",
        "fork: running → failed",
        "b: waiting → upstream failed",
        "end: failed",
        "run: failed",
    ]
    assert story.state("a") == "upstream failed"


def test_a_way_that_is_not_there_is_a_bug() -> None:
    story = Story(choose("fork", step("a")))
    story.created()
    with pytest.raises(InvalidTransitionError, match="branch 1 of 1"):
        story.branch("fork", 1)


# --- subworkflow ----------------------------------------------------------------------------------------------------


def test_a_subworkflow_is_one_node_outside() -> None:
    story = Story(subworkflow("sub", step("a"), step("b", "a")), step("c", "sub"))
    assert story.created() == ["sub: waiting → running", "sub.a: waiting → ready", "enqueue sub.a#1", "run: running"]
    story.works("sub.a")
    assert story.works("sub.b") == [
        "sub.b: starting → succeeded", "sub: running → succeeded", "c: waiting → ready", "enqueue c#1",
    ]  # fmt: skip
    story.check()


def test_what_is_inside_ends_with_what_is_around_it() -> None:
    story = Story(
        step("a"), subworkflow("sub", step("b"), choose("fork", step("c"), otherwise=step("d")), after="a"), step("e")
    )
    story.created()
    assert story.fails("a") == [
        "a: starting → failed",
        "sub: waiting → upstream failed",
        "sub.b: waiting → upstream failed",
        "sub.fork: waiting → upstream failed",
        "sub.c: waiting → upstream failed",
        "sub.d: waiting → upstream failed",
    ]
    assert story.state("sub.d") == "upstream failed"
    assert story.cancelled() == ["e: ready → cancelled", "withdraw e#1", "end: cancelled", "run: cancelled"]


def test_inputs_that_cannot_be_computed_fail_a_subworkflow_that_has_begun() -> None:
    story = Story(subworkflow("sub", step("a"), step("b"), step("c", "b")))
    story.created()
    story.placed("sub.a")
    assert story.not_evaluated("sub") == [
        "sub.a: starting → cancelling",
        "sub.b: ready → cancelled",
        "sub.c: waiting → cancelled",
        "kill sub.a#1",
        "withdraw sub.b#1",
    ]
    assert story.killed("sub.a") == [
        "sub.a: cancelling → cancelled",
        "sub: running → failed",
        "end: failed",
        "run: failed",
    ]
    assert story.changes[-1].why == "boo"


# --- all of them ----------------------------------------------------------------------------------------------------


def test_everything_nests_in_everything() -> None:
    inner = choose("fork", for_each("small", step("b")), otherwise=step("c"))
    story = Story(for_each("each", repeat("loop", subworkflow("sub", inner))), window=1)
    story.created()
    assert story.items("each", 2) == [
        "loop[0]: waiting → running",
        "sub[0,0]: waiting → running",
        "sub.fork[0,0]: waiting → running",
        "evaluate branch of sub.fork[0,0]",
    ]
    story.branch("sub.fork[0,0]", 0)
    story.items("sub.small[0,0]", 2)
    story.works("sub.b[0,0,0]")
    assert story.works("sub.b[0,0,1]") == [
        "sub.b[0,0,1]: starting → succeeded",
        "sub.small[0,0]: running → succeeded",
        "sub.fork[0,0]: running → succeeded",
        "sub[0,0]: running → succeeded",
        "evaluate iteration of loop[0] 0",
    ]
    story.judged("loop[0]", 0, done=False)
    story.branch("sub.fork[0,1]", 1)
    story.works("sub.c[0,1]")
    assert story.judged("loop[0]", 1, done=True)[:2] == ["loop[0]: running → succeeded", "loop[1]: waiting → running"]
    # Item 0 is folded by now, and still answers.
    assert story.state("sub.b[0,0,1]") == "succeeded"
    assert story.state("sub.c[0,1]") == "succeeded"
    assert story.state("sub.c[0,0]") == "not chosen"
    assert story.machine.total_of(story.instance("loop[0]")) == 2
    assert story.machine.total_of(story.instance("sub.small[0,0]")) == 2
    assert story.machine.total_of(story.instance("sub.small[0,1]")) == 0
    assert story.counts("sub.b") == {"succeeded": 2}
    assert story.counts("sub.c") == {"succeeded": 1, "not chosen": 1, "waiting": 1}
    story.check()
