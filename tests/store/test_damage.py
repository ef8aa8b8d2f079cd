"""Tests of damage: whatever is wrong with a store is said in one message with its path and what to do; nothing is lost."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meson_core.errors import MesonError, NotFoundError, StoreCorruptError, StoreError, StoreVersionError
from meson_core.spec.digest import digest
from meson_core.store import Store, open_store, sqlite_file
from meson_core.store.dialect_sqlite import SqliteDialect
from meson_core.store.records import Commit
from tests.store.building import Log, many, put, python, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def filled(folder: Path, count: int = 400) -> Path:
    """A store with a run in it, closed, all in one file; its path."""
    with open_store(folder) as store:
        log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
        log.write(*many(2, count))
    path = folder / "store.db"
    assert not sqlite_file.wal(path).exists()
    return path


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def no_database(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def short(path: Path) -> None:
    os.truncate(path, 50)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribbled_header(path: Path) -> None:
    overwrite(path, 0, b"\0" * 16)


def scribbled_pages(path: Path) -> None:
    overwrite(path, 4096, b"\xff" * (path.stat().st_size - 4096))


def scribbled_schema(path: Path) -> None:
    overwrite(path, 110, os.urandom(3000))


def somebody_elses(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (id INTEGER)")
    connection.close()


def no_tables(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE alembic_version")
    connection.close()


def a_table_less(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE runs")
    connection.close()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


RESTORE = "\n  hint: restore it from a backup; or move it and its -wal file away, and begin with an empty store"
TABLE: list[tuple[Callable[[Path], None], type[StoreError], str]] = [
    (no_database, StoreCorruptError, "the store {path} is not a database (12000 bytes)" + RESTORE),
    (empty, StoreCorruptError, "the store {path} is empty (0 bytes)" + RESTORE),
    (short, StoreCorruptError, "the store {path} is not a database (50 bytes)" + RESTORE),
    (cut_off, StoreCorruptError, "the store {path} is cut off: {half} bytes of {size} are there" + RESTORE),
    (scribbled_header, StoreCorruptError, "the store {path} is not a database ({size} bytes)" + RESTORE),
    (scribbled_pages, StoreCorruptError, "the store {path} is damaged: …" + RESTORE),
    (scribbled_schema, StoreCorruptError, "the store {path} is damaged: …" + RESTORE),
    (no_tables, StoreCorruptError, "the store {path} is not whole: no such table: alembic_version" + RESTORE),
    (
        somebody_elses,
        StoreError,
        "{path} is a database, but not a store of Meson\n  hint: name the folder of your project",
    ),
    (
        a_folder,
        StoreError,
        "the store {path} cannot be read: Is a directory\n  hint: see that it is a file that you may read",
    ),
]


@pytest.mark.parametrize(("damage", "kind", "expected"), TABLE, ids=[row[0].__name__ for row in TABLE])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_file_is_explained(
    tmp_path: Path, damage: Callable[[Path], None], kind: type[StoreError], expected: str, read_only: bool
) -> None:
    path = filled(tmp_path)
    size = path.stat().st_size
    damage(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(MesonError) as caught:
        open_store(tmp_path, read_only=read_only)

    assert type(caught.value) is kind
    pattern = re.escape(expected.format(path=path, size=size, half=size // 2)).replace("…", ".+")
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_missing_table_is_noticed_when_it_is_needed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    a_table_less(path)
    with open_store(tmp_path) as store, pytest.raises(StoreCorruptError) as caught:
        store.runs()

    assert str(caught.value) == f"the store {path} is not whole: no such table: runs" + RESTORE


def test_who_writes_looks_more_closely(tmp_path: Path) -> None:
    """A small file is checked as a whole before anything is added to what may be wrong already."""
    path = filled(tmp_path)
    overwrite(path, 36, b"\0\0\0\5")  # how many pages are free
    with open_store(tmp_path, read_only=True) as store:
        assert len(store.log("run1")) == 801

    with pytest.raises(StoreCorruptError, match=r"is damaged: .*should be 5"):
        open_store(tmp_path)


def test_damage_far_inside_is_noticed_when_it_is_met(tmp_path: Path) -> None:
    """A large file is not read as a whole on every start; what is damaged in it is told when somebody comes there."""
    path = filled(tmp_path, count=15_000)
    assert path.stat().st_size > sqlite_file.CHECKED_BYTES
    overwrite(path, 40 * 4096, b"\xff" * (path.stat().st_size - 41 * 4096))
    with open_store(tmp_path) as store:
        for read in (lambda: store.outputs_of("run1", 2), lambda: store.log("run1")):
            with pytest.raises(StoreCorruptError, match="is damaged: ") as caught:
                read()
            assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "told"),
    [("min(position)", "after event 0 come events"), ("max(position)", "it ends with event ")],
    ids=["first", "last"],
)
def test_a_log_with_a_gap_is_not_replayed(tmp_path: Path, frame: str, told: str) -> None:
    """The run would go on from a state that it never had, or fall over a fact that it cannot understand."""
    path = filled(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute(f"delete from frames where position = (select {frame} from frames)")
    connection.commit()
    connection.close()

    with open_store(tmp_path) as store, pytest.raises(StoreCorruptError, match=f"is not whole: {told}"):
        store.load("run1")


def test_a_text_that_has_changed_is_noticed(tmp_path: Path) -> None:
    """Pages have no checksums: a flipped bit in an event is still a sound database."""
    path = filled(tmp_path, count=2)
    version = digest(sweep())
    reads: tuple[tuple[str, str, Callable[[Store, str], object]], ...] = (
        ("frames", "body", lambda store, _: store.log("run1")),
        ("frames", "body", lambda store, _: store.load("run1")),
        ("runs", "params", lambda store, _: store.runs()),
        ("definitions", "outline", Store.outline),
    )
    for table, column, read in reads:
        connection = sqlite3.connect(path)
        connection.execute(f"UPDATE {table} SET {column} = x'5b7b'")
        connection.commit()
        connection.close()
        with open_store(tmp_path) as store, pytest.raises(StoreCorruptError, match="has a row that cannot be read: "):
            read(store, version)
        path.unlink()
        filled(tmp_path, count=2)


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    filled(tmp_path)
    with open_store(tmp_path, create=False) as store:
        assert len(store.runs()) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cells", "store.db"]


def test_a_damaged_write_ahead_log_loses_only_its_end(tmp_path: Path) -> None:
    """Its frames bear checksums: from the first that is wrong on it counts as never written."""
    process = python(
        "import sys, os; from tests.store.building import *; from meson_core.store import open_store\n"
        "store = open_store(sys.argv[1]); log = Log(store, store.acquire('local', 'x'), 'run1', put(store, sweep()))\n"
        "[log.write(*many(2, 1, first=n)) for n in range(50)]; os._exit(0)",
        tmp_path,
    )
    assert process.communicate()[1] == ""
    wal = sqlite_file.wal(tmp_path / "store.db")
    overwrite(wal, wal.stat().st_size * 3 // 4, os.urandom(200))

    with open_store(tmp_path) as store:
        row = store.run("run1")
        assert row is not None
        assert 1 < row.seq < 101
        assert [each.seq for each in store.log("run1")] == list(range(1, row.seq + 1))
        assert len(store.instances("run1", limit=1000)) == (row.seq - 1) // 2


# --- where nothing can be written -----------------------------------------------------------------------------------


def test_there_is_no_store(tmp_path: Path) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(NotFoundError) as caught:
            open_store(tmp_path / "nowhere", **options)
        assert str(caught.value) == (
            f"there is no store at {tmp_path / 'nowhere' / 'store.db'}\n"
            "  hint: nothing has been run there yet; name the folder of your project, or run a workflow first"
        )
    assert not (tmp_path / "nowhere").exists()


def test_a_store_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_store("oracle://scott:tiger@host/db")

    assert str(caught.value) == (
        "the store oracle://… is of a kind that this version does not know\n"
        "  hint: give the path of a .meson folder, or sqlite:///path"
    )
    assert "tiger" not in str(caught.value)


def test_a_url_names_a_file(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/sub/my.db") as store:
        assert store.place == f"the store {tmp_path}/sub/my.db"
    with open_store(tmp_path / "sub" / "my.db", create=False) as store:
        assert store.runs() == []


def test_a_place_where_no_store_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "file" / "sub")

    path = tmp_path / "file" / "sub"
    assert str(caught.value) == (
        f"the store {path / 'store.db'} cannot be created: {path} is not a folder\n"
        f"  hint: make {path} a folder that you can write to, or choose another project folder"
    )


def as_nobody(code: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Another process that may not write where we may: as another user if we are root, else as ourselves."""
    process = python(BECOME_NOBODY + code, *args)
    output, errors = process.communicate()
    return subprocess.CompletedProcess([], process.returncode, output, errors)


# All imports come first: that user may not be able to read the interpreter's files.
BECOME_NOBODY = """
import os, sys, tempfile
from meson_core.errors import MesonError
from meson_core.store import open_store
with tempfile.TemporaryDirectory() as folder, open_store(folder) as store:
    store.runs()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""

TELL = """
try:
    with open_store(sys.argv[1], read_only=sys.argv[2] == "read") as store:
        print(len(store.log("run1")))
except MesonError as error:
    print(error)
"""


@pytest.fixture
def visible() -> Iterator[Path]:
    """A folder that every user can look into; those of pytest are for their owner only."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_a_read_only_folder_can_be_looked_at(visible: Path) -> None:
    path = filled(visible)
    path.chmod(0o444)
    visible.chmod(0o555)

    looked = as_nobody(TELL, visible, "read")
    assert looked.stdout == "801\n", looked.stderr
    written = as_nobody(TELL, visible, "write")
    assert written.stdout == (
        f"the store {path} cannot be written to by this user\n"
        "  hint: what has been run can be looked at; to run anything, make the file and its folder writable\n"
    )
    new = as_nobody(TELL, visible / "sub", "write")
    assert new.stdout.startswith(f"the store {visible / 'sub' / 'store.db'} cannot be created: Permission denied")
    assert sorted(each.name for each in visible.iterdir()) == ["cells", "store.db"]


def test_looking_writes_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    with open_store(tmp_path, read_only=True) as store:
        assert len(store.log("run1")) == 801
        with pytest.raises(StoreError, match="is opened for reading only"):
            store.put_wish("pause", "run1", by="ada", cell="local")
        with pytest.raises(StoreError, match="is opened for reading only"):
            store.write_samples([])


# --- when there is no more room -------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_commit_and_nothing_else(tmp_path: Path) -> None:
    """SQLite says "full" when its file may not grow: here by its own limit, which takes the same way as a full disk."""
    with open_store(tmp_path) as store:
        log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
        log.write(*many(2, 10))
        with store._database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError) as caught:
            log.write(*many(2, 5000, first=10))
        assert str(caught.value) == (
            f"the store {tmp_path / 'store.db'} cannot grow: the disk is full\n"
            f"  hint: free space on the disk of {tmp_path}; what was written before is safe"
        )
        assert len(store.log("run1")) == 21
        with store._database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

        log.write(*many(2, 5000, first=10))

        assert len(store.outputs_of("run1", 2)) == 5010


# A limit on the size of files is what a quota is: the kernel refuses to write beyond it.
LIMITED = """
import resource, signal, sys
from meson_core.errors import StoreError
from meson_core.store import open_store
from tests.store.building import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_store(sys.argv[1]) as store:
    log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
    log.write(*many(2, 10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        for number in range(100):
            log.write(*many(2, 100, first=10 + 100 * number))
    except StoreError as error:
        print(error, flush=True)
    print(len(store.log("run1")), log.seq)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.write(*many(2, 1, first=50_000))
    print(len(store.log("run1")), log.seq)
"""


def test_a_quota_stops_the_commit_and_nothing_else(tmp_path: Path) -> None:
    process = python(LIMITED, tmp_path)
    output, errors = process.communicate()

    assert errors == ""
    message, hint, *counts = output.splitlines()
    assert message.startswith(f"the store {tmp_path / 'store.db'} cannot ")
    assert "what was written before is safe" in hint
    before, after = (tuple(map(int, line.split())) for line in counts)
    assert before[0] == before[1] > 21
    assert after == (before[0] + 2, before[1] + 2)


def test_a_database_that_is_held_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setattr("meson_core.store.dialect_sqlite.BUSY_S", 0.01)
    with open_store(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            store.put_wish("pause", "run1", by="ada", cell="local")
        other.execute("COMMIT")
        other.close()
        assert str(caught.value) == (
            f"the store {tmp_path / 'store.db'} is held by another process for too long: database is locked\n"
            "  hint: see whether a backup or another tool has it open, and try again"
        )
        store.put_wish("pause", "run1", by="ada", cell="local")


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        (sqlite3.SQLITE_READONLY, StoreError, "cannot be written to: boo"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreError, "cannot be read or written: boo"),
        (sqlite3.SQLITE_CANTOPEN, StoreError, "cannot be opened: boo"),
        (sqlite3.SQLITE_CORRUPT_VTAB, StoreCorruptError, "is damaged: boo"),
        (sqlite3.SQLITE_CONSTRAINT, StoreError, "refused: boo"),
    ],
)
def test_every_class_of_error_is_explained(code: int, kind: type[StoreError], expected: str) -> None:
    error = sqlite3.OperationalError("boo\n")
    error.sqlite_errorcode = code
    explained = SqliteDialect(Path("/x/store.db")).explain(error)

    assert type(explained) is kind
    assert explained.message == f"the store /x/store.db {expected}"
    assert "unknown" in SqliteDialect(Path("/x/store.db")).explain(ValueError()).message


def test_a_crash_of_the_program_is_no_damage(tmp_path: Path) -> None:
    """An exception of ours in a transaction rolls it back, and leaves the store usable."""
    with open_store(tmp_path) as store:
        log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
        broken = log.frame(*many(2, 3), counts={2: [object()]})  # type: ignore[list-item]
        with pytest.raises(TypeError):
            store.commit(Commit(log.lease.epoch, [broken]))
        assert store.instances("run1") == []
        log.write(*many(2, 3))
        assert len(store.instances("run1")) == 3


def test_errors_are_of_the_one_tree() -> None:
    assert issubclass(StoreCorruptError, StoreError)
    assert issubclass(StoreVersionError, StoreError)
