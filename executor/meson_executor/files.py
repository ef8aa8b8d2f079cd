"""Owns what takes long on a disk and must not hold up the loop: storing artifacts, removing folders.

One thread does it, in order; its results come back through a pipe that the loop watches.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from meson_runtime.artifacts import FileStore, is_artifact
from meson_runtime.outputs import OutputError, Type, parse, spell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_executor.loop import Loop

_Job = Callable[[], Any]


class Putter:
    """Stores artifacts and removes folders, off the loop.

    Args:
        loop: where results are told.
        store: None when this executor has none.
    """

    def __init__(self, loop: Loop, store: FileStore | None) -> None:
        self._loop = loop
        self._store = store
        self._jobs: queue.SimpleQueue[tuple[_Job, Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._thread: threading.Thread | None = None
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)
        loop.watch(self._wake, self._on_done)

    def needed(self, found: Mapping[str, Any], declared: Mapping[str, str]) -> bool:
        """Whether any output is declared as artifact and given as a path."""
        return any("artifact" in text and name in found for name, text in declared.items())

    def put(self, found: dict[str, Any], declared: Mapping[str, str], folder: str, then: Callable[[Any], None]) -> None:
        """Store what is declared as artifact and given as a path; relative paths start in `folder`.

        `then` gets the outputs with artifact values in their places, or the exception.
        """

        def job() -> dict[str, Any]:
            types = {name: parse(text) for name, text in declared.items()}
            return {
                name: self._stored(value, types[name], name, folder) if name in types else value
                for name, value in found.items()
            }

        self._do(job, then)

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it."""
        self._do(lambda: shutil.rmtree(folder, ignore_errors=True), lambda _done: None)

    def close(self) -> None:
        """Finish what was asked for."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
        self._loop.close(self._wake)
        os.close(self._waker)

    def _stored(self, value: Any, declared: Type, at: str, folder: str) -> Any:
        name, item = declared
        if name == "list" and isinstance(value, list):
            return [self._stored(part, item, "%s[%d]" % (at, index), folder) for index, part in enumerate(value)]  # type: ignore[arg-type]
        if name == "dict" and isinstance(value, dict) and not is_artifact(value):
            return {key: self._stored(part, item, f"{at}.{key}", folder) for key, part in value.items()}  # type: ignore[arg-type]
        if name != "artifact" or not isinstance(value, str):
            return value
        if self._store is None:
            raise OSError("this executor has no artifact store")
        path = os.path.join(folder, value)
        try:
            return self._store.put(path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError) as error:
            raise OutputError(f"output {at} is declared as {spell(declared)} and names {value!r}: {error}") from None

    def _do(self, job: _Job, then: Callable[[Any], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="files", daemon=True)
            self._thread.start()
        self._jobs.put((job, then))

    def _work(self) -> None:
        while True:
            found = self._jobs.get()
            if found is None:
                return
            job, then = found
            try:
                result = job()
            except Exception as error:  # noqa: BLE001 - whatever it was, the loop's side must hear of it
                result = error
            self._done.append((then, result))
            # A pipe that is full has woken the loop often enough.
            with contextlib.suppress(BlockingIOError):
                os.write(self._waker, b"!")

    def _on_done(self, _events: int) -> None:
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return
        while self._done:
            then, result = self._done.popleft()
            then(result)
