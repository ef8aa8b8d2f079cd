"""Owns the unix socket of an executor's directory: making it, and reaching it however long its path is.

A unix socket's address holds 107 bytes, and projects lie in deep folders. So a path that is too long is reached through
`/proc/self/fd`: the directory is opened, and the address names it by its descriptor.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from meson_executor.protocol import SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_ADDRESS = 107


@contextlib.contextmanager
def address(directory: str) -> Iterator[str]:
    """An address of the socket in `directory` that fits; valid inside the with-block.

    Raises:
        OSError: the directory is not there.
    """
    path = os.path.join(directory, SOCKET)
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield path
        return
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield "/proc/self/fd/%d/%s" % (descriptor, SOCKET)
    finally:
        os.close(descriptor)


def listen(directory: str) -> socket.socket:
    """The listening socket of the one executor of `directory`; only the owner may connect.

    The caller holds the directory's lock, so a socket that is there already is a dead executor's.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with address(directory) as place:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        before = os.umask(0o177)
        try:
            listener.bind(place)
        finally:
            os.umask(before)
    listener.listen(16)
    listener.setblocking(False)
    return listener


def connect(directory: str) -> socket.socket:
    """A blocking connection to the executor of `directory`.

    Raises:
        OSError: nobody listens there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address(directory) as place:
            connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection
