"""Owns the wake-up beside a file: who waits for news is woken by a datagram, and looks slowly by himself as well.

Each who waits binds a socket in a folder of its topic; who has news sends an empty datagram to every socket there. A
datagram says only "look": what is new is in the store. So a lost, doubled or late one does no harm, and none has to be
stored for those who are away.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import time
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: "wishes": something came into the inbox. "log": a log grew, or a wish was answered.
Topic: TypeAlias = Literal["wishes", "log"]

#: Seconds after which a waiter looks by himself: with a socket, in case the one who had news died before he told;
#: without one (a file system that has no sockets), because nobody will tell.
WOKEN_S = 5.0
UNWOKEN_S = 1.0

# The kernel's limit for the path of a socket, with the zero at its end.
_MAX_PATH = 108
_numbers = itertools.count()


class Subscription(Protocol):
    """Somebody who waits for news."""

    #: Seconds after which to look by oneself, woken or not.
    look_s: float

    def fileno(self) -> int:
        """A file descriptor that is readable when there is news; -1 when nobody will tell."""

    def drain(self) -> None:
        """Take note of the news so far; call it before you look."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for news, at most so many seconds and never longer than `look_s`; whether there was any. Drains."""

    def close(self) -> None:
        """Wait no more; twice is fine."""


class WakeUp(Protocol):
    """How the processes of one store tell each other that there is something to read."""

    def notify(self, topic: Topic) -> None:
        """There is news."""

    def subscribe(self, topic: Topic) -> Subscription:
        """Wait for news from now on."""

    def close(self) -> None:
        """Tell nothing more."""


class SocketWakeUp:
    """Wake-up by unix datagram sockets in a folder.

    Args:
        folder: where the sockets lie, in one folder for each topic.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sender: socket.socket | None = None
        # Strings, not paths: a commit should not pay for what paths can do.
        self._folders: dict[Topic, str] = {topic: str(folder / topic) for topic in get_args(Topic)}
        self._listings: dict[Topic, tuple[int, list[Path]]] = {}

    def notify(self, topic: Topic) -> None:
        for path in self._waiting(topic):
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                with _short(path) as address:
                    self._sender.sendto(b"", address)
            except BlockingIOError:
                # It has news enough to be awake.
                continue
            except (ConnectionRefusedError, FileNotFoundError):
                # Its owner died. A socket that is bound is never refused, so nobody else's is taken away.
                with contextlib.suppress(OSError):
                    path.unlink()
            except OSError:
                continue

    def _waiting(self, topic: Topic) -> list[Path]:
        folder = self._folders[topic]
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
        except OSError:
            return []
        known = self._listings.get(topic)
        # A folder that changed within the clock's last ticks may change again without its time telling.
        if known is None or known[0] != changed or time.time_ns() - changed < 20_000_000:
            try:
                known = self._listings[topic] = (changed, list((self._folder / topic).iterdir()))
            except OSError:
                return []
        return known[1]

    def subscribe(self, topic: Topic) -> Subscription:
        path = self._folder / topic / f"{os.getpid()}-{next(_numbers)}"
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            with _short(path) as address:
                bound.bind(address)
        except OSError:
            bound.close()
            return _Unwoken()
        return _Woken(bound, path)

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path of a socket in a form that the kernel takes, however deep the folder lies."""
    if len(os.fsencode(path)) < _MAX_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class _Woken:
    """Woken through a socket."""

    look_s = WOKEN_S

    def __init__(self, bound: socket.socket, path: Path) -> None:
        self._socket = bound
        self._path = path

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def wait(self, timeout_s: float) -> bool:
        woken, _, _ = select.select([self._socket], [], [], max(0.0, min(timeout_s, self.look_s)))
        self.drain()
        return bool(woken)

    def close(self) -> None:
        if self._socket.fileno() != -1:
            self._socket.close()
            with contextlib.suppress(OSError):
                self._path.unlink()


class _Unwoken:
    """Looks by himself only."""

    look_s = UNWOKEN_S

    def fileno(self) -> int:
        return -1

    def drain(self) -> None:
        return

    def wait(self, timeout_s: float) -> bool:
        select.select([], [], [], max(0.0, min(timeout_s, self.look_s)))
        return False

    def close(self) -> None:
        return
