"""Owns the tests of the unix-socket transport: cutting, joining, long paths, and strangers at the other end."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from meson_core.agents import UnixLink, open_unix_link
from meson_core.errors import ProtocolError
from meson_executor.transport import listen

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator
    from pathlib import Path


class Peer:
    """The other end of a link, and what came of it at ours."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.reads = 0
        self.ended: str | None = None
        self.changed = asyncio.Event()
        self.link: UnixLink | None = None
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    def receive(self, lines: list[bytes]) -> None:
        self.reads += 1
        if b"nonsense" in lines:
            raise ProtocolError("an executor sent nonsense")
        self.lines += lines
        self.changed.set()

    def closed(self, reason: str) -> None:
        assert self.ended is None
        self.ended = reason
        self.changed.set()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(10):
            while len(self.lines) < number and self.ended is None:
                await self.changed.wait()
                self.changed.clear()

    async def until_ended(self) -> None:
        async with asyncio.timeout(10):
            while self.ended is None:
                await self.changed.wait()
                self.changed.clear()


@asynccontextmanager
async def connected(directory: Path) -> AsyncIterator[Peer]:
    """A link to a peer in this very process."""
    peer = Peer()
    came = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.reader, peer.writer = reader, writer
        came.set()

    server = await asyncio.start_unix_server(accept, sock=_listening(directory))
    peer.link = await open_unix_link(directory, peer.receive, peer.closed)
    await came.wait()
    yield peer
    peer.writer.close()
    if peer.link is not None:
        peer.link.close("the test is over")
    await peer.until_ended()
    server.close()


def _listening(directory: Path) -> socket.socket:
    directory.mkdir(parents=True, exist_ok=True)
    return listen(str(directory))


async def test_lines_come_whole_however_they_are_cut(tmp_path: Path) -> None:
    """A line may come in many pieces, and many lines in one."""
    async with connected(tmp_path) as peer:
        for piece in (b"on", b"e\ntwo\nthr", b"ee\n", b"x" * 3_000_000 + b"\n"):
            peer.writer.write(piece)
            await peer.writer.drain()
        await peer.until(4)

    assert [b"one", b"two", b"three"] == peer.lines[:3]
    assert b"x" * 3_000_000 == peer.lines[3]


async def test_what_is_written_in_one_turn_goes_out_in_one_piece(tmp_path: Path) -> None:
    """A system call for each of a thousand orders would cost more than the orders."""
    async with connected(tmp_path) as peer:
        assert peer.link is not None
        peer.link.write(b"one\n")
        peer.link.write(b"")
        peer.link.write(b"two\n")
        first = await peer.reader.read(1000)
        peer.link.write(b"last\n")
        peer.link.close("it is over")
        rest = await peer.reader.read(1000)
        await peer.until_ended()
        peer.link.write(b"too late\n")

    assert (b"one\ntwo\n", b"last\n") == (first, rest)
    assert "it is over" == peer.ended


async def test_nobody_there_is_no_error(tmp_path: Path) -> None:
    """No executor was ever started, or its socket was left behind."""
    missing = await open_unix_link(tmp_path / "nowhere", lambda _: None, lambda _: None)
    listen(str(tmp_path)).close()
    dead = await open_unix_link(tmp_path, lambda _: None, lambda _: None)

    assert (None, None) == (missing, dead)


async def test_a_project_may_lie_as_deep_as_it_likes(tmp_path: Path) -> None:
    """The path of a unix socket has little more than a hundred bytes."""
    async with connected(tmp_path / ("deep" * 30) / ("deeper" * 20)) as peer:
        peer.writer.write(b"hello\n")
        await peer.until(1)

    assert [b"hello"] == peer.lines


async def test_the_peer_is_known_by_its_process(tmp_path: Path) -> None:
    """It is the one that may have to be ended."""
    async with connected(tmp_path) as peer:
        assert peer.link is not None
        pid = peer.link.peer

    assert os.getpid() == pid
    assert peer.link.peer is None


async def test_a_stranger_is_cut_off_with_the_reason(tmp_path: Path) -> None:
    """Whoever does not speak the protocol is not listened to any longer."""
    async with connected(tmp_path) as peer:
        peer.writer.write(b"nonsense\nmore\n")
        await peer.until_ended()

    assert "an executor sent nonsense" == peer.ended
    assert [] == peer.lines


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_the_end_of_the_peer_is_told_once(tmp_path: Path, how: str) -> None:
    """Closed in order or not: nobody waits for more."""
    async with connected(tmp_path) as peer:
        getattr(peer.writer.transport, how)()
        await peer.until_ended()

    assert peer.ended


async def test_reading_stops_while_nobody_keeps_up(tmp_path: Path) -> None:
    """The socket holds what the orchestrator cannot take yet."""
    async with connected(tmp_path) as peer:
        assert peer.link is not None
        peer.link.pause()
        peer.writer.write(b"one\n")
        await peer.writer.drain()
        for _ in range(20):
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        paused = list(peer.lines)
        peer.link.resume()
        await peer.until(1)

    assert [] == paused
    assert [b"one"] == peer.lines
