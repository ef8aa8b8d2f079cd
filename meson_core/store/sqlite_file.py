"""Owns the file of a SQLite store: how it comes to be in one piece, how damage is noticed, and what is said about it."""

from __future__ import annotations

import os
import sqlite3
import struct
from typing import TYPE_CHECKING

from meson_core.errors import StoreCorruptError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Marks the file as a store of Meson ("MESN").
APPLICATION_ID = 0x4D45534E

#: A file up to this size is checked as a whole when it is opened to be written: some milliseconds.
CHECKED_BYTES = 2 * 1024 * 1024

_MAGIC = b"SQLite format 3\0"
_RESTORE = "restore it from a backup; or move it and its -wal file away, and begin with an empty store"


def wal(path: Path) -> Path:
    """The write-ahead log of a database file."""
    return path.with_name(path.name + "-wal")


def create(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a new database that is there as a whole or not at all, whoever else does the same at this moment.

    Args:
        path: where it is to be; when somebody was faster, theirs stays.
        fill: creates the tables in a database at a path of its own.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(exist_ok=False)
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            # Nobody knows the draft yet: one fsync before it gets its name is enough.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        fill(draft)
        _fsync(draft)
        _name(draft, path)
        _fsync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _name(draft: Path, path: Path) -> None:
    """Give the draft its name, unless somebody was faster."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links: here two who begin at the same moment may not see each other.
        if not path.exists():
            draft.rename(path)


def _fsync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def inspect(path: Path) -> None:
    """Look at the first bytes of a database file, which is enough to notice the grossest damages.

    Raises:
        StoreCorruptError: not a whole database.
        StoreError: not a store, or not to be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be read: {error.strerror}", hint="see that it is a file that you may read"
        ) from None
    if len(head) < 100 or not head.startswith(_MAGIC):
        what = "is empty" if not size else "is not a database"
        raise StoreCorruptError(f"the store {path} {what} ({size} bytes)", hint=_RESTORE)
    (application,) = struct.unpack(">I", head[68:72])
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a database, but not a store of Meson", hint="name the folder of your project")
    (page,) = struct.unpack(">H", head[16:18])
    (pages,) = struct.unpack(">I", head[28:32])
    expected = (65536 if page == 1 else page) * pages
    # While there is a write-ahead log, the file may lag behind what its first page says.
    if size < expected and not _has_content(wal(path)):
        raise StoreCorruptError(f"the store {path} is cut off: {size} bytes of {expected} are there", hint=_RESTORE)


def judge(path: Path, verdict: str | None) -> None:
    """Take the answer of SQLite's own check.

    Raises:
        StoreCorruptError: it is not "ok".
    """
    if verdict != "ok":
        raise StoreCorruptError(f"the store {path} is damaged: {_one_line(verdict or 'no answer')}", hint=_RESTORE)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _one_line(text: str) -> str:
    return " ".join(text.split())


def explain(path: Path, error: sqlite3.Error | None) -> StoreError:
    """What an error of SQLite means, and what to do about it.

    Args:
        path: the database.
        error: None for an error that the driver did not raise by name.
    """
    place = f"the store {path}"
    # The lower byte is the class of the error, the rest its finer sort.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    told = _one_line(str(error)) if error is not None else "an unknown error"
    match code:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreCorruptError(f"{place} is damaged: {told}", hint=_RESTORE)
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"{place} cannot grow: the disk is full",
                hint=f"free space on the disk of {path.parent}; what was written before is safe",
            )
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"{place} cannot be read or written: {told}",
                hint=f"see to the disk of {path.parent} (space, quota, hardware); what was written before is safe",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreError(
                f"{place} cannot be written to: {told}", hint=f"make {path} and its folder writable for this user"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"{place} cannot be opened: {told}", hint=f"see that {path.parent} exists and is yours")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                f"{place} is held by another process for too long: {told}",
                hint="see whether a backup or another tool has it open, and try again",
            )
        case sqlite3.SQLITE_ERROR if told.startswith("no such "):
            return StoreCorruptError(f"{place} is not whole: {told}", hint=_RESTORE)
        case _:
            return StoreError(f"{place} refused: {told}")
