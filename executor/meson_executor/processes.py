"""Owns processes as such: starting one in a session of its own, and hearing of its end.

`posix_spawn` starts a process without copying the executor's page tables, and reports a program that is not there as an
`OSError` of the caller. A process descriptor tells the end of a process in the same wait as everything else; where the
system has none, SIGCHLD does.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_executor.loop import Loop

#: Seconds between two looks at a process of which nothing else tells.
_LOOK_S = 0.05
#: Signals that Python ignores in this process and that a program must not inherit as ignored.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


class Spawner:
    """Starts processes. The executor's own working folder is wherever the last one began."""

    def __init__(self) -> None:
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def spawn(
        self,
        path: str,
        argv: list[bytes],
        env: Mapping[bytes, bytes],
        cwd: str,
        out: int,
        err: int,
    ) -> int:
        """Start a program as the leader of a new session, with no input, and return its pid.

        Only `out`, `err` and descriptors that are inheritable get there.

        Raises:
            OSError: the program or the folder is not there, or the system has no room for a process.
            ValueError: an argument or variable that no process can have (a NUL byte).
        """
        # posix_spawn has no argument for it.
        os.chdir(cwd)
        return os.posix_spawn(
            path,
            argv,
            env,
            file_actions=(
                (os.POSIX_SPAWN_DUP2, self._null, 0),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, err, 2),
            ),
            setsid=True,
            setsigmask=(),
            setsigdef=_RESTORED,
        )

    def close(self) -> None:
        os.close(self._null)


class Reaper:
    """Tells the ends of processes that lead a session, and leaves nothing of their process group behind."""

    def __init__(self, loop: Loop, descriptors: bool = hasattr(os, "pidfd_open")) -> None:
        self._loop = loop
        self._descriptors = descriptors and _has_pidfd()
        self._children: dict[int, Callable[[int], None]] = {}
        if not self._descriptors:
            loop.on_signal(signal.SIGCHLD, self._on_child)

    def watch(self, pid: int, on_end: Callable[[int], None]) -> None:
        """Call `on_end(status)`, as of `waitpid`, when the process has ended."""
        if not self._descriptors:
            self._children[pid] = on_end
            return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            # Too many open files: the process is there all the same, so look after it in the old way.
            self._loop.after(_LOOK_S, lambda: self._look(pid, on_end))
            return

        def ended(_events: int) -> None:
            self._loop.close(descriptor)
            on_end(_reap(pid))

        self._loop.watch(descriptor, ended)

    def _look(self, pid: int, on_end: Callable[[int], None]) -> None:
        if _has_ended(pid):
            on_end(_reap(pid))
        else:
            self._loop.after(_LOOK_S, lambda: self._look(pid, on_end))

    def _on_child(self) -> None:
        for pid, on_end in list(self._children.items()):
            if _has_ended(pid):
                del self._children[pid]
                on_end(_reap(pid))


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _reap(pid: int) -> int:
    # While its leader is not reaped, the number of the group cannot belong to anybody else.
    signal_group(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def signal_group(leader: int, number: int) -> None:
    """Signal a process group, whether or not it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def signal_process(pid: int, number: int) -> None:
    """Signal one process, which is not reaped yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def signal_name(number: int) -> str:
    """Its name, as in "SIGSEGV"; real-time signals have numbers only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
