"""Owns the damages that the table names: what happens to files, disks and rights before a command meets them.

A damage that can be mended returns how; after the command it is mended, and everything recorded before must be there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.badinput.stage import Stage

#: Pages that SQLite writes at a time.
_PAGE = 4096


def cut(stage: Stage, name: str) -> None:
    """Half of a file is missing, as after a copy that was interrupted."""
    path = stage.folder / name
    os.truncate(path, path.stat().st_size // 2)


def empty(stage: Stage, name: str) -> None:
    """A file has nothing in it."""
    os.truncate(stage.folder / name, 0)


def scribble(stage: Stage, name: str) -> None:
    """All but the first page of a database is overwritten, as by a bad disk."""
    path = stage.folder / name
    with path.open("r+b") as file:
        file.seek(_PAGE)
        file.write(b"\xff" * (path.stat().st_size - _PAGE))


def replace(stage: Stage, files: dict[str, str]) -> None:
    """Something else is in a file."""
    for name, text in files.items():
        stage.write(name, text)


def flip(stage: Stage, name: str) -> None:
    """One bit in the second line of a file is another one."""
    path = stage.folder / name
    lines = path.read_bytes().split(b"\n")
    second = bytearray(lines[1])
    second[len(second) // 2] ^= 1
    path.write_bytes(b"\n".join([lines[0], bytes(second), *lines[2:]]))


def tear(stage: Stage, name: str) -> None:
    """The last bytes of a file are missing, as after a power cut."""
    path = stage.folder / name
    os.truncate(path, path.stat().st_size - 3)


def remove(stage: Stage, name: str) -> None:
    """A file or folder is gone."""
    path = stage.folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def folder(stage: Stage, name: str) -> None:
    """A folder has the name of a file."""
    path = stage.folder / name
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


def file(stage: Stage, name: str) -> None:
    """A file has the name of a folder."""
    path = stage.folder / name
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file\n")


def loop(stage: Stage, name: str) -> None:
    """A symbolic link leads to itself."""
    path = stage.folder / name
    shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(path)


def stranger(stage: Stage, name: str) -> None:
    """A database of somebody else has the store's name."""
    path = stage.folder / name
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table photos (id integer)")
        database.commit()


def version(stage: Stage, number: str) -> Callable[[], None]:
    """The store bears the stamp of another version of Meson."""

    def stamp(value: str) -> str:
        with contextlib.closing(sqlite3.connect(stage.folder / ".meson/store.db")) as database:
            (before,) = database.execute("select version_num from alembic_version").fetchone()
            database.execute("update alembic_version set version_num = ?", (value,))
            database.commit()
        return str(before)

    before = stamp(number)

    def mend() -> None:
        stamp(before)

    return mend


def protect(stage: Stage, name: str) -> Callable[[], None]:
    """A file or folder (with all in it) may be read, and not written to."""
    return _change_modes(stage, stage.folder / name, 0o444)


def hide(stage: Stage, name: str) -> Callable[[], None]:
    """A file or folder may not even be read."""
    return _change_modes(stage, stage.folder / name, 0o000)


def _change_modes(stage: Stage, path: Path, files: int) -> Callable[[], None]:
    stage.bound = True
    everything = [path, *path.rglob("*")] if path.is_dir() else [path]
    modes = [(each, each.stat().st_mode) for each in everything]
    folders = files | 0o111 if files else 0
    for each in reversed(everything):
        each.chmod(folders if each.is_dir() else files)

    def mend() -> None:
        for each, mode in modes:
            if each.exists():
                each.chmod(mode)

    return mend


def hold(stage: Stage, name: str) -> Callable[[], None]:
    """Another program holds the database, and does not let go."""
    database = sqlite3.connect(stage.folder / name, isolation_level=None)
    database.execute("begin exclusive")

    def mend() -> None:
        database.execute("rollback")
        database.close()

    return mend


def small_files(stage: Stage, size: int) -> Callable[[], None]:
    """No file may grow beyond so many bytes: a quota."""
    stage.largest_file = size

    def mend() -> None:
        stage.largest_file = None

    return mend


def full_disk(stage: Stage, left: int) -> Callable[[], None]:
    """The project's `.meson` is on a small disk with only so many bytes left."""
    home, aside = stage.folder / ".meson", stage.folder.with_name("aside")
    home.mkdir(exist_ok=True)
    # A mount in a namespace of its own: no rights are needed, and it is gone with the process that holds it.
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _SMALL_DISK]
    holder = subprocess.Popen(
        [*command, "sh", str(home), str(aside), str(left)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    if holder.stdout.readline() != "full\n":
        holder.communicate()
        pytest.skip("this machine lets nobody mount a small disk")
    stage.inside = ("nsenter", "-t", str(holder.pid), "--user", "--mount", "--preserve-credentials", "--wd=.")

    def mend() -> None:
        told, _ = holder.communicate("room\n")
        assert told == "room\n", told
        stage.inside = ()
        shutil.rmtree(home)
        aside.rename(home)

    return mend


_SMALL_DISK = """
cp -a "$1" "$2" && mount -t tmpfs -o size=64m none "$1" && cp -a "$2/." "$1" && rm -r "$2" || exit 1
head -c $(( $(df --output=avail -B1 "$1" | tail -n 1) - $3 )) /dev/zero > "$1/filler" || exit 1
echo full
read -r answer
rm "$1/filler" && cp -a "$1" "$2" && echo room
"""


def latin(stage: Stage, name: str) -> None:
    """A text was saved in the encoding of another century."""
    path = stage.folder / name
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))


def nest(stage: Stage, name: str) -> None:
    """A number in a document is a list in a list in a list, twenty thousand deep."""
    path = stage.folder / name
    path.write_text(path.read_text().replace("1", "[" * 20_000 + "]" * 20_000, 1))


def garble(stage: Stage, table: str) -> None:
    """The last row of a table holds bytes that nobody wrote, in a database that is in order otherwise."""
    _query(stage, f"update {table} set body = x'deadbeef' where {_LAST.format(table=table)}")


def forget(stage: Stage, table: str) -> None:
    """The last row of a table but one, or its only one, is gone."""
    _query(stage, f"delete from {table} where {_LAST.format(table=table)}")


def drop(stage: Stage, table: str) -> None:
    """A table of the store is gone."""
    _query(stage, f"drop table {table}")


#: The last row but one.
_LAST = "rowid = (select min(rowid) from (select rowid from {table} order by rowid desc limit 2))"


def _query(stage: Stage, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(stage.folder / ".meson/store.db")) as database:
        database.execute(sql)
        database.commit()


def scramble(stage: Stage, name: str) -> None:
    """Every file in a folder is something else."""
    for path in (stage.folder / name).rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(range(256)) * 8)
