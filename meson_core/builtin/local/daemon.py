"""Owns the executor's process: started so that it outlives us, and ended only when it is stuck."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from meson_core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: What a process that an executor started inherits of it, and a new executor must not.
_MARKS = ("MESON_EXECUTOR", "MESON_ATTEMPT")
_STARTED, _ALREADY_THERE = 0, 3


class Daemon:
    """The executor of one directory.

    Args:
        directory: the executor's.
        command: starts it, and returns once it can be reached.
    """

    def __init__(self, directory: Path, command: Sequence[str]) -> None:
        self._directory = directory
        self._command = list(command)
        self._handle: int | None = None

    def start(self) -> bool:
        """Start an executor and wait until it can be reached; False when another one is there, or it did not get so far.

        It goes to the background by itself, once nothing of its predecessors is left. Blocks: call it in a thread.

        Raises:
            BackendError: it cannot be started, with what it says.
        """
        environment = {name: value for name, value in os.environ.items() if name not in _MARKS}
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            found = subprocess.run(  # noqa: S603  the interpreter that the settings name
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            said = f"{error.filename or self._command[0]}: {error.strerror}"
        else:
            if found.returncode in (_STARTED, _ALREADY_THERE):
                return found.returncode == _STARTED
            if found.returncode < 0:
                return False  # killed on its way, which says nothing about the next one
            said = found.stderr.strip() or f"exit code {found.returncode}"
        raise BackendError(
            f"the executor in {self._directory} cannot be started: {said}",
            retryable=False,
            hint="see `python` and `directory` in [schedulers.local] of the settings",
        )

    def watch(self, pid: int) -> None:
        """This process is the executor now; what is done to it later can never hit another one of its number."""
        self.unwatch()
        with contextlib.suppress(OSError):
            self._handle = os.pidfd_open(pid)

    def unwatch(self) -> None:
        """Forget the process; it goes on."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def kill(self) -> bool:
        """End the watched process at once; False when there is none."""
        if self._handle is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.unwatch()
        return True


def default_python() -> str:
    """The interpreter that runs us."""
    return sys.executable or "python3"
