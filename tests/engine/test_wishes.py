"""Owns the stories of what people do to a run that goes on: pausing, holding, skipping."""

from __future__ import annotations

import pytest

from meson_core.commands import EndRun
from meson_core.errors import InvalidTransitionError
from meson_core.events import InstancesSkipped, Selection
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow


def test_a_paused_run_goes_on_with_what_runs_and_keeps_its_queue() -> None:
    story = Story(step("a"), step("b", "a"), step("c", "b"))
    story.created()
    story.placed("a")
    assert story.paused() == ["run: paused"]
    assert story.paused() == []
    # Placement skips a paused run; what is ready stays in the queue.
    assert story.succeeded("a") == ["a: starting → succeeded", "b: waiting → ready", "enqueue b#1"]
    assert story.placed("b") == ["b: ready → starting", "launch b#1 on m1"]  # it was on its way
    assert story.resumed() == ["run: running"]
    assert story.resumed() == []
    story.check()


def test_a_paused_run_may_end_and_may_be_cancelled() -> None:
    story = Story(step("a"))
    story.created()
    story.placed("a")
    story.paused()
    assert story.succeeded("a")[-1] == "run: succeeded"
    assert story.paused() == []
    assert story.resumed() == []
    story = Story(step("a"))
    story.created()
    story.paused()
    assert story.cancelled()[-1] == "run: cancelled"


def test_a_run_that_is_being_cancelled_is_not_paused() -> None:
    story = Story(step("a"))
    story.created()
    story.placed("a")
    story.cancelled()
    assert story.paused() == []
    assert story.resumed() == []
    assert story.skipped("a") == []


# --- holding --------------------------------------------------------------------------------------------------------


def test_a_held_step_gets_ready_only_when_it_is_released() -> None:
    story = Story(step("a"), step("b", "a"))
    story.created()
    assert story.held("a") == ["a: ready → paused", "withdraw a#1"]
    assert story.held("a") == []
    assert story.placed("a") == []  # it crossed the hold
    assert story.released("a") == ["a: paused → ready", "enqueue a#1"]
    assert story.released("a") == []
    story.held("b")
    assert story.works("a") == ["a: starting → succeeded", "b: waiting → paused"]
    assert story.machine.outstanding() == []
    assert story.released("b") == ["b: paused → ready", "enqueue b#1"]
    story.check()


def test_what_runs_goes_on_under_a_hold_and_its_next_attempt_waits() -> None:
    story = Story(step("a", retry={"user": 1, "platform": 1}))
    story.created()
    story.placed("a")
    assert story.held("a") == []
    story.failed("a")
    assert story.waited("a") == ["a: retrying → paused"]
    assert story.not_evaluated("a") == ["a: paused → failed", "end: failed", "run: failed"]


def test_holding_a_composite_holds_the_steps_in_it() -> None:
    story = Story(for_each("each", step("b"), subworkflow("sub", step("c"))))
    story.created()
    story.items("each", 1)
    assert story.held("each") == [
        "b[0]: ready → paused", "sub.c[0]: ready → paused", "withdraw b[0]#1", "withdraw sub.c[0]#1",
    ]  # fmt: skip
    assert story.released("sub") == ["sub.c[0]: paused → ready", "enqueue sub.c[0]#1"]
    assert story.released("each") == ["b[0]: paused → ready", "enqueue b[0]#1"]


def test_an_unknown_node_cannot_be_held() -> None:
    story = Story(step("a"))
    story.created()
    story.plan.by_name["ghost"] = 7
    with pytest.raises(InvalidTransitionError, match="there is no node 7"):
        story.held("ghost")


# --- skipping -------------------------------------------------------------------------------------------------------


def test_what_waits_is_skipped_at_once_and_what_comes_after_it_goes_on() -> None:
    story = Story(step("a"), step("b", "a"), step("c", "b"))
    story.created()
    story.placed("a")
    assert story.skipped("b") == ["b: waiting → skipped", "c: waiting → ready", "enqueue c#1"]
    story.works("c")
    assert story.succeeded("a") == ["a: starting → succeeded", "end: succeeded", "run: succeeded"]
    story.check()


def test_each_state_is_skipped_its_own_way() -> None:
    story = Story(
        step("ready"), step("retrying", retry={"user": 1}), step("held"), step("unknown"), step("running"), step("done")
    )
    story.created()
    story.held("held")
    story.works("done")
    for name in ("retrying", "unknown", "running"):
        story.placed(name)
    story.failed("retrying")
    story.intended("unknown")
    story.fenced("unknown")
    assert story.skipped("ready", "retrying", "held", "unknown", "running", "done") == [
        "ready: ready → skipped",
        "retrying: retrying → skipped",
        "held: paused → skipped",
        "unknown: outcome unknown → skipped",
        "withdraw ready#1",
        "no timer retrying#1",
    ]
    assert story.succeeded("running")[-1] == "run: succeeded"


def test_a_composite_is_skipped_with_all_that_is_in_it() -> None:
    story = Story(step("a"), choose("fork", step("b"), otherwise=for_each("each", step("c")), after="a"))
    story.created()
    assert story.skipped("fork") == ["fork: waiting → skipped", "b: waiting → skipped", "each: waiting → skipped"]
    assert story.state("b") == "skipped"
    assert story.works("a")[-1] == "run: succeeded"


def test_a_composite_that_runs_is_left_alone() -> None:
    story = Story(subworkflow("sub", step("a"), step("b", "a")))
    story.created()
    assert story.skipped("sub") == []
    assert story.skipped("sub.b") == ["sub.b: waiting → skipped"]


def test_a_skipped_step_of_a_for_each_is_skipped_in_items_to_come() -> None:
    story = Story(for_each("each", step("b"), step("c", "b")), window=1)
    story.created()
    story.items("each", 3)
    assert story.skipped("c") == ["c[0]: waiting → skipped"]
    assert story.works("b[0]") == [
        "b[0]: starting → succeeded", "c[1]: waiting → skipped", "b[1]: waiting → ready", "enqueue b[1]#1",
    ]  # fmt: skip
    story.works("b[1]")
    assert story.works("b[2]")[-1] == "run: succeeded"
    story.check()


def test_one_item_can_be_skipped_before_it_exists() -> None:
    story = Story(for_each("each", step("b")), window=1)
    story.created()
    assert story.skipped("b[1]") == []
    story.items("each", 3)
    assert story.works("b[0]") == [
        "b[0]: starting → succeeded", "b[1]: waiting → skipped", "b[2]: waiting → ready", "enqueue b[2]#1",
    ]  # fmt: skip
    story.check()


def test_skipping_the_whole_body_of_a_wide_for_each_needs_no_stack() -> None:
    story = Story(for_each("each", step("b")), window=3)
    story.created()
    story.skipped("b")
    told = story.items("each", 5000)
    assert told[-3:] == ["each: running → succeeded", "end: succeeded", "run: succeeded"]
    assert story.counts("b") == {"skipped": 5000}


def test_a_skipped_step_of_a_repeat_is_skipped_in_every_iteration() -> None:
    story = Story(repeat("loop", step("b"), step("c")))
    story.created()
    story.skipped("c")
    assert story.works("b[0]") == ["b[0]: starting → succeeded", "evaluate iteration of loop 0"]
    assert story.judged("loop", 0, done=False)[0] == "c[1]: waiting → skipped"


def test_a_selection_of_what_is_not_there_is_a_bug() -> None:
    story = Story(step("a"), for_each("each", step("b")))
    story.created()
    for instance in ((9,), (2,), (0, 1), (2, -1)):
        with pytest.raises(InvalidTransitionError, match="the selection names what the workflow does not have"):
            story.tell(InstancesSkipped(story.now, Selection(instances=(instance,)), "ada"))
    story.plan.by_name["ghost"] = 9
    with pytest.raises(InvalidTransitionError, match="the selection names"):
        story.skipped("ghost")


def test_a_run_that_has_ended_orders_its_own_end_again() -> None:
    story = Story(step("a"))
    story.created()
    story.works("a")
    assert story.machine.outstanding() == [EndRun(story.machine.run_state)]
