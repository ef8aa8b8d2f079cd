"""Owns code bundles: a project's files as they were at one moment, kept by digest below `.meson/code`.

A bundle is there as a whole or not at all, is never changed, and is made once: its files are read-only copies, and those
that an earlier bundle has as well are hard links to that one. Files of the author are never linked, for they are edited
in place. What was seen of each file last time is remembered, so a project that has not changed costs a `stat` per file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from meson_core.client.project_files import IGNORE_FILE, project_files
from meson_core.errors import AuthoringError, NotFoundError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Folder of the bundles below `.meson`.
CODE = "code"
#: Bytes that a project's code may have; data belongs into artifacts.
MAX_BYTES = 256 * 1024 * 1024
_INDEX = "index.json"
_SHOWN = 5
_TRIES = 3
#: A file that was changed less than this before it was looked at may change again without its time telling.
_RACY_NS = 2_000_000_000
#: Seconds after which a bundle that somebody began to make is left over from a crash.
_LEFT_OVER_S = 3600.0
_LINK = "link"


class CodeBundle(NamedTuple):
    """A snapshot of a project.

    Args:
        digest: names it everywhere; 64 hexadecimal digits.
        folder: where its files are.
        files: how many there are.
        size: bytes.
    """

    digest: str
    folder: Path
    files: int
    size: int


class _File(NamedTuple):
    """One file as it was seen.

    Args:
        mode: "x" when it is executable, "link" for a symbolic link, else "".
        content: digest of its bytes, or of the target of a link.
    """

    size: int
    mtime_ns: int
    inode: int
    mode: str
    content: str


def bundle(root: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> CodeBundle:
    """Snapshot a project.

    Args:
        root: of the project.
        folder: where bundles are kept (`.meson/code`).
        max_bytes: that it may have.

    Raises:
        AuthoringError: it has too many files or bytes (the message names the largest), or changes all the time.
        StoreError: the bundle cannot be written.
    """
    for _ in range(_TRIES):
        index = _Index.read(folder)
        files = _look(root, project_files(root), index)
        size = sum(file.size for file in files.values())
        if size > max_bytes:
            raise _too_large(root, files, size, max_bytes)
        digest = _digest(files)
        target = folder / digest
        try:
            if target.is_dir() or _make(root, target, files, index):
                _Index(files, digest).write(folder)
                return CodeBundle(digest, target, len(files), size)
        except OSError as error:
            raise StoreError(
                f"the code of {root} cannot be kept in {folder}: {error.strerror or error}",
                hint="see that the folder can be written to, and that there is space on its disk",
            ) from None
    raise AuthoringError(
        f"the files of {root} change while they are copied",
        hint="wait until whatever writes them is done, and try again",
    )


def locate(folder: Path, digest: str) -> Path:
    """Where the files of a bundle are.

    Raises:
        NotFoundError: it is not there.
    """
    found = folder / digest
    if not digest or not found.is_dir():
        raise NotFoundError(
            f"there is no code bundle {digest!r} in {folder}",
            hint="retry the run with the current code: --code current",
        )
    return found


# --- looking --------------------------------------------------------------------------------------------------------


def _look(root: Path, paths: Iterable[str], index: _Index) -> dict[str, _File]:
    """What each file is now; only those that may have changed are read."""
    found: dict[str, _File] = {}
    for path in paths:
        full = root / path
        try:
            seen = full.lstat()
            known = index.files.get(path)
            if known is not None and known[:3] == (seen.st_size, seen.st_mtime_ns, seen.st_ino):
                mode = _LINK if stat.S_ISLNK(seen.st_mode) else _mode(seen)
                if mode == known.mode and not index.is_racy(known):
                    found[path] = known
                    continue
            if stat.S_ISLNK(seen.st_mode):
                mode, content = _LINK, _sha256(os.fsencode(_target(root, full)))
            elif stat.S_ISREG(seen.st_mode):
                mode, content = _mode(seen), _hash(full)
            else:
                continue
        except FileNotFoundError:
            continue
        except OSError as error:
            raise AuthoringError(
                f"the file {full} cannot be read: {error.strerror}",
                hint=f"make it readable, or list it in {IGNORE_FILE}",
            ) from None
        found[path] = _File(seen.st_size, seen.st_mtime_ns, seen.st_ino, mode, content)
    return found


def _mode(seen: os.stat_result) -> str:
    return "x" if seen.st_mode & stat.S_IXUSR else ""


def _target(root: Path, link: Path) -> str:
    """Where a link of a bundle points: inside the project to the copy, else to where it points now."""
    target = os.readlink(link)  # noqa: PTH115  as text, with what it says
    there = os.path.normpath(link.parent / target)
    inside = not os.path.isabs(target) and Path(there).is_relative_to(root)  # noqa: PTH117
    return target if inside else there


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(files: dict[str, _File]) -> str:
    whole = hashlib.sha256()
    for path, file in files.items():
        whole.update(b"%s %s %s\0" % (file.mode.encode(), file.content.encode(), os.fsencode(path)))
    return whole.hexdigest()


def _too_large(root: Path, files: dict[str, _File], size: int, max_bytes: int) -> AuthoringError:
    largest = sorted(files, key=lambda path: -files[path].size)[:_SHOWN]
    told = "".join(f"\n  {_mib(files[path].size)}  {path}" for path in largest)
    return AuthoringError(
        f"the code of {root} has {_mib(size)} in {len(files)} files, more than {_mib(max_bytes)}; the largest:{told}",
        hint=f"list data and results in {IGNORE_FILE} (in the form of .gitignore), and hand data on as artifacts",
    )


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"


# --- making ---------------------------------------------------------------------------------------------------------


def _make(root: Path, target: Path, files: dict[str, _File], index: _Index) -> bool:
    """Make a bundle; False when a file has changed since it was looked at."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    draft = target.parent / f".{target.name}.{os.getpid()}.new"
    earlier = target.parent / index.bundle if index.bundle else None
    folders = {draft}
    try:
        draft.mkdir()
        for path, file in files.items():
            copy = draft / path
            if copy.parent not in folders:
                copy.parent.mkdir(parents=True, exist_ok=True)
                folders.update(folder for folder in copy.parents if folder.is_relative_to(draft))
            known = index.files.get(path)
            same = known is not None and (known.mode, known.content) == (file.mode, file.content)
            if same and earlier is not None and file.mode != _LINK and _linked(earlier / path, copy):
                continue
            if not _copied(root, path, file, copy):
                return False
        for folder in folders:
            _fsync(folder)
        # Somebody who was faster has made the same.
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            _rename(draft, target)
        _fsync(target.parent)
        return True
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _rename(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _linked(source: Path, copy: Path) -> bool:
    try:
        copy.hardlink_to(source)
    except OSError:
        return False
    return True


def _copied(root: Path, path: str, file: _File, copy: Path) -> bool:
    """Copy one file; whether it is still what was seen."""
    source = root / path
    try:
        if file.mode == _LINK:
            target = _target(root, source)
            copy.symlink_to(target)
            return _sha256(os.fsencode(target)) == file.content
        data = source.read_bytes()
    except FileNotFoundError:
        return False
    if _sha256(data) != file.content:
        return False
    with copy.open("xb") as written:
        written.write(data)
        written.flush()
        os.fsync(written.fileno())
        os.fchmod(written.fileno(), 0o555 if file.mode else 0o444)
    return True


def _fsync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sweep(folder: Path) -> None:
    """Remove what was begun and never finished."""
    for draft in folder.glob(".*.new"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _LEFT_OVER_S:
                shutil.rmtree(draft, ignore_errors=True)


# --- what was seen last time ----------------------------------------------------------------------------------------


class _Index:
    """What was seen of each file when the last bundle was made.

    Args:
        files: by path.
        bundle: digest of the bundle that they are in; "" for none.
        at_ns: when that was.
    """

    def __init__(self, files: dict[str, _File], bundle: str, at_ns: int | None = None) -> None:
        self.files = files
        self.bundle = bundle
        self.at_ns = time.time_ns() if at_ns is None else at_ns

    def is_racy(self, file: _File) -> bool:
        return self.at_ns - file.mtime_ns < _RACY_NS

    @classmethod
    def read(cls, folder: Path) -> _Index:
        """The index of a folder of bundles; an empty one when there is none, or none that can be read."""
        try:
            data = json.loads((folder / _INDEX).read_bytes())
            files = {path: _File(*entry) for path, entry in data["files"].items()}
            return cls(files, str(data["bundle"]), int(data["at_ns"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls({}, "", 0)

    def write(self, folder: Path) -> None:
        """Remember it; not being able to costs time only."""
        draft = folder / f".{_INDEX}.{os.getpid()}"
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps({"at_ns": self.at_ns, "bundle": self.bundle, "files": self.files}))
            draft.replace(folder / _INDEX)
