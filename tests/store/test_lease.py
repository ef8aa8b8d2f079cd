"""Tests of the lease: one process drives a cell, the kernel takes it back from the dead, and everyone knows who has it."""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from meson_core.errors import StoreError, StoreLockedError
from meson_core.store import open_store
from meson_core.store.records import Commit
from tests.store.building import Log, many, put, python, sweep

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys
from meson_core.store import open_store
store = open_store(sys.argv[1])
lease = store.acquire("local", "mesonctl serve")
print(lease.epoch, flush=True)
sys.stdin.read()
store.close()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that drives the cell "local"; it lets go when its input ends."""
    process = python(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    yield process
    process.kill()
    process.communicate()


def test_a_cell_has_one_driver(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with open_store(tmp_path) as store:
        with pytest.raises(StoreLockedError) as caught:
            store.acquire("local", "mesonctl run")
        message = str(caught.value)
        assert (
            f"cell 'local' is driven by mesonctl serve (process {holder.pid} on {socket.gethostname()}, since"
            in message
        )
        assert "hint: hand your wishes to it, or stop it first" in message

        assert store.acquire("other", "mesonctl run").epoch == 1


def test_everybody_can_ask_who_drives(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with open_store(tmp_path) as store:
        found = store.holder("local")

        assert found is not None
        assert (found.name, found.pid, found.host) == ("mesonctl serve", holder.pid, socket.gethostname())
        assert store.holder("other") is None
        holder.communicate()
        assert store.holder("local") is None


def test_a_killed_driver_is_followed_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with open_store(tmp_path) as store:
        assert store.holder("local") is None
        assert store.acquire("local", "the next one").epoch == 2


def test_a_driver_that_was_overtaken_writes_nothing(tmp_path: Path) -> None:
    """A lock can be lost without the holder's doing (a restored disk, a cell moved by hand): the epoch still tells."""
    with open_store(tmp_path) as first:
        log = Log(first, first.acquire("local", "first"), "run1", put(first, sweep()))
        (tmp_path / "cells" / "local.lock").unlink()
        with open_store(tmp_path) as second:
            lease = second.acquire("local", "second")
            assert lease.epoch == 2
            with pytest.raises(StoreLockedError, match="its epoch is 2, this orchestrator's 1"):
                log.write(*many(2, 1))
            assert len(second.log("run1")) == 1
            log.store, log.lease = second, lease
            log.write(*many(2, 1))


def test_the_epoch_counts_every_driver(tmp_path: Path) -> None:
    epochs = []
    for _ in range(3):
        with open_store(tmp_path) as store:
            lease = store.acquire("local", "one after the other")
            epochs.append(lease.epoch)
            lease.release()
            lease.release()
            assert not lease.held
            epochs.append(store.acquire("local", "again").epoch)

    assert epochs == [1, 2, 3, 4, 5, 6]


def test_one_store_drives_one_cell(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.acquire("local", "a test")
        with pytest.raises(StoreError, match="already holds the lease of cell 'local'"):
            store.acquire("other", "a test")


def test_the_lock_survives_others_who_look_at_it(tmp_path: Path) -> None:
    """With the older sort of lock, closing the file anywhere in the process would give it up."""
    with open_store(tmp_path) as store, open_store(tmp_path) as other:
        store.acquire("local", "a test")
        for _ in range(3):
            assert other.holder("local") is not None
        with pytest.raises(StoreLockedError):
            other.acquire("local", "another")
        found = other.holder("local")
        assert found is not None
        assert found.pid == os.getpid()


def test_children_do_not_keep_the_lock(tmp_path: Path) -> None:
    """Executors outlive the orchestrator that started them; they must not hold its cell."""
    with open_store(tmp_path) as store:
        store.acquire("local", "a test")
        child = python("import sys; print('up', flush=True); sys.stdin.read()")
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
    try:
        with open_store(tmp_path) as store:
            assert store.acquire("local", "the next one").epoch == 2
    finally:
        child.communicate()


def test_a_holder_that_says_nothing_is_still_a_holder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Between taking the lock and writing its name it has not said who it is; nor if somebody emptied the file."""
    (tmp_path / "cells" / "local.lock").write_bytes(b"")
    with open_store(tmp_path) as store:
        assert store.holder("local") is not None
        with pytest.raises(StoreLockedError, match=re.escape("cell 'local' is driven by another process")):
            store.acquire("local", "a test")


def test_a_lock_that_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        (tmp_path / "cells" / "local.lock").mkdir(parents=True)
        with pytest.raises(StoreError) as caught:
            store.acquire("local", "a test")

    assert f"the lock of cell 'local', {tmp_path / 'cells' / 'local.lock'}, cannot be opened: Is a directory" in str(
        caught.value
    )


def test_a_file_system_without_locks_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    with open_store(tmp_path) as store:
        monkeypatch.setattr("meson_core.store.lease.fcntl.fcntl", refuse)
        with pytest.raises(StoreError) as caught:
            store.acquire("local", "a test")
    assert str(caught.value) == (
        f"the lock of cell 'local', {tmp_path / 'cells' / 'local.lock'}, cannot be taken: No locks available\n"
        "  hint: the store must lie on a file system that has locks, on a disk of this machine"
    )


def test_a_lock_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        (tmp_path / "cells").write_text("in the way")
        with pytest.raises(StoreError, match="cannot be read: Not a directory"):
            store.holder("local")


def test_a_lease_that_fails_half_way_is_given_back(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, open_store(tmp_path, read_only=True) as looking:
        with pytest.raises(StoreError, match="is opened for reading only"):
            looking.acquire("local", "a test")
        assert store.holder("local") is None
        store.commit(Commit(store.acquire("local", "a test").epoch, []))
