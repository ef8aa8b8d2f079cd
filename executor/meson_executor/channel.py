"""Owns a connected socket that carries lines both ways without ever blocking: to the orchestrator, workers, the host."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Callable

from meson_executor.loop import READ, WRITE, Loop
from meson_executor.protocol import LineBuffer, WireError

if TYPE_CHECKING:
    import socket

# A larger buffer would be given to the system and taken back with every read, which takes longer than the read itself.
_READ_SIZE = 64 * 1024


class Channel:
    """A socket of lines.

    Args:
        loop: where to wait.
        sock: connected; becomes non-blocking, and is closed with the channel.
        on_line: called with each line, without its newline.
        on_end: called once when the peer has closed it or sent what is no line; not after `close`.
        on_room: called when everything that was written has gone.

    Attributes:
        waiting: bytes that were written and have not gone yet.
    """

    __slots__ = ("_buffer", "_loop", "_on_end", "_on_line", "_on_room", "_out", "_sock", "closed", "waiting")

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_line: Callable[[bytes], None],
        on_end: Callable[[str], None],
        on_room: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._on_line = on_line
        self._on_end = on_end
        self._on_room = on_room
        self._buffer = LineBuffer()
        self._out: list[bytes] = []
        self.waiting = 0
        self.closed = False
        sock.setblocking(False)
        loop.watch(sock.fileno(), self._on_ready)

    def write(self, data: bytes) -> None:
        """Send whole lines, sooner or later; into a closed channel, never."""
        if self.closed:
            return
        if not self._out:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # Reading hears of it as well, and that is where a channel ends.
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.change(self._sock.fileno(), READ | WRITE)
        self._out.append(data)
        self.waiting += len(data)

    def read_rest(self) -> None:
        """Take what the peer sent before it died."""
        while not self.closed and self._read():
            pass

    def close(self, patience_s: float = 0.0) -> None:
        """Close it; what waits to be sent gets `patience_s` seconds."""
        if self.closed:
            return
        self.closed = True
        if self._out and patience_s:
            self._sock.settimeout(patience_s)
            with contextlib.suppress(OSError):
                self._sock.sendall(b"".join(self._out))
        self._loop.unwatch(self._sock.fileno())
        self._sock.close()

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            self._drain()
        if events & ~WRITE and not self.closed:
            self._read()

    def _read(self) -> bool:
        """Take what is there, once; False when there is nothing."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end("")
            return False
        try:
            lines = self._buffer.feed(data)
        except WireError as error:
            self._end(str(error))
            return False
        on_line = self._on_line
        for line in lines:
            on_line(line)
            if self.closed:
                return False
        return True

    def _end(self, reason: str) -> None:
        self._loop.unwatch(self._sock.fileno())
        self._on_end(reason)

    def _drain(self) -> None:
        data = memoryview(b"".join(self._out))
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(data)
        self._out = [bytes(data[sent:])] if sent < len(data) else []
        self.waiting = len(data) - sent
        if not self._out:
            self._loop.change(self._sock.fileno(), READ)
            if self._on_room is not None:
                self._on_room()
