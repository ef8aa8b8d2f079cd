"""Owns artifacts as a step sees them, and the folder that keeps their bytes by content.

The folder holds `sha256/<first two digits>/<the other 62>`, read-only files. A file appears there under its name only when
all its bytes are on disk, so whatever has a name is whole; writing the same bytes twice is harmless. `unpacked/` holds
folders that were packed into such a file and are read on this machine. What is being written has a name that begins with
`incoming-`, and its writer holds a lock on it, as long as it lives.

The time of change says when something was last put or claimed. Whoever deletes what nobody names looks at that time and
deletes in one step, under a lock that putting and claiming share: what was just claimed cannot go.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, NamedTuple, cast
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})\Z")
_BLOCK = 1024 * 1024
#: Media type of a folder that is packed into one file (`folders.py`).
DIRECTORY = "application/vnd.meson.directory"
#: Begins the names of what is not whole yet.
_INCOMING = "incoming-"


class ArtifactMissingError(Exception):
    """Bytes that should be in the store and are not."""


class Stored(NamedTuple):
    """Bytes that are in a store.

    Args:
        digest: of them.
        size: their number.
        touched: when they were last put or claimed, in s since the epoch.
    """

    digest: str
    size: int
    touched: float


class _Hashing:
    """Writes into a file and finds the digest of what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._found = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> int:
        self._found.update(block)
        self.size += len(block)
        return self._file.write(block)

    @property
    def digest(self) -> str:
        return "sha256:" + self._found.hexdigest()


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
        """Store a file, a folder, or bytes, and return the artifact value: what a step returns as an output.

        Args:
            source: path of a file or folder, or the bytes themselves.
            name: as people call it; the file's name by default.
            media: its media type; guessed from the name by default.

        Raises:
            OSError: the file cannot be read, or the store not be written.
            FolderError: the folder has something in it that cannot be packed.
        """
        if isinstance(source, bytes):
            content = source
            name = name or "data"
            digest, size = self._take(lambda out: out.write(content))
        else:
            path = os.fspath(source)
            name = name or os.path.basename(os.path.abspath(path))
            if os.path.isdir(path):
                from meson_runtime import folders  # only steps that put folders need it

                media = DIRECTORY
                digest, size = self._take(lambda out: folders.pack(path, cast("IO[bytes]", out)))
            else:
                with open(path, "rb") as file:
                    digest, size = self._take(lambda out: shutil.copyfileobj(file, out, _BLOCK))
        return {"$artifact": digest, "size": size, "name": name, "media": media or _media(name)}

    def claim(self, digest: str) -> bool:
        """Say that bytes are about to be referred to, so that nobody deletes them now; whether they are there.

        Raises:
            ValueError: not a digest.
        """
        path = self.path(digest)
        if not os.path.exists(path):
            return False
        with self._locked(fcntl.LOCK_SH):
            try:
                os.utime(path)
            except FileNotFoundError:
                return False
        return True

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        """Forget bytes.

        Args:
            digest: of them; not there is fine.
            untouched_since: only if they were not put or claimed since then, in s since the epoch.

        Returns:
            Whether they are gone.

        Raises:
            ValueError: not a digest.
        """
        path = self.path(digest)
        if not os.path.exists(path):
            return True
        with self._locked(fcntl.LOCK_EX), contextlib.suppress(FileNotFoundError):
            if untouched_since is not None and os.stat(path).st_mtime >= untouched_since:
                return False
            os.unlink(path)
        return True

    def contents(self) -> Iterator[Stored]:
        """All bytes that are there."""
        for path, digits, entry in self._entries("sha256"):
            with contextlib.suppress(FileNotFoundError):
                facts = os.stat(path)
                yield Stored(f"sha256:{digits}{entry}", facts.st_size, facts.st_mtime)

    def tidy(self, untouched_since: float) -> int:
        """Remove what interrupted uploads have left, and unpacked copies; the number of what is gone.

        Args:
            untouched_since: only what was not changed or used since then, in s since the epoch.
        """
        gone = 0
        for path, _, _ in self._entries("unpacked"):
            gone += self._remove_copy(path, untouched_since)
        for folder in (os.path.join(self.root, part) for part in ("sha256", "unpacked")):
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if name.startswith(_INCOMING):
                    gone += self._remove_unfinished(os.path.join(folder, name), untouched_since)
        return gone

    def folder(self, digest: str) -> str:
        """A folder with the content of a packed one, not to be changed; unpacked once on this machine.

        Raises:
            ArtifactMissingError: its bytes are nowhere.
            FolderError: they are no packed folder.
        """
        from meson_runtime.folders import unpack

        source = self.path(digest)
        above, digits = os.path.split(os.path.dirname(source))
        parent = os.path.join(os.path.dirname(above), "unpacked", digits)
        final = os.path.join(parent, os.path.basename(source))
        with self._locked(fcntl.LOCK_SH), contextlib.suppress(FileNotFoundError):
            os.utime(final)
            return final
        self.find(digest)
        os.makedirs(parent, exist_ok=True)
        with self._locked(fcntl.LOCK_SH):
            temporary = tempfile.mkdtemp(prefix=_INCOMING, dir=os.path.dirname(parent))
            handle = _hold(os.open(temporary, os.O_RDONLY | os.O_CLOEXEC))
        try:
            content = os.path.join(temporary, "content")  # unlike a temporary folder, for all users of this machine
            os.mkdir(content)
            with open(source, "rb") as file:
                unpack(file, content)
            with self._locked(fcntl.LOCK_SH):
                try:
                    os.utime(content)
                    os.rename(content, final)
                except OSError:
                    os.utime(final)  # another process was quicker
        finally:
            shutil.rmtree(temporary)
            os.close(handle)
        return final

    def _take(self, fill: Callable[[_Hashing], object]) -> tuple[str, int]:
        # The temporary file lies in the store, so that giving it its name is one step.
        folder = os.path.join(self.root, "sha256")
        os.makedirs(folder, exist_ok=True)
        with self._locked(fcntl.LOCK_SH):
            handle, temporary = tempfile.mkstemp(prefix=_INCOMING, dir=folder)
            _hold(handle)
        try:
            with open(handle, "wb") as out:
                hashing = _Hashing(out)
                fill(hashing)
                out.flush()
                final = self.path(hashing.digest)
                if not self._claim_own(hashing.digest):
                    os.fchmod(out.fileno(), 0o444)
                    os.fsync(out.fileno())
                    self._give_name(temporary, final)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        return hashing.digest, hashing.size

    def _claim_own(self, digest: str) -> bool:
        try:
            return self.claim(digest)
        except PermissionError:
            return False  # another user put them: ours take their place

    def _give_name(self, temporary: str, final: str) -> None:
        parent = os.path.dirname(final)
        if not os.path.isdir(parent):
            os.makedirs(parent, exist_ok=True)
            _sync_folder(os.path.dirname(parent))
        with self._locked(fcntl.LOCK_SH):
            os.utime(temporary)
            os.rename(temporary, final)
        _sync_folder(parent)

    def _remove_copy(self, path: str, untouched_since: float) -> int:
        with self._locked(fcntl.LOCK_EX):
            try:
                if os.stat(path).st_mtime >= untouched_since:
                    return 0
                # Under its name it is whole or not there, also when this process ends half-way.
                doomed = tempfile.mkdtemp(prefix=_INCOMING, dir=os.path.join(self.root, "unpacked"))
                os.rename(path, doomed)
            except FileNotFoundError:
                return 0
        shutil.rmtree(doomed, ignore_errors=True)  # another one may be at it as well
        return 1

    def _remove_unfinished(self, path: str, untouched_since: float) -> int:
        """Remove what somebody has begun to write and does not write any more."""
        with self._locked(fcntl.LOCK_EX):
            try:
                if os.stat(path).st_mtime >= untouched_since:
                    return 0
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return 0
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return 0  # its writer is alive
            finally:
                os.close(handle)
            if not os.path.isdir(path):
                os.unlink(path)
                return 1
        shutil.rmtree(path, ignore_errors=True)
        return 1

    def _entries(self, part: str) -> Iterator[tuple[str, str, str]]:
        """Path, first two digits and the others of all that has the name of a digest."""
        folder = os.path.join(self.root, part)
        for digits in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if len(digits) == 2:
                below = os.path.join(folder, digits)
                for name in sorted(os.listdir(below)):
                    if _DIGEST.match(f"sha256:{digits}{name}"):
                        yield os.path.join(below, name), digits, name

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Hold the lock of the store; a process that is killed holds none."""
        os.makedirs(self.root, exist_ok=True)
        handle = os.open(os.path.join(self.root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)


class Artifact:
    """A named output, kept by content. Made by `ctx.put`; an input that is one arrives like this.

    Attributes:
        digest: `sha256:` and 64 hexadecimal digits.
        size: bytes.
        name: as its producer called it.
        media: media type.
        type: name of its artifact type; None where nobody said: it follows from the name.
        meta: a few facts of that type's own, such as the number of rows.
    """

    __slots__ = ("_store", "digest", "media", "meta", "name", "size", "type")

    def __init__(self, value: dict[str, Any], store: FileStore | None) -> None:
        self._store = store
        self.digest: str = value["$artifact"]
        self.size: int = value.get("size", 0)
        self.name: str = value.get("name", "")
        self.media: str = value.get("media", "")
        self.type: str | None = value.get("type")
        self.meta: dict[str, Any] = value.get("meta") or {}

    @property
    def path(self) -> Path:
        """A local file with its bytes, or the folder that was put; not to be changed.

        Raises:
            ArtifactMissingError: the bytes are not in reach.
        """
        return Path(_local_path(self.value(), self._reached()))

    def open(self) -> IO[bytes]:
        """Its bytes, as a file to read from; those of a folder are a tar."""
        return open(self._reached().find(self.digest), "rb")

    def load(self, type: str | None = None) -> Any:  # noqa: A002 (as artifact values call it)
        """What was stored: the value of a `json` or `text`, a `pyarrow.Table`, a NumPy array, an unpickled object.

        A `figure` in Vega-Lite is a dict, any other its bytes; a folder or any other file is its path.

        Args:
            type: name of the artifact type; the artifact's own by default.

        Raises:
            ArtifactMissingError: the bytes are not in reach.
            ArtifactTypeError: nothing loads this type, or it is a pickle that no step has stored.
            ValueError: the bytes are not of this type.
        """
        from meson_runtime import saving  # only steps that load need it

        return saving.load(self.path, saving.kind_of(type or self.type, self.name))

    def _reached(self) -> FileStore:
        if self._store is None:
            raise ArtifactMissingError(f"the artifact {self.name!r} has no store here: there is no run")
        return self._store

    def value(self) -> dict[str, Any]:
        """The JSON object that stands for it in inputs and outputs."""
        value: dict[str, Any] = {"$artifact": self.digest, "size": self.size, "name": self.name, "media": self.media}
        if self.type is not None:
            value["type"] = self.type
        if self.meta:
            value["meta"] = self.meta
        return value

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
            return _local_path(value, store)
        return {key: local(part, store) for key, part in value.items()}
    if isinstance(value, list):
        return [local(part, store) for part in value]
    return value


def _local_path(value: dict[str, Any], store: FileStore) -> str:
    if value.get("media") == DIRECTORY:
        return store.folder(cast("str", value["$artifact"]))
    return store.find(cast("str", value["$artifact"]))


def _media(name: str) -> str:
    import mimetypes  # only steps that put need it

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _hold(handle: int) -> int:
    """Show that what is open here is still being written: until it is closed, or this process is gone."""
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
