"""Owns a context for async steps outside of any host: it keeps what the step says, and can stop it at the worst moment."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from meson_core.ports import JsonObject

Moment: TypeAlias = Literal["submitting", "submitted", "remembered"]


class FakeContext:
    """A `meson_core.ports.StepContext` for tests.

    Args:
        job_key: of the outside job; the same for an attempt that re-attaches.
        remembered: the external id that an earlier attempt remembered.
        inputs: name → JSON value.
        secrets: name → value.
        crash: where the host dies: before the intent is in the log ("submitting"), after the submission and before it is
            remembered ("submitted"), or right after ("remembered"). From there the step makes no further move; `crashed`
            says that it got there.
    """

    def __init__(
        self,
        *,
        job_key: str = "job-key",
        remembered: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        crash: Moment | None = None,
    ) -> None:
        self.run_id = "run"
        self.step = "step"
        self.indexes: tuple[int, ...] = ()
        self.attempt = 1
        self.inputs: Mapping[str, Any] = dict(inputs or {})
        self.job_key = job_key
        self.remembered = remembered
        self.scratch = ""
        #: What the step said, in order: ("submitting", key), ("remember", id), ("progress", fraction, message), …
        self.told: list[tuple[Any, ...]] = []
        self.crashed = asyncio.Event()
        self._crash = crash
        self._secrets = dict(secrets or {})
        self._changed = asyncio.Event()
        self._inbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Kept as ("progress", fraction, message)."""
        self._tell(("progress", fraction, message))

    def log(self, text: str) -> None:
        """Kept as ("log", text)."""
        self._tell(("log", text))

    def link(self, name: str, url: str) -> None:
        """Kept as ("link", name, url)."""
        self._tell(("link", name, url))

    def emit(self, name: str, value: Any) -> None:
        """Kept as ("emit", name, value).

        Raises:
            ValueError: the value is not JSON.
        """
        try:
            json.dumps(value, allow_nan=False)
        except TypeError as error:
            raise ValueError(f"emit({name!r}, …): the value is not JSON: {error}") from None
        self._tell(("emit", name, value))

    def send(self, name: str, value: Any) -> None:
        """Send the step a message."""
        self._inbox.put_nowait((name, value))

    async def until(self, what: str) -> None:
        """Wait until the step has said something of a sort: "remember", "progress", …"""
        while not any(told[0] == what for told in self.told):
            await self._changed.wait()
            self._changed.clear()

    async def messages(self) -> AsyncIterator[tuple[str, Any]]:
        """What the test sends."""
        while True:
            yield await self._inbox.get()

    async def submitting(self) -> None:
        """Kept as ("submitting", job key)."""
        await self._maybe_crash("submitting")
        self._tell(("submitting", self.job_key))

    async def remember(self, external_id: str) -> None:
        """Kept as ("remember", external id)."""
        await self._maybe_crash("submitted")
        self._tell(("remember", external_id))
        self.remembered = external_id
        await self._maybe_crash("remembered")

    async def call(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """In a thread, as in the host."""
        return await asyncio.to_thread(contextvars.copy_context().run, function, *args)

    async def put(self, path: Path, *, name: str | None = None, media: str | None = None) -> JsonObject:
        """Kept as ("put", name, digest); nothing is stored."""
        content = await asyncio.to_thread(path.read_bytes)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._tell(("put", name or path.name, digest))
        return {"$artifact": digest, "size": len(content), "name": name or path.name, "media": media or ""}

    async def secret(self, name: str) -> str:
        """One of those that the test has given.

        Raises:
            LookupError: there is none of that name.
        """
        return self._secrets[name]

    def _tell(self, what: tuple[Any, ...]) -> None:
        self.told.append(what)
        self._changed.set()

    async def _maybe_crash(self, moment: Moment) -> None:
        if self._crash == moment:
            self.crashed.set()
            await asyncio.Event().wait()
