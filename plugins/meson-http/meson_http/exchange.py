"""Owns one request and its answer: headers and secrets, redirects, limits, TLS, and what a failure means.

Who may see secrets is decided by origin (scheme, host and port): that of the step's `url`, and those that it names as
`trusted`. A redirect, a Location or a link in an answer may name any other; it is asked without them, or not at all.

    no connection                                 platform; nothing has begun
    connection lost, silence, half an answer      platform; the service may have begun
    408, 425, 429, 503                            platform, after Retry-After; the service has refused, nothing has begun
    5xx otherwise                                 platform; the service may have begun
    anything else that is not expected            the user's
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from meson_core.errors import BackendError
from meson_http import bodies
from meson_http.answers import Answer, phrase
from meson_http.urls import joined, origin, shown
from meson_http.waiting import asked_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from meson_core.ports import StepContext
    from meson_http.bodies import Body
    from meson_http.discretion import Voice
    from meson_http.opening import Field
    from meson_http.options import HttpOptions, Tls

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 10
#: The service has understood, and has done nothing.
_REFUSED: Final = frozenset({408, 425, 429, 503})
#: Server errors that will be the same the next time.
_FINAL_5XX: Final = frozenset({501, 505, 506, 508, 510})
#: Seconds to connect within; a service that is there accepts at once, whatever it then takes to answer.
_CONNECT_S: Final = 15.0
#: Bytes that are handed on at a time.
_BLOCK: Final = 256 * 1024
#: How much of a refusal's body is read, in bytes.
_MAX_REFUSAL: Final = 64 * 1024

#: This task's requests are logged by ourselves: httpx logs whole URLs.
_ours: ContextVar[bool] = ContextVar("_ours", default=False)


class _Quiet(logging.Filter):
    """Lets the lines of other users of httpx in this process through."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        return not _ours.get()


logging.getLogger("httpx").addFilter(_Quiet())


class NoAnswerError(BackendError):
    """The service did not answer, or not to the end.

    Args:
        begun: it may have done what it was asked all the same.
    """

    def __init__(self, message: str, *, begun: bool, retryable: bool = True, hint: str | None = None) -> None:
        super().__init__(message, retryable=retryable, hint=hint)
        self.begun = begun


class RefusedError(BackendError):
    """The service answered, and not as it was expected.

    Args:
        answer: what it said.
        begun: it may have done what it was asked all the same.
    """

    def __init__(self, message: str, answer: Answer) -> None:
        status = answer.status
        retryable = status in _REFUSED or (status >= 500 and status not in _FINAL_5XX)
        super().__init__(message, retryable=retryable, after_s=answer.asked_s if retryable else None)
        self.answer = answer
        self.begun = status >= 500 and status not in _REFUSED


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Args:
        method: in capitals.
        url: absolute.
        body: of it.
        headers: besides those of the step.
        expect: statuses of success; None: those of the step.
        save: the file that an answer of success goes into.
    """

    method: str
    url: str
    body: Body = bodies.NOTHING
    headers: tuple[tuple[str, str], ...] = ()
    expect: tuple[int | str, ...] | None = None
    save: Path | None = None

    def __str__(self) -> str:
        return f"{self.method} {shown(self.url)}"


class Exchange:
    """Asks one service, for one step.

    Args:
        client: of httpx.
        options: of the step.
        ctx: of the step.
        headers: of every request.
        home: the URL of the step.
        voice: says what happens.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        options: HttpOptions,
        ctx: StepContext,
        headers: Sequence[Field],
        home: str,
        voice: Voice,
    ) -> None:
        self.home = home
        self._client = client
        self._options = options
        self._ctx = ctx
        self._headers = headers
        self._voice = voice
        self._trusted = {origin(url) for url in (home, *options.trusted)}

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls, options: HttpOptions, ctx: StepContext, headers: Sequence[Field], home: str, voice: Voice
    ) -> AsyncIterator[Exchange]:
        """An exchange, for as long as it lasts.

        Raises:
            BackendError: the files of `tls` cannot be read.
        """
        _ours.set(True)
        try:
            # Reading the certificates that a machine trusts takes its time, and is the same for all steps.
            trust = await ctx.call(_trust, options.tls)
            if not options.tls.verify:
                voice.log("tls.verify is off: anyone may claim to be this service")
        except (OSError, ssl.SSLError) as error:
            raise BackendError(f"the certificates of `tls` cannot be used: {error}", retryable=False) from None
        timeout = httpx.Timeout(options.timeout_s, connect=min(_CONNECT_S, options.timeout_s))
        async with httpx.AsyncClient(verify=trust, timeout=timeout, follow_redirects=False) as client:
            yield cls(client, options, ctx, headers, home, voice)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def ask(self, request: Request, *, quiet: bool = False) -> Answer:
        """Ask, and follow where the answer leads.

        Args:
            request: what is asked.
            quiet: leave no line in the log.

        Raises:
            NoAnswerError: no answer, or half of one.
            RefusedError: another status than is expected.
            BackendError: an answer that is too large, or leads where it must not.
        """
        began = time.monotonic()
        asked = request
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await self._once(asked)
            moved = self._moved(asked, answer)
            if moved is None:
                break
            self._voice.log(f"{asked} → {phrase(answer.status)}: {shown(moved.url)}")
            asked = moved
        else:
            raise BackendError(
                f"{request}: more than {_MAX_REDIRECTS} redirects, the last to {shown(asked.url)}", retryable=False
            )
        if not quiet or not self._expected(request, answer.status):
            self._voice.log(f"{asked} → {phrase(answer.status)} in {time.monotonic() - began:.2f} s")
        if not self._expected(request, answer.status):
            words = answer.words(self._options.error)
            raise RefusedError(f"{asked}: {phrase(answer.status)}{f': {words}' if words else ''}", answer)
        return answer

    def _expected(self, request: Request, status: int) -> bool:
        expect = self._options.expect if request.expect is None else request.expect
        return status in expect or f"{status // 100}xx" in expect

    async def _once(self, request: Request) -> Answer:
        """One request and its answer, whatever that is."""
        built = self._built(request)
        try:
            response = await self._client.send(built, stream=True)
            try:
                return await self._read(request, response)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise self._unreachable(request, error) from None
        except httpx.TimeoutException:
            silent = f"the service was silent for {self._options.timeout_s:g} s"
            raise NoAnswerError(f"{request}: {silent}", begun=True) from None
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise NoAnswerError(f"{request}: no whole answer: {_line(error)}", begun=True) from None
        except httpx.HTTPError as error:
            raise NoAnswerError(f"{request}: {_line(error)}", begun=True, retryable=False) from None

    def _built(self, request: Request) -> httpx.Request:
        trusted = origin(request.url) in self._trusted
        if not trusted and (request.body.secret or self._voice.is_secret(request.url)):
            raise BackendError(
                f"{request}: this host is another than the step's own, and what is to be sent holds a secret",
                retryable=False,
                hint="add its origin to `trusted` if it may see it",
            )
        fields = [(field.name, field.value) for field in self._headers if trusted or not field.secret]
        fields += request.headers
        body = request.body
        if body.media and not any(name.casefold() == "content-type" for name, _ in fields):
            fields.append(("Content-Type", body.media))
        content = None
        if body.pieces:
            fields.append(("Content-Length", str(body.length)))
            content = body.stream(self._ctx)
        try:
            return self._client.build_request(request.method, request.url, headers=_encoded(fields), content=content)
        except httpx.InvalidURL as error:
            raise BackendError(f"{request}: {_line(error)}", retryable=False) from None

    def _unreachable(self, request: Request, error: httpx.TransportError) -> NoAnswerError:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = "name the certificates to trust in tls.ca_file" if self._options.tls.ca_file is None else None
            message = f"{request}: the service's certificate is not trusted: {_line(error)}"
            return NoAnswerError(message, begun=False, retryable=False, hint=hint)
        return NoAnswerError(f"{request}: no connection: {_line(error)}", begun=False)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, request: Request, response: httpx.Response) -> Answer:
        status, headers = response.status_code, response.headers
        answer = Answer(status, str(response.url), headers, b"", asked_s=asked_s(headers))
        if status in _REDIRECTS and "Location" in headers and not self._expected(request, status):
            return answer  # nobody reads what it says
        if not self._expected(request, status):
            return replace(answer, body=await self._refusal(response))
        if request.save is not None:
            await self._save(request, response, request.save)
            return replace(answer, saved=request.save)
        body = bytearray()
        limit = self._options.max_answer_bytes
        async for block in self._blocks(request, response, limit):
            body += block
        return replace(answer, body=bytes(body))

    async def _refusal(self, response: httpx.Response) -> bytes:
        body = bytearray()
        with contextlib.suppress(httpx.HTTPError):  # the status says enough
            async for block in response.aiter_bytes():
                body += block
                if len(body) >= _MAX_REFUSAL:
                    break
        return bytes(body[:_MAX_REFUSAL])

    async def _save(self, request: Request, response: httpx.Response, path: Path) -> None:
        announced = _announced(response)
        done = 0
        file = await self._ctx.call(path.open, "wb")
        try:
            async for block in self._blocks(request, response, self._options.max_artifact_bytes):
                await self._ctx.call(file.write, block)
                done += len(block)
                self._voice.progress(min(1.0, done / announced) if announced else None, f"{done / 1e6:.1f} MB received")
        finally:
            await self._ctx.call(file.close)

    async def _blocks(self, request: Request, response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
        """The body, as it comes, and no more of it than there may be: a small one may be packed out of a huge one."""
        option = "max_answer_bytes" if request.save is None else "max_artifact_bytes"
        size = _announced(response)
        if size <= limit:
            size = 0
            async for block in response.aiter_bytes(_BLOCK):
                size += len(block)
                if size > limit:
                    break
                yield block
        if size > limit:
            raise BackendError(
                f"{request}: the answer is larger than {option}, which is {limit}",
                retryable=False,
                hint='return it as {"answer": "artifact"}, or raise the limit',
            )

    # --- redirects ----------------------------------------------------------------------------------------------------

    def _moved(self, request: Request, answer: Answer) -> Request | None:
        """Where an answer leads to, None when it leads nowhere.

        Raises:
            BackendError: it leads where it must not.
        """
        target = answer.headers.get("Location")
        if answer.status not in _REDIRECTS or target is None or self._expected(request, answer.status):
            return None
        url = joined(answer.url, target)
        policy = self._options.redirects
        if policy == "none" or (policy == "same origin" and origin(url) != origin(answer.url)):
            raise BackendError(
                f"{request}: a redirect to {shown(url)}, and redirects are followed: {policy}",
                retryable=False,
                hint='set `redirects` to "any" to follow it; it gets no secrets',
            )
        # As browsers do it, and RFC 9110 allows: only 307 and 308 keep what is asked.
        if request.method not in ("GET", "HEAD") and answer.status in (301, 302, 303):
            return replace(request, method="GET", url=url, body=bodies.NOTHING)
        return replace(request, url=url)


def _announced(response: httpx.Response) -> int:
    """Bytes that an answer says it has, 0 when it does not say."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and "Content-Encoding" not in response.headers else 0


def _trust(tls: Tls) -> ssl.SSLContext:
    """Whom to trust; files that were replaced meanwhile are read again."""
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    return _trust_of(tls, tuple(None if file is None else Path(file).stat().st_mtime_ns for file in files))


@lru_cache(maxsize=16)
def _trust_of(tls: Tls, _as_of: tuple[int | None, ...]) -> ssl.SSLContext:
    """Whom to trust: the machine's own list, as everything else on it does, or the given one."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _encoded(fields: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode()) for name, value in fields]


def _line(error: BaseException) -> str:
    """The error in a line; of a chain, what the operating system said: it is what a person can do something about."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            # asyncio puts words of its own in the place of "Connection refused"; a resolver has numbers of its own.
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        else:
            cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split()) or type(error).__name__
