"""Owns the artifact type `directory`: a folder that was packed into one file."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from meson_core.artifacts import TableView
from meson_core.builtin.artifacts.metric import measured
from meson_core.builtin.artifacts.reading import named
from meson_core.errors import ArtifactError
from meson_runtime.artifacts import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: So many files are listed.
_SHOWN = 1000
_BLOCK = 1 << 20


class _File(NamedTuple):
    size: int
    digest: str


class Directory:
    """Files by their paths."""

    name = "directory"
    media = (DIRECTORY,)
    suffixes = ()

    def fingerprint(self, file: BinaryIO) -> str:
        """Of paths and contents."""
        found = hashlib.sha256()
        for path, content in sorted(_files(file, "the folder").items()):
            found.update(f"{path}\0{content.digest}\0".encode("utf-8", "surrogateescape"))
        return "sha256:" + found.hexdigest()

    def preview(self, version: ArtifactVersion) -> View:
        """Its files."""
        rows = [(path, content.size) for path, content in sorted(_of(version).items())]
        return TableView(("path", "bytes"), rows[:_SHOWN], len(rows), version.record.name)

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """Files that came, went, or have other contents."""
        before, after = _of(old), _of(new)
        rows = [
            (path, before[path].size if path in before else None, after[path].size if path in after else None)
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        ]
        title = f"{new.record.name}: {old.record.number} → {new.record.number}"
        return TableView(("path", "old bytes", "new bytes"), rows[:_SHOWN], len(rows), title)

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """How many files, and how large they are together."""
        found = [_of(version) for version in versions]
        measures = [
            {"files": float(len(files)), "bytes": float(sum(content.size for content in files.values()))}
            for files in found
        ]
        return measured(versions, measures)


def _of(version: ArtifactVersion) -> dict[str, _File]:
    with version.open() as file:
        return _files(file, named(version))


def _files(file: BinaryIO, label: str) -> dict[str, _File]:
    """What is in a packed folder; nothing is unpacked."""
    found: dict[str, _File] = {}
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for entry in tar:
                content = tar.extractfile(entry) if entry.isreg() else None
                if content is None:
                    continue
                digest = hashlib.sha256()
                while block := content.read(_BLOCK):
                    digest.update(block)
                found[entry.name] = _File(entry.size, digest.hexdigest())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(f"{label} is not a packed folder: {error}") from None
    return found
