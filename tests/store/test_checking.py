"""Tests of the examination of a whole store: what opening it does not look at is looked at here."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from meson_core.errors import NotFoundError, StoreCorruptError
from meson_core.store import examine, open_store, versions
from tests.store.building import Log, many, put, sweep

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a run of 1 + 6 + 4 events, and one of 1."""
    with open_store(tmp_path) as store:
        lease, version = store.acquire("local", "a test"), put(store, sweep())
        log = Log(store, lease, "run1", version)
        log.write(*many(2, 3))
        log.write(*many(2, 2, first=3))
        Log(store, lease, "run2", version)
    return tmp_path / "store.db"


def test_a_whole_store_is_told_as_such(path: Path) -> None:
    found = examine(path)

    assert (found.version, found.runs, found.events, found.definitions) == (versions.HEAD, 2, 12, 1)


def test_there_is_nothing_to_examine(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        examine(tmp_path)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("DELETE FROM frames WHERE first_seq = 2", "run1 is damaged: after event 1 come events 8 to 11, 4 of them"),
        ("DELETE FROM frames WHERE first_seq = 8", "run1 is damaged: its log ends with event 7, and should with 11"),
        ("DELETE FROM frames WHERE run = 2", "run2 is damaged: its log ends with event 0, and should with 1"),
        ("UPDATE frames SET body = x'5b5d' WHERE first_seq = 2", "after event 1 come events 2 to 7, 0 of them"),
        ("UPDATE frames SET body = x'5b7b' WHERE first_seq = 8", "its events 8 to 11 cannot be read: "),
        ("DELETE FROM definitions", "run1 is damaged: the workflow version that it is pinned to is not there"),
        ("DROP TABLE frames", "is not whole: no such table: frames"),
    ],
)
def test_what_is_missing_is_found(path: Path, damage: str, expected: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()

    with pytest.raises(StoreCorruptError) as caught:
        examine(path)

    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert "hint: restore it from a backup" in str(caught.value)
