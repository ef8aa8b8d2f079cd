"""Owns the context of an async step: `meson_core.ports.StepContext`, by messages to the executor."""

from __future__ import annotations

import asyncio
import contextvars
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from meson_core.errors import ArtifactError
from meson_runtime.artifacts import ArtifactMissingError, is_artifact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from concurrent.futures import Executor

    from meson_core.ports import JsonObject, StepCapabilities
    from meson_runtime.artifacts import FileStore

#: Largest value that may be emitted, in characters of JSON.
MAX_EMITTED = 64 * 1024


class Outlet(Protocol):
    """What a context needs of its host."""

    threads: Executor
    artifacts: FileStore | None

    def progress(self, number: int, fraction: float | None, message: str | None) -> None:
        """Show the latest, soon."""

    def log(self, number: int, text: str) -> None:
        """Write a line."""

    def fact(self, number: int, fact: Mapping[str, Any]) -> None:
        """Send a fact, and go on."""

    def recorded(self, number: int, fact: Mapping[str, Any]) -> Awaitable[None]:
        """Send a fact, and wait until it is in the log."""

    def secret(self, name: str) -> Awaitable[str]:
        """Ask for a secret."""


class Context:
    """All that one attempt sees.

    Args:
        outlet: of the host.
        number: of the order.
        order: an Order of the executor protocol.
        step: name of the step.
        capabilities: of its kind.
        messages: what is sent to it.
    """

    def __init__(
        self,
        outlet: Outlet,
        number: int,
        order: Mapping[str, Any],
        step: str,
        capabilities: StepCapabilities,
        messages: asyncio.Queue[tuple[str, Any]],
    ) -> None:
        run_id, instance, attempt = order["key"]
        self.run_id = str(run_id)
        self.step = step
        self.indexes = tuple(int(index) for index in instance[1:])
        self.attempt = int(attempt)
        self.inputs: Mapping[str, Any] = dict(order.get("inputs") or {})
        self.job_key = str(order.get("job") or "")
        self.remembered: str | None = order.get("remembered")
        self.scratch = str(order.get("scratch") or "")
        self._outlet = outlet
        self._number = number
        self._capabilities = capabilities
        self._messages = messages

    # --- what it says ---------------------------------------------------------------------------------------------

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        if fraction is not None:
            fraction = min(1.0, max(0.0, float(fraction)))
        self._outlet.progress(self._number, fraction, None if message is None else str(message))

    def log(self, text: str) -> None:
        self._outlet.log(self._number, str(text))

    def link(self, name: str, url: str) -> None:
        self._outlet.fact(self._number, {"f": "link", "name": str(name), "url": str(url)})

    def emit(self, name: str, value: Any) -> None:
        try:
            size = len(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"emit({name!r}, …): the value is not JSON: {error}") from None
        if size > MAX_EMITTED:
            raise ValueError(
                f"emit({name!r}, …): the value is {size} characters of JSON, and {MAX_EMITTED} are the limit; "
                "store it with `await ctx.put(…)` instead"
            )
        self._outlet.fact(self._number, {"f": "emitted", "name": str(name), "value": value})

    # --- the outside job ------------------------------------------------------------------------------------------

    async def submitting(self, *, recoverable: bool | None = None) -> None:
        known = self._capabilities.recoverable if recoverable is None else recoverable
        await self._outlet.recorded(self._number, {"f": "submitting", "job": self.job_key, "recoverable": known})

    async def remember(self, external_id: str) -> None:
        await self._outlet.recorded(self._number, {"f": "remembered", "id": str(external_id)})
        self.remembered = str(external_id)

    # --- what it gets ---------------------------------------------------------------------------------------------

    async def messages(self) -> AsyncIterator[tuple[str, Any]]:
        while True:
            yield await self._messages.get()

    async def call(self, function: Callable[..., Any], /, *args: Any) -> Any:
        # What it prints belongs to this attempt, in whatever thread.
        run = partial(contextvars.copy_context().run, function, *args)
        return await asyncio.get_running_loop().run_in_executor(self._outlet.threads, run)

    async def put(self, path: Path, *, name: str | None = None, media: str | None = None) -> JsonObject:
        store = self._outlet.artifacts
        if store is None:
            raise RuntimeError("this executor has no artifact store")
        value: JsonObject = await self.call(store.put, path, name, media)
        return value

    async def path(self, artifact: Mapping[str, Any]) -> Path:
        store = self._outlet.artifacts
        if not is_artifact(artifact):
            raise ArtifactError(f"{artifact!r:.200} is not an artifact value")
        if store is None:
            raise ArtifactError(
                f"the artifact {artifact.get('name')!r} is out of reach: this executor has no artifact store"
            )
        try:
            return Path(await self.call(store.find, artifact["$artifact"]))
        except (ArtifactMissingError, ValueError) as error:
            raise ArtifactError(str(error)) from None

    async def secret(self, name: str) -> str:
        return await self._outlet.secret(name)
