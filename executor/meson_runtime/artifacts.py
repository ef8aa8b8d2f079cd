"""Owns artifacts as a step sees them, and the folder that keeps their bytes by content.

The folder holds `sha256/<first two digits>/<the other 62>`, read-only files. A file appears there under its name only when
all its bytes are on disk, so whatever has a name is whole; writing the same bytes twice is harmless.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})\Z")
_BLOCK = 1024 * 1024


class ArtifactMissingError(Exception):
    """Bytes that should be in the store and are not."""


class FileStore:
    """A folder of artifacts.

    Args:
        url: the folder, as a path or `file://` URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("", "file"):
            raise ValueError(f"this executor reaches artifacts in folders only, not at {url!r}")
        self.root = unquote(parts.path) if parts.scheme else url

    def path(self, digest: str) -> str:
        """Where the bytes of a digest are, or would be.

        Raises:
            ValueError: not a digest.
        """
        match = _DIGEST.match(digest)
        if match is None:
            raise ValueError(f"{digest!r} is not a digest; it should be sha256: and 64 hexadecimal digits")
        return os.path.join(self.root, "sha256", match.group(1), match.group(2))

    def find(self, digest: str) -> str:
        """Where the bytes of a digest are.

        Raises:
            ArtifactMissingError: nowhere.
        """
        path = self.path(digest)
        if not os.path.exists(path):
            raise ArtifactMissingError(f"the artifact {digest} is not in {self.root}")
        return path

    def put(
        self, source: str | bytes | os.PathLike[str], name: str | None = None, media: str | None = None
    ) -> dict[str, Any]:
        """Store a file, or bytes, and return the artifact value: what a step returns as an output.

        Args:
            source: path of a file, or the bytes themselves.
            name: as people call it; the file's name by default.
            media: its media type; guessed from the name by default.

        Raises:
            OSError: the file cannot be read, or the store not be written.
        """
        if isinstance(source, bytes):
            name = name or "data"
            digest, size = self._take(None, source)
        else:
            path = os.fspath(source)
            if os.path.isdir(path):
                raise IsADirectoryError(f"{path} is a folder; an artifact is one file: pack it first")
            name = name or os.path.basename(path)
            with open(path, "rb") as file:
                digest, size = self._take(file, b"")
        return {"$artifact": digest, "size": size, "name": name, "media": media or _media(name)}

    def _take(self, file: IO[bytes] | None, block: bytes) -> tuple[str, int]:
        # The temporary file lies in the store, so that giving it its name is one step.
        folder = os.path.join(self.root, "sha256")
        os.makedirs(folder, exist_ok=True)
        found = hashlib.sha256()
        size = 0
        handle, temporary = tempfile.mkstemp(prefix="incoming-", dir=folder)
        try:
            with open(handle, "wb") as out:
                while True:
                    if file is not None:
                        block = file.read(_BLOCK)
                    found.update(block)
                    size += len(block)
                    out.write(block)
                    if file is None or not block:
                        break
                out.flush()
                digest = "sha256:" + found.hexdigest()
                final = self.path(digest)
                if os.path.exists(final):
                    os.unlink(temporary)
                    return digest, size
                os.fchmod(out.fileno(), 0o444)
                os.fsync(out.fileno())
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.rename(temporary, final)
            _sync_folder(os.path.dirname(final))
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
        return digest, size


class Artifact:
    """A named output, kept by content. Made by `ctx.put`; an input that is one arrives like this.

    Attributes:
        digest: `sha256:` and 64 hexadecimal digits.
        size: bytes.
        name: as its producer called it.
        media: media type.
    """

    __slots__ = ("_store", "digest", "media", "name", "size")

    def __init__(self, value: dict[str, Any], store: FileStore | None) -> None:
        self._store = store
        self.digest: str = value["$artifact"]
        self.size: int = value.get("size", 0)
        self.name: str = value.get("name", "")
        self.media: str = value.get("media", "")

    @property
    def path(self) -> Path:
        """A local file with its bytes, not to be changed.

        Raises:
            ArtifactMissingError: the bytes are not in reach.
        """
        if self._store is None:
            raise ArtifactMissingError(f"the artifact {self.name!r} has no store here: there is no run")
        return Path(self._store.find(self.digest))

    def open(self) -> IO[bytes]:
        """Its bytes, as a file to read from."""
        return self.path.open("rb")

    def value(self) -> dict[str, Any]:
        """The JSON object that stands for it in inputs and outputs."""
        return {"$artifact": self.digest, "size": self.size, "name": self.name, "media": self.media}

    def __fspath__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return "<artifact %r, %d bytes, %s>" % (self.name, self.size, self.digest[:15])


def is_artifact(value: Any) -> bool:
    """Whether a JSON value stands for an artifact."""
    return isinstance(value, dict) and isinstance(value.get("$artifact"), str)


def revive(value: Any, store: FileStore | None) -> Any:
    """A JSON value with `Artifact` objects in the place of what stands for them."""
    if isinstance(value, dict):
        if is_artifact(value):
            return Artifact(value, store)
        return {key: revive(part, store) for key, part in value.items()}
    if isinstance(value, list):
        return [revive(part, store) for part in value]
    return value


def local(value: Any, store: FileStore) -> Any:
    """A JSON value with local paths in the place of what stands for artifacts.

    Raises:
        ArtifactMissingError: bytes are not in reach.
    """
    if isinstance(value, dict):
        if is_artifact(value):
            return store.find(cast("str", value["$artifact"]))
        return {key: local(part, store) for key, part in value.items()}
    if isinstance(value, list):
        return [local(part, store) for part in value]
    return value


def _media(name: str) -> str:
    import mimetypes  # only steps that put need it

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
