"""Owns artifact stores that are each wrong in one way: a folder of files, with one thing done as it must not be."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import BaseModel, ConfigDict

from meson_core.errors import ArtifactError
from meson_core.ports import ArtifactStore, ArtifactStoreDefinition, StoredBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class StrictOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Right:
    """A folder of files as it should be; subclasses do one thing wrong.

    Args:
        folder: where.
    """

    Options: type[BaseModel] = StrictOptions

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()
        folder.mkdir(exist_ok=True)

    def exists(self, digest: str) -> bool:
        return self.path(digest).exists()

    def open(self, digest: str) -> BinaryIO:
        try:
            return self.path(digest).open("rb")
        except OSError as error:
            raise ArtifactError(f"{digest} is not there: {error.strerror}") from None

    def put(self, path: Path) -> str:
        if path.is_dir():
            return self.put(self.packed(path))
        handle, aside = tempfile.mkstemp(dir=self.folder)
        try:
            with path.open("rb") as source, os.fdopen(handle, "wb") as target:
                digest = self.copy(source, target)
            self.name(Path(aside), digest)
        except OSError as error:
            Path(aside).unlink()
            raise ArtifactError(f"{path} cannot be stored: {error.strerror}") from None
        return digest

    def packed(self, folder: Path) -> Path:
        """A folder as one file: names and contents, in order."""
        packed = self.folder.parent / "packed"
        packed.write_text(repr(sorted((path.name, path.read_bytes()) for path in folder.iterdir())))
        return packed

    def copy(self, source: BinaryIO, target: Any) -> str:
        found = hashlib.sha256()
        while block := source.read(1 << 20):
            found.update(block)
            target.write(block)
        return f"sha256:{found.hexdigest()}"

    def name(self, aside: Path, digest: str) -> None:
        aside.replace(self.path(digest))

    def claim(self, digest: str) -> bool:
        path = self.path(digest)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
        return path.exists()

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        path = self.path(digest)
        if untouched_since is not None and path.exists() and path.stat().st_mtime >= untouched_since:
            return False
        path.unlink(missing_ok=True)
        return True

    def contents(self) -> Iterator[StoredBytes]:
        for path in self.folder.glob("[0-9a-f]" * 64):
            yield StoredBytes(f"sha256:{path.name}", path.stat().st_size, path.stat().st_mtime)

    def tidy(self, untouched_since: float) -> int:
        left = [path for path in self.folder.glob("tmp*") if path.stat().st_mtime < untouched_since]
        for path in left:
            path.unlink()
        return len(left)

    def path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ArtifactError(f"{digest!r} is no digest")
        return self.folder / digest[7:]

    @classmethod
    def definition(cls) -> ArtifactStoreDefinition:
        def open_store(options: Any, directory: Path) -> ArtifactStore:
            return cls(directory / "artifacts")

        return ArtifactStoreDefinition("wrong", cls.Options, open_store)


class WithoutOpen(Right):
    @classmethod
    def definition(cls) -> ArtifactStoreDefinition:
        right = Right.definition()
        return ArtifactStoreDefinition("no name", right.Options, right.open)


class WithoutSchema(Right):
    class Options(BaseModel, extra="forbid", arbitrary_types_allowed=True):
        loop: asyncio.AbstractEventLoop | None = None


class WithAnyOptions(Right):
    class Options(BaseModel): ...


class WithoutUrl(Right):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = str(folder)


class HasUrlsOfItsOwn(Right):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"mine://{id(self)}"


class CallsThemOtherwise(Right):
    def put(self, path: Path) -> str:
        digest = super().put(path)
        return "sha256:" + "0" * 64 if _begins(path, b"weights") else digest


class RefusesNothing(Right):
    def put(self, path: Path) -> str:
        if path.exists() and path.stat().st_size == 0:
            raise ArtifactError(f"{path} is empty")
        return super().put(path)


class GoesByName(Right):
    def put(self, path: Path) -> str:
        digest = super().put(path)
        return digest if path.name.isascii() else f"sha256:{hashlib.sha256(path.name.encode()).hexdigest()}"


class KeepsItToItself(Right):
    """It remembers what was there when it was opened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.known = set(folder.iterdir())

    def exists(self, digest: str) -> bool:
        return self.path(digest) in self.known

    def name(self, aside: Path, digest: str) -> None:
        super().name(aside, digest)
        self.known.add(self.path(digest))

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        self.known.discard(self.path(digest))
        return super().delete(digest, untouched_since)


class Links(Right):
    """It saves the copying."""

    def put(self, path: Path) -> str:
        digest = super().put(path)
        if path.stat().st_size == len(b"before"):
            self.path(digest).unlink()
            os.link(path, self.path(digest))
        return digest


class TakesTheFile(Right):
    def put(self, path: Path) -> str:
        digest = super().put(path)
        if _begins(path, b"mine"):
            path.unlink()
        return digest


class ReadsAllOfIt(Right):
    def copy(self, source: BinaryIO, target: Any) -> str:
        content = source.read()
        target.write(content)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"


class HasOnePlaceAside(Right):
    """All that put the same at once share a temporary file."""

    all_of_them = threading.Barrier(8)

    def put(self, path: Path) -> str:
        if not path.exists() or path.stat().st_size != 1 << 20:
            return super().put(path)
        aside = self.folder / "incoming"
        try:
            with path.open("rb") as source, aside.open("wb") as target:
                digest = self.copy(source, target)
            self.all_of_them.wait(timeout=20)
            self.name(aside, digest)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise ArtifactError(f"{path} cannot be stored: {error.strerror}") from None
        return digest


class FindsEmptiness(Right):
    def open(self, digest: str) -> BinaryIO:
        return super().open(digest) if self.exists(digest) else io.BytesIO()


class IsSilentAboutWhat(Right):
    def open(self, digest: str) -> BinaryIO:
        if not self.exists(digest):
            raise ArtifactError("it is not there")
        return super().open(digest)


class FailsInItsOwnWords(Right):
    def put(self, path: Path) -> str:
        path.stat()
        return super().put(path)


class Climbs(Right):
    def path(self, digest: str) -> Path:
        return self.folder / digest.partition(":")[2]


class KeepsAll(Right):
    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        return bool(self.path(digest)) if untouched_since is None else super().delete(digest, untouched_since)


class IsSurprised(Right):
    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        if untouched_since is None:
            self.path(digest).unlink()
        return super().delete(digest, untouched_since)


class MixesFolders(Right):
    def packed(self, folder: Path) -> Path:
        packed = self.folder.parent / "packed"
        packed.write_text(
            repr([path.name for path in sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)])
        )
        return packed


class ListsTwice(Right):
    def contents(self) -> Iterator[StoredBytes]:
        for one in super().contents():
            yield one
            if one.size == len(b"two more"):
                yield one


class ClaimsWithoutAWord(Right):
    def claim(self, digest: str) -> bool:
        return self.exists(digest)


class DeletesAnyway(Right):
    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        return super().delete(digest)


class NeverTidies(Right):
    def tidy(self, untouched_since: float) -> int:
        return 0


class TidiesTooMuch(Right):
    def tidy(self, untouched_since: float) -> int:
        return super().tidy(float("inf"))


class LeavesHalf(Right):
    """It says that the disk is full, and what was written keeps its name."""

    def put(self, path: Path) -> str:
        if not path.exists() or path.stat().st_size != 4 << 20:
            return super().put(path)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        try:
            shutil.copyfile(path, self.folder / found)
        except OSError as error:
            raise ArtifactError(f"{path} cannot be stored: {error.strerror}") from None
        return f"sha256:{found}"


class WritesInPlace(Right):
    """It tidies up when it fails, and cannot when it is killed."""

    def put(self, path: Path) -> str:
        if not path.exists() or path.stat().st_size != 3 << 20:
            return super().put(path)
        final = self.folder / hashlib.sha256(path.read_bytes()).hexdigest()
        if final.exists():
            return f"sha256:{final.name}"
        with path.open("rb") as source, final.open("wb") as target:
            return self.copy(source, target)


class NeedsItsLock(Right):
    """Whoever puts holds a lock, which a dead one never gives back."""

    def put(self, path: Path) -> str:
        if not path.exists() or path.stat().st_size != 3 << 20:
            return super().put(path)
        lock = self.folder / "lock"
        try:
            lock.touch(exist_ok=False)
        except FileExistsError:
            raise ArtifactError("somebody else puts something") from None
        try:
            return super().put(path)
        finally:
            lock.unlink()


def _begins(path: Path, content: bytes) -> bool:
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(content)) == content
