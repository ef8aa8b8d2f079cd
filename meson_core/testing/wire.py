"""Owns the wire between a resource scheduler and its executor, disturbed: messages come twice, get lost, or come too late.

    with Wire.tapped(executor_directory) as wire:
        …                    # the scheduler connects, and finds the tap in place of the executor's socket
        wire.lose("facts")   # the next such message never arrives

The tap is a process of its own, for the scheduler may kill whoever is at the other end of its socket. It is told what to do
by one JSON object a line, on its standard input:

    repeat   what     messages of this sort come twice from now on
    lose     what     the next message of this sort is lost; answered when it was
    cut               all connections end; new ones are let through
    hold              nothing from the executor gets through
    release           everything that was held does, and whatever comes
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from meson_executor.protocol import MAX_LINE, SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ASIDE = f"{SOCKET}.behind-the-tap"
#: Seconds within which the tap answers, and something is said that it is to lose.
_DEADLINE_S = 20.0


# --- what tests hold ----------------------------------------------------------------------------------------------


class Wire:
    """The tap's process, as a test holds it; made by `tapped`.

    Args:
        process: of the tap.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def tapped(cls, directory: Path) -> Iterator[Wire]:
        """Put the tap between an executor and whoever connects to it from now on.

        Args:
            directory: of the executor, which is there and has its socket.
        """
        (directory / SOCKET).rename(directory / _ASIDE)
        process = subprocess.Popen(  # noqa: S603 (ourselves)
            [sys.executable, "-m", __name__],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what is there can be seen from outside
            env={name: value for name, value in os.environ.items() if not name.startswith("MESON_")},
        )
        try:
            wire = cls(process)
            wire._heard("ready")
            yield wire
        finally:
            process.kill()
            process.communicate()
            with contextlib.suppress(FileNotFoundError):
                (directory / _ASIDE).rename(directory / SOCKET)

    def repeat(self, what: str) -> None:
        """Messages of this sort come twice from now on."""
        self._order(do="repeat", what=what)

    def lose(self, what: str) -> None:
        """The next message of this sort is lost."""
        self._order(do="lose", what=what)

    async def lost(self) -> None:
        """Wait until what is to be lost was lost."""
        await asyncio.to_thread(self._heard, "lost")

    def cut(self) -> None:
        """All connections end; new ones are let through."""
        self._order(do="cut")

    def hold(self) -> None:
        """Nothing from the executor gets through."""
        self._order(do="hold")

    def release(self) -> None:
        """Everything that was held gets through, and whatever comes."""
        self._order(do="release")

    def _order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._heard("done")

    def _heard(self, word: str) -> None:
        assert self._process.stdout is not None
        there, _, _ = select.select([self._process.stdout], [], [], _DEADLINE_S)
        said = self._process.stdout.readline().decode().strip() if there else "nothing"
        if said != word:
            raise AssertionError(f"the tap between scheduler and executor said {said!r} in place of {word!r}")


# --- the process --------------------------------------------------------------------------------------------------


class _Tap:
    """All connections, and what was ordered."""

    def __init__(self) -> None:
        self._repeated: set[str] = set()
        self._lost: set[str] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from the scheduler, and one of ours to the executor."""
        try:
            above, below = await asyncio.open_unix_connection(_ASIDE, limit=MAX_LINE)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, below}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_down(reader, below))
                tasks.create_task(self._pass_up(above, writer))
        except* OSError:
            pass  # either side may go at any moment
        finally:
            for end in (writer, below):
                end.close()
            self._writers -= {writer, below}

    async def _pass_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async def _pass_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await self._open.wait()
            what = json.loads(line)["t"]
            if what in self._lost:
                self._lost.discard(what)
                _say("lost")
                continue
            writer.write(line * (2 if what in self._repeated else 1))
            await writer.drain()
        writer.close()

    def obey(self, do: str, what: str = "") -> None:
        """Carry out one order."""
        if do == "repeat":
            self._repeated.add(what)
        elif do == "lose":
            self._lost.add(what)
        elif do == "hold":
            self._open.clear()
        elif do == "release":
            self._open.set()
        else:
            for writer in self._writers:
                writer.close()
        _say("done")


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _serve() -> None:
    tap = _Tap()
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    # The name is relative, for a socket's address holds 107 bytes, and projects lie in deep folders.
    async with await asyncio.start_unix_server(tap.connect, SOCKET, limit=MAX_LINE):
        _say("ready")
        while order := await orders.readline():
            tap.obey(**json.loads(order))


if __name__ == "__main__":
    asyncio.run(_serve())
