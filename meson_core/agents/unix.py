"""Owns the unix-socket transport of the executor protocol: lines out of a large buffer, writes joined per loop turn.

A transport reads lines for a session and writes its bytes; it knows nothing of what they say.
The TLS listener for remote executors is another file beside this one, with the same two callbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from meson_core.errors import ProtocolError
from meson_executor.protocol import LineBuffer, WireError
from meson_executor.transport import address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BUFFER = 512 * 1024
_CREDENTIALS = struct.Struct("3i")


class UnixLink(asyncio.BufferedProtocol):
    """One connection; make it with `open_unix_link`.

    Args:
        receive: called with the lines of each read.
        closed: called once when the connection has ended, with the reason.
    """

    def __init__(self, receive: Callable[[list[bytes]], None], closed: Callable[[str], None]) -> None:
        self._receive = receive
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._lines = LineBuffer()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._reason = "the connection ended"

    # --- for the session ----------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send; what is written in one turn of the event loop goes out in one piece."""
        if not data or self._transport is None:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    @property
    def peer(self) -> int | None:
        """Number of the process that listens at the other end, when the system tells."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        if sock is None:
            return None
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(credentials)[0]
        return pid or None

    def pause(self) -> None:
        """Read nothing until `resume`: whoever takes the lines is behind."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self, reason: str) -> None:
        """End the connection; what was written still goes out."""
        self._reason = reason
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # --- for asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        try:
            lines = self._lines.feed(bytes(self._view[:nbytes]))
            if lines:
                self._receive(lines)
        except (WireError, ProtocolError) as error:
            self.close(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._reason = f"{type(exc).__name__}: {exc}"
        self._transport = None
        self._out.clear()
        self._closed(self._reason)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))


async def open_unix_link(
    directory: Path, receive: Callable[[list[bytes]], None], closed: Callable[[str], None]
) -> UnixLink | None:
    """Connect to the executor of a directory.

    Args:
        directory: the executor's.
        receive: called with the lines of each read; a `ProtocolError` that it raises ends the connection.
        closed: called once when the connection has ended, with the reason.

    Returns:
        The connection, or None when nobody listens there.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError), address(str(directory)) as place:
        _, link = await loop.create_unix_connection(lambda: UnixLink(receive, closed), place)
        return link
    return None
