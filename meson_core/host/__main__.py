"""Owns the host's process: `python -m meson_core.host`, started by an executor with a socket that it inherits."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

from meson_core.host import streams
from meson_core.host.attempts import VERSION, Attempts
from meson_core.host.kinds import Kinds
from meson_core.host.link import Link
from meson_runtime.remote import open_store

if TYPE_CHECKING:
    from meson_runtime.artifacts import FileStore

#: Blocking calls at once; further ones wait.
_THREADS = 32


def main() -> NoReturn:
    """Serve the executor until it says to leave, or has gone."""
    handle = os.environ.pop("MESON_HOST_FD", "")
    if not handle.isdigit():
        sys.exit("this is a part of Meson's executor, which starts it; there is nothing to be done with it by hand")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout, sys.stderr = streams.Output(sys.stdout), streams.Output(sys.stderr)
    logging.basicConfig(level=logging.INFO, handlers=[streams.Handler()])
    artifacts = os.environ.get("MESON_ARTIFACTS")
    asyncio.run(_serve(socket.socket(fileno=int(handle)), open_store(artifacts) if artifacts else None))
    _leave(0)


async def _serve(sock: socket.socket, artifacts: FileStore | None) -> None:
    done = asyncio.Event()
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="call")
    async with asyncio.TaskGroup() as tasks:
        attempts = Attempts(tasks, Kinds(), threads, artifacts, done.set)
        link = attempts.link = Link(attempts.on_message, _alone)
        await link.open(sock)
        link.send("ready", v=VERSION)
        await done.wait()
    await link.close()


def _alone(reason: str) -> None:
    """The executor has gone, so leave as if killed.

    Steps are not cancelled: they would kill their outside jobs, which the next attempts are to find again.
    """
    _leave(1, f"{reason}\n")


def _leave(code: int, last_words: str = "") -> NoReturn:
    """End now, whatever happens: threads in blocking calls would be waited for, and nobody may be left to hear us."""
    try:
        sys.stdout.flush()
        sys.stderr.write(last_words)
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
