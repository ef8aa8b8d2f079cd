"""Owns the stories of one step: its attempts, its retries by cause, its external job, and news that comes late."""

from __future__ import annotations

from typing import Any

import pytest

from meson_core.commands import Deliver
from meson_core.engine import job_key
from meson_core.engine.identity import backoff_s
from meson_core.errors import InvalidTransitionError
from meson_core.spec.model import Retry
from tests.engine.stories import Story, step


def one(**more: Any) -> Story:
    story = Story(step("a", **more))
    story.created()
    return story


def test_a_step_goes_through_its_states() -> None:
    story = Story(step("a"))
    assert story.created() == ["a: waiting → ready", "enqueue a#1", "run: running"]
    assert story.placed("a") == ["a: ready → starting", "launch a#1 on m1"]
    assert story.started("a") == ["a: starting → running"]
    assert story.succeeded("a") == ["a: running → succeeded", "end: succeeded", "run: succeeded"]
    story.check()


def test_a_start_that_is_reported_after_the_end_changes_nothing() -> None:
    story = one()
    story.placed("a")
    assert story.succeeded("a") == ["a: starting → succeeded", "end: succeeded", "run: succeeded"]
    assert story.started("a") == []
    assert story.succeeded("a") == []
    assert story.lost("a") == []


def test_each_cause_has_a_budget_of_its_own() -> None:
    story = one(retry={"user": 1, "platform": 1, "timeout": 1, "backoff_s": 0})
    for attempt, cause in enumerate(("user", "platform", "timeout"), start=1):
        story.placed("a")
        job = "" if cause != "platform" else " job 2"
        expected = ["a: starting → ready", f"enqueue a#{attempt + 1}{job}"]
        assert story.failed("a", cause) == expected
    story.placed("a")
    assert story.failed("a", "user") == ["a: starting → failed", "end: failed", "run: failed"]
    assert story.changes[-1].why == "attempt 4 failed: boo"
    story.check()


def test_an_unlimited_budget_is_never_used_up() -> None:
    story = one(retry={"platform": None, "backoff_s": 0})
    for _ in range(50):
        story.placed("a")
        story.failed("a", "platform")
    assert story.state("a") == "ready"
    assert story.changes[-1].why == "attempt 50 failed (platform retry 50): boo"


def test_a_final_failure_asks_no_budget() -> None:
    story = one(retry={"user": 5})
    story.placed("a")
    assert story.failed("a", final=True)[0] == "a: starting → failed"


def test_backing_off_takes_longer_with_every_failure_of_any_cause() -> None:
    story = one(retry={"user": 9, "platform": 9, "backoff_s": 1, "factor": 3, "max_backoff_s": 5})
    story.placed("a")  # at 1001
    assert story.failed("a") == ["a: starting → retrying", "timer a#1 at 1003"]
    assert story.changes[-1].why == "attempt 1 failed (user retry 1 of 9): boo"
    assert story.waited("a") == ["a: retrying → ready", "enqueue a#2"]
    story.placed("a")
    assert story.failed("a", "platform") == ["a: starting → retrying", "timer a#2 at 1008"]
    story.waited("a")
    story.placed("a")
    assert story.failed("a") == ["a: starting → retrying", "timer a#3 at 1013"]
    assert story.waited("a#2") == []  # a timer of long ago
    assert story.waited("a") == ["a: retrying → ready", "enqueue a#4"]
    assert story.waited("a#3") == []
    story.check()


def test_a_service_that_asks_to_wait_is_not_asked_before() -> None:
    story = one(retry={"platform": 9, "backoff_s": 5, "factor": 1, "jitter": 0})
    story.placed("a")  # at 1001
    assert story.failed("a", "platform", after_s=30) == ["a: starting → retrying", "timer a#1 at 1032"]
    story.waited("a")
    story.placed("a")
    before = story.now
    assert story.failed("a", "platform", after_s=2)[1] == f"timer a#2 at {before + 5:g}"
    story.waited("a")
    story.placed("a")
    before = story.now
    assert story.failed("a", "platform", after_s=1e9)[1] == f"timer a#3 at {before + 86400:g}"
    story.check()


def test_jitter_spreads_and_is_the_same_in_every_replay() -> None:
    retry = Retry(backoff_s=10, factor=1, jitter=0.5)
    waits = {backoff_s(retry, 1, "run", (0, item), 1) for item in range(200)}
    assert len(waits) == 200
    assert all(5 <= wait <= 10 for wait in waits)
    assert backoff_s(retry, 1, "run", (0, 7), 1) in waits


def test_a_thousand_failures_wait_no_longer_than_the_longest_wait() -> None:
    assert backoff_s(Retry(backoff_s=2, factor=10, max_backoff_s=60, jitter=0), 1000, "run", (0,), 1000) == 60
    assert backoff_s(Retry(backoff_s=0, factor=10, max_backoff_s=60, jitter=0), 1000, "run", (0,), 1000) == 0


def test_an_attempt_that_was_given_back_costs_nothing() -> None:
    story = one()
    story.placed("a")
    assert story.given_back("a") == ["a: starting → ready", "enqueue a#2 job 1"]
    assert story.placed("a#1") == []
    assert story.placed("a") == ["a: ready → starting", "launch a#2 job 1 on m1"]


# --- lost, found, fenced --------------------------------------------------------------------------------------------


def test_a_lost_attempt_is_retried_only_once_it_is_fenced() -> None:
    story = one(retry={"platform": 1, "backoff_s": 0})
    story.placed("a")
    story.started("a")
    assert story.lost("a") == ["a: running → lost", "fence a#1"]
    assert story.lost("a") == []
    assert story.started("a") == []
    assert story.fenced("a") == ["a: lost → ready", "enqueue a#2 job 1"]
    assert story.fenced("a#1") == []
    story.placed("a")
    story.lost("a")
    assert story.fenced("a") == ["a: lost → failed", "end: failed", "run: failed"]
    story.check()


def test_a_lost_attempt_may_be_found_again() -> None:
    story = one()
    story.placed("a")
    story.lost("a")
    assert story.found("a") == ["a: lost → running"]
    assert story.found("a") == []
    assert story.succeeded("a")[0] == "a: running → succeeded"


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_the_end_of_a_lost_attempt_counts(end: str) -> None:
    story = one()
    story.placed("a")
    story.lost("a")
    told = story.succeeded("a") if end == "succeeded" else story.failed("a")
    assert told[0] == f"a: lost → {end}"


def test_a_kill_that_nobody_asked_for_is_the_platforms_fault() -> None:
    story = one(retry={"platform": 1, "backoff_s": 0})
    story.placed("a")
    story.started("a")
    assert story.killed("a") == ["a: running → ready", "enqueue a#2 job 1"]
    story.placed("a")
    assert story.killed("a")[0] == "a: starting → failed"


# --- external jobs --------------------------------------------------------------------------------------------------


def test_the_next_attempt_attaches_to_the_job_of_one_that_was_lost() -> None:
    story = one(retry={"user": 2, "platform": 2, "backoff_s": 0})
    story.placed("a")
    story.intended("a", recoverable=True)
    story.lost("a")
    assert story.fenced("a") == ["a: lost → ready", "enqueue a#2 job 1"]
    assert story.placed("a") == ["a: ready → starting", "launch a#2 job 1 on m1"]
    story.remembered("a")
    assert story.failed("a", "platform") == ["a: starting → ready", "enqueue a#3 job 1"]
    story.placed("a")
    # The job itself has failed, and the step says so: the next one is another job.
    assert story.failed("a", "user") == ["a: starting → ready", "enqueue a#4"]
    story.check()


def test_a_step_that_crashed_said_nothing_about_its_job() -> None:
    story = one(retry={"user": 1, "backoff_s": 0})
    story.placed("a")
    story.intended("a")
    story.remembered("a")
    assert story.failed("a", "user", signal="SIGSEGV") == ["a: starting → ready", "enqueue a#2 job 1"]


@pytest.mark.parametrize("end", ["fenced", "killed", "platform", "timeout", "crash"])
def test_a_crash_in_the_gap_is_never_submitted_again_by_itself(end: str) -> None:
    story = one(retry={"user": 5, "platform": 5, "timeout": 5, "backoff_s": 0})
    story.placed("a")
    story.intended("a")
    told = {
        "fenced": lambda: story.fenced("a"),
        "killed": lambda: story.killed("a"),
        "platform": lambda: story.failed("a", "platform"),
        "timeout": lambda: story.failed("a", "timeout"),
        "crash": lambda: story.failed("a", "user", signal="SIGSEGV"),
    }[end]()
    assert told == ["a: starting → outcome unknown"]
    assert story.machine.outstanding() == []
    story.check()


def test_an_exception_in_the_gap_is_the_steps_own_word() -> None:
    story = one(retry={"user": 1, "backoff_s": 0})
    story.placed("a")
    story.intended("a")
    assert story.failed("a", "user") == ["a: starting → ready", "enqueue a#2"]


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("succeeded", ["a: outcome unknown → succeeded", "end: succeeded", "run: succeeded"]),
        ("failed", ["a: outcome unknown → failed", "end: failed", "run: failed"]),
        ("retry", ["a: outcome unknown → ready", "enqueue a#2"]),
    ],
)
def test_a_person_settles_an_unknown_outcome(verdict: str, told: list[str]) -> None:
    story = one()
    story.placed("a")
    story.intended("a")
    story.fenced("a")
    assert story.settled("a", verdict) == told
    assert story.settled("a", verdict) == []
    story.check()


def test_an_unknown_outcome_that_becomes_known_is_known() -> None:
    story = one()
    story.placed("a")
    story.intended("a")
    story.fenced("a")
    assert story.failed("a") == []
    assert story.succeeded("a")[0] == "a: outcome unknown → succeeded"


def test_a_job_that_outlives_its_step_is_found_by_the_reopened_one() -> None:
    story = one()
    story.placed("a")
    story.intended("a")
    story.remembered("a")
    assert story.fenced("a")[0] == "a: starting → failed"  # no budget; the job may well go on
    assert story.reopened(failed=True) == [
        "a: failed → waiting", "a: waiting → ready", "enqueue a#2 job 1", "run: running",
    ]  # fmt: skip
    story.placed("a")
    story.cancelled()
    assert story.fenced("a")[0] == "a: cancelling → cancelled"
    assert "enqueue a#3 job 1" in story.reopened(failed=True)
    story.placed("a")
    story.cancelled()
    assert story.killed("a")[0] == "a: cancelling → cancelled"  # the kill reached the job as well
    assert "enqueue a#4" in story.reopened(failed=True)
    story.check()


def test_job_keys_are_made_of_run_instance_and_job() -> None:
    keys = {
        job_key(run, instance, job) for run in ("r1", "r2") for instance in ((1,), (1, 1), (11,)) for job in (1, 11)
    }
    assert len(keys) == 12
    assert all(len(key) == 38 and key.islower() for key in keys)
    assert job_key("r1", (1, 2), 3) == "meson-8bd4fbae38a63026e50cf5a04f692a1b"  # part of the contract with services


def test_what_was_in_the_gap_for_one_job_is_not_for_the_next() -> None:
    story = one(retry={"user": 1, "platform": 1, "backoff_s": 0})
    story.placed("a")
    story.intended("a")
    story.failed("a", "user")
    story.placed("a")
    assert story.fenced("a") == ["a: starting → ready", "enqueue a#3 job 2"]


# --- messages, values, expressions ----------------------------------------------------------------------------------


def test_a_message_reaches_the_attempt_that_is_there() -> None:
    story = one()
    assert story.sent("a") == []
    story.placed("a")
    assert story.sent("a") == ["deliver stop to a#1"]
    assert isinstance(story.commands[-1], Deliver)
    story.lost("a")
    assert story.sent("a") == ["deliver stop to a#1"]


def test_inputs_that_cannot_be_computed_fail_the_step_for_good() -> None:
    story = one(retry={"user": 5})
    assert story.not_evaluated("a") == [
        "a: ready → failed", "withdraw a#1", "end: failed", "run: failed",
    ]  # fmt: skip
    assert story.not_evaluated("a") == []
    story = one(retry={"user": 5})
    story.placed("a")
    assert story.not_evaluated("a")[0] == "a: starting → failed"


# --- bugs -----------------------------------------------------------------------------------------------------------


def test_news_of_an_attempt_that_was_never_made_is_a_bug_and_changes_nothing() -> None:
    story = one()
    story.placed("a")
    before = story.machine.snapshot()
    with pytest.raises(InvalidTransitionError, match="attempt 2 was never made") as caught:
        story.succeeded("a#2")
    assert story.machine.snapshot() == before
    assert "a is starting" in caught.value.story
    assert any("AttemptPlaced" in line for line in caught.value.story)
    assert story.succeeded("a#1")[0] == "a: starting → succeeded"
    with pytest.raises(InvalidTransitionError, match="attempt 2 was never made"):
        story.succeeded("a#2")
