"""Owns the stories of a run that has ended and goes on: what is done again, what is kept, and what is counted on."""

from __future__ import annotations

from meson_core.spec.states import FailureMode, Join
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow


def test_the_failed_steps_and_what_comes_after_them_are_done_again() -> None:
    story = Story(step("a"), step("b", "a"), step("c", "b"), step("d", "a"))
    story.created()
    story.works("a", "d")
    story.fails("b")
    assert story.reopened(failed=True) == [
        "b: failed → waiting",
        "c: upstream failed → waiting",
        "b: waiting → ready",
        "enqueue b#2",
        "run: running",
    ]
    assert story.works("b") == ["b: starting → succeeded", "c: waiting → ready", "enqueue c#1"]
    assert story.works("c") == ["c: starting → succeeded", "end: succeeded", "run: succeeded"]
    assert story.machine.generation == 1
    story.check()


def test_a_named_step_is_done_again_with_everything_downstream() -> None:
    story = Story(step("a"), step("b", "a"), step("c", "b"), step("d"), step("e", "c d"))
    story.created()
    story.works("a", "b", "c", "d", "e")
    assert story.reopened("b") == [
        "b: succeeded → waiting",
        "c: succeeded → waiting",
        "e: succeeded → waiting",
        "b: waiting → ready",
        "e: waiting → activated",
        "enqueue b#2",
        "run: running",
    ]
    story.works("b", "c")
    assert story.works("e")[-1] == "run: succeeded"
    story.check()


def test_late_news_from_before_is_ignored() -> None:
    story = Story(step("a", retry={"user": 1, "backoff_s": 0}), step("b", "a"))
    story.created()
    story.works("a")
    story.fails("b")
    story.reopened("a")
    for late in (story.started, story.succeeded, story.failed, story.lost, story.fenced, story.killed, story.placed):
        assert late("a#1") == []
        assert late("b#1") == []
    story.check()


def test_nothing_selected_is_nothing_done() -> None:
    story = Story(step("a"), for_each("each", step("b")))
    story.created()
    story.works("a")
    story.items("each", 1)
    story.works("b[0]")
    assert story.reopened(failed=True) == []
    assert story.reopened("b[5]") == []
    assert story.machine.run_state.value == "succeeded"
    assert story.machine.generation == 0


def test_only_a_run_that_has_ended_is_reopened() -> None:
    story = Story(step("a"), step("b"))
    story.created()
    story.fails("a")
    assert story.reopened(failed=True) == []
    story.cancelled()
    assert story.reopened(failed=True)[-1] == "run: running"


def test_budgets_are_fresh_and_attempts_go_on_counting() -> None:
    story = Story(step("a", retry={"user": 1, "backoff_s": 0}))
    story.created()
    for _ in range(2):
        story.placed("a")
        story.failed("a")
    story.reopened(failed=True)
    story.placed("a#3")
    assert story.failed("a#3") == ["a: starting → ready", "enqueue a#4"]
    assert story.changes[-1].why == "attempt 3 failed (user retry 1 of 1): boo"


def test_what_another_failure_still_prevents_stays_prevented() -> None:
    story = Story(step("a"), step("b"), step("join", "a b"), step("first", "a b", join=Join.any), step("c", "join"))
    story.created()
    story.fails("a")
    story.fails("b")
    assert story.reopened("a") == [
        "a: failed → waiting",
        "join: upstream failed → waiting",
        "first: upstream failed → waiting",
        "c: upstream failed → waiting",
        "a: waiting → ready",
        "join: waiting → upstream failed",
        "first: waiting → activated",
        "c: waiting → upstream failed",
        "enqueue a#2",
        "run: running",
    ]
    assert story.works("a") == ["a: starting → succeeded", "first: activated → ready", "enqueue first#1"]
    assert story.works("first")[-1] == "run: failed"
    story.check()


def test_a_join_that_something_else_satisfies_starts_again_at_once() -> None:
    story = Story(step("a"), step("b"), step("first", "a b", join=Join.any))
    story.created()
    story.works("a", "first")
    story.fails("b")
    assert story.reopened("b") == [
        "b: failed → waiting",
        "first: succeeded → waiting",
        "b: waiting → ready",
        "first: waiting → ready",
        "enqueue b#2",
        "enqueue first#2",
        "run: running",
    ]


def test_what_is_cancelled_and_not_selected_stays_cancelled() -> None:
    story = Story(step("a", on_failure=FailureMode.fail_at_once), step("b"), step("c", "a b"))
    story.created()
    story.fails("a")
    assert story.reopened("a") == [
        "a: failed → waiting",
        "c: cancelled → waiting",
        "a: waiting → ready",
        "c: waiting → upstream failed",
        "enqueue a#2",
        "run: running",
    ]
    assert story.works("a")[-1] == "run: cancelled"
    assert story.reopened(failed=True) == [
        "b: cancelled → waiting",
        "c: upstream failed → waiting",
        "b: waiting → ready",
        "c: waiting → activated",
        "enqueue b#2",
        "run: running",
    ]


def test_a_skipped_step_stays_skipped_until_it_is_named() -> None:
    story = Story(step("a"), step("b", "a"), step("c", "b"), step("d", "a"))
    story.created()
    story.skipped("b")
    story.works("c")
    story.fails("a")
    # Nothing has changed for `c`: what it follows still counts as done.
    assert story.reopened(failed=True) == [
        "a: failed → waiting",
        "d: upstream failed → waiting",
        "a: waiting → ready",
        "enqueue a#2",
        "run: running",
    ]
    story.works("a", "d")
    assert story.reopened("b") == [
        "b: skipped → waiting",
        "c: succeeded → waiting",
        "b: waiting → ready",
        "enqueue b#1",
        "run: running",
    ]
    story.check()


def test_a_step_that_is_named_is_not_skipped_any_more_wherever_it_comes_up() -> None:
    story = Story(repeat("loop", step("b"), step("c")))
    story.created()
    story.skipped("c")
    story.works("b[0]")
    story.judged("loop", 0, done=True)
    story.reopened("c")
    story.works("c[0]")
    assert story.judged("loop", 0, done=False)[:2] == ["b[1]: waiting → ready", "c[1]: waiting → ready"]
    story.check()


def test_an_instance_that_is_named_is_not_skipped_any_more() -> None:
    story = Story(step("a"), for_each("each", step("b"), after="a"))
    story.created()
    story.skipped("b[0]")
    story.works("a")
    assert story.items("each", 1)[-1] == "run: succeeded"
    story.reopened("b[0]")
    story.works("b[0]")
    story.reopened("a")
    story.works("a")
    assert story.items("each", 1) == ["b[0]: waiting → ready", "enqueue b[0]#2"]


def test_a_reopening_after_which_nothing_is_left_ends_the_run_again() -> None:
    story = Story(step("a"), step("b", "a"))
    story.created()
    story.fails("a")
    assert story.reopened("b") == [
        "b: upstream failed → waiting",
        "b: waiting → upstream failed",
        "end: failed",
        "run: failed",
    ]


def test_a_failed_step_is_skipped_by_reopening_it_first() -> None:
    story = Story(step("a"), step("b", "a"))
    story.created()
    story.fails("a")
    assert story.skipped("a") == []
    story.reopened("a")
    assert story.skipped("a") == ["a: ready → skipped", "b: waiting → ready", "withdraw a#2", "enqueue b#1"]


def test_a_skip_that_came_too_late_does_not_skip_a_retry() -> None:
    story = Story(for_each("each", step("b")))
    story.created()
    story.items("each", 2)
    story.placed("b[0]")
    story.skipped("b[0]")
    story.failed("b[0]")
    story.works("b[1]")
    assert "enqueue b[0]#2" in story.reopened(failed=True)


def test_a_run_that_timed_out_gets_all_its_time_again() -> None:
    story = Story(step("a"), timeout_s=60.0)
    story.created()
    assert story.timed_out()[-1] == "run: failed"
    assert story.reopened(failed=True) == [
        "a: cancelled → waiting",
        "a: waiting → ready",
        "enqueue a#2",
        "timer of the run at 1121",
        "run: running",
    ]
    assert story.works("a")[-1] == "run: succeeded"
    story.check()


# --- repeat ---------------------------------------------------------------------------------------------------------


def _looped(story: Story, iterations: int) -> None:
    for iteration in range(iterations):
        story.works(f"b[{iteration}]", f"c[{iteration}]")
        story.judged("loop", iteration, done=iteration == iterations - 1)


def test_a_repeat_goes_on_from_the_earliest_iteration_that_is_selected() -> None:
    story = Story(repeat("loop", step("b"), step("c", "b"), max_iterations=9), step("d", "loop"))
    story.created()
    _looped(story, 4)
    story.works("d")
    assert story.reopened("c[2]", "b[3]") == [
        "c[2]: succeeded → waiting",
        "b[3]: succeeded → waiting",
        "c[3]: succeeded → waiting",
        "loop: succeeded → running",
        "d: succeeded → waiting",
        "c[2]: waiting → ready",
        "enqueue c[2]#2",
        "run: running",
    ]
    assert story.counts("b") == {"succeeded": 3}
    assert story.machine.total_of(story.instance("loop")) == 3
    assert story.works("c[2]")[-1] == "evaluate iteration of loop 2"
    # The numbers of the iteration that was dropped are not used again: its job keys are known outside.
    assert story.judged("loop", 2, done=False) == ["b[3]: waiting → ready", "enqueue b[3]#2"]
    story.works("b[3]", "c[3]")
    story.judged("loop", 3, done=True)
    assert story.works("d")[-1] == "run: succeeded"
    story.check()


def test_a_repeat_whose_node_is_selected_starts_with_the_first_iteration() -> None:
    story = Story(repeat("loop", step("b"), step("c", "b")))
    story.created()
    _looped(story, 2)
    assert story.reopened("c")[:4] == [
        "c[0]: succeeded → waiting", "b[1]: succeeded → waiting", "c[1]: succeeded → waiting", "loop: succeeded → running",
    ]  # fmt: skip


def test_a_repeat_that_was_exhausted_starts_from_nothing() -> None:
    story = Story(repeat("loop", step("b"), step("c", "b"), max_iterations=2, on_exhausted="fail"))
    story.created()
    story.works("b[0]", "c[0]")
    story.judged("loop", 0, done=False)
    story.works("b[1]", "c[1]")
    assert story.judged("loop", 1, done=False)[-1] == "run: failed"
    assert story.reopened(failed=True) == [
        "loop: failed → waiting",
        "loop: waiting → running",
        "b[0]: waiting → ready",
        "enqueue b[0]#2",
        "run: running",
    ]
    story.check()


def test_composites_in_a_dropped_iteration_are_forgotten_but_for_their_numbers() -> None:
    story = Story(repeat("loop", step("a"), for_each("each", step("b"), after="a"), max_iterations=5))
    story.created()
    for iteration in (0, 1):
        story.works(f"a[{iteration}]")
        story.items(f"each[{iteration}]", 2)
        story.works(f"b[{iteration},0]", f"b[{iteration},1]")
        story.judged("loop", iteration, done=iteration == 1)
    assert story.reopened("b[0,1]") == [
        "b[0,1]: succeeded → waiting",
        "each[0]: succeeded → running",
        "a[1]: succeeded → waiting",
        "each[1]: succeeded → waiting",
        "loop: succeeded → running",
        "b[0,1]: waiting → ready",
        "enqueue b[0,1]#2",
        "run: running",
    ]
    assert story.counts("b") == {"succeeded": 1, "ready": 1}
    story.works("b[0,1]")
    story.judged("loop", 0, done=False)
    story.works("a[1]")
    assert story.items("each[1]", 1) == ["b[1,0]: waiting → ready", "enqueue b[1,0]#2"]
    story.check()


# --- choose and subworkflow -----------------------------------------------------------------------------------------


def test_a_branch_goes_on_where_it_failed() -> None:
    story = Story(choose("fork", (step("a"), step("b", "a")), otherwise=step("c")), step("d", "fork"))
    story.created()
    story.branch("fork", 0)
    story.works("a")
    story.fails("b")
    assert story.reopened(failed=True) == [
        "b: failed → waiting",
        "fork: failed → running",
        "d: upstream failed → waiting",
        "b: waiting → ready",
        "enqueue b#2",
        "run: running",
    ]
    assert story.state("c") == "not chosen"
    story.works("b")
    assert story.works("d")[-1] == "run: succeeded"


def test_a_branch_that_was_not_chosen_is_not_opened_by_naming_it() -> None:
    story = Story(choose("fork", step("a"), otherwise=step("b")), choose("none", step("c")))
    story.created()
    story.branch("fork", 0)
    story.branch("none", -1)
    story.works("a")
    assert story.reopened("b") == []
    assert story.reopened("c", "b[]") == []


def test_a_choose_downstream_may_choose_otherwise() -> None:
    story = Story(step("a"), choose("fork", step("b"), otherwise=step("c"), after="a"))
    story.created()
    story.works("a")
    story.branch("fork", 0)
    story.works("b")
    assert story.reopened("a")[:2] == ["a: succeeded → waiting", "fork: succeeded → waiting"]
    assert story.counts("c") == {"waiting": 1}
    story.works("a")
    assert story.branch("fork", 1) == ["b: waiting → not chosen", "c: waiting → ready", "enqueue c#1"]
    story.works("c")
    story.reopened("a")
    story.works("a")
    assert story.branch("fork", 0) == ["c: waiting → not chosen", "b: waiting → ready", "enqueue b#2"]
    story.check()


def test_a_step_in_a_subworkflow_that_never_began() -> None:
    story = Story(step("a"), subworkflow("sub", step("b"), step("c", "b"), after="a"), step("d"))
    story.created()
    story.works("d")
    story.placed("a")
    story.cancelled()
    story.succeeded("a")
    assert story.reopened("sub.c") == [
        "sub: cancelled → waiting",
        "sub: waiting → running",
        "sub.b: waiting → ready",
        "enqueue sub.b#1",
        "run: running",
    ]
    story.check()


def test_a_run_can_be_reopened_again_and_again() -> None:
    story = Story(for_each("each", choose("fork", repeat("loop", step("b"), max_iterations=2))))
    story.created()
    story.items("each", 2)
    for item in (0, 1):
        story.branch(f"fork[{item}]", 0)
        story.fails(f"b[{item},0]")
    for generation in range(1, 6):
        assert story.reopened(failed=True)[-1] == "run: running"
        assert story.machine.generation == generation
        for item in (0, 1):
            assert story.fails(f"b[{item},0]")[0] == f"b[{item},0]: starting → failed"
    assert story.reopened(failed=True)[-3:] == ["enqueue b[0,0]#7", "enqueue b[1,0]#7", "run: running"]
    for item in (0, 1):
        story.works(f"b[{item},0]")
        story.judged(f"loop[{item}]", 0, done=True)
    assert story.machine.run_state.value == "succeeded"
    story.check()
