"""Owns three step kinds for the fake service, one for each thing that an outside service may offer against double jobs.

fake_job          the service deduplicates by the job key: submit again, and it is the same job
fake_job_found    the service can be asked for the job of a key: ask before submitting
fake_job_blind    neither: a crash between submission and remembering is for a person to settle
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from meson_core.errors import BackendError
from meson_core.hookspecs import hookimpl
from meson_core.ports import StepCapabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.ports import StepContext, StepKind


class JobOptions(BaseModel):
    """Options of all three."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: str
    """Where the service is."""
    seconds: float | None = 0.0
    """How long the job takes; None: until a test ends it."""
    error: str | None = None
    """What the job fails with, if it is to fail."""


class Client:
    """One connection to the service for each request, as simple clients do it."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            BackendError: the service is not there, or refuses.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
            try:
                writer.write(json.dumps({"t": what, **fields}).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
        except OSError as error:
            raise BackendError(f"the service does not answer: {error}", retryable=True) from error
        if not line:
            raise BackendError("the service has hung up", retryable=True)
        answer: dict[str, Any] = json.loads(line)
        if "refused" in answer:
            raise BackendError(answer["refused"], retryable=answer["retryable"])
        return answer


class Job:
    """A step that is a job of the service; returns `{"result": …, "job": id}`."""

    Options = JobOptions

    def __init__(self, name: str, capabilities: StepCapabilities) -> None:
        self.name = name
        self.capabilities = capabilities

    async def run(self, options: JobOptions, ctx: StepContext) -> Mapping[str, Any]:
        """Find or submit the job, and wait for it."""
        client = Client(options.socket)
        job = ctx.remembered
        try:
            if job is None:
                job = await self._find_or_submit(client, options, ctx)
            ctx.progress(None, f"waits for {job}")
            end = await client.ask("wait", id=job)
        except asyncio.CancelledError:
            await client.ask("kill", **({"key": ctx.job_key} if job is None else {"id": job}))
            raise
        if end["state"] == "failed":
            raise RuntimeError(f"{job} failed: {end['result']}")
        if end["state"] == "killed":
            raise BackendError(f"{job} was killed by somebody else", retryable=True)
        return {"result": end["result"], "job": job}

    async def _find_or_submit(self, client: Client, options: JobOptions, ctx: StepContext) -> str:
        found = (await client.ask("find", key=ctx.job_key))["id"] if self.capabilities.finds else None
        if found is None:
            await ctx.submitting()
            answer = await client.ask(
                "submit", key=ctx.job_key, result=dict(ctx.inputs), error=options.error, seconds=options.seconds
            )
            found = answer["id"]
        await ctx.remember(found)
        return str(found)


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """The three kinds."""
    return [
        Job("fake_job", StepCapabilities(deduplicates=True)),
        Job("fake_job_found", StepCapabilities(finds=True)),
        Job("fake_job_blind", StepCapabilities()),
    ]
