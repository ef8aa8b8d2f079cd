"""Owns a context for async steps outside of any host: it keeps what the step says, and can stop it at the worst moment."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
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
        artifacts: files whose bytes are in reach: `FakeContext.value(path)` stands for one of them.
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
        artifacts: Iterable[Path] = (),
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
        #: What the step said last of a crash before `remember`; None: as the kind's capabilities say.
        self.recoverable: bool | None = None
        self.crashed = asyncio.Event()
        self._crash = crash
        self._secrets = dict(secrets or {})
        self._artifacts = {self.value(path)["$artifact"]: path for path in artifacts}
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

    async def submitting(self, *, recoverable: bool | None = None) -> None:
        """Kept as ("submitting", job key), and in `recoverable`."""
        await self._maybe_crash("submitting")
        self.recoverable = recoverable
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
        value = await asyncio.to_thread(self.value, path, name=name, media=media)
        self._tell(("put", value["name"], value["$artifact"]))
        return value

    async def path(self, artifact: Mapping[str, Any]) -> Path:
        """One of the files that the test has given.

        Raises:
            ArtifactError: it is none of them.
        """
        found = self._artifacts.get(str(artifact.get("$artifact")))
        if found is None:
            raise ArtifactError(f"the artifact {artifact.get('name')!r} is not among those that the test has given")
        return found

    @staticmethod
    def value(path: Path, *, name: str | None = None, media: str | None = None) -> JsonObject:
        """The artifact value of a file."""
        content = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
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
