"""Owns the progress file of a program: lines that say how far it is, and facts that it wants known.

A line is `0.35 reading the ratings`, `35%`, or a JSON object: `{"progress": 0.35, "message": "…"}`, `{"emit": name, "value": …}`,
`{"link": name, "url": …}`, `{"failure": message, "traceback": "…", "reason": "…"}`. What is none of these counts as a
message, so that any text does. A failure is told if the program then ends with another exit code than 0; its reason is
one of `REASONS`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from typing import Any, NamedTuple

#: Bytes taken at once; a program that writes more is read on at the next look.
_MAX_READ = 1024 * 1024
_MAX_MESSAGE = 500
#: Largest value that may be emitted, in characters of JSON.
MAX_EMITTED = 64 * 1024
#: What a program may say of its own failure → whose it is. "launch" is: this machine lacks what the program needs.
REASONS = {"exception": "user", "out of memory": "user", "launch": "platform"}
_MAX_FAILURE = 2000
_MAX_TRACEBACK = 32 * 1024
_FRACTION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(%?)(?:\s+(.*))?\Z", re.DOTALL)

_dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Failure(NamedTuple):
    """What a program says of its own failure.

    Args:
        reason: one of `REASONS`.
        message: one line.
        traceback: of the author's own code; None where it has none to tell.
    """

    reason: str
    message: str
    traceback: str | None


class News(NamedTuple):
    """What was written since the last look.

    Args:
        fraction: 0 to 1, the latest; None for no news.
        message: the latest; None for no news.
        facts: emitted values and links, as the fields of facts.
        failure: why it is about to end badly, the latest; None for no news.
    """

    fraction: float | None
    message: str | None
    facts: list[str]
    failure: Failure | None = None


_NOTHING = News(None, None, [])


class ProgressFile:
    """Reads what a program appends to its progress file.

    Args:
        path: of the file, which need not be there.
    """

    __slots__ = ("_offset", "_path", "_rest", "more", "there")

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        #: Whether it has come to be.
        self.there = False
        #: Whether there may be more than the last look has taken.
        self.more = False

    def read(self, last: bool = False) -> News:
        """What is new; `last`: the program has ended, so an unfinished line is one, unless there is `more`."""
        self.more = False
        try:
            data = read_some(self._path, self._offset, _MAX_READ)
        except FileNotFoundError:
            return _NOTHING
        except OSError:
            self.there = True
            return _NOTHING
        self.there = True
        self._offset += len(data)
        lines = (self._rest + data).split(b"\n")
        self.more = len(data) == _MAX_READ
        self._rest = b"" if last and not self.more else lines.pop()[-_MAX_READ:]
        fraction: float | None = None
        message: str | None = None
        facts: list[str] = []
        failure: Failure | None = None
        for line in lines:
            news = parse(line.decode("utf-8", "replace").strip())
            fraction = fraction if news.fraction is None else news.fraction
            message = message if news.message is None else news.message
            facts.extend(news.facts)
            failure = news.failure or failure
        return News(fraction, message, facts, failure)


def read_some(path: str, offset: int, size: int) -> bytes:
    """Part of a file that a program was asked to write, and may have made anything of.

    Raises:
        OSError: it is not there, or not an ordinary file: nothing else can be read without a risk of waiting.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not an ordinary file", path)
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


def parse(line: str) -> News:
    """What one line says."""
    if not line:
        return _NOTHING
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return News(None, line[:_MAX_MESSAGE], [])
        return _parse_object(found, line)
    match = _FRACTION.match(line)
    if match is None:
        return News(None, line[:_MAX_MESSAGE], [])
    number, percent, message = match.groups()
    return News(_clip(float(number) / (100.0 if percent else 1.0)), message and message[:_MAX_MESSAGE], [])


def _parse_object(found: Any, line: str) -> News:
    if "emit" in found:
        try:
            value = _dumps(found.get("value"))
        except (ValueError, RecursionError):
            value = ""
        if not value or len(value) > MAX_EMITTED:
            return News(None, "a value that was emitted is not JSON, or longer than %d characters" % MAX_EMITTED, [])
        return News(None, None, ['"f":"emitted","name":{},"value":{}'.format(_dumps(str(found["emit"])), value)])
    if "link" in found:
        return News(None, None, [link_fact(str(found["link"]), str(found.get("url")))])
    if "failure" in found:
        return News(None, None, [], _failure(found))
    fraction = found.get("progress")
    message = found.get("message")
    if fraction is None and message is None:
        return News(None, line[:_MAX_MESSAGE], [])
    good = isinstance(fraction, (int, float)) and not isinstance(fraction, bool)
    return News(_clip(float(fraction)) if good else None, None if message is None else str(message)[:_MAX_MESSAGE], [])


def _failure(found: Any) -> Failure:
    reason, traceback = found.get("reason"), found.get("traceback")
    return Failure(
        reason if isinstance(reason, str) and reason in REASONS else "exception",
        _text(found["failure"], _MAX_FAILURE),
        None if traceback is None else _text(traceback, _MAX_TRACEBACK),
    )


def _text(value: Any, size: int) -> str:
    # Half a character (a lone surrogate) is text to Python alone.
    return str(value)[:size].encode("utf-8", "replace").decode("utf-8")


def link_fact(name: str, url: str) -> str:
    """The fields of a link."""
    return f'"f":"link","name":{_dumps(name)},"url":{_dumps(url)}'


def _clip(fraction: float) -> float | None:
    return min(1.0, max(0.0, fraction)) if fraction == fraction else None
