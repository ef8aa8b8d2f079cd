"""Owns the spool: the file that keeps facts until they are in the orchestrator's log.

Each record is a line: a checksum and a JSON array `[first sequence number, [fact, ...]]`. A record without facts says where
the numbers go on. Everything is written at once, so that the facts survive the executor; it is forced to disk only while no
orchestrator is there to keep it better.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes after which what was acknowledged is cut off.
_COMPACT_AT = 4 * 1024 * 1024


class Spooled(NamedTuple):
    """What a spool was found to hold.

    Args:
        facts: with their numbers, oldest first.
        last: the last number that was given to a fact.
        notes: what was damaged, for people.
    """

    facts: list[tuple[int, Any]]
    last: int
    notes: list[str]


class Spool:
    """An open spool.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._size = 0
        self._limit = _COMPACT_AT
        self._dirty = False
        #: False after a failed write: the file lacks something until it is rewritten whole.
        self.complete = False

    def load(self) -> Spooled:
        """Read what an earlier incarnation left; never fails on what is in the file.

        A last record that was torn by a crash is dropped; a damaged one before others is kept aside in a copy.
        """
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            data = b""
        lines = data.split(b"\n")
        tail = lines.pop()
        facts: list[tuple[int, Any]] = []
        last = 0
        bad: list[int] = []
        for number, line in enumerate(lines):
            try:
                first, found = _parse(line)
            except ValueError:
                bad.append(number)
                continue
            facts.extend(enumerate(found, first))
            last = max(last, first + len(found) - 1)
        notes = []
        torn = bool(tail) or (bool(bad) and bad[-1] == len(lines) - 1)
        if torn:
            notes.append("the spool's last record was torn by a crash and is dropped")
        if len(bad) > (1 if torn and not tail else 0):
            aside = self._path + ".damaged"
            with open(aside, "wb") as file:
                file.write(data)
            notes.append(
                "the spool was damaged: %d of %d records cannot be read and their facts are lost; a copy is kept in %s"
                % (len(bad), len(lines), aside)
            )
        return Spooled(facts, last, notes)

    def append(self, first: int, body: bytes) -> None:
        """Write one record; `body` is the facts as JSON, separated by commas.

        Raises:
            OSError: the disk is full or gone; the file is as it was before.
        """
        line = _record(first, body)
        try:
            _write(self._fd, line)
        except OSError:
            self.complete = False
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)
        self._dirty = True

    def sync(self) -> None:
        """Force to disk what was written."""
        if self._dirty:
            os.fdatasync(self._fd)
            self._dirty = False

    @property
    def due(self) -> bool:
        """Whether most of the file is likely to be acknowledged, or something is missing in it: time to rewrite it."""
        return self._size > self._limit or not self.complete

    def rewrite(self, following: int, runs: Iterable[tuple[int, bytes]], sync: bool) -> None:
        """Replace the file by one that holds just these facts.

        Args:
            following: the number that the next new fact gets.
            runs: facts without a gap in their numbers: the first number, and their JSON separated by commas.
            sync: whether to force it to disk.

        Raises:
            OSError: the disk is full or gone; the old file is still there.
        """
        lines = b"".join([_record(first, body) for first, body in runs]) + _record(following, b"")
        aside = self._path + ".new"
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, lines)
            if sync:
                os.fdatasync(fd)
            os.rename(aside, self._path)
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd = fd
        self._size = len(lines)
        self._limit = max(_COMPACT_AT, 2 * self._size)
        self._dirty = not sync
        self.complete = True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _record(first: int, body: bytes) -> bytes:
    payload = b"[%d,[%s]]" % (first, body)
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def _parse(line: bytes) -> tuple[int, list[Any]]:
    checksum, _, payload = line.partition(b" ")
    if int(checksum, 16) != zlib.crc32(payload):
        raise ValueError("checksum")
    first, facts = json.loads(payload)
    return first, facts


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
