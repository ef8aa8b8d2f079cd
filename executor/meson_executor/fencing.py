"""Owns certainty about processes: finding all that an attempt, or an earlier incarnation, has left, and ending it.

Three things tell whose a process is: the markers in its environment, which every descendant inherits; its session, which
survives an environment that was wiped; and a journal of the sessions that were started, with their times, because process
numbers are used again. No process table can be read in one piece, and a process may start another one while it is being
read: so it is read again and again until nothing is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from meson_executor.processes import signal_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_executor.loop import Loop

#: <executor>@<directory>.<incarnation> of whoever started a process.
EXECUTOR_VARIABLE = "MESON_EXECUTOR"
#: Which attempt a process belongs to.
ATTEMPT_VARIABLE = "MESON_ATTEMPT"
#: Which worker or host a process belongs to; these do not end with an attempt.
WORKER_VARIABLE = "MESON_WORKER"

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_MS = 50
#: How often to look at a process whose environment cannot be true, and the pause between two looks.
_LOOKS = 20
_LOOK_AGAIN_S = 0.0005
#: States of processes that have ended.
_ENDED = (b"Z", b"X")
#: Of the fields of `/proc/<pid>/stat` behind the name; see proc(5): flags, env_start, env_end.
_KERNEL_THREAD = 0x00200000
_ENVIRONMENT_BEGINS = 47
_ENVIRONMENT_ENDS = 48


class Found(NamedTuple):
    """A live process.

    Args:
        pid: its number.
        session: number of its session.
        started: clock ticks between the machine's start and its own.
        environment: as it was when its program started; empty when that cannot be read.
    """

    pid: int
    session: int
    started: int
    environment: list[bytes]


def processes(environments: bool = True) -> Iterator[Found]:
    """All live processes that can be seen, but for this one."""
    own = os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != own:
            found = look(int(name), environments)
            if found is not None:
                yield found


def _stat(pid: int) -> list[bytes]:
    """The fields of a process behind its name, which may hold anything."""
    with open("/proc/%d/stat" % pid, "rb") as file:
        return file.read().rpartition(b")")[2].split()


def look(pid: int, environments: bool = True) -> Found | None:
    """One live process, or None; one that has ended and waits to be reaped does not live."""
    try:
        environment = _environment(pid) if environments else b""
        fields = _stat(pid)
        if fields[0] in _ENDED:
            return None
        return Found(pid, int(fields[3]), int(fields[19]), environment.split(b"\0"))
    except (OSError, IndexError):
        return None


def _environment(pid: int) -> bytes:
    for _ in range(_LOOKS):
        fields = _stat(pid)
        try:
            with open("/proc/%d/environ" % pid, "rb") as file:
                environment = file.read()
        except PermissionError:
            break
        if environment or fields[0] in _ENDED or _has_none(fields):
            return environment
        # It is just being given another program, or ends: for that moment it seems to have no environment.
        select.select((), (), (), _LOOK_AGAIN_S)
    return b""


def _has_none(fields: list[bytes]) -> bool:
    """Whether a process whose environment reads as empty really has none: a kernel thread, or begun with `env -i`."""
    if int(fields[6]) & _KERNEL_THREAD or len(fields) <= _ENVIRONMENT_ENDS:
        return True
    begins, ends = fields[_ENVIRONMENT_BEGINS], fields[_ENVIRONMENT_ENDS]
    return begins == ends != b"0"


def end(found: Found, number: int = signal.SIGKILL) -> None:
    """Signal the process that was found, and no other that has got its number since."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        descriptor = _descriptor(found.pid)
        again = look(found.pid, environments=False)
        mine = again is not None and again.started == found.started
        if descriptor is None:
            if mine:
                os.kill(found.pid, number)
            return
        try:
            if mine:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _descriptor(pid: int) -> int | None:
    """A descriptor of a process, where the system has such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def boot_ticks() -> int:
    """Clock ticks since the machine's start, as the times of processes are told."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)


class Journal:
    """The sessions that this incarnation has started, each with the time between which its leader began.

    It is not forced to disk: when the machine goes down, so do its processes.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._lines: list[bytes] = []

    def load(self) -> list[tuple[int, int, int]]:
        """What an earlier incarnation has started: pid and earliest and latest start in clock ticks."""
        rows = []
        try:
            with open(self._path, "rb") as file:
                for line in file:
                    try:
                        pid, earliest, latest = map(int, line.split())
                        rows.append((pid, earliest, latest))
                    except ValueError:
                        continue  # torn
        except FileNotFoundError:
            pass
        return rows

    def begin(self) -> None:
        """Start anew, with this process as the first entry; nothing of what was there lives any more."""
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        me = look(os.getpid(), environments=False)
        if me is not None:
            self.add(me.pid, me.started)
        self.flush()

    def add(self, pid: int, earliest: int) -> None:
        """A session was started just now, and not before `earliest`."""
        self._lines.append(b"%d %d %d\n" % (pid, earliest, boot_ticks()))

    def flush(self) -> None:
        if self._lines:
            # On a full disk the markers alone have to tell.
            with contextlib.suppress(OSError):
                os.write(self._file, b"".join(self._lines))
            self._lines.clear()

    def close(self) -> None:
        os.close(self._file)


def fence(marks: set[bytes], incarnation: int, journal: Journal, note: Callable[[str], None]) -> int:
    """Kill everything that earlier incarnations have left, and return how many that were.

    Returns only when nothing is left: what cannot be killed holds up the executor, and a note says so.

    Args:
        marks: `<executor>@<directory>` of this executor, and of where its directory lay before.
        incarnation: the present one, which has not started anything yet.
        journal: as an earlier incarnation left it.
        note: told what takes long.
    """
    prefix = EXECUTOR_VARIABLE.encode() + b"="
    started = journal.load()
    killed: set[tuple[int, int]] = set()
    began = told = time.monotonic()
    while True:
        sessions = _alive(started)
        left = [
            found for found in processes() if _is_older(found, prefix, marks, incarnation) or found.session in sessions
        ]
        if not left:
            return len(killed)
        for found in left:
            killed.add((found.pid, found.started))
            end(found)
        if time.monotonic() - told > 5:
            told = time.monotonic()
            note(
                "%d s after the start, processes of an earlier incarnation still live: %s"
                % (told - began, sorted(found.pid for found in left))
            )
        _wait_for(left)


def _alive(started: list[tuple[int, int, int]]) -> set[int]:
    """Sessions of the journal whose leader still lives."""
    sessions = set()
    for pid, earliest, latest in started:
        leader = look(pid, environments=False)
        if leader is not None and earliest - 1 <= leader.started <= latest + 1:
            sessions.add(pid)
    return sessions


def _is_older(found: Found, prefix: bytes, marks: set[bytes], incarnation: int) -> bool:
    for entry in found.environment:
        if entry.startswith(prefix):
            mark, _, number = entry[len(prefix) :].rpartition(b".")
            return mark in marks and number != b"%d" % incarnation
    return False


def _wait_for(left: list[Found]) -> None:
    """Wait a moment for the first of them to end."""
    waiting = select.poll()
    descriptor = _descriptor(left[0].pid)
    if descriptor is None:
        waiting.poll(_PATIENCE_MS)
        return
    waiting.register(descriptor, select.POLLIN)
    waiting.poll(_PATIENCE_MS)
    os.close(descriptor)


class _Hunt(NamedTuple):
    session: int
    number: int
    then: Callable[[], None] | None


class Sweeper:
    """Signals all processes of attempts, or waits until none is left, with one look at the process table a turn for all.

    Args:
        loop: where to wait.
        mark: value of this incarnation's executor variable.
    """

    def __init__(self, loop: Loop, mark: str) -> None:
        self._loop = loop
        self._mark = b"%s=%s" % (EXECUTOR_VARIABLE.encode(), mark.encode())
        self._hunts: dict[bytes, _Hunt] = {}
        self._again = False

    def signal(self, marker: str, session: int, number: int) -> None:
        """Signal a session and all that carry the marker.

        Args:
            marker: `VARIABLE=value`.
            session: number of the session; its leader is not reaped yet.
            number: of the signal.
        """
        signal_group(session, number)
        self._hunts[marker.encode()] = _Hunt(session, number, None)

    def clear(self, marker: str, session: int, then: Callable[[], None]) -> None:
        """Kill all that is left of a session whose leader has ended, and call `then` when nothing is."""
        self._hunts[marker.encode()] = _Hunt(session, signal.SIGKILL, then)

    def flush(self) -> None:
        """Look at the process table, if anybody asked for it."""
        if not self._hunts or self._again:
            return
        hunts, self._hunts = self._hunts, {}
        table = list(processes())
        # A session number whose leader has ended is free again once all its members have.
        leaders = {found.pid for found in table}
        sessions = {
            hunt.session: marker for marker, hunt in hunts.items() if hunt.then is None or hunt.session not in leaders
        }
        left: set[bytes] = set()
        for found in table:
            marker = sessions.get(found.session)
            if marker is None and self._mark in found.environment:
                marker = next((entry for entry in found.environment if entry in hunts), None)
            if marker is not None:
                left.add(marker)
                end(found, hunts[marker].number)
        for marker, hunt in hunts.items():
            if hunt.then is None:
                continue
            if marker in left:
                self._hunts.setdefault(marker, hunt)
            else:
                hunt.then()
        if self._hunts:
            # What was killed needs a moment to be gone.
            self._again = True
            self._loop.after(0.005, self._retry)

    def _retry(self) -> None:
        self._again = False
