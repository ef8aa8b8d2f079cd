"""Owns the session with the orchestrator: who is let in, lines in, bytes out.

There is one session at a time. A hello of the same or a newer epoch replaces the one that is there: its orchestrator has
reconnected, or another one has taken over the cell. A connection that has not said hello yet disturbs nobody.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Callable

from meson_executor import protocol
from meson_executor.loop import READ, WRITE, Loop
from meson_executor.protocol import Message, WireError

if TYPE_CHECKING:
    import socket

    from meson_executor.state import State

_READ_SIZE = 256 * 1024
#: Bytes that wait to be sent, above which no more facts are added to them.
_CROWDED = 4 * 1024 * 1024


class Connection:
    """One connected peer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lines = protocol.LineBuffer()
        self.out: list[bytes] = []
        self.waiting = 0


class Sessions:
    """The listening socket, and at most one session.

    Args:
        loop: where to wait.
        listener: listens, non-blocking.
        state: cell and epoch, kept over restarts.
        on_hello: called with the hello of a session that was let in; the welcome is its job.
        on_message: called with every further message.
        on_room: called when there is room to send more.
        on_close: called when the session has ended.
    """

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        state: State,
        on_hello: Callable[[Message], None],
        on_message: Callable[[Message], None],
        on_room: Callable[[], None],
        on_close: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._state = state
        self._on_hello = on_hello
        self._on_message = on_message
        self._on_room = on_room
        self._on_close = on_close
        self._connections: dict[int, Connection] = {}
        self._current: Connection | None = None
        loop.watch(listener.fileno(), self._on_accept)

    @property
    def open(self) -> bool:
        return self._current is not None

    @property
    def crowded(self) -> bool:
        return self._current is not None and self._current.waiting > _CROWDED

    def write(self, data: bytes) -> None:
        """Send to the present session; without one, the data is dropped."""
        if self._current is not None:
            self._write(self._current, data)

    def send(self, message: Message) -> None:
        self.write(protocol.encode(message))

    def close(self) -> None:
        """End all connections, after a last try to send what waits."""
        for connection in list(self._connections.values()):
            connection.sock.setblocking(True)
            connection.sock.settimeout(1.0)
            with contextlib.suppress(OSError):
                connection.sock.sendall(b"".join(connection.out))
            self._drop(connection)
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()

    def _on_accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        connection = Connection(sock)
        self._connections[sock.fileno()] = connection
        self._loop.watch(sock.fileno(), lambda events: self._on_ready(connection, events))

    def _on_ready(self, connection: Connection, events: int) -> None:
        if events & WRITE:
            self._drain(connection)
            if connection is self._current and not connection.out:
                self._on_room()
        if events & ~WRITE and connection.sock.fileno() in self._connections:
            self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        try:
            for line in connection.lines.feed(data):
                self._take(connection, protocol.decode(line))
                if connection.sock.fileno() < 0:
                    return
        except WireError as error:
            self._refuse(connection, f"this line cannot be read: {error}")

    def _take(self, connection: Connection, message: Message) -> None:
        if message["t"] == "hello":
            self._hello(connection, message)
        elif connection is not self._current:
            self._refuse(connection, "the first message must be a hello, got {!r}".format(message["t"]))
        elif message.get("epoch", self._state.epoch) < self._state.epoch:
            self._refuse(
                connection,
                "the order is of epoch %s; this executor works for epoch %d" % (message["epoch"], self._state.epoch),
            )
        else:
            self._on_message(message)

    def _hello(self, connection: Connection, message: Message) -> None:
        version, cell, epoch = message.get("v"), message.get("cell"), message.get("epoch")
        state = self._state
        if version != protocol.VERSION:
            self._refuse(
                connection, "the hello is of protocol version %r; this executor speaks %d" % (version, protocol.VERSION)
            )
            return
        if type(epoch) is not int or type(cell) is not str or type(message.get("acked")) is not int:
            raise WireError("a hello needs cell, epoch and acked, got %.200r" % (message,))
        if state.cell and cell != state.cell:
            self._refuse(connection, f"this executor works for the cell {state.cell!r}, not for {cell!r}")
            return
        if epoch < state.epoch:
            self._refuse(
                connection, "the hello is of epoch %d; this executor works for epoch %d" % (epoch, state.epoch)
            )
            return
        if epoch > state.epoch or cell != state.cell:
            state.epoch, state.cell = epoch, cell
            state.save()
        if self._current is not None and self._current is not connection:
            self._refuse(self._current, "a newer session has taken over")
        self._current = connection
        self._on_hello(message)

    def _refuse(self, connection: Connection, reason: str) -> None:
        self._write(connection, protocol.encode({"t": "refused", "reason": reason}))
        self._drop(connection)

    def _write(self, connection: Connection, data: bytes) -> None:
        if not connection.out:
            try:
                sent = connection.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # The read side hears of it too, and that is where a session ends.
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.change(connection.sock.fileno(), READ | WRITE)
        connection.out.append(data)
        connection.waiting += len(data)

    def _drain(self, connection: Connection) -> None:
        data = memoryview(b"".join(connection.out))
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(data)
        connection.out = [bytes(data[sent:])] if sent < len(data) else []
        connection.waiting = len(data) - sent
        if not connection.out:
            self._loop.change(connection.sock.fileno(), READ)

    def _drop(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        if self._connections.pop(fd, None) is None:
            return
        self._loop.unwatch(fd)
        connection.sock.close()
        if connection is self._current:
            self._current = None
            self._on_close()
