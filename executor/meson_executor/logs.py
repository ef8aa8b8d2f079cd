r"""Owns logs: what steps write, kept per run in append-only segments with an index, and read back by attempt or by time.

`<logs>/<run>/<executor>.<incarnation>.<n>.log` is a segment. A record in it is a header line and the bytes as they came:

    <instance> <attempt> <stream> <time> <length>\n<bytes>\n        instance: node.index.index…

Beside it, `.idx` has the header of each record with the record's offset, so the output of one attempt is found without
reading that of others. An executor that dies leaves at most a torn last record, which readers pass over, and records
that are not in the index yet, which they find by their headers. A new incarnation begins segments of its own.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import time
from typing import TYPE_CHECKING, Callable, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meson_executor.protocol import Key

STDOUT = "o"
STDERR = "e"
#: What Python code prints in a worker: the same to a reader, but its lines are not to be mixed up with those of a program
#: that the step runs at the same time.
PRINTED = {STDOUT: "O", STDERR: "E"}
#: The step's own logger, `ctx.log`.
LOGGER = "l"
#: What the executor has to say.
MESON = "m"

Instance = tuple[int, ...]

_SEGMENT_SIZE = 8 * 1024 * 1024
#: Runs whose files are kept open; more are opened again when they write.
_MAX_OPEN = 64
#: A line that is longer comes in pieces.
_MAX_LINE = 64 * 1024
_HEADER = re.compile(rb"([\d.]+) (\d+) ([a-zA-Z]) ([\d.]+) (\d+)\n")
_ENTRY = re.compile(rb"^([\d.]+) (\d+) ([a-zA-Z]) ([\d.]+) (\d+) (\d+)$", re.MULTILINE)


def run_folder(logs: str, run_id: str) -> str:
    """The folder with the logs of a run."""
    name = quote(run_id, safe="")
    return os.path.join(logs, "%2E" * len(name) if name in (".", "..") else name)


# --- writing ------------------------------------------------------------------------------------------------------


class _RunLog:
    """The present segment of one run."""

    def __init__(self, folder: str, name: str) -> None:
        self._stem = os.path.join(folder, name)
        self._number = 0
        self._segment = -1
        self._index = -1
        self._size = 0
        self.records: list[bytes] = []
        self.entries: list[bytes] = []
        self._pending = 0

    def add(self, header: bytes, data: bytes) -> None:
        offset = self._size + self._pending
        self.records.append(b"%s %d\n%s\n" % (header, len(data), data))
        self.entries.append(b"%s %d %d\n" % (header, len(data), offset))
        self._pending += len(self.records[-1])

    def flush(self) -> None:
        records, entries = b"".join(self.records), b"".join(self.entries)
        self.records.clear()
        self.entries.clear()
        self._pending = 0
        if self._segment < 0:
            self._open()
        try:
            _write(self._segment, records)
            _write(self._index, entries)
        except OSError:
            # A record that is there in part would put all later ones out of place.
            self.close()
            self._number += 1
            self._size = 0
            raise
        self._size += len(records)
        if self._size >= _SEGMENT_SIZE:
            self.close()
            self._number += 1
            self._size = 0

    def close(self) -> None:
        for fd in (self._segment, self._index):
            if fd >= 0:
                os.close(fd)
        self._segment = self._index = -1

    def _open(self) -> None:
        stem = "%s.%d" % (self._stem, self._number)
        os.makedirs(os.path.dirname(stem), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._segment = os.open(stem + ".log", flags, 0o600)
        self._index = os.open(stem + ".idx", flags, 0o600)


class Logs:
    """Takes what steps write; nothing is on disk for an attempt that writes nothing.

    Args:
        folder: of all logs; a folder per run is made in it.
        name: of this incarnation, the first part of its files' names.
        note: told when logs cannot be written.
    """

    def __init__(self, folder: str, name: str, note: Callable[[str], None]) -> None:
        self._folder = folder
        self._name = quote(name, safe="")
        self._note = note
        self._runs: dict[str, _RunLog] = {}
        self._fresh: dict[str, _RunLog] = {}
        self._failing = False

    def write(self, key: Key, stream: str, at: float, data: bytes) -> None:
        """Take a chunk of output; it is on its way to the disk at the end of the turn."""
        run_id, instance, attempt = key
        run = self._fresh.get(run_id)
        if run is None:
            run = self._fresh[run_id] = self._run(run_id)
        run.add(b"%s %d %s %.6f" % (".".join(map(str, instance)).encode(), attempt, stream.encode(), at), data)

    def note(self, key: Key, text: str) -> None:
        """A line of the executor's own in the log of an attempt."""
        self.write(key, MESON, time.time(), text.encode("utf-8", "replace") + b"\n")

    def flush(self) -> None:
        """Write what came up in this turn."""
        if not self._fresh:
            return
        for run in self._fresh.values():
            try:
                run.flush()
                self._failing = False
            except OSError as error:
                # Losing output is bad; stopping the step for it would be worse.
                if not self._failing:
                    self._note(f"logs cannot be written and are dropped: {error}")
                self._failing = True
        self._fresh.clear()

    def close(self) -> None:
        self.flush()
        for run in self._runs.values():
            run.close()

    def _run(self, run_id: str) -> _RunLog:
        run = self._runs.pop(run_id, None)
        if run is None:
            run = _RunLog(run_folder(self._folder, run_id), self._name)
        elif len(self._runs) >= _MAX_OPEN:
            next(iter(self._runs.values())).close()
        # The ones that wrote last are at the end.
        self._runs[run_id] = run
        return run


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


# --- reading ------------------------------------------------------------------------------------------------------


class Record(NamedTuple):
    """A chunk of output as it came.

    Args:
        at: seconds since the epoch.
        instance: of the step, `(node, *indexes)`.
        attempt: which one.
        stream: STDOUT, STDERR, LOGGER, MESON, or one of PRINTED.
        data: any bytes; a line may go on in the next record of the same stream.
    """

    at: float
    instance: Instance
    attempt: int
    stream: str
    data: bytes


class LogLine(NamedTuple):
    """A line of output, of STDOUT, STDERR, LOGGER or MESON; one of more than 64 KiB comes in pieces."""

    at: float
    instance: Instance
    attempt: int
    stream: str
    text: str


Wanted = Callable[[Instance, int], bool]


class LogReader:
    """Reads the logs of one run, of all executors, while they are being written.

    Args:
        folder: of the run, by `run_folder`.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        #: How far each segment has been read by `news`.
        self._offsets: dict[str, int] = {}

    def news(self, wanted: Wanted | None = None) -> Iterator[Record]:
        """What came since the last call, in the order of time; the first call gives everything.

        Args:
            wanted: says for an instance and attempt whether its output is; None: everything is.
        """
        executors: dict[str, list[str]] = {}
        for stem in self._stems():
            executors.setdefault(stem.rpartition(".")[0], []).append(stem)
        streams = [self._news_of(stems, wanted) for stems in executors.values()]
        return heapq.merge(*streams, key=lambda record: record.at)

    def of(self, instance: Instance, attempt: int | None = None) -> Iterator[Record]:
        """All output of one instance (of one attempt), in the order of time, without reading that of others."""
        number = b"\\d+" if attempt is None else b"%d" % attempt
        name = re.escape(".".join(map(str, instance)).encode())
        pattern = re.compile(rb"^(%s) (%s) ([a-zA-Z]) ([\d.]+) (\d+) (\d+)$" % (name, number), re.MULTILINE)

        def wanted(found: Instance, which: int) -> bool:
            return found == instance and attempt in (None, which)

        found = [record for stem in self._stems() for record in self._segment(stem, 0, wanted, pattern, False)]
        found.sort(key=lambda record: record.at)
        return iter(found)

    def tail(self, instance: Instance, attempt: int, count: int) -> list[LogLine]:
        """The last `count` lines of an attempt."""
        return list(lines(self.of(instance, attempt)))[-count:]

    def _stems(self) -> list[str]:
        """Paths of all segments without their suffix, each executor's in the order in which they were begun."""
        try:
            names = [name[:-4] for name in os.listdir(self._folder) if name.endswith(".idx")]
        except FileNotFoundError:
            return []
        names.sort(key=_age)
        return [os.path.join(self._folder, name) for name in names]

    def _news_of(self, stems: list[str], wanted: Wanted | None) -> Iterator[Record]:
        for stem in stems:
            start = self._offsets.get(stem, 0)
            size = _size(stem + ".log")
            if size > start:
                yield from self._segment(stem, start, wanted, _ENTRY, True)

    def _segment(
        self, stem: str, start: int, wanted: Wanted | None, pattern: re.Pattern[bytes], remember: bool
    ) -> Iterator[Record]:
        try:
            with open(stem + ".idx", "rb") as file:
                index = file.read()
            segment = os.open(stem + ".log", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            size = os.fstat(segment).st_size
            index = index[: index.rfind(b"\n") + 1]
            end = _last_end(index)
            if start < end:
                for match in pattern.finditer(index):
                    offset = int(match.group(6))
                    length = int(match.group(5))
                    header = len(match.group(0)) - len(match.group(6))
                    if offset < start or offset + header + length >= size:
                        continue
                    instance = tuple(map(int, match.group(1).split(b".")))
                    attempt = int(match.group(2))
                    if wanted is None or wanted(instance, attempt):
                        data = os.pread(segment, length, offset + header)
                        yield Record(float(match.group(4)), instance, attempt, match.group(3).decode(), data)
            # What the index does not have yet.
            offset = max(start, min(end, size))
            while True:
                found = _HEADER.match(os.pread(segment, 512, offset))
                if found is None or offset + found.end() + int(found.group(5)) >= size:
                    break
                length = int(found.group(5))
                instance = tuple(map(int, found.group(1).split(b".")))
                attempt = int(found.group(2))
                if wanted is None or wanted(instance, attempt):
                    data = os.pread(segment, length, offset + found.end())
                    yield Record(float(found.group(4)), instance, attempt, found.group(3).decode(), data)
                offset += found.end() + length + 1
            if remember:
                self._offsets[stem] = offset
        finally:
            os.close(segment)


def lines(records: Iterable[Record]) -> Iterator[LogLine]:
    """Whole lines out of records; what has no newline at the end comes last."""
    splitter = LineSplitter()
    for record in records:
        yield from splitter.feed(record)
    yield from splitter.rest()


class LineSplitter:
    """Puts lines together that came in several chunks; keep one per reader that follows."""

    def __init__(self) -> None:
        self._open: dict[tuple[Instance, int, str], tuple[float, bytes]] = {}

    def feed(self, record: Record) -> Iterator[LogLine]:
        """The lines that a record completes."""
        place = (record.instance, record.attempt, record.stream)
        at, before = self._open.pop(place, (record.at, b""))
        parts = (before + record.data).split(b"\n")
        rest = parts.pop()
        for number, part in enumerate(parts):
            for piece in _pieces(part):
                yield _line(record.at if number else at, place, piece)
        if len(rest) > _MAX_LINE:
            cut = len(rest) - len(rest) % _MAX_LINE
            for piece in _pieces(rest[:cut]):
                yield _line(record.at, place, piece)
            rest = rest[cut:]
        if rest:
            self._open[place] = (record.at if parts else at, rest)

    def rest(self) -> Iterator[LogLine]:
        """Lines that have no end so far."""
        for place, (at, data) in self._open.items():
            yield _line(at, place, data.decode("utf-8", "replace"))
        self._open.clear()


def _line(at: float, place: tuple[Instance, int, str], text: str) -> LogLine:
    instance, attempt, stream = place
    return LogLine(at, instance, attempt, stream.lower(), text)


def _pieces(line: bytes) -> Iterator[str]:
    if line.endswith(b"\r"):
        line = line[:-1]
    for start in range(0, max(1, len(line)), _MAX_LINE):
        yield line[start : start + _MAX_LINE].decode("utf-8", "replace")


def _last_end(index: bytes) -> int:
    """Where in the segment the last record of the index ends."""
    last = index[index.rfind(b"\n", 0, -1) + 1 : -1] if index else b""
    match = _ENTRY.match(last)
    if match is None:
        return 0
    return int(match.group(6)) + len(last) - len(match.group(6)) + int(match.group(5)) + 1


def _age(name: str) -> tuple[str, int, int]:
    executor, _, number = name.rpartition(".")
    executor, _, incarnation = executor.rpartition(".")
    with contextlib.suppress(ValueError):
        return executor, int(incarnation), int(number)
    return name, 0, 0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
