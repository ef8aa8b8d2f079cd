"""Owns the stories of a for_each that is reopened: which items are done again, when, and with which numbers."""

from __future__ import annotations

from meson_core.spec.states import FailureMode
from tests.engine.stories import Story, for_each, repeat, step, subworkflow


def test_only_the_failed_items_are_done_again() -> None:
    story = Story(for_each("each", step("b"), step("c", "b")), step("d", "each"))
    story.created()
    story.items("each", 4)
    for item in (0, 2):
        story.works(f"b[{item}]", f"c[{item}]")
    story.fails("b[1]")
    story.works("b[3]")
    story.fails("c[3]")
    assert story.reopened(failed=True) == [
        "b[1]: failed → waiting",
        "c[1]: upstream failed → waiting",
        "c[3]: failed → waiting",
        "each: failed → running",
        "d: upstream failed → waiting",
        "b[1]: waiting → ready",
        "c[3]: waiting → ready",
        "enqueue b[1]#2",
        "enqueue c[3]#2",
        "run: running",
    ]
    assert story.counts("c") == {"waiting": 1, "ready": 1, "succeeded": 2}
    story.works("b[1]", "c[1]")
    assert story.works("c[3]") == [
        "c[3]: starting → succeeded", "each: running → succeeded", "d: waiting → ready", "enqueue d#1",
    ]  # fmt: skip
    story.check()


def test_items_that_failed_and_were_forgiven_are_failed_items_too() -> None:
    story = Story(for_each("each", step("b"), max_failed=5))
    story.created()
    story.items("each", 3)
    story.fails("b[1]")
    story.works("b[0]", "b[2]")
    assert story.machine.run_state.value == "succeeded"
    assert story.reopened(failed=True)[:2] == ["b[1]: failed → waiting", "each: succeeded → running"]
    assert story.fails("b[1]")[-1] == "run: succeeded"


def test_more_failed_items_than_the_window_has_room_for() -> None:
    story = Story(for_each("each", step("b")), window=2)
    story.created()
    story.items("each", 5)
    for item in range(5):
        story.fails(f"b[{item}]")
    told = story.reopened(failed=True)
    assert told[-5:] == [
        "b[0]: waiting → ready", "b[1]: waiting → ready", "enqueue b[0]#2", "enqueue b[1]#2", "run: running",
    ]  # fmt: skip
    assert story.counts("b") == {"waiting": 3, "ready": 2}
    assert story.state("b[4]") == "waiting"
    assert story.works("b[1]") == ["b[1]: starting → succeeded", "b[2]: waiting → ready", "enqueue b[2]#2"]
    story.works("b[0]", "b[2]", "b[3]")
    assert story.works("b[4]")[-1] == "run: succeeded"
    story.check()


def test_items_that_were_never_opened_are_done_as_well() -> None:
    story = Story(for_each("each", step("b"), subworkflow("sub", step("c"))), window=1)
    story.created()
    story.items("each", 3)
    story.works("b[0]")
    story.cancelled()
    assert story.counts("sub.c") == {"cancelled": 3}
    told = story.reopened(failed=True)
    # Those that were never opened go back to where they were, all at once.
    assert "b[1] (and 1 more): cancelled → waiting" in told
    assert "sub.c[0]: waiting → ready" in told
    assert "b[0]: succeeded → waiting" not in told
    story.works("sub.c[0]")
    for item in (1, 2):
        story.works(f"b[{item}]", f"sub.c[{item}]")
    assert story.machine.run_state.value == "succeeded"
    story.check()


def test_items_waiting_to_be_done_again_can_be_cancelled_and_reopened_once_more() -> None:
    story = Story(for_each("each", repeat("loop", subworkflow("sub", step("b")))), window=1)
    story.created()
    story.items("each", 3)
    for item in range(3):
        story.fails(f"sub.b[{item},0]")
    story.reopened(failed=True)
    assert story.counts("sub.b") == {"ready": 1, "waiting": 2}
    assert story.cancelled()[-1] == "run: cancelled"
    assert story.counts("sub.b") == {"cancelled": 3}
    assert story.counts("loop") == {"cancelled": 3}
    story.reopened(failed=True)
    for item in range(3):
        story.works(f"sub.b[{item},0]")
        story.judged(f"loop[{item}]", 0, done=True)
    assert story.machine.run_state.value == "succeeded"
    story.check()


def test_a_for_each_downstream_starts_from_nothing_and_attempts_go_on_counting() -> None:
    story = Story(step("a"), for_each("each", step("b"), for_each("inner", step("c")), after="a"))
    story.created()
    story.works("a")
    story.items("each", 2)
    story.works("b[0]", "b[1]")
    for item in (0, 1):
        story.items(f"inner[{item}]", 2)
        story.works(f"c[{item},0]", f"c[{item},1]")
    assert story.machine.run_state.value == "succeeded"
    assert story.reopened("a") == [
        "a: succeeded → waiting",
        "each: succeeded → waiting",
        "a: waiting → ready",
        "enqueue a#2",
        "run: running",
    ]
    assert story.counts("b") == {}
    assert story.counts("c") == {}
    assert story.machine.total_of(story.instance("each")) == 0
    story.works("a")
    # Other items this time: what was item 1 is not there now, and its numbers are not forgotten.
    story.items("each", 1)
    assert story.works("b[0]#2") == ["b[0]: starting → succeeded"]
    assert story.items("inner[0]", 3)[-3:] == ["enqueue c[0,0]#2", "enqueue c[0,1]#2", "enqueue c[0,2]#1"]
    story.works("c[0,0]", "c[0,1]", "c[0,2]")
    assert story.machine.run_state.value == "succeeded"
    assert story.succeeded("b[1]#1") == []
    story.reopened("a")
    story.works("a")
    assert story.items("each", 2)[-4:] == [
        "enqueue b[0]#3", "enqueue b[1]#2", "evaluate items of inner[0]", "evaluate items of inner[1]",
    ]  # fmt: skip
    assert story.items("inner[1]", 1) == ["c[1,0]: waiting → ready", "enqueue c[1,0]#2"]
    story.check()


def test_a_for_each_whose_items_failed_to_evaluate_asks_again() -> None:
    story = Story(for_each("each", step("b")))
    story.created()
    story.not_evaluated("each")
    assert story.reopened(failed=True) == [
        "each: failed → waiting", "each: waiting → running", "evaluate items of each", "run: running",
    ]  # fmt: skip


def test_a_selected_instance_in_a_nested_for_each() -> None:
    story = Story(for_each("outer", for_each("inner", step("b"), step("c", "b")), step("d", "inner")))
    story.created()
    story.items("outer", 2)
    for item in (0, 1):
        story.items(f"inner[{item}]", 2)
        for small in (0, 1):
            story.works(f"b[{item},{small}]", f"c[{item},{small}]")
        story.works(f"d[{item}]")
    assert story.reopened("b[1,0]") == [
        "b[1,0]: succeeded → waiting",
        "c[1,0]: succeeded → waiting",
        "inner[1]: succeeded → running",
        "d[1]: succeeded → waiting",
        "outer: succeeded → running",
        "b[1,0]: waiting → ready",
        "enqueue b[1,0]#2",
        "run: running",
    ]
    story.works("b[1,0]", "c[1,0]")
    assert story.works("d[1]")[-1] == "run: succeeded"
    story.check()


def test_failing_at_once_still_stops_after_a_reopening() -> None:
    story = Story(for_each("each", step("b"), on_failure=FailureMode.fail_at_once), window=1)
    story.created()
    story.items("each", 3)
    story.fails("b[0]")
    assert story.counts("b") == {"failed": 1, "cancelled": 2}
    story.reopened("b[1]", "b[2]")
    assert story.counts("b") == {"failed": 1, "ready": 1, "waiting": 1}
    assert story.fails("b[1]")[:3] == [
        "b[1]: starting → failed", "b[2]: waiting → cancelled", "each: running → failed",
    ]  # fmt: skip
    story.check()
