"""Owns async step kinds that do all that a step may do, well and badly, for the host's tests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from meson_core.errors import BackendError, NotFoundError
from meson_core.hookspecs import hookimpl
from meson_core.ports import Program, StepCapabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meson_core.ports import StepContext, StepKind

#: What authors of steps write, and we do not.
say = print
say("the plugin is loaded")


class AnyOptions(BaseModel):
    """Options that each kind reads in its own way."""

    model_config = ConfigDict(extra="forbid")

    value: Any = None
    path: str = ""
    retryable: bool = False
    after_s: float | None = None


class Kind:
    """A kind of one function."""

    Options = AnyOptions

    def __init__(self, run: Callable[[AnyOptions, StepContext], Awaitable[Any]]) -> None:
        self.name = run.__name__
        self.capabilities = StepCapabilities(finds=True)
        self._run = run

    async def run(self, options: AnyOptions, ctx: StepContext) -> Mapping[str, Any]:
        """What the function returns, whatever it is."""
        found: Mapping[str, Any] = await self._run(options, ctx)
        return found


class Printer:
    """A program kind, which has no business in a host."""

    name = "printer"
    Options = AnyOptions
    capabilities = StepCapabilities()

    def work(self, options: AnyOptions) -> Program:
        """Says it."""
        return Program(("echo", str(options.value)))


async def returns(options: AnyOptions, ctx: StepContext) -> Any:
    return options.value


async def returns_nonsense(options: AnyOptions, ctx: StepContext) -> Any:
    return {"x": object()}


async def sees(options: AnyOptions, ctx: StepContext) -> Any:
    return {
        "run_id": ctx.run_id,
        "step": ctx.step,
        "indexes": ctx.indexes,
        "attempt": ctx.attempt,
        "inputs": dict(ctx.inputs),
        "job_key": ctx.job_key,
        "remembered": ctx.remembered,
        "scratch": ctx.scratch,
    }


async def fails(options: AnyOptions, ctx: StepContext) -> Any:
    def blocking() -> None:
        raise ValueError(options.value)

    await ctx.call(blocking)


async def backend(options: AnyOptions, ctx: StepContext) -> Any:
    raise BackendError(str(options.value), retryable=options.retryable, after_s=options.after_s)


async def says_no(options: AnyOptions, ctx: StepContext) -> Any:
    raise NotFoundError(str(options.value))


async def leaves(options: AnyOptions, ctx: StepContext) -> Any:
    sys.exit(3)


async def cancels_itself(options: AnyOptions, ctx: StepContext) -> Any:
    raise asyncio.CancelledError


async def waits(options: AnyOptions, ctx: StepContext) -> Any:
    ctx.log("waiting")
    await asyncio.Event().wait()


async def cleans_up(options: AnyOptions, ctx: StepContext) -> Any:
    try:
        await waits(options, ctx)
    except asyncio.CancelledError:
        ctx.log("cleaning up")
        raise


async def cleans_up_for_ever(options: AnyOptions, ctx: StepContext) -> Any:
    try:
        await waits(options, ctx)
    finally:
        await waits(options, ctx)


async def fails_while_it_is_stopped(options: AnyOptions, ctx: StepContext) -> Any:
    try:
        await waits(options, ctx)
    finally:
        raise OSError("no clean-up today")


async def succeeds_all_the_same(options: AnyOptions, ctx: StepContext) -> Any:
    with contextlib.suppress(asyncio.CancelledError):
        await waits(options, ctx)
    return {"x": 1}


async def talks(options: AnyOptions, ctx: StepContext) -> Any:
    ctx.log("logged")
    say("printed, and")
    say("not ended", end="")
    say(", ", "but now\nand more", sep="")
    sys.stderr.write("an error\n")
    logging.getLogger("client").warning("a warning of %s", "a client")
    logging.getLogger("client").debug("not that")
    await ctx.call(say, "from a thread")
    await ctx.call(ctx.log, "logged from a thread")
    say("last", end="")


async def says_its_name(options: AnyOptions, ctx: StepContext) -> Any:
    for _ in range(20):
        say(options.value)
        await ctx.call(say, options.value)


async def progresses(options: AnyOptions, ctx: StepContext) -> Any:
    ctx.progress(-1.0)
    for step in range(1, 10_000):
        ctx.progress(step / 10_000, f"step {step}")
    await ctx.call(ctx.progress, 0.5)
    ctx.progress(None, "almost")


async def tells(options: AnyOptions, ctx: StepContext) -> Any:
    ctx.emit("loss", {"value": 0.25})
    ctx.link("page", "http://localhost/1")
    return {}


async def emits(options: AnyOptions, ctx: StepContext) -> Any:
    ctx.emit("x", float("nan") if options.value is None else "x" * options.value)


async def submits(options: AnyOptions, ctx: StepContext) -> Any:
    await ctx.submitting()
    ctx.log("submitted")
    await ctx.remember("job-9")
    ctx.log("remembered")
    return {"id": ctx.remembered}


async def listens(options: AnyOptions, ctx: StepContext) -> Any:
    heard = []
    async for name, value in ctx.messages():
        heard.append([name, value])
        if name == "stop":
            break
    return {"heard": heard}


async def keeps(options: AnyOptions, ctx: StepContext) -> Any:
    return {"file": await ctx.put(Path(options.path), media="text/x-test")}


async def reads(options: AnyOptions, ctx: StepContext) -> Any:
    return {"text": (await ctx.path(ctx.inputs["x"])).read_text()}


async def submits_to_another_service(options: AnyOptions, ctx: StepContext) -> Any:
    await ctx.submitting(recoverable=False)
    await ctx.submitting(recoverable=True)
    return {}


async def asks(options: AnyOptions, ctx: StepContext) -> Any:
    return {"length": len(await ctx.secret(options.value))}


async def blocks(options: AnyOptions, ctx: StepContext) -> Any:
    """Blocks a thread for ever; more of them than there are threads must not stop the others."""
    ctx.log("blocking")
    await ctx.call(threading.Event().wait)


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """All of them."""
    functions = (
        returns, returns_nonsense, sees, fails, backend, says_no, leaves, cancels_itself, waits, cleans_up, cleans_up_for_ever,
        fails_while_it_is_stopped, succeeds_all_the_same, talks, says_its_name, progresses, tells, emits, submits,
        listens, keeps, reads, submits_to_another_service, asks, blocks,
    )  # fmt: skip
    return [*(Kind(function) for function in functions), Printer()]
