"""Owns one warm worker as the executor sees it: its process, its sockets, and the row of attempts that it was handed.

See `meson_runtime.worker` for what goes over the sockets.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from meson_executor.channel import Channel
from meson_executor.fencing import WORKER_VARIABLE, Journal, boot_ticks
from meson_executor.loop import EDGE, READ, Loop
from meson_runtime.board import SIZE, Board
from meson_runtime.worker import MAX_ORDER

if TYPE_CHECKING:
    from meson_executor.limits import Guard
    from meson_executor.orders import Attempt, Need, Template
    from meson_executor.processes import Spawner

#: Of messages that a step does not read; later ones are dropped.
_MAX_DOWN = 4 * 1024 * 1024

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Place(NamedTuple):
    """Where workers come from and what they see.

    Args:
        command: interpreter and module.
        directory: for orders that are too large for a socket; the worker starts in it.
        store: of artifacts, as path or URL, "" for none.
        environment: of every worker.
    """

    command: tuple[str, ...]
    directory: str
    store: str
    environment: dict[bytes, bytes]


class WorkerProcess:
    """One worker.

    Attributes:
        line: what it was handed and has not finished, with the numbers of the orders; the first one is at work.
        known: serials of the templates that it has.
        need: resources that are reserved for the attempt at work; None while it is idle.
        once: it gets one attempt and ends.
        ready: it has said that it is.
        seen: turn of its board that was looked at last.
    """

    def __init__(self, number: int, code: tuple[str, str], once: bool) -> None:
        self.number = number
        self.code = code
        self.once = once
        self.marker = "%s=%d" % (WORKER_VARIABLE, number)
        self.pid = 0
        self.out = -1
        self.err = -1
        self.line: deque[tuple[int, Attempt]] = deque()
        self.known: set[int] = set()
        self.need: Need | None = None
        self.ready = False
        self.retired = False
        #: It was asked to stop, by whomever, and has cleaned up.
        self.terminated = False
        self.closed = False
        #: The attempt at work takes longer than was expected.
        self.slow = False
        self.stops: float | None = None
        self.idle_since = 0.0
        self.seen = 0
        self.last: tuple[int, Attempt] | None = None
        self.complaint = b""
        self.guard: Guard | None = None
        self._board: Board | None = None

    def start(
        self,
        loop: Loop,
        spawner: Spawner,
        journal: Journal,
        place: Place,
        on_line: Callable[[bytes], None],
        on_end: Callable[[str], None],
        on_out: Callable[[int], None],
        on_err: Callable[[int], None],
    ) -> None:
        """Start the process.

        Args:
            loop: where to wait.
            spawner: starts it.
            journal: told of it.
            place: where it comes from.
            on_line: called with each line of its stream.
            on_end: called when its stream has ended, which it never does before its process.
            on_out: called when something was written to its standard output.
            on_err: called when something was written to its standard error.

        Raises:
            OSError: it cannot be started.
        """
        self._loop = loop
        self._directory = place.directory
        self.orders, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours, stream = socket.socketpair()
        board = os.memfd_create("meson-board", os.MFD_CLOEXEC)
        os.ftruncate(board, SIZE)
        self._board = Board(board)
        self.orders.setblocking(False)
        out, out_theirs = os.pipe()
        err, err_theirs = os.pipe()
        given = (self._theirs.fileno(), stream.fileno(), board, out, err)
        argv = [os.fsencode(text) for text in (*place.command, *map(str, given), self.code[1], place.store)]
        path = place.command[0]
        if self.guard is not None:
            path, argv = self.guard.enter(path, argv)
        env = dict(place.environment)
        env[WORKER_VARIABLE.encode()] = b"%d" % self.number
        earliest = boot_ticks()
        try:
            for fd in given:
                os.set_inheritable(fd, True)
            self.pid = spawner.spawn(path, argv, env, place.directory, out_theirs, err_theirs)
        except OSError:
            for fd in (out, err):
                os.close(fd)
            self.orders.close()
            ours.close()
            self._theirs.close()
            self._board.close()
            raise
        else:
            for fd in (self._theirs.fileno(), out, err):
                os.set_inheritable(fd, False)
        finally:
            stream.close()
            os.close(board)
            os.close(out_theirs)
            os.close(err_theirs)
        journal.add(self.pid, earliest)
        self.out, self.err = out, err
        for fd in (out, err):
            os.set_blocking(fd, False)
        self.stream = Channel(loop, ours, on_line, on_end)
        loop.watch(out, on_out, READ | EDGE)
        loop.watch(err, on_err, READ | EDGE)

    # --- orders ---------------------------------------------------------------------------------------------------

    def hand(self, number: int, attempt: Attempt) -> bool:
        """Put an attempt at the end of the row; False when the row is full."""
        template = attempt.template
        told = None if template.serial in self.known else _told(template)
        data = _encode([number, template.serial, told, attempt.order]).encode()
        if len(data) > MAX_ORDER:
            data = _encode([number, self._to_file(number, data)]).encode()
        try:
            self.orders.send(data)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionError):
            # It is dead, and its end will be heard of; until then the order is in the row like any other.
            pass
        attempt.runner = self
        self.line.append((number, attempt))
        return True

    def recall(self) -> list[Attempt]:
        """Take back what it has not taken, in order."""
        numbers: set[int] = set()
        if self.closed:
            return []
        while True:
            try:
                data = self._theirs.recv(2 * MAX_ORDER, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionError):
                break
            if not data:
                break
            numbers.add(int(data[1 : data.index(b",")]))
        back = [attempt for number, attempt in self.line if number in numbers]
        self.line = deque(entry for entry in self.line if entry[0] not in numbers)
        for number in numbers:
            with contextlib.suppress(OSError):
                os.unlink(self._file(number))
        for attempt in back:
            attempt.runner = None
        return back

    def marked(self) -> int:
        """Number of the order that it began last."""
        assert self._board is not None
        return self._board.marked()[0]

    def progressed(self) -> tuple[int, float | None, str | None] | None:
        """Number, fraction and message, if there is news of the order at work."""
        assert self._board is not None
        turn = self._board.turn()
        if turn == self.seen:
            return None
        news = self._board.progressed()
        if news is not None:
            self.seen = turn
        return news

    def tell(self, message: Any) -> bool:
        """Send something down the stream; False when the worker has not read what came before."""
        if self.stream.waiting > _MAX_DOWN:
            return False
        self.stream.write(_encode(message).encode() + b"\n")
        return True

    # --- the end --------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Let it end when it has done what it was handed."""
        if not self.retired:
            self.retired = True
            self.orders.close()

    def close(self) -> None:
        """The process has ended and everything was read: give back what is held for it."""
        self.closed = True
        self.stream.close()
        self.orders.close()
        self._theirs.close()
        for fd in (self.out, self.err):
            self._loop.close(fd)
        if self._board is not None:
            self._board.close()
        if self.guard is not None:
            self.guard.close()

    def _file(self, number: int) -> str:
        return os.path.join(self._directory, "order-%d.json" % number)

    def _to_file(self, number: int, data: bytes) -> str:
        path = self._file(number)
        with open(path, "wb") as file:
            file.write(data)
        return path


def _told(template: Template) -> dict[str, Any]:
    """What a worker needs to know of a template."""
    return {"step": template.step, "outputs": template.outputs, "work": template.work}
