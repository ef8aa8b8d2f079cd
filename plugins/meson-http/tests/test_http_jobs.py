"""Owns the promises about services that take their time: one job, asked after until it has ended, stopped with its step."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from http_service import DEADLINE_S, HttpService, Job, hangs_up, refuses, stalls
from meson_core.errors import BackendError, MesonError
from meson_core.testing import FakeContext
from meson_http import Http
from meson_http.polling import JobFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow]
QUICK = {"interval_s": 0.01, "max_interval_s": 0.02}
BY_STATE = {"state": "$.state", "progress": "$.done", "message": "$.message", **QUICK}


@pytest.fixture
def service() -> Iterator[HttpService]:
    with HttpService.running() as running:
        yield running


def step(service: HttpService, **options: Any) -> Any:
    poll = {**QUICK, **options.pop("poll", {})}
    return Http.Options.model_validate({"method": "POST", "url": f"{service.base}/jobs", "poll": poll, **options})


async def run(service: HttpService, ctx: FakeContext, **options: Any) -> dict[str, Any]:
    return dict(await asyncio.wait_for(Http().run(step(service, **options), ctx), DEADLINE_S))


# --- the way of a job -----------------------------------------------------------------------------------------------


async def test_a_job_is_followed_by_its_location_until_the_status_says_so(service: HttpService) -> None:
    ctx = FakeContext()
    got = await run(service, ctx, returns={"state": "$.state"})

    assert got == {"state": "succeeded"}
    assert service.submissions == ["job-key"]
    assert ("remember", f"{service.base}/jobs/1") in ctx.told
    assert ("link", "job", f"{service.base}/jobs/1") in ctx.told


@pytest.mark.parametrize(
    ("poll", "job"),
    [
        ({"job": "$.url"}, "{base}/jobs/1"),
        ({"job": "$.id", "url": "/jobs/${meson.job}"}, "1"),
        ({"job": "$.id", "url": "{base}/jobs/${meson.job}"}, "1"),
    ],
)
async def test_a_job_is_found_in_the_answer(service: HttpService, poll: dict[str, str], job: str) -> None:
    ctx = FakeContext()
    poll = {key: value.replace("{base}", service.base) for key, value in poll.items()}

    assert await run(service, ctx, poll={**BY_STATE, **poll}, returns={"id": "$.id"}) == {"id": "1"}
    assert ("remember", job.replace("{base}", service.base)) in ctx.told


@pytest.mark.parametrize("result", ["$.result", "/jobs/${meson.job}/result"])
async def test_a_result_lies_elsewhere(service: HttpService, result: str) -> None:
    poll = {**BY_STATE, "job": "$.id", "url": "/jobs/${meson.job}", "result": result}
    returns = {"score": "$.score", "file": {"answer": "artifact"}}
    got = await run(service, FakeContext(), poll=poll, returns=returns)

    assert got["score"] == 0.93
    assert (got["file"]["name"], got["file"]["media"]) == ("result", "application/json")


async def test_the_last_answer_may_become_an_artifact(service: HttpService) -> None:
    got = await run(service, FakeContext(), returns={"file": {"answer": "artifact"}, "state": "$.state"})

    assert (got["file"]["name"], got["state"]) == ("1", "succeeded")


@pytest.mark.parametrize("poll", [{}, {"job": "$.id", "url": "/jobs/${meson.job}"}], ids=["Location", "path"])
async def test_a_service_may_be_done_at_once(service: HttpService, poll: dict[str, str]) -> None:
    ctx = FakeContext()
    got = await run(service, ctx, url=f"{service.base}/echo", poll=poll, returns={"method": "$.method"})

    assert got == {"method": "POST"}
    assert "remember" not in [what for what, *_ in ctx.told]


async def test_progress_and_words_are_shown(service: HttpService) -> None:
    service.questions = 4
    service.jobs["1"] = Job("1", "job-key", message="epoch 3")
    ctx = FakeContext()
    await run(service, ctx, poll=BY_STATE)

    shown = [told[1:] for told in ctx.told if told[0] == "progress"]
    assert shown == [(0.25, "epoch 3"), (0.5, "epoch 3"), (0.75, "epoch 3")]


async def test_progress_may_be_in_percent_or_of_a_total(service: HttpService) -> None:
    ctx = FakeContext()
    await run(service, ctx, poll={**BY_STATE, "out_of": 2})
    assert ("progress", 0.25, "running") in ctx.told

    ctx = FakeContext(job_key="second")
    await run(service, ctx, poll={**BY_STATE, "out_of": "$.id"})
    assert ("progress", 0.25, "running") in ctx.told  # 0.5 of 2


# --- how a job ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "message"), [("failed", "has failed (failed): no memory"), ("cancelled", "cancelled by somebody else")]
)
async def test_a_job_that_fails_is_the_users_with_the_services_words(
    service: HttpService, state: str, message: str
) -> None:
    service.jobs["1"] = Job("1", "job-key", state=state, message="no memory")

    with pytest.raises(JobFailedError, match=r"the job http") as raised:
        await run(service, FakeContext(), poll=BY_STATE)
    assert message in str(raised.value)
    assert not isinstance(raised.value, BackendError)  # its retries go on, with another job


async def test_a_state_that_nobody_knows_is_an_error(service: HttpService) -> None:
    service.jobs["1"] = Job("1", "job-key", state="exploded")

    with pytest.raises(BackendError, match=r"none of the lists of `poll` has \(exploded\)"):
        await run(service, FakeContext(), poll={**BY_STATE, "running": ["running"]})


async def test_a_job_that_takes_too_long_is_stopped_and_has_failed(service: HttpService) -> None:
    service.questions = None
    with pytest.raises(JobFailedError, match=r"was not done within 0\.2 s"):
        await run(service, FakeContext(), poll={**BY_STATE, "timeout_s": 0.2}, cancel={})

    assert service.kills == ["1"]


async def test_a_job_that_the_service_has_lost_has_failed(service: HttpService) -> None:
    ctx = FakeContext(remembered=f"{service.base}/jobs/99")

    with pytest.raises(JobFailedError, match=r"does not know the job .*/99 any more: .*there is no job 99"):
        await run(service, ctx)
    assert service.submissions == []


# --- a service in trouble -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [refuses(503), refuses(500), refuses(429, "0"), hangs_up], ids=["503", "500", "429", "hangs up"]
)
async def test_a_question_without_an_answer_is_asked_again(service: HttpService, how: Any) -> None:
    service.misbehave("GET /jobs/1", how, times=3)

    assert await run(service, FakeContext(), returns={"state": "$.state"}) == {"state": "succeeded"}
    assert service.submissions == ["job-key"]


async def test_patience_ends_and_the_next_attempt_goes_on_with_the_job(service: HttpService) -> None:
    service.misbehave("GET /jobs/1", hangs_up, times=10_000)
    ctx = FakeContext()
    with pytest.raises(BackendError) as raised:
        await run(service, ctx, poll={"patience_s": 0.1})
    assert raised.value.retryable

    service._queue.clear()
    again = FakeContext(remembered=ctx.remembered)
    assert await run(service, again, returns={"state": "$.state"}) == {"state": "succeeded"}
    assert service.submissions == ["job-key"]
    assert ("log", f"goes on with the job {service.base}/jobs/1") in again.told


async def test_a_service_that_asks_to_wait_is_not_asked_before(service: HttpService) -> None:
    service.misbehave("GET /jobs/1", refuses(503, "3600"))
    ctx = FakeContext()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(service, ctx))
        await asyncio.wait_for(ctx.until("progress"), DEADLINE_S)
        done, _ = await asyncio.wait([task], timeout=0.3)
        assert not done
        assert len([one for one in service.asked if one.method == "GET"]) == 1
        task.cancel()


async def test_a_question_that_is_refused_is_the_users(service: HttpService) -> None:
    service.misbehave("GET /jobs/1", refuses(403))

    with pytest.raises(BackendError, match="403 Forbidden") as raised:
        await run(service, FakeContext())
    assert not raised.value.retryable


async def test_a_job_on_another_host_is_asked_after_without_the_secrets(service: HttpService) -> None:
    with HttpService.running() as other:
        other.jobs["1"] = Job("1", "job-key")
        service.elsewhere = other.base
        ctx = FakeContext(secrets={"token": "s3cret-t0ken"})
        headers = {"headers": {"Authorization": "Bearer ${secret.token}"}}
        await run(service, ctx, **headers)
        assert service.asked[0].headers["Authorization"] == "Bearer s3cret-t0ken"
        assert ["Authorization" in one.headers for one in other.asked] == [False] * len(other.asked)

        other.asked.clear()
        await run(service, FakeContext(secrets={"token": "s3cret-t0ken"}), trusted=[other.base], **headers)
        assert all(one.headers["Authorization"] == "Bearer s3cret-t0ken" for one in other.asked)


# --- one job, never two ---------------------------------------------------------------------------------------------


async def test_a_service_that_says_that_it_has_the_job_already_is_asked_for_it(service: HttpService) -> None:
    service.jobs["1"] = Job("1", "other")
    service.jobs["2"] = Job("2", "job-key")
    service.misbehave("GET /jobs?key", refuses(404))  # the look-up before was too early
    service.misbehave("POST", refuses(409))
    ctx = FakeContext()
    find = {"url": "/jobs?key=${meson.job_key}", "job": "$[0].id"}
    poll = {"job": "$.id", "url": "/jobs/${meson.job}", **BY_STATE}

    assert await run(service, ctx, poll=poll, find=find, returns={"id": "$.id"}) == {"id": "2"}
    assert service.submissions == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poll": {"job": "$.idd", "state": "$.state"}}, "does not say which job it is about: there is no $.idd"),
        ({"poll": {"job": "$.id"}}, "the job is '1', which is no URL"),
        ({"url": "{base}/status/202"}, "came without a header Location"),
    ],
)
async def test_a_job_that_cannot_be_followed_is_the_users(
    service: HttpService, options: dict[str, Any], message: str
) -> None:
    options = {
        key: value.replace("{base}", service.base) if isinstance(value, str) else value
        for key, value in options.items()
    }
    with pytest.raises(BackendError) as raised:
        await run(service, FakeContext(), **options)

    assert message in str(raised.value)
    assert not raised.value.retryable


# --- stopping -------------------------------------------------------------------------------------------------------


async def _stopped(service: HttpService, ctx: FakeContext, what: str, **options: Any) -> None:
    """Run a step, and stop it once `what` has been asked."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Http().run(step(service, **options), ctx))
        await asyncio.to_thread(service.wait_for, what)
        task.cancel()
        # Long enough for the cancellation to arrive; a stalled answer comes only then.
        await asyncio.wait([task], timeout=0.05)
        service.released.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE_S)
        assert task.cancelled()


async def test_a_step_that_is_stopped_within_its_submission_stops_the_job_that_comes_of_it(
    service: HttpService,
) -> None:
    service.questions = None
    service.misbehave("POST", stalls)
    await _stopped(service, FakeContext(), "POST /jobs", cancel={})

    assert service.kills == ["1"]


async def test_a_stop_is_asked_again_when_it_is_not_heard(service: HttpService) -> None:
    service.questions = None
    service.misbehave("DELETE", refuses(503))
    await _stopped(service, FakeContext(), "GET /jobs/1", cancel={})

    assert service.kills == ["1"]


async def test_a_stop_may_be_any_request(service: HttpService) -> None:
    service.questions = None
    cancel = {"method": "POST", "url": "/echo/stop/${meson.job_key}", "json": {"job": "${meson.job}"}}
    await _stopped(service, FakeContext(), "GET /jobs/1", cancel=cancel)

    (asked,) = [one for one in service.asked if one.path.startswith("/echo")]
    assert (asked.method, asked.path) == ("POST", "/echo/stop/job-key")
    assert asked.body.decode() == f'{{"job": "{service.base}/jobs/1"}}'


@pytest.mark.parametrize(
    ("cancel", "said"),
    [(None, "goes on: the step has no option `cancel`"), ({"url": "/status/403"}, "could not be cancelled")],
)
async def test_a_job_that_cannot_be_stopped_is_told(service: HttpService, cancel: Any, said: str) -> None:
    service.questions = None
    ctx = FakeContext()
    await _stopped(service, ctx, "GET /jobs/1", cancel=cancel)

    assert any(said in told[1] for told in ctx.told if told[0] == "log")


async def test_a_call_that_is_stopped_asks_for_it_by_its_key(service: HttpService) -> None:
    service.misbehave("POST", stalls)
    options = {"poll": None, "url": f"{service.base}/echo", "cancel": {"url": "/echo/stop/${meson.job_key}"}}
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Http().run(Http.Options.model_validate({"method": "POST", **options}), FakeContext()))
        await asyncio.to_thread(service.wait_for, "POST /echo")
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
    assert task.cancelled()
    assert [(one.method, one.path) for one in service.asked] == [("POST", "/echo"), ("DELETE", "/echo/stop/job-key")]


async def test_a_job_is_stopped_only_if_there_is_one(service: HttpService) -> None:
    """Its submission was refused while it was stopped."""
    service.misbehave("POST", refuses(400))
    ctx = FakeContext(crash="submitting")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Http().run(step(service, cancel={}), ctx))
        await asyncio.wait_for(ctx.crashed.wait(), DEADLINE_S)
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
    assert ("log", "this step knows of no job to cancel") in ctx.told
    assert service.asked == []


async def test_an_error_is_of_the_tree_and_has_its_code() -> None:
    assert issubclass(JobFailedError, MesonError)
    assert JobFailedError.code == "job-failed"
