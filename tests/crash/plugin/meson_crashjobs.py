"""Owns the step kinds of the crash runs whose work is a job of an outside service: `behaviours.act`, done elsewhere.

crash_job          at a service that deduplicates by the job key
crash_job_found    at one that can be asked for the job of a key
crash_job_blind    at one that offers neither
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from behaviours import jobs_before, outputs_of
from meson_fakeservice import Client
from pydantic import BaseModel, ConfigDict

from meson_core.errors import BackendError
from meson_core.hookspecs import hookimpl
from meson_core.ports import StepCapabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.ports import StepContext, StepKind


class JobOptions(BaseModel):
    """Where the service is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    socket: str


class CrashJob:
    """A job whose result is a function of the step's inputs; its first jobs fail when the inputs say so."""

    Options = JobOptions

    def __init__(self, name: str, capabilities: StepCapabilities) -> None:
        self.name = name
        self.capabilities = capabilities

    async def run(self, options: JobOptions, ctx: StepContext) -> Mapping[str, Any]:
        """Find or submit the job, and wait for it."""
        client = Client(options.socket)
        job = ctx.remembered or await self._find_or_submit(client, ctx)
        end = await client.ask("wait", id=job)
        if end["state"] == "failed":
            raise RuntimeError(f"{job} failed as planned")
        if end["state"] == "killed":
            raise BackendError(f"{job} was killed", retryable=True)
        result: Mapping[str, Any] = end["result"]
        return result

    async def _find_or_submit(self, client: Client, ctx: StepContext) -> str:
        found = (await client.ask("find", key=ctx.job_key))["id"] if self.capabilities.finds else None
        if found is None:
            await ctx.submitting()
            before = jobs_before(ctx.step, ctx.indexes, ctx.job_key)
            answer = await client.ask(
                "submit",
                key=ctx.job_key,
                result=outputs_of(dict(ctx.inputs)),
                error="as planned" if before < ctx.inputs.get("fails", 0) else None,
                seconds=ctx.inputs["seed"] % 5 * 0.02,
            )
            found = answer["id"]
        await ctx.remember(found)
        return str(found)


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """The three kinds."""
    return [
        CrashJob("crash_job", StepCapabilities(deduplicates=True)),
        CrashJob("crash_job_found", StepCapabilities(finds=True)),
        CrashJob("crash_job_blind", StepCapabilities()),
    ]
