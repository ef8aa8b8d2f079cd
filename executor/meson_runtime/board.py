"""Owns the board: a page of memory that a worker shares with its executor, to say without a word what it is doing.

The worker alone writes: the number of the order that it is in, since when, and the latest progress. The executor reads when
it wants to know; so marking costs the worker no system call, and a worker that dies leaves the mark behind.
"""

from __future__ import annotations

import mmap
import struct
import threading

SIZE = 4096
_MAX_MESSAGE = 1000
#: number of the order, beginning (seconds since the epoch)
_MARK = struct.Struct("@Qd")
#: number of the order that the progress is of, fraction (NaN: none), length of the message in bytes
_PROGRESS = struct.Struct("@Qdq")
_TURN = struct.Struct("@Q")
_MARK_AT = 0
_TURN_AT = 64
_PROGRESS_AT = 72
_MESSAGE_AT = _PROGRESS_AT + _PROGRESS.size


class Board:
    """The shared page.

    Args:
        fd: of a file of `SIZE` bytes in memory.
    """

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, SIZE)
        self._lock = threading.Lock()

    def mark(self, number: int, began: float) -> None:
        """This order is at work from now on."""
        _MARK.pack_into(self._page, _MARK_AT, number, began)

    def marked(self) -> tuple[int, float]:
        """The order that was last begun, and when."""
        number, began = _MARK.unpack_from(self._page, _MARK_AT)
        return number, began

    def progress(self, number: int, fraction: float | None, message: str | None) -> None:
        """How far the order is; the latest counts."""
        text = b"" if message is None else message.encode("utf-8", "replace")[:_MAX_MESSAGE]
        length = -1 if message is None else len(text)
        with self._lock:
            (turn,) = _TURN.unpack_from(self._page, _TURN_AT)
            # An odd turn means that somebody is writing: the reader looks again later.
            _TURN.pack_into(self._page, _TURN_AT, turn + 1)
            _PROGRESS.pack_into(
                self._page, _PROGRESS_AT, number, float("nan") if fraction is None else fraction, length
            )
            self._page[_MESSAGE_AT : _MESSAGE_AT + len(text)] = text
            _TURN.pack_into(self._page, _TURN_AT, turn + 2)

    def turn(self) -> int:
        """Changes with every progress; for the reader to see whether there is news."""
        (turn,) = _TURN.unpack_from(self._page, _TURN_AT)
        return int(turn)

    def progressed(self) -> tuple[int, float | None, str | None] | None:
        """The order that the latest progress is of, fraction and message; None while it is being written."""
        before = self.turn()
        number, fraction, length = _PROGRESS.unpack_from(self._page, _PROGRESS_AT)
        text = self._page[_MESSAGE_AT : _MESSAGE_AT + max(0, min(length, _MAX_MESSAGE))]
        if before % 2 or self.turn() != before:
            return None
        return (
            number,
            None if fraction != fraction else fraction,
            None if length < 0 else text.decode("utf-8", "replace"),
        )

    def close(self) -> None:
        self._page.close()
