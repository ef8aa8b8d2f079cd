"""Owns the life of a step: one call, or a job that is submitted once, remembered, asked after, and cancelled with its step.

The intent to submit is in the log before the request goes out. A service that refuses for certain has begun nothing, so
the intent is taken back; an answer that is lost on its way is another matter: where the service can neither be asked
for the job of a key nor knows the key again, a person settles it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from meson_core.errors import BackendError, MesonError
from meson_http import answers, bodies, paths, polling
from meson_http.discretion import Discretion, Voice
from meson_http.exchange import Exchange, NoAnswerError, RefusedError, Request
from meson_http.opening import headers_of, home_of, secrets_of
from meson_http.options import SAFE
from meson_http.polling import JobFailedError
from meson_http.templates import Values, as_text, fill_json, places, secret_names
from meson_http.urls import fill_url, is_url, joined, query_pairs, shown, with_query
from meson_http.waiting import next_wait_s, pause

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

    from meson_core.ports import StepContext
    from meson_http.answers import Answer
    from meson_http.options import Cancel, HttpOptions, Poll

#: Seconds between the tries of a cancel request.
_CANCEL_WAITS_S: Final = (0.5, 2.0, None)
#: What a service says of a job that has ended, or was never there.
_ENDED: Final = (404, 409, 410)


async def carry_out(options: HttpOptions, ctx: StepContext) -> Mapping[str, Any]:
    """Carry out one attempt.

    Raises:
        BackendError: the service said no, or said nothing.
        JobFailedError: it said that its job has failed.
    """
    secrets = await secrets_of(options, ctx)
    discretion = Discretion(secrets)
    facts = {"job_key": ctx.job_key, "run_id": ctx.run_id, "step": ctx.step, "attempt": ctx.attempt}
    values = Values(ctx.inputs, facts, secrets)
    voice = Voice(ctx, discretion)
    try:
        headers = headers_of(options, values, discretion)
        async with Exchange.opened(options, ctx, headers, home_of(options, values), voice) as exchange:
            return await _Step(options, ctx, values, discretion, voice, exchange).run()
    except MesonError as error:
        raise discretion.discreet(error) from None
    except Exception as error:
        # A library's own error may quote what it was given.
        if voice.is_secret(str(error)):
            raise BackendError(discretion.hide(f"{type(error).__name__}: {error}"), retryable=False) from None
        raise


class _Step:
    """One attempt.

    Args:
        options: of the step.
        ctx: of the step.
        values: for templates.
        discretion: knows the secrets.
        voice: says what happens.
        exchange: asks the service.
    """

    def __init__(
        self,
        options: HttpOptions,
        ctx: StepContext,
        values: Values,
        discretion: Discretion,
        voice: Voice,
        exchange: Exchange,
    ) -> None:
        self._options = options
        self._ctx = ctx
        self._values = values
        self._discretion = discretion
        self._voice = voice
        self._exchange = exchange
        #: The outside job, once it is known: its id, or its URL.
        self._job: str | None = None

    async def run(self) -> Mapping[str, Any]:
        """Carry it out, and stop the outside job if it is stopped itself."""
        poll = self._options.poll
        try:
            return await (self._call() if poll is None else self._see_through(poll))
        except asyncio.CancelledError:
            await self._cancel()
            raise

    # --- a service that answers at once -------------------------------------------------------------------------------

    async def _call(self) -> Mapping[str, Any]:
        async with answers.room(self._options.returns, self._ctx) as save:
            request = await self._request(save)
            if self._options.method not in SAFE:
                await self._ctx.submitting(recoverable=self._options.recoverable)
            return await self._outputs(await self._submit(request), save)

    async def _outputs(self, answer: Answer, save: Path | None) -> Mapping[str, Any]:
        limit = self._options.max_answer_bytes
        whole = await self._ctx.call(answers.settled, answer, self._options.returns, save, limit)
        return await answers.outputs(self._options.returns, whole, self._values, self._discretion, self._ctx)

    # --- a service that takes its time --------------------------------------------------------------------------------

    async def _see_through(self, poll: Poll) -> Mapping[str, Any]:
        answer: Answer | None = None
        if self._ctx.remembered is not None:
            self._job = self._discretion.reveal(self._ctx.remembered, in_url=is_url(self._ctx.remembered))
            self._voice.log(f"goes on with the job {self._job}")
        else:
            if not await self._found(poll):
                request = await self._request(None)
                await self._ctx.submitting(recoverable=self._options.recoverable)
                answer = await _to_its_end(self._begin(poll, request))
            if self._job is not None:
                await self._voice.remember(self._job)
        if self._job is not None:
            answer = await self._ended(poll, answer)
            self._voice.log(f"the job {self._job} has succeeded")
        assert answer is not None
        return await self._result(poll, answer)

    async def _begin(self, poll: Poll, request: Request) -> Answer | None:
        """Submit, and find out which job that began; an answer without one is the result."""
        try:
            answer = await self._submit(request)
        except RefusedError as error:
            # There is one of that key already, says the service; so it is ours.
            if error.answer.status == 409 and await self._found(poll):
                return None
            raise
        self._job = polling.job_of(poll, answer)
        return answer

    async def _found(self, poll: Poll) -> bool:
        """Ask the service whether it has the job of our key already, and take that for ours."""
        find = self._options.find
        if find is None:
            return False
        answer = await self._exchange.ask(Request(find.method, self._url(find.url), expect=("2xx", 404)), quiet=True)
        try:
            found = None if answer.status == 404 else answer.select(find.job)
        except paths.NotThereError:
            found = None
        if found in (None, "", []):
            return False
        self._job = polling.handle(poll, as_text(found), answer)
        self._voice.log(f"the service has the job {self._job} already")
        return True

    async def _ended(self, poll: Poll, answer: Answer | None) -> Answer:
        """Ask until the job has succeeded; what it says on its way is shown.

        Raises:
            JobFailedError: it has failed, or takes too long.
            BackendError: the service has not answered for too long.
        """
        assert self._job is not None
        url = self._poll_url(poll)
        self._voice.link("job", shown(url))
        began = heard = time.monotonic()
        # A job that was there before may have ended long ago; one that has just begun is given its time.
        wait = 0.0 if answer is None else next_wait_s(poll, 0, self._ctx.job_key, answer.asked_s)
        questions = 0
        while True:
            left = None if poll.timeout_s is None else began + poll.timeout_s - time.monotonic()
            if left is not None and left <= 0:
                await self._cancel()
                raise JobFailedError(f"the job {self._job} was not done within {poll.timeout_s:g} s")
            await pause(wait if left is None else min(wait, left))
            questions += 1
            try:
                answer = await self._exchange.ask(Request(poll.method, url, expect=("2xx",)), quiet=True)
            except (NoAnswerError, RefusedError) as error:
                if isinstance(error, RefusedError) and error.answer.status in (404, 410):
                    message = f"the service does not know the job {self._job} any more: {error.message}"
                    raise JobFailedError(message) from None
                if not error.retryable or time.monotonic() - heard >= poll.patience_s:
                    raise
                self._voice.progress(None, f"no answer: {error.message}")
                asked = error.after_s
            else:
                heard = time.monotonic()
                asked = answer.asked_s
                stands = polling.standing(poll, answer, self._job)
                if stands.ended:
                    return answer
                self._voice.progress(stands.fraction, stands.message)
            wait = next_wait_s(poll, questions, self._ctx.job_key, asked)

    async def _result(self, poll: Poll, answer: Answer) -> Mapping[str, Any]:
        async with answers.room(self._options.returns, self._ctx) as save:
            if poll.result is not None and self._job is not None:
                request = Request("GET", self._result_url(poll.result, answer), expect=("2xx",), save=save)
                answer = await self._exchange.ask(request)
            return await self._outputs(answer, save)

    def _result_url(self, result: str, answer: Answer) -> str:
        if not result.startswith("$."):
            return self._url(result)
        try:
            return joined(answer.url, as_text(answer.select(result)))
        except paths.NotThereError as error:
            raise BackendError(f"the result of the job {self._job}: {error}", retryable=False) from None

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _request(self, save: Path | None) -> Request:
        """The step's own request; what is wrong with it is found before the intent to send it is told."""
        options = self._options
        body = await bodies.make(options, self._values, self._ctx)
        key = () if options.key_header is None else ((options.key_header, self._ctx.job_key),)
        url = with_query(self._exchange.home, query_pairs(fill_json(options.query, self._values)))
        return Request(options.method, url, body, key, save=save)

    async def _submit(self, request: Request) -> Answer:
        try:
            return await self._exchange.ask(request)
        except (NoAnswerError, RefusedError) as error:
            if error.retryable and not error.begun and not self._options.recoverable:
                # Nothing has begun, for certain: the next attempt may ask again, and no person is needed.
                await self._ctx.submitting(recoverable=True)
            raise

    def _poll_url(self, poll: Poll) -> str:
        assert self._job is not None
        return self._job if poll.url is None else self._url(poll.url)

    def _url(self, template: str) -> str:
        return joined(self._exchange.home, fill_url(template, self._values_with_job()))

    def _values_with_job(self) -> Values:
        return Values(self._values.inputs, {**self._values.facts, "job": self._job}, self._values.secrets)

    # --- cancelling ---------------------------------------------------------------------------------------------------

    async def _cancel(self) -> None:
        """Stop the outside job, and say what came of it; the step ends in any case."""
        cancel, poll = self._options.cancel, self._options.poll
        if cancel is None:
            if self._job is not None:
                self._voice.log(f"the job {self._job} goes on: the step has no option `cancel`")
            return
        try:
            if self._job is not None or not _names_job(cancel) or (poll is not None and await self._found(poll)):
                await self._stop(cancel, poll)
            else:
                self._voice.log("this step knows of no job to cancel")
        except MesonError as error:
            self._voice.log(f"the job could not be cancelled: {error}")

    async def _stop(self, cancel: Cancel, poll: Poll | None) -> None:
        if cancel.url is not None:
            url = self._url(cancel.url)
        else:
            assert poll is not None  # as the options say
            url = self._poll_url(poll)
        body = bodies.NOTHING
        if cancel.json_body is not None:
            secret = bool(secret_names(cancel.json_body))
            body = bodies.of_json(fill_json(cancel.json_body, self._values_with_job()), secret=secret)
        request = Request(cancel.method, url, body, expect=("2xx", *_ENDED))
        for wait in _CANCEL_WAITS_S:
            try:
                await self._exchange.ask(request)
            except (NoAnswerError, RefusedError) as error:
                if wait is None or not error.retryable:
                    raise
                await pause(wait)
            else:
                return


def _names_job(cancel: Cancel) -> bool:
    """Whether the request can be made only once the job is known."""
    if cancel.url is None:
        return True
    return any((place.source, place.name) == ("meson", "job") for place in places([cancel.url, cancel.json_body]))


async def _to_its_end(submission: Coroutine[Any, Any, Answer | None]) -> Answer | None:
    """Carry out a submission; who cancels it meanwhile waits until it is known which job there is to cancel."""

    async def outcome() -> Answer | Exception | None:
        try:
            return await submission
        except Exception as error:  # noqa: BLE001 (raised again below, past the task group, which would wrap it)
            return error

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(outcome())
        try:
            found = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
    if isinstance(found, Exception):
        raise found
    return found
