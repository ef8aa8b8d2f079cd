"""Tests of code bundles: what is run is what was there when it was submitted, whatever the author does afterwards."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest

from meson_core.client import code_bundle
from meson_core.client.code_bundle import bundle, locate
from meson_core.errors import AuthoringError, NotFoundError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = time.time() - 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose files were written an hour ago."""
    root = tmp_path / "project"
    (root / "lib").mkdir(parents=True)
    edit(root / "flow.py", "import lib.train\n")
    edit(root / "lib" / "train.py", "ALPHA = 1\n")
    edit(root / "run.sh", "#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link.py").symlink_to("flow.py")
    return root


@pytest.fixture
def folder(root: Path) -> Path:
    return root / ".meson" / "code"


def edit(path: Path, text: str, at: float = LONG_AGO) -> None:
    path.write_text(text)
    os.utime(path, (at, at))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


ORIGINAL = {
    "flow.py": "import lib.train\n",
    "lib/train.py": "ALPHA = 1\n",
    "link.py": "flow.py",
    "run.sh": "#!/bin/sh\n",
}


def test_a_bundle_is_the_project_at_one_moment(root: Path, folder: Path) -> None:
    first = bundle(root, folder)
    edit(root / "lib" / "train.py", "ALPHA = 2\n", LONG_AGO + 5)
    (root / "new.py").write_text("new")
    second = bundle(root, folder)

    assert contents(first.folder) == ORIGINAL
    assert contents(second.folder) == ORIGINAL | {"lib/train.py": "ALPHA = 2\n", "new.py": "new"}
    assert (first.files, first.size) == (4, 17 + 10 + 10 + len("flow.py"))
    assert first.folder == locate(folder, first.digest) == folder / first.digest
    assert len(first.digest) == 64
    assert first.digest != second.digest


def test_the_same_files_are_the_same_bundle(root: Path, folder: Path, tmp_path: Path) -> None:
    first = bundle(root, folder)
    again = bundle(root, folder)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(root, elsewhere, symlinks=True, ignore=shutil.ignore_patterns(".meson"))

    assert again == first
    assert bundle(elsewhere, tmp_path / "code").digest == first.digest


@pytest.mark.parametrize("change", ["content", "name", "mode", "link", "new", "gone"])
def test_every_change_is_another_bundle(root: Path, folder: Path, change: str) -> None:
    first = bundle(root, folder)
    match change:
        case "content":
            edit(root / "flow.py", "import lib.TRAIN\n")  # as long as before, and as old
        case "name":
            (root / "flow.py").rename(root / "flaw.py")
        case "mode":
            (root / "flow.py").chmod(0o755)
        case "link":
            (root / "link.py").unlink()
            (root / "link.py").symlink_to("run.sh")
        case "new":
            edit(root / "empty.py", "")
        case _:
            (root / "flow.py").unlink()
    if change == "content":
        os.utime(root / "flow.py", (LONG_AGO, LONG_AGO + 1))

    assert bundle(root, folder).digest != first.digest


def test_going_back_finds_the_old_bundle(root: Path, folder: Path) -> None:
    first = bundle(root, folder)
    edit(root / "flow.py", "other\n", LONG_AGO + 1)
    bundle(root, folder)
    edit(root / "flow.py", ORIGINAL["flow.py"], LONG_AGO + 2)
    before = first.folder.stat().st_mtime_ns

    assert bundle(root, folder) == first
    assert first.folder.stat().st_mtime_ns == before


def test_files_of_the_author_are_never_linked(root: Path, folder: Path) -> None:
    """They are edited in place; those of an earlier bundle are not, and cost nothing when they are the same."""
    first = bundle(root, folder)
    edit(root / "flow.py", "other\n", LONG_AGO + 1)
    second = bundle(root, folder)
    with (root / "lib" / "train.py").open("a") as file:
        file.write("ALPHA = 3\n")

    assert contents(first.folder)["lib/train.py"] == "ALPHA = 1\n"
    assert contents(second.folder)["lib/train.py"] == "ALPHA = 1\n"
    inodes = [(each / "lib" / "train.py").stat().st_ino for each in (root, first.folder, second.folder)]
    assert inodes[1] == inodes[2] != inodes[0]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in first.folder.rglob("*") if path.is_file()}
    assert modes == {"flow.py": 0o444, "train.py": 0o444, "link.py": 0o444, "run.sh": 0o555}


def test_only_what_may_have_changed_is_read(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = code_bundle._hash

    def note(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(code_bundle, "_hash", note)
    bundle(root, folder)
    assert sorted(read) == ["flow.py", "run.sh", "train.py"]
    read.clear()

    bundle(root, folder)
    assert read == []

    edit(root / "flow.py", "other\n", LONG_AGO + 1)
    bundle(root, folder)
    assert read == ["flow.py"]
    read.clear()

    # Just written: it may be written again before the clock of the file system moves on.
    edit(root / "flow.py", "newer\n", time.time())
    bundle(root, folder)
    bundle(root, folder)
    assert read == ["flow.py", "flow.py"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at_ns": 1}', '{"files": {"a": [1]}, "bundle": "", "at_ns": 0}'])
def test_what_was_remembered_may_be_damaged(root: Path, folder: Path, text: str) -> None:
    first = bundle(root, folder)
    (folder / "index.json").write_text(text)

    assert bundle(root, folder) == first


def test_an_earlier_bundle_may_be_gone(root: Path, folder: Path) -> None:
    first = bundle(root, folder)
    shutil.rmtree(first.folder)
    edit(root / "flow.py", "other\n", LONG_AGO + 1)

    assert contents(bundle(root, folder).folder) == ORIGINAL | {"flow.py": "other\n"}


def test_links_lead_where_they_led(root: Path, folder: Path, tmp_path: Path) -> None:
    """Inside the project to the copy; outside of it to the same place as before."""
    (tmp_path / "data").mkdir()
    (root / "lib" / "up.py").symlink_to("../flow.py")
    (root / "data").symlink_to("../data")
    (root / "absolute.py").symlink_to(root / "flow.py")
    made = bundle(root, folder).folder

    assert (made / "lib" / "up.py").resolve() == made / "flow.py"
    assert (made / "data").resolve() == tmp_path / "data"
    assert (made / "absolute.py").resolve() == root / "flow.py"


def test_an_empty_project_has_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    made = bundle(tmp_path / "nothing", tmp_path / "code")

    assert (made.files, made.size, list(made.folder.iterdir())) == (0, 0, [])


def test_too_large_a_project_is_explained(root: Path, folder: Path) -> None:
    (root / "data.csv").write_bytes(b"x" * 3_000_000)
    (root / "lib" / "model.bin").write_bytes(b"x" * 1_500_000)
    with pytest.raises(AuthoringError) as caught:
        bundle(root, folder, max_bytes=2_000_000)

    lines = str(caught.value).splitlines()
    assert lines[:3] == [
        f"the code of {root} has 4.3 MiB in 6 files, more than 1.9 MiB; the largest:",
        "  2.9 MiB  data.csv",
        "  1.4 MiB  lib/model.bin",
    ]
    assert lines[-1] == (
        "  hint: list data and results in .mesonignore (in the form of .gitignore), and hand data on as artifacts"
    )
    assert not folder.exists()
    (root / ".mesonignore").write_text("data.csv\n*.bin\n")
    assert bundle(root, folder, max_bytes=2_000_000).files == 5


def test_files_that_change_all_the_time_are_explained(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle that is half old and half new is none: it is tried again, and then given up."""
    edits = iter(range(100, 200))
    real = code_bundle._copied

    def meddle(*args: object) -> bool:
        edit(root / "lib" / "train.py", f"ALPHA = {next(edits)}\n", time.time())
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(code_bundle, "_copied", meddle)
    with pytest.raises(AuthoringError, match="change while they are copied"):
        bundle(root, folder)
    assert [path.name for path in folder.iterdir()] == []


def test_a_file_that_vanishes_is_not_in_it(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = code_bundle._copied

    def meddle(*args: object) -> bool:
        (root / "flow.py").unlink(missing_ok=True)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(code_bundle, "_copied", meddle)

    assert "flow.py" not in contents(bundle(root, folder).folder)


def test_a_place_that_cannot_be_written_to_is_explained(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        bundle(root, tmp_path / "file" / "code")

    assert str(caught.value) == (
        f"the code of {root} cannot be kept in {tmp_path / 'file' / 'code'}: Not a directory\n"
        "  hint: see that the folder can be written to, and that there is space on its disk"
    )


def test_several_at_once_make_one(root: Path, folder: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(bundle(root, folder).digest)) for _ in range(2)]
    # Drafts are told apart by process; threads of one process take turns, as those of a client do.
    for thread in threads:
        thread.start()
        thread.join()

    assert len(set(found)) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted([found[0], "index.json"])


def test_what_crashed_half_way_is_swept_away(root: Path, folder: Path) -> None:
    old, new = folder / ".abc.1.new", folder / ".def.2.new"
    for draft in (old, new):
        (draft / "lib").mkdir(parents=True)
    os.utime(old, (LONG_AGO - 3600, LONG_AGO - 3600))

    bundle(root, folder)

    assert not old.exists()
    assert new.exists()


def test_a_file_that_cannot_be_read_is_explained(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(code_bundle, "_hash", refuse)
    with pytest.raises(AuthoringError) as caught:
        bundle(root, folder)

    assert str(caught.value) == (
        f"the file {root / 'flow.py'} cannot be read: Permission denied\n"
        "  hint: make it readable, or list it in .mesonignore"
    )


def test_a_bundle_that_is_not_there(folder: Path) -> None:
    for digest in ("abc", ""):
        with pytest.raises(NotFoundError) as caught:
            locate(folder, digest)
        assert str(caught.value) == (
            f"there is no code bundle {digest!r} in {folder}\n"
            "  hint: retry the run with the current code: --code current"
        )


def test_a_name_that_is_no_text_is_kept(root: Path, folder: Path) -> None:
    """File names are bytes; some are no UTF-8."""
    name = os.fsdecode(b"caf\xe9.py")
    edit(root / name, "x")

    assert name in [path.name for path in bundle(root, folder).folder.iterdir()]
    assert bundle(root, folder).files == 5
