"""Owns the lease of a cell: who drives it, and the lock that lets only one do so.

The lock is held by an open file, so the kernel gives it back when its holder dies, however it dies. The epoch counts
the holders; commits, launches and kills carry it, and everyone refuses an earlier one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from meson_core.errors import StoreError, StoreLockedError

if TYPE_CHECKING:
    from pathlib import Path


class Holder(msgspec.Struct, frozen=True):
    """Who drives a cell.

    Args:
        name: what it calls itself: "mesonctl serve".
        pid: its process, on `host`.
        since: when it took the lease.
    """

    name: str
    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"{self.name} (process {self.pid} on {self.host}, since {since})"


def this_process(name: str) -> Holder:
    """The holder that a process of this name is."""
    return Holder(name, os.getpid(), socket.gethostname(), time.time())


class LeaseLock(Protocol):
    """Lets one process drive a cell."""

    def take(self, holder: Holder) -> None:
        """Become the holder.

        Raises:
            StoreLockedError: another one is.
        """

    def release(self) -> None:
        """Let go; not held is fine."""

    def holder(self) -> Holder | None:
        """Who holds it now; asking never gets in the way of one who takes it."""


# An open-file-description lock: unlike the older sort it is not lost when some other part of the process closes the
# file, and unlike flock it can be asked for without being taken.
_LOCK = struct.Struct("hhqqi")
_WHOLE_FILE = (os.SEEK_SET, 0, 0, 0)


class FileLock:
    """A lock on a file, which also says who holds it.

    Args:
        path: the file; it is created and stays.
        cell: for messages.
    """

    def __init__(self, path: Path, cell: str) -> None:
        self._path = path
        self._cell = cell
        self._file: int | None = None

    def take(self, holder: Holder) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"the lock of cell {self._cell!r}, {self._path}, cannot be opened: {error.strerror}",
                hint="whoever runs workflows must be able to write there",
            ) from None
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, *_WHOLE_FILE))
        except (BlockingIOError, PermissionError):
            found = _read(file)
            os.close(file)
            raise StoreLockedError(
                f"cell {self._cell!r} is driven by {found or 'another process'}",
                hint="hand your wishes to it, or stop it first",
            ) from None
        except OSError as error:
            os.close(file)
            raise StoreError(
                f"the lock of cell {self._cell!r}, {self._path}, cannot be taken: {error.strerror}",
                hint="the store must lie on a file system that has locks, on a disk of this machine",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(holder) + b"\n", 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def holder(self) -> Holder | None:
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                f"the lock of cell {self._cell!r}, {self._path}, cannot be read: {error.strerror}",
                hint="whoever looks at runs must be able to read there",
            ) from None
        try:
            asked = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _LOCK.pack(fcntl.F_WRLCK, *_WHOLE_FILE))
            if _LOCK.unpack(asked)[0] == fcntl.F_UNLCK:
                return None
            return _read(file) or Holder("another process", 0, "", 0.0)
        finally:
            os.close(file)


def _read(file: int) -> Holder | None:
    # Between taking the lock and writing the name there is a moment in which the file is empty.
    try:
        return msgspec.json.decode(os.pread(file, 4096, 0), type=Holder)
    except msgspec.DecodeError:
        return None


class Lease:
    """The right to drive a cell, while this process lives and nobody has taken over.

    Args:
        cell: the cell.
        epoch: number of this holder; commits carry it.
        lock: what is held.
    """

    def __init__(self, cell: str, epoch: int, lock: LeaseLock) -> None:
        self.cell = cell
        self.epoch = epoch
        #: Whether it was not given back yet; whether it was taken over is known to the store only.
        self.held = True
        self._lock = lock

    def release(self) -> None:
        """Let another process drive the cell; twice is fine."""
        self.held = False
        self._lock.release()
