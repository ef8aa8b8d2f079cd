"""Owns the artifact store `files`: a folder that keeps bytes by content, the same one that steps write to.

Its layout and the writing are `meson_runtime`'s, for executors and steps put artifacts there themselves.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from meson_core.errors import ArtifactError
from meson_core.hookspecs import hookimpl
from meson_core.ports import ArtifactStoreDefinition, StoredBytes
from meson_runtime.artifacts import FileStore
from meson_runtime.folders import FolderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.ports import ArtifactStore


class Options(BaseModel):
    """Options of the artifact store `files`: `[artifact_stores.files]` in the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path | None = Field(
        default=None, description="Folder of the artifacts, relative to the project; `.meson/artifacts` by default."
    )


class Files:
    """Bytes by digest in a folder.

    Args:
        folder: absolute; it is made when something is put into it.
    """

    def __init__(self, folder: Path) -> None:
        self.url = folder.as_uri()
        self._store = FileStore(self.url)

    def exists(self, digest: str) -> bool:
        """Whether the bytes are there."""
        return self._path(digest).exists()

    def open(self, digest: str) -> BinaryIO:
        """The bytes.

        Raises:
            ArtifactError: they are not there, or cannot be read.
        """
        path = self._path(digest)
        try:
            return path.open("rb")
        except OSError as error:
            why = "they are not there" if isinstance(error, FileNotFoundError) else str(error.strerror)
            raise ArtifactError(
                f"the bytes of {digest} cannot be read from {self._store.root}: {why}",
                hint="run the step that made them again",
            ) from None

    def put(self, path: Path) -> str:
        """Store a file or folder and return its digest.

        Raises:
            ArtifactError: it cannot be read, or the folder not be written.
        """
        try:
            return str(self._store.put(path)["$artifact"])
        except (OSError, FolderError) as error:
            why = getattr(error, "strerror", None) or error
            raise ArtifactError(f"{path} cannot be stored in {self._store.root}: {why}") from None

    def claim(self, digest: str) -> bool:
        """Say that the bytes are about to be named; whether they are there.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        self._path(digest)
        with self._told("claimed"):
            return self._store.claim(digest)

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        """Forget the bytes, unless they were put or claimed since then; whether they are gone.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        self._path(digest)
        with self._told("deleted"):
            return self._store.delete(digest, untouched_since)

    def contents(self) -> Iterator[StoredBytes]:
        """All bytes that are there.

        Raises:
            ArtifactError: the folder cannot be read.
        """
        with self._told("listed"):
            for each in self._store.contents():
                yield StoredBytes(*each)

    def tidy(self, untouched_since: float) -> int:
        """Remove what interrupted uploads have left, and unpacked folders; how much there was of it.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        with self._told("removed"):
            return self._store.tidy(untouched_since)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(f"artifacts in {self._store.root} cannot be {what}: {error.strerror}") from None

    def _path(self, digest: str) -> Path:
        try:
            return Path(self._store.path(digest))
        except ValueError as error:
            raise ArtifactError(str(error)) from None


def open_store(options: Options, directory: Path) -> ArtifactStore:
    """The store of a project.

    Args:
        options: as in the settings.
        directory: the folder that Meson keeps for the project, `.meson`.
    """
    folder = directory / "artifacts" if options.folder is None else directory.parent / options.folder
    return Files(Path(os.path.abspath(folder)))  # noqa: PTH100 (resolve would follow links)


@hookimpl
def meson_artifact_stores() -> list[ArtifactStoreDefinition]:
    """The artifact store `files`."""
    return [ArtifactStoreDefinition("files", Options, open_store)]
