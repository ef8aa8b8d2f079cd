"""Owns the writer thread: commits go to it one after the other, and their outcome comes back into the event loop.

While one commit is being written, the orchestrator collects the next. A commit that fails without anything wrong with it
(a full disk, a busy database) is tried again as it is; nothing that it holds has been acted on. Every other failure is
the end of this orchestrator: another one has the cell, or the store is damaged.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Protocol

from meson_core.errors import SequenceConflictError, StoreCorruptError, StoreError, StoreLockedError, StoreVersionError
from meson_core.orchestrator.probe import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.probe import Probe
    from meson_core.store.records import Commit, SampleRecord, WaitRecord

#: Seconds before each further try.
RETRIES_S = (0.1, 0.5, 2.0, 5.0)
#: Seconds without a commit after which the log is got ready for many of them.
_IDLE_S = 0.05
_FATAL = (SequenceConflictError, StoreLockedError, StoreCorruptError, StoreVersionError)


class Log(Protocol):
    """The writing side of the store."""

    def commit(self, commit: Commit) -> None:
        """Write all of it or nothing."""

    def make_room(self) -> None:
        """Get ready for many commits."""

    def write_samples(self, records: Sequence[SampleRecord]) -> None:
        """Keep the latest values of these attempts."""

    def write_waits(self, records: Sequence[WaitRecord]) -> None:
        """Keep why instances wait."""


class Writer:
    """The thread that writes.

    Args:
        log: where it writes to.
        clock: for the time between two tries.
        probe: see there.
        wake: called in the event loop when a commit has ended.
    """

    def __init__(self, log: Log, clock: Clock, probe: Probe, wake: Callable[[], None]) -> None:
        self._log = log
        self._clock = clock
        self._probe = probe
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="meson-writer", daemon=True)
        #: Whether a commit is on its way.
        self.busy = False
        #: Whether a commit has ended and has not been taken note of.
        self.done = False
        #: What ended the writing for good.
        self.failure: BaseException | None = None
        self._tries = 0

    def start(self) -> None:
        """Begin; before the first commit."""
        self._thread.start()

    def submit(self, commit: Commit) -> None:
        """Write this; `wake` is called when it has ended, with `done` or `failure` set."""
        assert not self.busy
        self.busy = True
        self._tries = 0
        self._jobs.put(lambda: self._commit(commit))

    def submit_rest(self, samples: Sequence[SampleRecord], waits: Sequence[WaitRecord]) -> None:
        """Write samples, when there is time; nothing depends on them."""
        self._jobs.put(lambda: self._write_rest(samples, waits))

    def close(self) -> None:
        """Write what was submitted, and end the thread."""
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        # The first moment without work: an executor is being started, or there is nothing to do.
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                self._log.make_room()
                break
            if job is None:
                return
            job()
        while (job := self._jobs.get()) is not None:
            job()

    def _commit(self, commit: Commit) -> None:
        failure: BaseException | None = None
        try:
            self._probe.reach(Point.before_commit)
            self._log.commit(commit)
            self._probe.reach(Point.after_commit)
        except BaseException as error:  # noqa: BLE001  it is handed to the event loop, whatever it is
            failure = error
        self._back(lambda: self._ended(commit, failure))

    def _write_rest(self, samples: Sequence[SampleRecord], waits: Sequence[WaitRecord]) -> None:
        try:
            if samples:
                self._log.write_samples(samples)
            if waits:
                self._log.write_waits(waits)
        except StoreError:
            return  # the next ones say it as well; a store that is really ill shows in a commit
        self._probe.reach(Point.beside)

    def _back(self, action: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:
            return  # the event loop has ended: nobody acts on anything any more

    # --- in the event loop --------------------------------------------------------------------------------------------

    def _ended(self, commit: Commit, failure: BaseException | None) -> None:
        if failure is None:
            self.busy = False
            self.done = True
        elif isinstance(failure, StoreError) and not isinstance(failure, _FATAL) and self._tries < len(RETRIES_S):
            due = self._clock.now() + RETRIES_S[self._tries]
            self._tries += 1
            self._clock.call_at(due, lambda: self._jobs.put(lambda: self._commit(commit)))
            return
        else:
            self.failure = failure
        self._wake()
