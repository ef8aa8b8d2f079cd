"""Owns the socket to the executor: lines out at once, lines in to whoever is told, and the end of it all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from meson_executor.protocol import LineBuffer, WireError, decode, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Link(asyncio.Protocol):
    """A connection.

    Args:
        on_message: called with each message.
        on_lost: called when the executor has gone, or says what is no message; with a reason.
    """

    def __init__(self, on_message: Callable[[dict[str, Any]], None], on_lost: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._lines = LineBuffer()
        self._transport: asyncio.WriteTransport | None = None
        self._ended = asyncio.Event()
        self._closing = False

    async def open(self, sock: socket.socket) -> None:
        """Take over a connected socket."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    def send(self, what: str, **fields: Any) -> None:
        """Send a message; when the executor has gone, nobody is there to miss it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode({"t": what, **fields}))

    async def close(self) -> None:
        """Send what is still to be sent, and end."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()
            await self._ended.wait()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._on_message(decode(line))
        except (WireError, KeyError, TypeError, ValueError) as error:
            self._on_lost(f"the executor sent what its protocol does not have: {error!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
        if not self._closing:
            self._on_lost("the executor has gone" if exc is None else f"the executor has gone: {exc}")
