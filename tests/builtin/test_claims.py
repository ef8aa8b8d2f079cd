"""Owns the promises of the artifact store `files` to those who name bytes and those who delete what nobody names."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meson_core.builtin.files import Files
from meson_core.errors import ArtifactError
from meson_runtime.artifacts import DIRECTORY, Artifact, FileStore
from meson_runtime.folders import FolderError

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_S = 3600.0


def age(path: str | os.PathLike[str], seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "store"))


def put(store: FileStore, content: bytes) -> str:
    digest: str = store.put(content)["$artifact"]
    return digest


# --- claims -----------------------------------------------------------------------------------------------------------


def test_what_was_put_again_is_as_new(store: FileStore) -> None:
    """An attempt that puts what lies there unnamed since long relies on it from now on."""
    digest = put(store, b"model")
    age(store.path(digest), HOUR_S)
    assert put(store, b"model") == digest

    assert not store.delete(digest, untouched_since=time.time() - 60)
    assert store.find(digest)


def test_a_claim_keeps_it(store: FileStore) -> None:
    digest = put(store, b"model")
    age(store.path(digest), HOUR_S)
    assert store.claim(digest)

    assert not store.delete(digest, untouched_since=time.time() - 60)
    age(store.path(digest), HOUR_S)
    assert store.delete(digest, untouched_since=time.time() - 60)
    assert not store.claim(digest)
    assert store.delete(digest, untouched_since=time.time() - 60)


def test_contents_tell_what_is_there_and_since_when(store: FileStore) -> None:
    assert list(store.contents()) == []
    first, second = put(store, b"one"), put(store, b"three")
    age(store.path(first), HOUR_S)
    told = {each.digest: each for each in store.contents()}

    assert {digest: each.size for digest, each in told.items()} == {first: 3, second: 5}
    assert abs(told[first].touched - (time.time() - HOUR_S)) < 60
    assert abs(told[second].touched - time.time()) < 60


def test_who_claims_while_others_delete_has_it_or_knows(store: FileStore) -> None:
    """Two threads for each side, on one digest that always looks old: a claim that was granted is never broken."""
    digest = put(store, b"fought over")
    rounds, broken = 300, []
    end = threading.Event()

    def delete() -> None:
        while not end.is_set():
            store.delete(digest, untouched_since=time.time() - 60)

    deleting = [threading.Thread(target=delete) for _ in range(2)]
    for thread in deleting:
        thread.start()
    for number in range(rounds):
        path = Path(store.path(digest))
        if not path.exists():
            put(store, b"fought over")
        try:
            age(path, HOUR_S)
        except FileNotFoundError:
            continue
        if number % 2:
            put(store, b"fought over")
        elif not store.claim(digest):
            continue
        if not path.exists():
            broken.append(number)
    end.set()
    for thread in deleting:
        thread.join()

    assert broken == []


# --- what is left behind ----------------------------------------------------------------------------------------------


def _die_while_putting(root: str) -> None:
    class Slow:
        """Bytes that come until the process is killed in the middle of them."""

        def read(self, _size: int) -> bytes:
            os.kill(os.getpid(), signal.SIGKILL)
            return b""

    FileStore(root)._take(lambda out: (out.write(b"half"), Slow().read(1)))


def test_an_interrupted_upload_leaves_nothing_for_long(store: FileStore, tmp_path: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_die_while_putting, args=(store.root,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    (left,) = (tmp_path / "store" / "sha256").iterdir()
    assert list(store.contents()) == []

    assert store.tidy(time.time() - HOUR_S) == 0  # it may still be going on
    assert left.exists()
    age(left, 2 * HOUR_S)
    assert store.tidy(time.time() - HOUR_S) == 1
    assert list((tmp_path / "store" / "sha256").iterdir()) == []


def test_an_upload_under_way_is_left_alone_however_old(store: FileStore, tmp_path: Path) -> None:
    """A network that stands still for an hour is no reason to take the file away from its writer."""

    def fill(out: object) -> None:
        out.write(b"model")  # type: ignore[attr-defined]
        (half,) = (tmp_path / "store" / "sha256").glob("incoming-*")
        age(half, HOUR_S)
        assert store.tidy(time.time()) == 0

    digest, _ = store._take(fill)

    assert store.find(digest)


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    (made / "größe" / "empty").mkdir(parents=True)
    (made / "weights.bin").write_bytes(bytes(range(256)) * 100)
    (made / "größe" / "run.sh").write_text("#!/bin/sh\n")
    (made / "größe" / "run.sh").chmod(0o755)
    (made / "latest").symlink_to("weights.bin")
    return made


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_folder_comes_back_as_it_was(store: FileStore, folder: Path) -> None:
    value = store.put(folder)
    artifact = Artifact(value, store)

    assert (value["name"], value["media"]) == ("checkpoint", DIRECTORY)
    assert artifact.path.is_dir()
    assert tree(artifact.path) == tree(folder)
    assert os.access(artifact.path / "größe" / "run.sh", os.X_OK)
    assert not (artifact.path / "weights.bin").stat().st_mode & 0o222
    assert artifact.path == artifact.path  # unpacked once


def test_equal_folders_are_one_artifact(store: FileStore, folder: Path, tmp_path: Path) -> None:
    """Neither times nor the order in which the files were written matter; names, content and executability do."""
    first = store.put(folder)["$artifact"]
    again = tmp_path / "again"
    for name, content in sorted(tree(folder).items(), reverse=True):
        path = again / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)
    assert store.put(again)["$artifact"] != first
    (again / "größe" / "run.sh").chmod(0o700)
    age(again / "weights.bin", 10 * HOUR_S)

    assert store.put(again)["$artifact"] == first


def _link_out(folder: Path) -> None:
    (folder / "secrets").symlink_to("/etc/hostname")


def _link_to_folder(folder: Path) -> None:
    (folder / "loop").symlink_to(".")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(_link_out, "secrets is a link to"), (_link_to_folder, "loop is a link to"), (_pipe, "pipe is neither a file")],
)
def test_what_cannot_come_back_is_refused(
    store: FileStore, folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder)

    with pytest.raises(FolderError, match=told):
        store.put(folder)
    assert list(store.contents()) == []
    assert store.tidy(time.time() + 60) == 0  # nothing half is left


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_a_packed_folder_cannot_write_elsewhere(store: FileStore, name: str, tmp_path: Path) -> None:
    """Its bytes may come from any step."""
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    value = {**store.put(packed.getvalue()), "media": DIRECTORY}
    before = set(tmp_path.rglob("*"))

    with pytest.raises(FolderError, match="which a packed folder cannot have"):
        _ = Artifact(value, store).path
    assert {path for path in tmp_path.rglob("*") if path.is_file()} <= before


def test_unpacked_copies_go_when_nobody_reads_them(store: FileStore, folder: Path) -> None:
    artifact = Artifact(store.put(folder), store)
    copy = artifact.path
    assert store.tidy(time.time() - HOUR_S) == 0
    age(copy, 2 * HOUR_S)
    assert artifact.path == copy  # which makes it young again
    assert store.tidy(time.time() - HOUR_S) == 0
    age(copy, 2 * HOUR_S)

    assert store.tidy(time.time() - HOUR_S) == 1
    assert not copy.exists()
    assert tree(artifact.path) == tree(folder)


def test_a_store_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    files = Files(tmp_path / "store")

    with pytest.raises(ArtifactError, match="cannot be"):
        files.claim("sha256:" + "0" * 64) or files.put(tmp_path / "store")
