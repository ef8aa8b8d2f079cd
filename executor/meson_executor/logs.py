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
PRINTED_STDOUT = "O"
PRINTED_STDERR = "E"
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
#: Seconds within which records of one executor may be out of order.
_LATE_S = 1.0
_HEADER = re.compile(rb"([\d.]+) (\d+) ([a-zA-Z]) ([\d.]+) (\d+)\n")
_ENTRY = re.compile(rb"^([\d.]+) (\d+) ([a-zA-Z]) ([\d.]+) (\d+) (\d+)$", re.MULTILINE)


def run_folder(logs: str, run_id: str) -> str:
    """The folder with the logs of a run."""
    name = quote(run_id, safe="")
    return os.path.join(logs, "%2E" * len(name) if name in (".", "..") else name)


# --- writing ------------------------------------------------------------------------------------------------------


class _RunLog:
    """What one run has written and is not on disk yet, and the segment that it goes to."""

    def __init__(self, folder: str, name: str) -> None:
        self._stem = os.path.join(folder, name)
        self._number = 0
        self._segment = -1
        self._index = -1
        self._size = 0
        self._chunks: list[tuple[bytes, bytes]] = []

    def add(self, header: bytes, data: bytes) -> None:
        self._chunks.append((header, data))

    def flush(self) -> None:
        chunks, self._chunks = self._chunks, []
        try:
            if self._segment < 0:
                self._open()
            records, entries = [], []
            size = self._size
            for header, data in chunks:
                records.append(b"%s %d\n%s\n" % (header, len(data), data))
                entries.append(b"%s %d %d\n" % (header, len(data), size))
                size += len(records[-1])
            _write(self._segment, b"".join(records))
            _write(self._index, b"".join(entries))
        except OSError:
            # A record that is there in part would put all later ones out of place.
            self.close()
            self._number += 1
            raise
        self._size = size
        if size >= _SEGMENT_SIZE:
            self.close()
            self._number += 1

    def close(self) -> None:
        """Close the files; a run that writes again goes on where it was."""
        for fd in (self._segment, self._index):
            if fd >= 0:
                os.close(fd)
        self._segment = self._index = -1

    def _open(self) -> None:
        while os.path.exists("%s.%d.log" % (self._stem, self._number + 1)):
            self._number += 1
        stem = "%s.%d" % (self._stem, self._number)
        os.makedirs(os.path.dirname(stem), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._segment = os.open(stem + ".log", flags, 0o600)
        self._index = os.open(stem + ".idx", flags, 0o600)
        self._size = os.fstat(self._segment).st_size


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
        self._fresh: dict[str, _RunLog] = {}
        self._open: dict[str, _RunLog] = {}
        self._failing = False

    def write(self, key: Key, stream: str, at: float, data: bytes) -> None:
        """Take a chunk of output; it is on its way to the disk at the end of the turn."""
        run_id, instance, attempt = key
        run = self._fresh.get(run_id)
        if run is None:
            run = self._open.get(run_id) or _RunLog(run_folder(self._folder, run_id), self._name)
            self._fresh[run_id] = run
        run.add(b"%s %d %s %.6f" % (".".join(map(str, instance)).encode(), attempt, stream.encode(), at), data)

    def note(self, key: Key, text: str) -> None:
        """A line of the executor's own in the log of an attempt."""
        self.write(key, MESON, time.time(), text.encode("utf-8", "replace") + b"\n")

    def flush(self) -> None:
        """Write what came up in this turn."""
        if not self._fresh:
            return
        for run_id, run in self._fresh.items():
            # The ones that wrote last are at the end.
            self._open.pop(run_id, None)
            self._open[run_id] = run
            try:
                run.flush()
                self._failing = False
            except OSError as error:
                # Losing output is bad; stopping the step for it would be worse.
                if not self._failing:
                    self._note("logs cannot be written and are dropped: %s" % error)
                self._failing = True
        self._fresh.clear()
        while len(self._open) > _MAX_OPEN:
            self._open.pop(next(iter(self._open))).close()

    def close(self) -> None:
        self.flush()
        for run in self._open.values():
            run.close()


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
        stream: one of the codes above.
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
        #: How far `news` has read: positions in index and segment, by segment.
        self._read: dict[str, tuple[int, int]] = {}

    def news(self, wanted: Wanted | None = None) -> Iterator[Record]:
        """What came since the last call, in the order of time; the first call gives everything.

        Args:
            wanted: says for an instance and attempt whether its output is; None: everything is.
        """
        return self._merged(lambda stem: self._news_of(stem, wanted))

    def of(self, instance: Instance, attempt: int | None = None) -> Iterator[Record]:
        """All output of one instance (of one attempt), in the order of time, without reading that of others."""

        def records(stem: str) -> Iterator[Record]:
            with _Segment(stem) as segment:
                for entry in segment.entries(_pattern(instance, attempt)):
                    yield segment.record(entry)

        return self._merged(records)

    def tail(self, instance: Instance, attempt: int, count: int) -> list[LogLine]:
        """The last `count` lines of an attempt, without reading those before."""
        found: list[Record] = []
        newlines = 0
        for stem in reversed(self._stems()):
            with _Segment(stem) as segment:
                for entry in reversed(list(segment.entries(_pattern(instance, attempt)))):
                    found.append(segment.record(entry))
                    newlines += found[-1].data.count(b"\n")
                    if newlines > count:
                        break
            if newlines > count:
                break
        found.reverse()
        found.sort(key=_time)
        return list(lines(found))[-count:]

    def _merged(self, read: Callable[[str], Iterator[Record]]) -> Iterator[Record]:
        executors: dict[str, list[str]] = {}
        for stem in self._stems():
            executors.setdefault(stem.rpartition(".")[0], []).append(stem)
        streams = [_ordered(record for stem in stems for record in read(stem)) for stems in executors.values()]
        return heapq.merge(*streams, key=_time)

    def _stems(self) -> list[str]:
        """Paths of all segments without their suffix, each executor's in the order in which they were begun."""
        try:
            names = [name[:-4] for name in os.listdir(self._folder) if name.endswith(".log")]
        except FileNotFoundError:
            return []
        names.sort(key=_age)
        return [os.path.join(self._folder, name) for name in names]

    def _news_of(self, stem: str, wanted: Wanted | None) -> Iterator[Record]:
        start = self._read.get(stem, (0, 0))
        if os.stat(stem + ".log").st_size <= start[1]:
            return
        with _Segment(stem, start) as segment:
            for entry in segment.entries(_ENTRY):
                if wanted is None or wanted(entry.instance, entry.attempt):
                    yield segment.record(entry)
            self._read[stem] = segment.position


class _Entry(NamedTuple):
    at: float
    instance: Instance
    attempt: int
    stream: str
    length: int
    start: int


class _Segment:
    """An open segment, read from some position on; use it in a with-statement.

    Attributes:
        position: in index and segment, behind what `entries` has gone through.
    """

    def __init__(self, stem: str, position: tuple[int, int] = (0, 0)) -> None:
        self.position = position
        self._fd = os.open(stem + ".log", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with open(stem + ".idx", "rb") as file:
                file.seek(position[0])
                index = file.read()
        except FileNotFoundError:
            index = b""
        self._index = index[: index.rfind(b"\n") + 1]

    def __enter__(self) -> _Segment:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)

    def entries(self, pattern: re.Pattern[bytes]) -> Iterator[_Entry]:
        """What matches, out of the index, and then what the index does not have yet."""
        size = os.fstat(self._fd).st_size
        start = self.position[1]
        for match in pattern.finditer(self._index):
            entry = _entry(match, int(match.group(6)), len(match.group(0)) - len(match.group(6)))
            # What the last call found behind the index is in it now; what is torn is in the index alone.
            if start <= int(match.group(6)) and entry.start + entry.length < size:
                yield entry
        offset = max(start, min(_end_of(self._index), size))
        while True:
            header = _HEADER.match(os.pread(self._fd, 512, offset))
            if header is None:
                break
            entry = _entry(header, offset, header.end())
            end = entry.start + entry.length + 1
            if end > size:
                break
            if pattern is _ENTRY or pattern.match(b"%s %d" % (header.group(0)[:-1], offset)):
                yield entry
            offset = end
        self.position = (self.position[0] + len(self._index), offset)

    def record(self, entry: _Entry) -> Record:
        data = os.pread(self._fd, entry.length, entry.start)
        return Record(entry.at, entry.instance, entry.attempt, entry.stream, data)


def _entry(match: re.Match[bytes], offset: int, header: int) -> _Entry:
    instance, attempt, stream, at, length = match.groups()[:5]
    return _Entry(
        float(at), tuple(map(int, instance.split(b"."))), int(attempt), stream.decode(), int(length), offset + header
    )


def _pattern(instance: Instance, attempt: int | None) -> re.Pattern[bytes]:
    """The index entries of one instance, of one attempt or all."""
    name = re.escape(".".join(map(str, instance)).encode())
    number = rb"\d+" if attempt is None else b"%d" % attempt
    return re.compile(rb"^(%s) (%s) ([a-zA-Z]) ([\d.]+) (\d+) (\d+)$" % (name, number), re.MULTILINE)


def _end_of(index: bytes) -> int:
    """Where in the segment the last record of the index ends."""
    last = _ENTRY.match(index[index.rfind(b"\n", 0, -1) + 1 : -1])
    if last is None:
        return 0
    header = len(last.group(0)) - len(last.group(6))
    return int(last.group(6)) + header + int(last.group(5)) + 1


def _time(record: Record) -> float:
    return record.at


def _ordered(records: Iterable[Record]) -> Iterator[Record]:
    """Records by their times; what Python code prints arrives a little later than it was printed."""
    waiting: list[tuple[float, int, Record]] = []
    for number, record in enumerate(records):
        heapq.heappush(waiting, (record.at, number, record))
        while waiting[0][0] < record.at - _LATE_S:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _age(name: str) -> tuple[str, int, int]:
    executor, _, number = name.rpartition(".")
    executor, _, incarnation = executor.rpartition(".")
    with contextlib.suppress(ValueError):
        return executor, int(incarnation), int(number)
    return name, 0, 0


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
