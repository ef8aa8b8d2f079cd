"""Tests of versions of the tables: new stores are stamped, others are upgraded with their data or refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from meson_core.errors import NotFoundError, StoreError, StoreLockedError, StoreVersionError
from meson_core.spec.states import State
from meson_core.store import open_store, sqlite_file, upgrade, upgrading, versions
from meson_core.store.catalogue import ArtifactQuery
from tests.store.building import Log, put, python, sweep

RECORDED = Path(__file__).parent / "recorded"
#: The newest revision of the program as it is.
NOW_HEAD = versions.HEAD

NEXT = '''
"""Owns a revision that is only there in a test."""
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"


def upgrade():
    op.add_column("runs", sa.Column("colour", sa.String))
    op.execute("UPDATE runs SET colour = 'green'")
    {more}
'''


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of the newest revision, with a run in it."""
    folder = tmp_path / ".meson"
    with open_store(folder) as store:
        log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
        log.succeed((0,), b'{"rows":3}')
    return folder


@pytest.fixture
def later_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From here on the program is a version whose tables are those of a further revision; its file."""
    scripts = tmp_path / "migrations"
    shutil.copytree(upgrading._SCRIPTS, scripts)
    revision = scripts / "versions" / "v9000_next.py"
    revision.write_text(NEXT.format(head=NOW_HEAD, more=""))
    for module in (versions, upgrading):
        monkeypatch.setattr(module, "HEAD", "9000")
    monkeypatch.setattr(versions, "REVISIONS", (*versions.REVISIONS, "9000"))
    monkeypatch.setattr(upgrading, "_SCRIPTS", scripts)
    return revision


def tables(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    finally:
        connection.close()
    return {name: " ".join(sql.split()).replace("( ", "(").replace(" )", ")") for name, sql in rows}


def test_the_list_of_revisions_is_what_is_there() -> None:
    """Knowing whether a store is old must not need Alembic, so the list is written down; here it is compared."""
    scripts = ScriptDirectory(str(upgrading._SCRIPTS))

    assert list(versions.REVISIONS) == [revision.revision for revision in scripts.walk_revisions()][::-1]
    assert scripts.get_current_head() == versions.HEAD


def test_new_stores_have_the_tables_that_upgraded_ones_have(tmp_path: Path) -> None:
    """Tables are made from the metadata, not by the revisions; both must come to the same."""
    with open_store(tmp_path / "made"):
        pass
    empty = tmp_path / "empty.db"
    engine = create_engine(f"sqlite:///{empty}")
    with engine.begin() as connection:
        upgrading.migrate(connection)
    engine.dispose()

    made, upgraded = tables(tmp_path / "made" / "store.db"), tables(empty)
    del made["alembic_version"], upgraded["alembic_version"]

    assert made == upgraded


def test_an_upgrade_keeps_the_data(old: Path, later_program: Path) -> None:
    with pytest.raises(StoreVersionError) as caught:
        open_store(old)

    assert caught.value.hint == "stop what uses it, and run `mesonctl db upgrade`; its data is kept"
    assert f"earlier version of Meson ({NOW_HEAD}; this one needs 9000)" in caught.value.message

    assert upgrade(old) == (NOW_HEAD, "9000")
    assert upgrade(old) == ("9000", "9000")

    with open_store(old) as store:
        (row,) = store.instances("run1")
        assert (row.state, bytes(row.outputs or b"")) == (State.succeeded, b'{"rows":3}')
        assert len(store.log("run1")) == 3
    connection = sqlite3.connect(old / "store.db")
    assert connection.execute("SELECT colour FROM runs").fetchall() == [("green",)]
    connection.close()


def test_an_upgrade_that_fails_changes_nothing(old: Path, later_program: Path) -> None:
    before = tables(old / "store.db")
    later_program.write_text(NEXT.format(head=NOW_HEAD, more='op.execute("UPDATE nonsense SET x = 1")'))

    with pytest.raises(StoreError, match="no such table: nonsense"):
        upgrade(old)

    assert before == tables(old / "store.db")


def test_an_upgrade_waits_for_nobody(old: Path, later_program: Path) -> None:
    """An orchestrator of the old version would write into tables that it does not know."""
    holder = python(
        "import sys; from meson_core.store.lease import FileLock, this_process; from pathlib import Path;"
        "lock = FileLock(Path(sys.argv[1]) / 'cells' / 'local.lock', 'local'); lock.take(this_process('mesonctl serve'));"
        "print('held', flush=True); sys.stdin.read()",
        old,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        with pytest.raises(StoreLockedError, match="cell 'local' is driven by mesonctl serve") as caught:
            upgrade(old)
        assert caught.value.hint == "stop it, and upgrade then"
    finally:
        holder.communicate()
    assert upgrade(old).after == "9000"


def test_a_later_store_is_refused(old: Path) -> None:
    connection = sqlite3.connect(old / "store.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    for use in (open_store, upgrade):
        with pytest.raises(StoreVersionError) as caught:
            use(old)
        assert f"{old / 'store.db'} has the tables of a later version of Meson (9999; this one knows" in str(
            caught.value
        )
        assert "hint: install the version of Meson that wrote it, or a later one" in str(caught.value)


def test_there_is_nothing_to_upgrade(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no store"):
        upgrade(tmp_path)


@pytest.mark.parametrize("dump", sorted(RECORDED.glob("*.sql")), ids=lambda path: path.stem)
def test_stores_of_every_released_revision_can_be_read(dump: Path, tmp_path: Path) -> None:
    """Recorded when the revision was new; `python -m tests.store.recording` writes the one of the newest."""
    path = tmp_path / "store.db"

    def fill(draft: Path) -> None:
        connection = sqlite3.connect(draft)
        connection.executescript(dump.read_text())
        connection.close()

    sqlite_file.create(path, fill)

    upgrade(path)

    with open_store(path) as store:
        row = store.run("run1")
        assert row is not None
        assert (row.state, row.workflow, row.params, row.owner) == ("failed", "sweep", {"alpha": 0.5}, "ada")
        states = {each.instance: each.state for each in store.instances("run1")}
        assert states == {(0,): State.succeeded, (2, 0): State.succeeded, (2, 1): State.failed}
        assert [bytes(each.outputs or b"") for each in store.outputs_of("run1", 2, prefix=(0,))] == [b'{"score":0}']
        assert [each.failure.message for each in store.attempts("run1")] == ["exit code 1"]
        assert [wish.what for wish in store.wishes()] == ["retry"]
        assert store.durations("sweep") == {"prepare": 1.0, "train": 1.0}
        assert store.load("run1") == (b"snapshot", row.seq, [])
        assert [each.seq for each in store.log("run1")] == list(range(1, row.seq + 1))
        assert store.acquire("local", "a test").epoch == 2


def test_what_was_put_before_there_was_a_catalogue_is_in_it(tmp_path: Path) -> None:
    """Otherwise the first prune would delete the artifacts of every earlier run."""
    digest = "sha256:" + "ab" * 32
    value = {"$artifact": digest, "size": 3, "name": "m.csv", "media": "text/csv"}
    outputs = json.dumps({"models": [value], "odd": {"$artifact": "sha256:12"}}).encode()
    path = tmp_path / "store.db"

    def fill(draft: Path) -> None:
        connection = sqlite3.connect(draft)
        connection.executescript((RECORDED / "0001.sql").read_text())
        connection.execute("UPDATE instances SET outputs = ? WHERE node = 0", (outputs,))
        connection.commit()
        connection.close()

    sqlite_file.create(path, fill)
    upgrade(path)

    with open_store(path) as store:
        (only,) = store.artifacts(ArtifactQuery())
        record = only.record
        assert (record.name, record.digest, record.size, record.file) == ("prepare.models[0]", digest, 3, "m.csv")
        assert (record.run_id, record.step, record.instance, record.attempt) == ("run1", "prepare", (0,), 1)
        assert only.code == "code0"
        assert store.needed_artifacts().digests == {digest}


def test_there_is_a_recording_of_every_revision() -> None:
    assert [path.stem for path in sorted(RECORDED.glob("*.sql"))] == list(versions.REVISIONS)
