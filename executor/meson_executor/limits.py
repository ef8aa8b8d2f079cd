"""Owns memory limits: a control group of its own for an attempt where the system allows that, else a watch.

A control group is exact: the kernel itself ends what goes over. Where groups cannot be made (no delegated hierarchy), the
resident memory of the attempt's session is added up a few times a second, and the executor ends it.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Callable

from meson_executor.fencing import processes

if TYPE_CHECKING:
    from meson_executor.loop import Loop
    from meson_executor.orders import Attempt

#: Seconds between two looks at the memory of watched sessions.
_WATCH_S = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Enters the group before the program begins, so that all of it counts; `$0` is the group's list of processes.
_ENTER = b'echo $$ > "$0" && exec "$@"'


class Guard:
    """The memory limit of one attempt.

    Args:
        limits: which watches, where there is no group.
        attempt: whose limit it is.
        group: folder of its control group, or None.
    """

    __slots__ = ("_attempt", "_group", "_limits", "_session")

    def __init__(self, limits: MemoryLimits, attempt: Attempt, group: str | None) -> None:
        self._limits = limits
        self._attempt = attempt
        self._group = group
        self._session = 0

    def enter(self, path: str, argv: list[bytes]) -> tuple[str, list[bytes]]:
        """The program to start so that all of this one is inside."""
        if self._group is None:
            return path, argv
        entry = os.fsencode(os.path.join(self._group, "cgroup.procs"))
        return "/bin/sh", [b"sh", b"-c", _ENTER, entry, os.fsencode(path), *argv[1:]]

    def watch(self, session: int) -> None:
        """The attempt runs in this session."""
        self._session = session
        if self._group is None:
            self._limits.watch(session, self._attempt)

    def exceeded(self) -> bool:
        """Whether the kernel ended a process of the group for its memory."""
        if self._group is None:
            return False
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError), open(os.path.join(self._group, name), encoding="ascii") as file:
                match = re.search(r"^oom_kill (\d+)$", file.read(), re.MULTILINE)
                return match is not None and match.group(1) != "0"
        return False

    def close(self) -> None:
        """The attempt has ended."""
        if self._group is None:
            self._limits.unwatch(self._session)
        else:
            self._limits.discard(self._group)


class MemoryLimits:
    """Sets and watches memory limits.

    Args:
        loop: where to wait.
        name: what the groups of this executor are called after, whatever its incarnation; those of earlier ones, whose
            processes are gone, are removed.
        exceed: called with an attempt that uses too much.
        group: folder of the control group to make others in; None to look for it, "" to do without.
    """

    def __init__(self, loop: Loop, name: str, exceed: Callable[[Attempt], None], group: str | None = None) -> None:
        self._loop = loop
        self._name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self._exceed = exceed
        self._parent = _own_group() if group is None else group
        self._count = 0
        if self._parent:
            with contextlib.suppress(OSError):
                for folder in os.listdir(self._parent):
                    if folder.startswith(self._name + "-"):
                        _remove(os.path.join(self._parent, folder))
        self._watched: dict[int, Attempt] = {}
        self._watching = False
        self._emptied: list[str] = []

    def guard(self, attempt: Attempt) -> Guard:
        """The guard of an attempt; let its program `enter` before it begins."""
        return Guard(self, attempt, self._make_group(attempt.template.memory) if self._parent else None)

    def watch(self, session: int, attempt: Attempt) -> None:
        self._watched[session] = attempt
        if not self._watching:
            self._watching = True
            self._loop.after(_WATCH_S, self._look)

    def unwatch(self, session: int) -> None:
        self._watched.pop(session, None)

    def discard(self, group: str) -> None:
        """Remove a group; one that still has processes, later."""
        self._emptied.append(group)
        self.tidy()

    def tidy(self) -> None:
        """Remove the groups that have become empty."""
        self._emptied = [group for group in self._emptied if not _remove(group)]

    def _make_group(self, memory: int) -> str | None:
        self._count += 1
        group = os.path.join(self._parent or "", "%s-%d" % (self._name, self._count))
        try:
            os.mkdir(group)
        except OSError:
            self._parent = ""
            return None
        try:
            if os.path.exists(os.path.join(group, "memory.max")):
                _put(group, "memory.max", memory)
                with contextlib.suppress(OSError):
                    _put(group, "memory.swap.max", 0)
                    _put(group, "memory.oom.group", 1)
            else:
                _put(group, "memory.limit_in_bytes", memory)
                with contextlib.suppress(OSError):
                    _put(group, "memory.memsw.limit_in_bytes", memory)
        except OSError:
            # No memory controller here, or not for us.
            _remove(group)
            self._parent = ""
            return None
        return group

    def _look(self) -> None:
        self._watching = False
        if not self._watched:
            return
        used: dict[int, int] = {}
        for found in processes(environments=False):
            if found.session in self._watched:
                used[found.session] = used.get(found.session, 0) + _resident(found.pid)
        for session, amount in used.items():
            attempt = self._watched[session]
            if amount > attempt.template.memory and attempt.stopping is None:
                self._exceed(attempt)
        self._watching = True
        self._loop.after(_WATCH_S, self._look)


def _own_group() -> str:
    """Folder of the memory control group that this process is in, or "" when there is none to be written."""
    mounts: dict[str, str] = {}
    groups: dict[str, str] = {}
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            for line in file:
                _, place, kind, options, *_ = line.split(" ")
                if kind == "cgroup2":
                    mounts[""] = place
                elif kind == "cgroup" and "memory" in options.split(","):
                    mounts["memory"] = place
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                for name in controllers.split(","):
                    groups[name] = path
    except (OSError, ValueError):
        return ""
    for name in ("memory", ""):
        if name in mounts and name in groups:
            folder = mounts[name] + groups[name].rstrip("/")
            ready = os.path.exists(os.path.join(folder, "memory.limit_in_bytes")) or _delegated(folder)
            if ready and os.access(folder, os.W_OK):
                return folder
    return ""


def _delegated(folder: str) -> bool:
    """Whether groups in this one have a memory controller (version 2 only)."""
    try:
        with open(os.path.join(folder, "cgroup.subtree_control"), encoding="ascii") as file:
            return "memory" in file.read().split()
    except OSError:
        return False


def _put(group: str, name: str, value: int) -> None:
    with open(os.path.join(group, name), "w", encoding="ascii") as file:
        file.write(str(value))


def _remove(group: str) -> bool:
    try:
        os.rmdir(group)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _resident(pid: int) -> int:
    try:
        with open("/proc/%d/statm" % pid, "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
