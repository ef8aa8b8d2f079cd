"""Owns a real service on the loopback, in a thread of the tests: it counts what it is asked, stalls, and hangs up.

    POST /jobs                    202 with Location /jobs/N; jobs run until a test ends them, or until they were asked after often enough
    GET  /jobs?key=K              the jobs of a key, as a list
    GET  /jobs/N                  {"id", "state", "done", "message"}
    GET  /jobs/N/result           {"score": …}
    DELETE /jobs/N                cancels it
    ANY  /echo…                   {"method", "path", "query", "headers", "body"}
    ANY  /status/N                answers with that status;  /repeats/N: and with all that it was told
    ANY  /stalled                 answers when the test releases it
    GET  /bytes/N                 so many bytes
    GET  /packed/N                the same, packed by gzip;  /endless: as many as are taken
    ANY  /moved/N?to=URL          a redirect;  /turns: one to itself

What a test has queued with `misbehave` happens to the next request instead, or to its answer.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 20.0
CERTIFICATE = Path(__file__).parent / "loopback.pem"


@dataclass
class Job:
    """A job of the service.

    Args:
        id: of it.
        key: that it was submitted under.
        state: "running", "succeeded", "failed" or "cancelled".
        questions: how often it was asked after.
        message: what the service says about it.
    """

    id: str
    key: str
    state: str = "running"
    questions: int = 0
    message: str = ""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpService:
    """The service, as a test holds it.

    Args:
        deduplicates: it starts no second job under a key that it has seen.
        questions: after so many questions a job has succeeded; None: never by itself.
        elsewhere: where it says that its jobs are, if not here.
        repeats: it repeats all that it was told, in errors and in the addresses of jobs.
    """

    deduplicates: bool = True
    questions: int | None = 2
    elsewhere: str = ""
    repeats: bool = False
    base: str = ""
    jobs: dict[str, Job] = field(default_factory=dict)
    submissions: list[str] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    _queue: list[tuple[str, Callable[[Handler], bool]]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    @contextlib.contextmanager
    def running(cls, *, tls: bool = False, **more: Any) -> Iterator[HttpService]:
        """Start it, and end it afterwards."""
        service = cls(**more)
        server = _Server(("127.0.0.1", 0), type("_Handler", (Handler,), {"service": service}))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        service.base = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield service
        finally:
            service.released.set()
            server.shutdown()
            thread.join(DEADLINE_S)
            server.server_close()

    def wait_for(self, what: str, number: int = 1) -> None:
        """Wait until so many requests that begin like `POST /jobs` have come in."""

        def there() -> bool:
            return sum(f"{one.method} {one.path}".startswith(what) for one in self.asked) >= number

        with self._changed:
            assert self._changed.wait_for(there, DEADLINE_S), f"{what} was not asked {number} times: {self.asked}"

    def seen(self, asked: Asked) -> None:
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()

    # --- bad days ---------------------------------------------------------------------------------------------------

    def misbehave(self, what: str, how: Callable[[Handler], bool], times: int = 1) -> None:
        """Do `how` at the next requests that begin like `what`; it says whether the request is done with."""
        self._queue += [(what, how)] * times

    def mischief(self, what: str) -> Callable[[Handler], bool] | None:
        for number, (prefix, how) in enumerate(self._queue):
            if what.startswith(prefix):
                del self._queue[number]
                return how
        return None


def hangs_up(handler: Handler) -> bool:
    """No answer at all, and nothing is done."""
    handler.close_connection = True
    return True


def says_half(handler: Handler) -> bool:
    """It is done, but the connection breaks in the middle of the answer."""
    handler.breaks_off = True
    return False


def stalls(handler: Handler) -> bool:
    """It is done, and the answer is kept until the test releases it."""
    handler.stalls = True
    return False


def refuses(status: int, retry_after: str = "", message: str = "not now") -> Callable[[Handler], bool]:
    """Nothing is done, and it says so."""

    def refuse(handler: Handler) -> bool:
        headers = {"Retry-After": retry_after} if retry_after else {}
        handler.answer(status, {"error": {"message": message}}, **headers)
        return True

    return refuse


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients are killed in these tests; that is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = 5.0
    service: HttpService
    breaks_off = False
    stalls = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (as the base class has it)
        """Tests look at `asked`."""

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(
            self.command, parts.path, parse_qsl(parts.query, keep_blank_values=True), dict(self.headers), body
        )
        self.breaks_off = self.stalls = False
        mischief = self.service.mischief(f"{self.command} {self.path}")
        done = mischief is not None and mischief(self)
        if done:
            self.service.seen(asked)
            return
        respond = self._route(asked)
        self.service.seen(asked)
        respond()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = handle_any  # noqa: N815 (so http.server calls them)

    def _route(self, asked: Asked) -> Callable[[], None]:
        """Do what is asked now, and answer later: a test may want to see the one without the other."""
        _, first, *rest = asked.path.split("/")
        if first == "jobs":
            return self._jobs(asked, rest)
        if first == "status":
            return lambda: self.answer(int(rest[0]), {"message": f"it is {rest[0]}"})
        if first == "repeats":
            told = {"message": f"{self.path} {dict(self.headers)} {asked.body!r}"}
            return lambda: self.answer(int(rest[0]), told)
        if first == "stalled":
            self.stalls = True
        if first == "bytes":
            return lambda: self.send(200, b"x" * int(rest[0]), "application/octet-stream")
        if first == "packed":
            content = gzip.compress(b"x" * int(rest[0]))
            return lambda: self.send(200, content, "text/plain", **{"Content-Encoding": "gzip"})
        if first == "turns":
            return lambda: self.answer(302, {}, Location="/turns")
        if first == "endless":
            return self._endless
        if first == "moved":
            return lambda: self.answer(int(rest[0]), {}, Location=dict(asked.query)["to"])
        return lambda: self.answer(
            200,
            {
                "method": asked.method,
                "path": urlsplit(self.path).path,
                "query": asked.query,
                "headers": asked.headers,
                "body": asked.body.decode("utf-8", "replace"),
            },
            ETag='"v7"',
        )

    def _jobs(self, asked: Asked, rest: list[str]) -> Callable[[], None]:
        service = self.service
        if asked.method == "POST" and not rest:
            key = asked.headers.get("Idempotency-Key", "")
            service.submissions.append(key)
            job = next((one for one in service.jobs.values() if one.key == key), None) if service.deduplicates else None
            if job is None:
                job = service.jobs.setdefault(str(len(service.jobs) + 1), Job(str(len(service.jobs) + 1), key))
            place = f"{service.elsewhere}/jobs/{job.id}"
            if service.repeats and "?" in self.path:
                place += f"?{self.path.partition('?')[2]}"
            return lambda: self.answer(202, {"id": job.id, "url": place}, Location=place)
        if not rest:
            key = dict(asked.query)["key"]
            found = [{"id": one.id} for one in service.jobs.values() if one.key == key]
            return lambda: self.answer(200, found)
        known = service.jobs.get(rest[0])
        if known is None:
            return lambda: self.answer(404, {"message": f"there is no job {rest[0]}"})
        if asked.method == "DELETE":
            service.kills.append(known.id)
            known.state = "cancelled"
            return lambda: self.answer(204, None)
        if rest[1:] == ["result"]:
            return lambda: self.answer(200, {"score": 0.93, "job": known.id})
        known.questions += 1
        if known.state == "running" and service.questions is not None and known.questions >= service.questions:
            known.state = "succeeded"
        done = known.questions / (service.questions or 1000)
        told = {"id": known.id, "state": known.state, "done": done, "result": f"/jobs/{known.id}/result"}
        if known.message or service.repeats:
            told["message"] = known.message or f"{self.path} {asked.headers}"
        return lambda: self.answer(202 if known.state == "running" else 200, told)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            while not self.service.released.is_set():
                self.wfile.write(b"x" * 65536)

    # --- answering ----------------------------------------------------------------------------------------------------

    def answer(self, status: int, value: Any, **headers: str) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send(status, body, "application/json", **headers)

    def send(self, status: int, body: bytes, media: str, **headers: str) -> None:
        if self.stalls:
            self.service.released.wait(DEADLINE_S)
        self.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.breaks_off:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body)
