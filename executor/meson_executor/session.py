"""Owns the session with the orchestrator: who is let in, lines in, bytes out.

There is one session at a time. A hello of the same or a newer epoch replaces the one that is there: its orchestrator has
reconnected, or another one has taken over the cell. A connection that has not said hello yet disturbs nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from meson_executor import protocol
from meson_executor.channel import Channel
from meson_executor.protocol import Message, WireError

if TYPE_CHECKING:
    import socket

    from meson_executor.loop import Loop
    from meson_executor.state import State

#: Bytes that wait to be sent, above which no more facts are added to them.
_CROWDED = 4 * 1024 * 1024


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
        self._connections: set[Channel] = set()
        self._current: Channel | None = None
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
            self._current.write(data)

    def send(self, message: Message) -> None:
        self.write(protocol.encode(message))

    def close(self) -> None:
        """End all connections, after a last try to send what waits."""
        for channel in self._connections:
            channel.close(patience_s=1.0)
        self._current = None
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()

    def _on_accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return

        def on_line(line: bytes) -> None:
            try:
                self._take(channel, protocol.decode(line))
            except WireError as error:
                self._refuse(channel, "this line cannot be read: %s" % error)

        def on_end(reason: str) -> None:
            if reason:
                self._refuse(channel, reason)
            else:
                self._drop(channel)

        def on_room() -> None:
            if channel is self._current:
                self._on_room()

        channel = Channel(self._loop, sock, on_line, on_end, on_room)
        self._connections.add(channel)

    def _take(self, channel: Channel, message: Message) -> None:
        if message["t"] == "hello":
            self._hello(channel, message)
        elif channel is not self._current:
            self._refuse(channel, "the first message must be a hello, got {!r}".format(message["t"]))
        elif message.get("epoch", self._state.epoch) < self._state.epoch:
            self._refuse(
                channel,
                "the order is of epoch %s; this executor works for epoch %d" % (message["epoch"], self._state.epoch),
            )
        else:
            self._on_message(message)

    def _hello(self, channel: Channel, message: Message) -> None:
        version, cell, epoch = message.get("v"), message.get("cell"), message.get("epoch")
        state = self._state
        if version != protocol.VERSION:
            self._refuse(
                channel, "the hello is of protocol version %r; this executor speaks %d" % (version, protocol.VERSION)
            )
            return
        if type(epoch) is not int or type(cell) is not str or type(message.get("acked")) is not int:
            raise WireError("a hello needs cell, epoch and acked, got %.200r" % (message,))
        if state.cell and cell != state.cell:
            self._refuse(channel, f"this executor works for the cell {state.cell!r}, not for {cell!r}")
            return
        if epoch < state.epoch:
            self._refuse(channel, "the hello is of epoch %d; this executor works for epoch %d" % (epoch, state.epoch))
            return
        if epoch > state.epoch or cell != state.cell:
            before = state.epoch, state.cell
            state.epoch, state.cell = epoch, cell
            try:
                state.save()
            except OSError as error:
                # An epoch that is forgotten at the next start could be followed by an older one.
                state.epoch, state.cell = before
                self._refuse(channel, "the epoch cannot be recorded: %s" % error)
                return
        if self._current is not None and self._current is not channel:
            self._refuse(self._current, "a newer session has taken over")
        self._current = channel
        self._on_hello(message)

    def _refuse(self, channel: Channel, reason: str) -> None:
        channel.write(protocol.encode({"t": "refused", "reason": reason}))
        self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        self._connections.discard(channel)
        channel.close()
        if channel is self._current:
            self._current = None
            self._on_close()
