"""Owns folders as artifacts: one file with all of a folder in it, equal for equal content, and the way back.

The file is a tar: entries sorted by name, without times, owners and users, so that its digest depends on names, content and
the right to execute alone. Links are packed as what they lead to, which must lie in the same folder.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import IO


class FolderError(ValueError):
    """A folder that cannot be packed, or a packed one that cannot be unpacked."""


def pack(folder: str, out: IO[bytes]) -> None:
    """Write all of a folder into one file.

    Args:
        folder: its path.
        out: a file to write to; it need not be able to seek.

    Raises:
        FolderError: it has a pipe, a socket, a device, or a link that leads out of it.
        OSError: something in it cannot be read.
    """
    root = os.path.realpath(folder)
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _pack(tar, root, root, "")


def _pack(tar: tarfile.TarFile, root: str, folder: str, prefix: str) -> None:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        inside = prefix + name
        if os.path.islink(path):
            target = os.path.realpath(path)
            if os.path.isdir(target) or not target.startswith(root + os.sep):
                raise FolderError(
                    f"{inside} is a link to {os.readlink(path)}; a link to a file of the same folder would do"
                )
        entry = tarfile.TarInfo(inside)
        if os.path.isdir(path):
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
            _pack(tar, root, path, inside + "/")
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                facts = os.fstat(file.fileno())
                entry.size = facts.st_size
                entry.mode = 0o755 if facts.st_mode & 0o100 else 0o644
                tar.addfile(entry, file)
        else:
            raise FolderError(f"{inside} is neither a file nor a folder")


def unpack(file: IO[bytes], folder: str) -> None:
    """Write the content of a packed folder below an empty one; files cannot be written to afterwards.

    Nothing but files and folders below `folder` is made, whatever the file says: it may come from anywhere.

    Raises:
        FolderError: it is no packed folder.
        OSError: it cannot be read, or the folder not be written.
    """
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for entry in tar:
                parts = entry.name.split("/")
                if (
                    entry.name.startswith("/")
                    or ".." in parts
                    or "\0" in entry.name
                    or not (entry.isdir() or entry.isreg())
                ):
                    raise FolderError(f"it has the entry {entry.name!r}, which a packed folder cannot have")
                path = os.path.join(folder, *parts)
                if entry.isdir():
                    os.makedirs(path, exist_ok=True)
                    continue
                os.makedirs(os.path.dirname(path), exist_ok=True)
                content = tar.extractfile(entry)
                assert content is not None
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                with open(handle, "wb") as out:
                    shutil.copyfileobj(content, out, 1024 * 1024)
                    os.fchmod(handle, 0o555 if entry.mode & 0o100 else 0o444)
    except (tarfile.TarError, EOFError, FileExistsError, NotADirectoryError) as error:
        raise FolderError(f"it is no packed folder: {error}") from None
