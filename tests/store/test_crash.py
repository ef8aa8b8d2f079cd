"""Tests of sudden deaths: a process that commits in a loop is killed, and what is left is a beginning of what it did."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from meson_core.events import AttemptSucceeded, RunCreated
from meson_core.spec.states import State
from meson_core.store import open_store
from tests.store.building import Log, many, put, python, sweep

if TYPE_CHECKING:
    from pathlib import Path

# Commits frames of 1 to 40 successes for ever, and says after each how far it is; makes room once on the way.
COMMIT = """
import sys
from meson_core.store import open_store
from tests.store.building import Log, many, put, sweep
store = open_store(sys.argv[1])
log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
done = 0
while True:
    if done == 36:
        store.make_room()
    size = done % 40 + 1
    log.write(*many(2, size, first=done), counts={2: [0] * 10 + [done + size] + [0] * 5}, snapshot=b"%d" % log.seq)
    done += size
    print(done, log.seq, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 7, 30, 61, 100])
def test_a_killed_writer_leaves_a_prefix(tmp_path: Path, after: int) -> None:
    process = python(COMMIT, tmp_path)
    assert process.stdout is not None
    last = ""
    for _ in range(after):
        last = process.stdout.readline()
    # No pause between the two: it is in the middle of something.
    process.send_signal(signal.SIGKILL)
    rest, errors = process.communicate()
    assert errors == ""
    told_done, told_seq = map(int, (rest.splitlines() or [last])[-1].split())

    with open_store(tmp_path) as store:
        row = store.run("run1")
        assert row is not None
        events = [each.event for each in store.log("run1")]
        successes = [event for event in events if isinstance(event, AttemptSucceeded)]
        done = len(successes)

        # All that it knew to be written is there; at most one commit more, of which it could not tell any more.
        assert told_done <= done <= told_done + 40
        assert row.seq == len(events) >= told_seq
        assert isinstance(events[0], RunCreated)
        assert [event.instance for event in successes] == [(2, index) for index in range(done)]
        # Projections and snapshot are those of exactly this log.
        page = store.instances("run1", limit=10_000)
        assert [each.instance for each in page] == [(2, index) for index in range(done)]
        assert {each.state for each in page} == {State.succeeded}
        (node,) = store.nodes("run1")
        assert node.counts[State.succeeded] == done
        snapshot, seq, tail = store.load("run1")
        assert (seq, tail) == (row.seq, [])
        assert snapshot is not None
        assert int(snapshot) < seq

        log = Log.__new__(Log)
        log.store, log.run_id, log.seq = store, "run1", row.seq
        log.lease = store.acquire("local", "the next one")
        assert log.lease.epoch == 2
        log.write(*many(2, 1, first=done))
        assert len(store.outputs_of("run1", 2)) == done + 1


def test_commits_find_the_room_that_was_made(tmp_path: Path) -> None:
    """A file that grows with each commit would make each of them wait for the file system's own journal."""
    with open_store(tmp_path) as store:
        log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
        store.make_room()
        file = tmp_path / "store.db-wal"
        size = file.stat().st_size
        for number in range(100):
            log.write(*many(2, 1, first=number))
        store.make_room()

        assert size == file.stat().st_size >= 8 * 1024 * 1024
        assert 100 == len(store.outputs_of("run1", 2))


@pytest.mark.slow
def test_a_store_that_several_create_at_once_is_one(tmp_path: Path) -> None:
    """It is there as a whole or not at all; all get the same one, and nobody's wish is lost with another file."""
    code = (
        "import sys; from meson_core.store import open_store\n"
        "sys.stdin.readline()\n"
        "with open_store(sys.argv[1]) as store: store.put_wish('cancel', sys.argv[2], by='a', cell='c')"
    )
    processes = [python(code, tmp_path, str(number)) for number in range(6)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate()
        assert errors == ""

    with open_store(tmp_path, create=False) as store:
        assert {wish.run_id for wish in store.wishes()} == {str(number) for number in range(6)}
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")] == []


@pytest.mark.slow
def test_readers_see_whole_commits_while_another_process_writes(tmp_path: Path) -> None:
    process = python(COMMIT, tmp_path)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        with open_store(tmp_path, read_only=True) as store:
            seen = 0
            for _ in range(15):
                rows = store.log("run1")
                node = store.nodes("run1")[0]
                outputs = store.outputs_of("run1", 2)

                # Read one after the other: each is one state of the store, and none is older than the one before.
                assert rows[-1].seq == len(rows) >= seen
                assert node.counts[State.succeeded] >= (len(rows) - 1) // 2
                assert len(outputs) >= node.counts[State.succeeded]
                seen = len(rows)
    finally:
        process.kill()
        process.communicate()


def test_the_log_of_a_frame_is_one_row(tmp_path: Path) -> None:
    """What is written at once is read at once: the crash of a commit cannot cut a frame."""
    with open_store(tmp_path) as store:
        log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
        log.write(*many(2, 300))

        with store._database.read() as connection:
            rows = connection.exec_driver_sql("SELECT first_seq, last_seq FROM frames").fetchall()

        assert [tuple(row) for row in rows] == [(1, 1), (2, 601)]
