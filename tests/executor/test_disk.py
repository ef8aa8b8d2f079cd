"""Owns the tests of disks that are full: nothing stops, nothing is told wrongly, and what can be kept is kept."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.executor.client import key, order, program, shell
from tests.executor.lines import Line, fact_text, open_facts

if TYPE_CHECKING:
    from pathlib import Path

    from meson_executor.facts import Facts


def _facts(path: Path, line: Line, notes: list[str]) -> Facts:
    facts = open_facts(path, line, notes)
    facts.restore()
    return facts


@pytest.mark.parametrize("room", [300, 1000])
def test_a_full_disk_costs_durability_only(tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts that the spool has no room for are told all the same, and are in it again as soon as there is room."""
    line = Line()
    notes: list[str] = []
    facts = _facts(tmp_path / "spool", line, notes)
    write = os.write

    def full(fd: int, data: bytes) -> int:
        left = room - os.fstat(fd).st_size
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, bytes(data)[:left])

    monkeypatch.setattr(os, "write", full)
    for number in range(30):
        facts.add(fact_text(number))
        facts.flush()
    assert len(line.sent) == 30
    assert any("No space left on device; facts are kept in memory alone" in note for note in notes)
    monkeypatch.undo()
    facts.add(fact_text(30))
    facts.flush()
    facts.close()

    again = open_facts(tmp_path / "spool", Line(), notes)
    assert again.restore() == ([], [])
    assert (again.unacknowledged, again.last) == (31, 31)


@pytest.mark.slow
def test_an_executor_with_a_full_disk(make_executor: Any) -> None:
    """Its files cannot grow beyond 100 kB: output is dropped, facts are kept in memory, and it goes on."""
    limited = ("/bin/sh", "-c", 'ulimit -f 200; exec "$@"', "sh")
    executor = make_executor(under=limited).start()
    peer = executor.peer(acknowledge=False)
    script = """head -c 50000 /dev/zero | tr '\\0' x | sed 's/.*/{"x": "&"}/' > $MESON_OUTPUTS"""
    peer.order(
        {"step": shell(script), "loud": shell("yes | head -c 1000000")}, *(order(node=node) for node in range(8))
    )
    for node in range(8):
        assert peer.end(key(node))["f"] == "succeeded"
    peer.order({}, order("loud", 9))
    assert peer.end(key(9))["f"] == "succeeded"
    peer.close()

    again = executor.peer(acknowledge=False)
    assert [again.end(key(node))["f"] for node in (*range(8), 9)] == ["succeeded"] * 9
    again.send(t="ack", seq=again.facts[-1][0])
    again.order({"last": program("/bin/true")}, order("last", 10))
    assert again.end(key(10))["f"] == "succeeded"
    said = executor.said()
    assert "the spool cannot be" in said
    assert "logs cannot be written and are dropped" in said


@pytest.mark.slow
def test_people_are_told_that_logs_are_dropped(make_executor: Any) -> None:
    """Before the end of the attempt that wrote them: who looks at it must not take it for silent."""
    executor = make_executor().start()
    logs = executor.folder / "logs"
    peer = executor.peer()
    shutil.rmtree(logs, ignore_errors=True)
    logs.write_text("a file")
    peer.order({"loud": shell("echo hello")}, order("loud"))
    assert peer.end(key())["f"] == "succeeded"

    (told,) = peer.notes
    assert told.startswith("logs cannot be written and are dropped: ")
    assert told.endswith(f"Not a directory: {str(logs / 'run')!r}")


def test_without_a_session_facts_go_to_the_disk_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody listens, the orchestrator's log is the better place; alone, each turn is forced to disk."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    line = Line()
    facts = _facts(tmp_path / "spool", line, [])
    synced.clear()
    facts.add(fact_text(1))
    facts.flush()
    assert synced == []
    line.open = False
    facts.flush()
    assert len(synced) == 1
    facts.flush()
    assert len(synced) == 1
    facts.add(fact_text(2))
    facts.add(fact_text(3))
    facts.flush()
    assert len(synced) == 2


def test_a_crowded_line_gets_the_rest_later(tmp_path: Path) -> None:
    line = Line()
    facts = _facts(tmp_path / "spool", line, [])
    facts.add(fact_text(1))
    facts.flush()
    line.crowded = True
    for number in range(2, 2500):
        facts.add(fact_text(number))
        facts.flush()
    assert len(line.sent) == 1
    line.crowded = False
    facts.add(fact_text(2500))
    facts.flush()
    assert len(line.sent) == 1  # in order: what waits goes first
    facts.pump()

    assert [1, 2, 1002, 2002] == [numbers[0] for numbers in line.numbers()]
