"""Owns the artifact store `remote`: bytes by content behind any URL that fsspec knows.

    artifact_store = "remote"

    [artifact_stores.remote]
    url = "s3://models/meson"

It takes the library of the service beside fsspec (s3fs, gcsfs, …), here and where steps run; credentials are where that library
looks for them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from meson_core.errors import ArtifactError
from meson_core.hookspecs import hookimpl
from meson_core.ports import ArtifactStoreDefinition, StoredBytes
from meson_runtime.artifacts import ArtifactMissingError
from meson_runtime.folders import FolderError
from meson_runtime.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.ports import ArtifactStore


class Options(BaseModel):
    """Options of the artifact store `remote`: `[artifact_stores.remote]` in the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="Where the bytes are, in the words of fsspec: `s3://bucket/folder`, `hdfs://…`.")

    @field_validator("url")
    @classmethod
    def _has_a_scheme_and_no_password(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.scheme or parts.scheme == "file":
            raise ValueError(f"{url!r} is a folder; the artifact store `files` is for those")
        if parts.password is not None:
            raise ValueError("it has a password in it; give credentials to the library of the service instead")
        return url


class Remote:
    """Bytes by digest behind a URL.

    Args:
        url: of the folder.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = RemoteStore(url)

    def exists(self, digest: str) -> bool:
        """Whether the bytes are there."""
        with self._told(f"{digest} cannot be looked for"):
            return self._store.exists(digest)

    def open(self, digest: str) -> BinaryIO:
        """The bytes.

        Raises:
            ArtifactError: they are not there, or cannot be fetched.
        """
        with self._told(f"{digest} cannot be fetched"):
            if not self._store.exists(digest):
                raise ArtifactError(
                    f"the bytes of {digest} are not at {self.url}", hint="run the step that made them again"
                )
            return Path(self._store.find(digest)).open("rb")

    def put(self, path: Path) -> str:
        """Store a file or folder and return its digest.

        Raises:
            ArtifactError: it cannot be read, or not be stored.
        """
        with self._told(f"{path} cannot be stored"):
            return str(self._store.put(path)["$artifact"])

    def claim(self, digest: str) -> bool:
        """Say that the bytes are about to be named; whether they are there."""
        with self._told(f"{digest} cannot be claimed"):
            return self._store.claim(digest)

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        """Forget the bytes, unless they were put or claimed since then; whether they are gone."""
        with self._told(f"{digest} cannot be deleted"):
            return self._store.delete(digest, untouched_since)

    def contents(self) -> Iterator[StoredBytes]:
        """All bytes that are there."""
        with self._told("what is there cannot be listed"):
            for each in self._store.contents():
                yield StoredBytes(*each)

    def tidy(self, untouched_since: float) -> int:
        """Remove what interrupted uploads have left; how much there was of it."""
        with self._told("what is left behind cannot be removed"):
            return self._store.tidy(untouched_since)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, FolderError, ImportError, ArtifactMissingError) as error:
            why = getattr(error, "strerror", None) or error
            raise ArtifactError(f"artifacts at {self.url}: {what}: {why}") from None


def open_store(options: Options, directory: Path) -> ArtifactStore:
    """The store of a project."""
    return Remote(options.url)


@hookimpl
def meson_artifact_stores() -> list[ArtifactStoreDefinition]:
    """The artifact store `remote`."""
    return [ArtifactStoreDefinition("remote", Options, open_store)]
