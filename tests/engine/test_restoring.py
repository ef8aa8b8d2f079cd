"""Owns the scenarios of results that are there already: asked for, found, missing, refused, asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.errors import InvalidTransitionError
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow

if TYPE_CHECKING:
    from collections.abc import Callable


def test_what_is_there_is_skipped_and_the_rest_goes_on() -> None:
    story = Story(step("a", artifact="x"), step("b", "a", cache=True), step("c", "b"))

    assert story.created() == ["a: waiting → ready", "look up a#1", "run: running"]
    assert story.present("a") == [
        "a: ready → skipped", "b: waiting → ready", "look up b#1",
    ]  # fmt: skip
    assert story.absent("b") == ["enqueue b#1"]
    story.works("b", "c")
    assert story.machine.run_state.value == "succeeded"
    assert story.changes[1].why == "its result is there already, made by run earlier"
    story.check()


def test_nothing_is_placed_before_the_answer() -> None:
    story = Story(step("a", cache=True))
    story.created()
    before = story.machine.snapshot()

    with pytest.raises(InvalidTransitionError, match="it is being looked up, and in no queue"):
        story.placed("a")

    assert story.machine.snapshot() == before


def test_only_the_first_answer_counts() -> None:
    story = Story(step("a", cache=True), step("b"))
    story.created()

    assert story.absent("a") == ["enqueue a#1"]
    assert story.absent("a") == []
    assert story.present("a") == []
    story.placed("a")
    assert story.present("a") == []
    story.succeeded("a")
    assert story.present("a") == []
    story.check()


def test_a_retry_does_not_ask_again() -> None:
    story = Story(step("a", cache=True, retry={"user": 2, "backoff_s": 0}))
    story.created()
    story.absent("a")
    story.placed("a")

    assert story.failed("a") == ["a: starting → ready", "enqueue a#2"]
    story.placed("a")
    assert story.given_back("a")[-1] == "enqueue a#3 job 2"


def test_a_hold_drops_the_question_and_a_release_asks_again() -> None:
    story = Story(step("a", cache=True), step("b"))
    story.created()

    assert story.held("a") == ["a: ready → paused"]
    assert story.present("a") == []
    assert story.released("a") == ["a: paused → ready", "look up a#1"]
    story.absent("a")
    assert story.held("a") == ["a: ready → paused", "withdraw a#1"]
    assert story.released("a") == ["a: paused → ready", "enqueue a#1"]
    story.check()


def test_a_held_step_asks_once_it_is_released() -> None:
    story = Story(step("b"), step("a", "b", cache=True))
    story.created()
    story.held("a")

    assert story.works("b") == ["b: starting → succeeded", "a: waiting → paused"]
    assert story.released("a")[-1] == "look up a#1"


@pytest.mark.parametrize("how", ["cancelled", "skipped", "not evaluated"])
def test_what_is_asked_for_can_end_before_the_answer(how: str) -> None:
    story = Story(step("a", cache=True), step("b"))
    story.created()
    ended: dict[str, Callable[[], list[str]]] = {
        "cancelled": story.cancelled,
        "skipped": lambda: story.skipped("a"),
        "not evaluated": lambda: story.not_evaluated("a"),
    }

    told = ended[how]()

    assert not any(line.startswith("withdraw a") for line in told)
    assert story.present("a") == []
    assert story.absent("a") == []
    story.check()


def test_a_paused_run_is_answered() -> None:
    story = Story(step("a", cache=True), step("b", "a", cache=True))
    story.created()
    story.paused()

    assert story.present("a")[-1] == "look up b#1"
    assert story.present("b")[-1] == "run: succeeded"


def test_an_open_question_is_asked_again_after_a_restart() -> None:
    story = Story(step("a", cache=True), step("b", cache=True))
    story.created(fresh="b")
    story.absent("b")

    machine = RunMachine.replay(story.plan, story.log)

    assert [story.order(command) for command in machine.outstanding()] == ["look up a#1", "enqueue b#1"]


def test_fresh_steps_ask_for_their_key_only_and_stay_fresh() -> None:
    story = Story(
        step("a", cache=True), subworkflow("sub", step("b", cache=True), after="a"), step("c", "sub", cache=True)
    )

    assert story.created(fresh="a sub")[-2] == "look up a#1, fresh"
    story.absent("a")
    assert story.works("a")[-1] == "look up sub.b#1, fresh"
    story.absent("sub.b")
    story.placed("sub.b")
    assert story.failed("sub.b", final=True)[-1] == "run: failed"

    assert "look up sub.b#2, fresh" in story.reopened(failed=True)
    story.absent("sub.b")
    assert story.works("sub.b")[-1] == "look up c#1"
    story.check()


def test_what_is_named_is_done_anew_and_what_follows_asks() -> None:
    story = Story(step("a", cache=True), step("b", "a", cache=True), step("c", "b"))
    story.created()
    story.present("a")
    story.present("b")
    story.works("c")

    told = story.reopened("a")

    assert told[:3] == ["a: skipped → waiting", "b: skipped → waiting", "c: succeeded → waiting"]
    assert told[-1] == "run: running"
    assert "look up a#2, fresh" in told
    story.absent("a")
    assert story.works("a")[-1] == "look up b#2"
    story.present("b")
    assert story.works("c")[-1] == "run: succeeded"
    story.check()


def test_one_named_instance_is_done_anew_and_its_neighbours_are_not() -> None:
    story = Story(for_each("each", step("a", cache=True), step("b", "a", cache=True)))
    story.created()
    story.items("each", 2)
    for item in (0, 1):
        story.present(f"a[{item}]")
        story.present(f"b[{item}]")

    told = story.reopened("a[1]")

    assert [line for line in told if line.startswith("look up")] == ["look up a[1]#2, fresh"]
    story.absent("a[1]")
    assert story.works("a[1]")[-1] == "look up b[1]#2"
    story.check()


def test_a_persons_skip_still_cuts_off_what_comes_after_it() -> None:
    story = Story(step("a"), step("b", "a", cache=True), step("c", "b"))
    story.created()
    story.skipped("b")
    story.works("a", "c")

    told = story.reopened("a")

    assert not any(line.startswith(("b:", "c:")) for line in told)


def test_a_reopening_that_opens_nothing_makes_nothing_fresh() -> None:
    story = Story(choose("fork", step("a", cache=True), otherwise=step("b", cache=True)))
    story.created()
    story.branch("fork", 1)
    story.present("b")
    before = story.machine.snapshot()

    assert story.reopened("a") == []
    assert story.machine.snapshot() == before


def test_iterations_ask_one_after_the_other() -> None:
    story = Story(repeat("loop", step("a", cache=True)))
    story.created()
    assert story.present("a[0]") == ["a[0]: ready → skipped", "evaluate iteration of loop 0"]
    assert story.judged("loop", 0, done=False)[-1] == "look up a[1]#1"
    story.absent("a[1]")
    story.works("a[1]")
    assert story.judged("loop", 1, done=True)[-1] == "run: succeeded"
    story.check()


def test_what_does_not_ask_has_no_question() -> None:
    story = Story(step("a"), step("b", "a"))

    assert story.created(fresh="a b") == ["a: waiting → ready", "enqueue a#1", "run: running"]
    assert story.works("a") == ["a: starting → succeeded", "b: waiting → ready", "enqueue b#1"]


@pytest.mark.parametrize("node", [-1, 7])
def test_fresh_names_nodes_that_exist(node: int) -> None:
    machine = RunMachine(Story(step("a")).plan)

    with pytest.raises(InvalidTransitionError, match="the list of what is to be fresh names what the workflow"):
        machine.handle(ev.RunCreated(1.0, "run", "wf", "", ev.NULL, {}, fresh=(node,)))

    machine.handle(ev.RunCreated(1.0, "run", "wf", "", ev.NULL, {}))
