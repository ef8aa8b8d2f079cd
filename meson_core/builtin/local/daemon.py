"""Owns the executor's process: how it is started so that it outlives us, early if need be, and ended only when it is stuck."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from meson_core.builtin.local.machine import capacity
from meson_core.errors import BackendError
from meson_core.resources import CPUS, MEMORY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meson_core.builtin.local import Options
    from meson_core.ports import SchedulerSetting

#: One executor per directory, so one name for all of them.
EXECUTOR = "local"

#: What a process that an executor started inherits of it, and a new executor must not.
_MARKS = ("MESON_EXECUTOR", "MESON_ATTEMPT")
_STARTED, _ALREADY_THERE = 0, 3


#: Executors that are on their way, by directory; whoever starts one waits for it instead of starting another.
_early: dict[Path, subprocess.Popen[str]] = {}


def directory_of(options: Options, setting: SchedulerSetting) -> Path:
    """The executor's directory."""
    return options.directory or setting.directory / "executor"


def machine_of(options: Options) -> str:
    """What this machine is called."""
    return options.name or socket.gethostname()


def command_of(options: Options, setting: SchedulerSetting) -> list[str]:
    """What starts the executor, and returns once it can be reached."""
    found = capacity()
    command = [str(options.python) if options.python is not None else default_python(), "-m", "meson_executor"]
    command += ["--dir", str(directory_of(options, setting)), "--executor", EXECUTOR, "--machine", machine_of(options)]
    command += ["--cpus", str(options.cpus if options.cpus is not None else found[CPUS])]
    command += ["--memory", str(options.memory if options.memory is not None else int(found[MEMORY]))]
    for name, amount in options.other.items():
        command += ["--quantity", f"{name}={amount}"]
    command += ["--logs", str(setting.directory / "logs"), "--artifacts", setting.artifacts_url]
    if options.secrets is not None:
        command += ["--secrets", str(options.secrets)]
    return [*command, "--idle-exit-s", str(options.idle_exit_s)]


def start_early(options: Options, setting: SchedulerSetting) -> None:
    """Start the executor without waiting for it; where one is there already, this one just leaves.

    What goes wrong is told by `Daemon.start`, which waits for it.
    """
    directory = directory_of(options, setting)
    if directory not in _early:
        with contextlib.suppress(OSError):
            _early[directory] = _spawn(directory, command_of(options, setting))


def _spawn(directory: Path, command: Sequence[str]) -> subprocess.Popen[str]:
    directory.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(  # noqa: S603  the interpreter that the settings name
        list(command),
        env={name: value for name, value in os.environ.items() if name not in _MARKS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


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
        try:
            process = _early.pop(self._directory, None) or _spawn(self._directory, self._command)
            _, complaint = process.communicate()
        except (FileExistsError, NotADirectoryError):
            said = "that is not a folder"
        except OSError as error:
            said = f"{error.filename or self._command[0]}: {error.strerror}"
        else:
            if process.returncode in (_STARTED, _ALREADY_THERE):
                return process.returncode == _STARTED
            if process.returncode < 0:
                return False  # killed on its way, which says nothing about the next one
            said = complaint.strip() or f"exit code {process.returncode}"
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
