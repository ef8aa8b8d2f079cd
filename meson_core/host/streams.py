"""Owns what steps print and log: it goes into the log of the attempt that prints, though all share one process."""

from __future__ import annotations

import io
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

#: Writes a line into the log of the attempt at work; not set outside of attempts.
write_line: ContextVar[Callable[[str], None]] = ContextVar("write_line")
#: What an attempt printed since its last newline.
_unfinished: ContextVar[list[str]] = ContextVar("_unfinished")


def begin(write: Callable[[str], None]) -> None:
    """From here on, what this task and its threads print belongs to an attempt."""
    write_line.set(write)
    _unfinished.set([])


def finish() -> None:
    """The attempt has ended; its last line may lack a newline."""
    rest = "".join(_unfinished.get([]))
    if rest:
        write_line.get()(rest)
        _unfinished.get().clear()


class Output(io.TextIOBase):
    """Standard output or error, for all attempts.

    Args:
        own: what belongs to no attempt goes there, and so into the executor's log.
    """

    def __init__(self, own: TextIO) -> None:
        self._own = own

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._own.fileno()

    def flush(self) -> None:
        self._own.flush()

    def write(self, text: str, /) -> int:
        write = write_line.get(None)
        if write is None:
            return self._own.write(text)
        unfinished = _unfinished.get()
        *lines, rest = text.split("\n")
        for line in lines:
            write("".join([*unfinished, line]))
            unfinished.clear()
        if rest:
            unfinished.append(rest)
        return len(text)


class Handler(logging.Handler):
    """Sends log records of the libraries that a step uses into the attempt's log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        write = write_line.get(None)
        if write is not None:
            write(self.format(record))
