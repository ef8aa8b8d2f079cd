"""Owns a fake outside service: a process of its own that runs jobs, counts submissions, and misbehaves on demand.

It stands for a cluster, a warehouse, a container engine. What a step kind must prove against it: that a restarted attempt
finds its job again, that no job is submitted twice, that a job is killed when its step is. It survives every crash of Meson.

    with FakeService.running(deduplicates=False) as service:
        …                                  # steps connect to service.socket
        service.report().submissions       # what really happened, by key

The protocol is one JSON object a line over a unix socket, and one answer for each, in order:

    submit  key, result, error, seconds    starts a job, or gives back the one of this key if it deduplicates: {"id"}
    find    key                            {"id"} or {"id": null}; refused unless the service can look jobs up
    wait    id                             answers when the job has ended: {"state", "result"}
    status  id                             the same, at once
    kill    id | key                       ends it; one that has ended or is not known stays as it is
    finish  key, result, error             (for tests) ends a job that runs until it is told to end
    stall   what, when                     (for tests) requests "what" are held, "before" or "after" they are carried out
    release                                (for tests) lets go of everything that is held
    refuse  what, times                    (for tests) so many requests "what" are refused as if the service were overloaded
    report                                 (for tests) what happened
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]
_LIMIT = 1 << 20
#: Seconds within which the process must be there, and must be gone.
_DEADLINE_S = 20.0


# --- what tests hold ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What really happened at the service.

    Args:
        submissions: key → how often a job was submitted under it.
        jobs: key → ids of the jobs that were started under it.
        states: job id → "running", "succeeded", "failed" or "killed".
        lookups: key → how often a job was looked for.
        kills: ids of jobs that were asked to end.
        held: requests that are held now.
    """

    submissions: dict[str, int]
    jobs: dict[str, list[str]]
    states: dict[str, str]
    lookups: dict[str, int]
    kills: list[str]
    held: int

    @property
    def twice(self) -> list[str]:
        """Keys under which more than one job was started."""
        return [key for key, ids in self.jobs.items() if len(ids) > 1]

    def running(self) -> list[str]:
        """Ids of the jobs that run."""
        return [job for job, state in self.states.items() if state == "running"]


class FakeService:
    """The service's process, as a test holds it; made by `running`.

    Args:
        socket: path of its unix socket.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket

    @classmethod
    @contextlib.contextmanager
    def running(cls, *, deduplicates: bool = True, finds: bool = True) -> Iterator[FakeService]:
        """Start the service and end it afterwards.

        Args:
            deduplicates: a second submission under one key gives back the first job.
            finds: it can be asked for the job of a key.
        """
        # A path below a test's own folder may be longer than a socket's name can be.
        folder = Path(tempfile.mkdtemp(prefix="meson-fake-"))
        path = str(folder / "service")
        switches = [*(["--deduplicates"] if deduplicates else []), *(["--finds"] if finds else [])]
        process = subprocess.Popen(  # noqa: S603 (ourselves)
            [sys.executable, "-m", __name__, path, *switches],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("MESON_")},
        )
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"the fake service did not start: exit code {process.wait()}")
            yield cls(path)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_DEADLINE_S)
            if process.stdout is not None:
                process.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)

    def report(self) -> Report:
        """What has happened up to now."""
        return Report(**self._ask({"t": "report"}))

    def stall(self, what: str, when: str = "after") -> None:
        """Hold all requests of one sort: "before" they are carried out, or "after", so that only the answer is missing."""
        self._ask({"t": "stall", "what": what, "when": when})

    def release(self) -> None:
        """Let go of everything that is held, and hold nothing more."""
        self._ask({"t": "release"})

    def refuse(self, what: str, times: int = 1) -> None:
        """Refuse the next requests of one sort as if the service were overloaded."""
        self._ask({"t": "refuse", "what": what, "times": times})

    def finish(self, key: str, result: Any = None, error: str | None = None) -> None:
        """End the job of a key, one that runs until it is told to end."""
        self._ask({"t": "finish", "key": key, "result": result, "error": error})

    def wait_for(self, what: str, number: int = 1) -> None:
        """Wait until so many requests of one sort have come in since the service started, held ones included.

        Raises:
            TimeoutError: they did not come in time.
        """
        self._ask({"t": "wait_for", "what": what, "number": number})

    def _ask(self, message: Message) -> Message:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_DEADLINE_S)
            connection.connect(self.socket)
            connection.sendall(json.dumps(message).encode() + b"\n")
            answer: Message = json.loads(connection.makefile("rb").readline())
        if "refused" in answer:
            raise RuntimeError(answer["refused"])
        return answer


# --- the process --------------------------------------------------------------------------------------------------


@dataclass
class _Job:
    id: str
    key: str
    state: str = "running"
    result: Any = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, state: str, result: Any = None) -> None:
        if self.state == "running":
            self.state, self.result = state, result
            self.ended.set()


class _RefusedError(Exception):
    """A request that the service does not answer as it was meant."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class _Service:
    """All jobs, and what tests have asked for.

    Args:
        deduplicates: a second submission under one key gives back the first job.
        finds: it can be asked for the job of a key.
    """

    def __init__(self, *, deduplicates: bool, finds: bool) -> None:
        self._deduplicates = deduplicates
        self._finds = finds
        self._jobs: dict[str, _Job] = {}
        self._submissions: dict[str, int] = {}
        self._lookups: dict[str, int] = {}
        self._kills: list[str] = []
        self._refusals: dict[str, int] = {}
        self._stalls: dict[tuple[str, str], asyncio.Event] = {}
        self._held = 0
        self._seen: dict[str, int] = {}
        self._arrival = asyncio.Condition()

    async def answer(self, request: Message) -> Message:
        """Carry out one request, or say why not."""
        what = str(request.pop("t", ""))
        action = getattr(self, f"on_{what}", None)
        if action is None:
            return {"refused": f"there is no request {what!r}", "retryable": False}
        async with self._arrival:
            self._seen[what] = self._seen.get(what, 0) + 1
            self._arrival.notify_all()
        try:
            await self._stall(what, "before")
            self._maybe_refuse(what)
            answer: Message = await action(**request)
        except _RefusedError as error:
            return {"refused": str(error), "retryable": error.retryable}
        await self._stall(what, "after")
        return answer

    async def _stall(self, what: str, when: str) -> None:
        until = self._stalls.get((what, when))
        if until is not None:
            self._held += 1
            await until.wait()
            self._held -= 1

    def _maybe_refuse(self, what: str) -> None:
        if self._refusals.get(what, 0) > 0:
            self._refusals[what] -= 1
            raise _RefusedError("the service is overloaded", retryable=True)

    # --- for steps ------------------------------------------------------------------------------------------------

    async def on_submit(
        self, key: str, result: Any = None, error: str | None = None, seconds: float | None = 0.0
    ) -> Message:
        self._submissions[key] = self._submissions.get(key, 0) + 1
        if self._deduplicates and (known := self._of_key(key)) is not None:
            return {"id": known.id}
        job = _Job(f"job-{len(self._jobs) + 1}", key)
        self._jobs[job.id] = job
        if seconds is not None:
            state, value = ("succeeded", result) if error is None else ("failed", error)
            asyncio.get_running_loop().call_later(seconds, job.end, state, value)
        return {"id": job.id}

    async def on_find(self, key: str) -> Message:
        self._lookups[key] = self._lookups.get(key, 0) + 1
        if not self._finds:
            raise _RefusedError("jobs cannot be looked up by key here")
        job = self._of_key(key)
        return {"id": None if job is None else job.id}

    async def on_wait(self, id: str) -> Message:  # noqa: A002 (as the protocol calls it)
        await self._job(id).ended.wait()
        return await self.on_status(id)

    async def on_status(self, id: str) -> Message:  # noqa: A002 (as above)
        job = self._job(id)
        return {"state": job.state, "result": job.result}

    async def on_kill(self, id: str | None = None, key: str | None = None) -> Message:  # noqa: A002 (as above)
        job = self._jobs.get(id) if id is not None else self._of_key(str(key))
        if job is not None:
            self._kills.append(job.id)
            job.end("killed")
        return {}

    # --- for tests ------------------------------------------------------------------------------------------------

    async def on_finish(self, key: str, result: Any, error: str | None) -> Message:
        job = self._of_key(key)
        if job is None:
            raise _RefusedError(f"there is no job of the key {key!r}")
        job.end("succeeded" if error is None else "failed", result if error is None else error)
        return {}

    async def on_stall(self, what: str, when: str) -> Message:
        self._stalls.setdefault((what, when), asyncio.Event())
        return {}

    async def on_release(self) -> Message:
        for event in self._stalls.values():
            event.set()
        self._stalls.clear()
        return {}

    async def on_refuse(self, what: str, times: int) -> Message:
        self._refusals[what] = times
        return {}

    async def on_wait_for(self, what: str, number: int) -> Message:
        async with self._arrival:
            await self._arrival.wait_for(lambda: self._seen.get(what, 0) >= number)
        return {}

    async def on_report(self) -> Message:
        jobs: dict[str, list[str]] = {}
        for job in self._jobs.values():
            jobs.setdefault(job.key, []).append(job.id)
        return {
            "submissions": self._submissions,
            "jobs": jobs,
            "states": {job.id: job.state for job in self._jobs.values()},
            "lookups": self._lookups,
            "kills": self._kills,
            "held": self._held,
        }

    def _job(self, ident: str) -> _Job:
        job = self._jobs.get(ident)
        if job is None:
            raise _RefusedError(f"there is no job {ident!r}")
        return job

    def _of_key(self, key: str) -> _Job | None:
        return next((job for job in self._jobs.values() if job.key == key), None)


async def _serve(path: str, *, deduplicates: bool, finds: bool) -> None:
    service = _Service(deduplicates=deduplicates, finds=finds)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever talks to us may be killed at any moment, and its requests are carried out all the same.
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                answer = await service.answer(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, path, limit=_LIMIT)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], deduplicates="--deduplicates" in sys.argv, finds="--finds" in sys.argv))
