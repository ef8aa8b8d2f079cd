"""Owns the artifact store behind any URL that fsspec knows (S3, GCS, HDFS, SFTP, …), with a folder of copies on this machine.

It has the layout of the store in a folder, beside `claims/<digest>`: an empty object that is written anew when the bytes of
that digest are claimed, for objects there cannot be given another time. Nobody can lock such a place, so between the
last look of who deletes and the deletion a claim may be missed; that is a request long, and the grace period covers it.

What is put is written to the folder of copies first, and read from there when it is there. fsspec is imported when it is needed: only
steps and executors of projects with such a store have to have it. Credentials are where the library of the service looks
for them, never in the URL.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meson_runtime.artifacts import ArtifactMissingError, FileStore, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

_INCOMING = "incoming-"


class RemoteStore(FileStore):
    """Artifacts behind a URL.

    Args:
        url: the folder, in the words of fsspec.
        copies: folder for copies on this machine; by default one in the user's cache folder.

    Raises:
        ValueError: the URL has a password in it.
    """

    def __init__(self, url: str, copies: str | None = None) -> None:
        if urlsplit(url).password is not None:
            raise ValueError("the URL of an artifact store is no place for a password: it is handed to every executor")
        self.url = url.rstrip("/")
        super().__init__(copies or _copies_of(self.url))

    @cached_property
    def _place(self) -> tuple[Any, str]:
        try:
            url_to_fs = import_module("fsspec.core").url_to_fs
        except ImportError:
            raise ImportError(
                f"artifacts are kept at {self.url}, and reaching them takes fsspec: pip install fsspec"
            ) from None
        system, folder = url_to_fs(self.url)
        return system, folder.rstrip("/")

    def _remote(self, digest: str, part: str = "sha256") -> str:
        self.path(digest)  # raises for what is no digest
        return f"{self._place[1]}/{part}/{digest[7:9]}/{digest[9:]}"

    # --- what steps and executors do ------------------------------------------------------------------------------

    def put(
        self, source: str | bytes | os.PathLike[str], name: str | None = None, media: str | None = None
    ) -> dict[str, Any]:
        """As in a folder; returns when the bytes are at the URL."""
        value = super().put(source, name, media)
        digest = str(value["$artifact"])
        if not self.claim(digest):
            self._upload(digest)
        return value

    def find(self, digest: str) -> str:
        """A file with the bytes, fetched once to this machine.

        Raises:
            ArtifactMissingError: they are not at the URL either.
        """
        path = self.path(digest)
        if not os.path.exists(path):
            self._fetch(digest, path)
        return path

    def _upload(self, digest: str) -> None:
        system, folder = self._place
        draft = f"{folder}/{_INCOMING}{os.urandom(8).hex()}"
        final = self._remote(digest)
        try:
            system.makedirs(final.rpartition("/")[0], exist_ok=True)
            system.put_file(self.path(digest), draft)
            system.mv(draft, final)
        except BaseException:
            with contextlib.suppress(OSError):
                system.rm_file(draft)
            raise

    def _fetch(self, digest: str, path: str) -> None:
        system, _ = self._place
        above = os.path.dirname(os.path.dirname(path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=_INCOMING, dir=above)
        os.close(handle)
        try:
            try:
                system.get_file(self._remote(digest), draft)
            except FileNotFoundError:
                raise ArtifactMissingError(f"the artifact {digest} is not in {self.url}") from None
            self._check(digest, draft)
            os.chmod(draft, 0o444)
            os.rename(draft, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
            raise

    def _check(self, digest: str, path: str) -> None:
        found = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1024 * 1024):
                found.update(block)
        if digest != "sha256:" + found.hexdigest():
            raise ArtifactMissingError(f"the artifact {digest} has other bytes in {self.url}")

    # --- what the core does ---------------------------------------------------------------------------------------

    def exists(self, digest: str) -> bool:
        """Whether the bytes are at the URL."""
        system, _ = self._place
        system.invalidate_cache()
        return bool(system.exists(self._remote(digest)))

    def claim(self, digest: str) -> bool:
        """As in a folder: the claim is written first, and the bytes looked for then."""
        system, _ = self._place
        marker = self._remote(digest, "claims")
        if not self.exists(digest):
            return False
        system.makedirs(marker.rpartition("/")[0], exist_ok=True)
        system.pipe_file(marker, b"")
        return self.exists(digest)

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        """As in a folder, but for the moment between the look and the deletion."""
        system, _ = self._place
        path = self._remote(digest)
        if untouched_since is not None and self._touched(digest, path) >= untouched_since:
            return False
        for each in (path, self._remote(digest, "claims")):
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(each)
        super().delete(digest)
        return True

    def contents(self) -> Iterator[Stored]:
        """All bytes that are at the URL."""
        system, folder = self._place
        system.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            for path, facts in system.find(f"{folder}/sha256", detail=True).items():
                digest = "sha256:" + "".join(path.rsplit("/", 2)[-2:])
                with contextlib.suppress(ValueError, FileNotFoundError):
                    self.path(digest)
                    yield Stored(digest, int(facts["size"]), self._touched(digest, path))

    def tidy(self, untouched_since: float) -> int:
        """Remove what interrupted uploads have left, at the URL and among the copies of this machine."""
        system, folder = self._place
        gone = super().tidy(untouched_since)
        system.invalidate_cache()
        for path in system.ls(folder, detail=False) if system.exists(folder) else ():
            if path.rpartition("/")[2].startswith(_INCOMING):
                with contextlib.suppress(FileNotFoundError):
                    if system.modified(path).timestamp() < untouched_since:
                        system.rm_file(path)
                        gone += 1
        return gone

    def _touched(self, digest: str, path: str) -> float:
        """When the bytes were last put or claimed; 0.0 when they are not there."""
        system, _ = self._place
        latest = 0.0
        for each in (path, self._remote(digest, "claims")):
            with contextlib.suppress(FileNotFoundError):
                latest = max(latest, float(system.modified(each).timestamp()))
        return latest


def open_store(url: str) -> FileStore:
    """The store at a URL: a folder of this machine, or whatever fsspec reaches.

    Raises:
        ValueError: the URL has a password in it.
    """
    return FileStore(url) if urlsplit(url).scheme in ("", "file") else RemoteStore(url)


def _copies_of(url: str) -> str:
    """The folder of copies of one store, for this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "meson", "artifacts", hashlib.sha256(url.encode()).hexdigest()[:16])
