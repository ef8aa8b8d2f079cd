"""Owns the tests of logs: what is written is read back by attempt and by time, whatever it is and whatever happens."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meson_executor import logs
from meson_executor.logs import MESON, STDERR, STDOUT, LogReader, Logs, Record, lines, run_folder
from tests.executor.client import ExecutorAt, Peer, key, order, python, shell, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable


def _no_notes(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def writer(tmp_path: Path) -> Logs:
    return Logs(str(tmp_path), "local.1", _no_notes)


@pytest.fixture
def reader(tmp_path: Path) -> LogReader:
    return LogReader(run_folder(str(tmp_path), "run"))


def _write(writer: Logs, *chunks: tuple[int, bytes], start: float = 100.0) -> None:
    """Chunks of instances `(1, index)`, a second apart."""
    for number, (index, data) in enumerate(chunks):
        writer.write(("run", (1, index), 1), STDOUT, start + number, data)
    writer.flush()


def _texts(records: Any) -> list[str]:
    return [line.text for line in lines(records)]


def test_by_attempt_and_by_time(writer: Logs, reader: LogReader) -> None:
    _write(writer, (1, b"a\n"), (2, b"b\n"), (1, b"c\n"))
    writer.write(("run", (1, 1), 2), STDERR, 101.5, b"second attempt\n")
    writer.write(("other", (1, 1), 1), STDOUT, 99.0, b"another run\n")
    writer.flush()

    assert _texts(reader.of((1, 1), 1)) == ["a", "c"]
    assert list(reader.of((1, 1))) == [
        Record(100.0, (1, 1), 1, STDOUT, b"a\n"),
        Record(101.5, (1, 1), 2, STDERR, b"second attempt\n"),
        Record(102.0, (1, 1), 1, STDOUT, b"c\n"),
    ]
    assert list(reader.of((1,))) == []
    assert list(reader.of((1, 11))) == []


def test_following(writer: Logs, reader: LogReader) -> None:
    """Each call gives what is new, of all attempts or of some."""
    assert list(reader.news()) == []
    _write(writer, (1, b"a\n"), (2, b"b\n"))
    assert _texts(reader.news()) == ["a", "b"]
    assert list(reader.news()) == []
    _write(writer, (1, b"c\n"), (2, b"d\n"))
    assert _texts(reader.news(lambda instance, _attempt: instance == (1, 2))) == ["d"]
    assert list(reader.news()) == []


def test_several_executors_are_merged_by_time(tmp_path: Path, writer: Logs, reader: LogReader) -> None:
    second = Logs(str(tmp_path), "far/away.7", _no_notes)
    _write(writer, (1, b"a\n"), (1, b"c\n"), start=1)
    _write(second, (2, b"b\n"), start=1.5)

    assert _texts(reader.news()) == ["a", "b", "c"]


def test_incarnations_come_in_order(tmp_path: Path, reader: LogReader) -> None:
    for incarnation in (9, 10, 11):
        writer = Logs(str(tmp_path), f"local.{incarnation}", _no_notes)
        _write(writer, (1, b"%d\n" % incarnation), start=5)
        writer.close()

    assert _texts(reader.news()) == ["9", "10", "11"]


def test_lines_are_put_together(writer: Logs, reader: LogReader) -> None:
    """Chunks end anywhere: within a line, within a character, in the middle of somebody else's line."""
    _write(
        writer, (1, "naïve caf".encode()[:4]), (2, b"other\n"), (1, "naïve caf".encode()[4:]), (1, "é\nlast".encode())
    )

    assert [(line.instance, line.text, line.at) for line in lines(reader.news())] == [
        ((1, 2), "other", 101.0),
        ((1, 1), "naïve café", 100.0),
        ((1, 1), "last", 103.0),
    ]


@pytest.mark.slow
def test_rubbish_and_endless_lines(writer: Logs, reader: LogReader) -> None:
    """Nothing that a step writes can break the log of another."""
    rubbish = bytes(range(256)) * 3 + b"1 1 o 100.0 5\n" + b"\n\n" + b"1.1 1 o 100.0 99999999\n"
    endless = b"x" * (50 * 1024 * 1024)
    _write(writer, (1, rubbish), (2, b"fine\n"))
    for start in range(0, len(endless), 65536):
        _write(writer, (3, endless[start : start + 65536]))
    _write(writer, (2, b"still fine\r\n"), start=200)

    assert b"".join(record.data for record in reader.of((1, 1))) == rubbish
    assert _texts(reader.of((1, 2))) == ["fine", "still fine"]
    pieces = _texts(reader.of((1, 3)))
    assert max(map(len, pieces)) == 64 * 1024
    assert sum(map(len, pieces)) == len(endless)
    assert all(isinstance(line.text, str) for line in lines(reader.news()))


def test_segments(writer: Logs, tmp_path: Path, reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_SEGMENT_SIZE", 1000)
    _write(writer, (1, b"a\n"))
    list(reader.news())
    for number in range(100):
        _write(writer, (number % 3, b"%d\n" % number * 20))

    assert len(list((tmp_path / "run").glob("*.log"))) > 5
    assert [line.text for line in lines(reader.news())] == [str(number) for number in range(100) for _ in range(20)]
    assert set(_texts(reader.of((1, 2)))) == {str(number) for number in range(2, 100, 3)}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_tail_is_passed_over(writer: Logs, reader: LogReader, tmp_path: Path, cut: int) -> None:
    """Segment and index may be cut anywhere, each for itself."""
    _write(writer, (1, b"first\n"), (2, b"second\n"), (1, b"third\n"))
    segment, index = tmp_path / "run" / "local.1.0.log", tmp_path / "run" / "local.1.0.idx"
    whole, entries = segment.read_bytes(), index.read_bytes()
    segment.write_bytes(whole[:-cut])

    assert _texts(reader.of((1, 1))) in (["first", "third"], ["first"])
    assert _texts(reader.of((1, 1))) == ["first"]
    segment.write_bytes(whole)
    index.write_bytes(entries[:-cut])
    assert _texts(reader.of((1, 1))) == ["first", "third"]
    assert _texts(LogReader(str(tmp_path / "run")).news()) == ["first", "second", "third"]


def test_what_the_index_lacks_is_found(writer: Logs, tmp_path: Path, reader: LogReader) -> None:
    _write(writer, (1, b"first\n"), (2, b"second\n"))
    (tmp_path / "run" / "local.1.0.idx").write_bytes(b"")

    assert _texts(reader.of((1, 2))) == ["second"]
    assert _texts(reader.news()) == ["first", "second"]
    assert list(reader.news()) == []


def test_a_reader_that_comes_between_segment_and_index(writer: Logs, tmp_path: Path, reader: LogReader) -> None:
    _write(writer, (1, b"first\n"))
    index = tmp_path / "run" / "local.1.0.idx"
    before = index.read_bytes()
    _write(writer, (1, b"second\n"))
    after = index.read_bytes()
    index.write_bytes(before)
    assert _texts(reader.news()) == ["first", "second"]
    index.write_bytes(after)
    _write(writer, (1, b"third\n"))

    assert _texts(reader.news()) == ["third"]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_runs_do_not_take_many_files(tmp_path: Path) -> None:
    writer = Logs(str(tmp_path), "local.1", _no_notes)
    before = _open_files()
    for number in range(300):
        writer.write((f"run{number}", (1,), 1), STDOUT, 1.0, b"x\n")
        writer.flush()
    opened = _open_files() - before
    for number in range(300):
        writer.write((f"run{number}", (1,), 1), STDOUT, 2.0, b"y\n")
        writer.flush()

    assert opened <= 2 * 64
    assert _texts(LogReader(run_folder(str(tmp_path), "run7")).of((1,))) == ["x", "y"]
    writer.close()
    assert _open_files() == before


@pytest.mark.parametrize("run_id", ["../../escape", "a/b", "..", ".", "ünï", "x" * 200])
def test_any_run_id_is_one_folder(tmp_path: Path, run_id: str) -> None:
    folder = tmp_path / "logs"
    writer = Logs(str(folder), "local.1", _no_notes)
    writer.write((run_id, (1,), 1), STDOUT, 1.0, b"x\n")
    writer.flush()

    assert _texts(LogReader(run_folder(str(folder), run_id)).of((1,))) == ["x"]
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert len(list(folder.iterdir())) == 1


def test_a_disk_that_takes_nothing_is_told_once(tmp_path: Path) -> None:
    """Output is dropped then; the step goes on."""
    notes: list[str] = []
    blocked = tmp_path / "file"
    blocked.write_text("")
    writer = Logs(str(blocked), "local.1", notes.append)
    for _ in range(3):
        _write(writer, (1, b"x\n"))

    assert len(notes) == 1
    assert notes[0].startswith("logs cannot be written and are dropped: ")
    blocked.unlink()
    _write(writer, (1, b"back\n"))
    assert _texts(LogReader(run_folder(str(blocked), "run")).of((1, 1))) == ["back"]


def test_the_tail(writer: Logs, reader: LogReader) -> None:
    for number in range(1000):
        _write(writer, (number % 2, b"%d\n" % number))

    assert [line.text for line in reader.tail((1, 0), 1, 3)] == ["994", "996", "998"]
    assert reader.tail((1, 5), 1, 3) == []


def test_the_tail_does_not_read_everything(writer: Logs, reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed may have written gigabytes before."""
    for number in range(3000):
        _write(writer, (1, b"%d " % number + b"x" * 1000 + b"\n"))
    read = 0
    pread = os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        nonlocal read
        read += size
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", counting)

    assert [line.text[:4] for line in reader.tail((1, 1), 1, 2)] == ["2998", "2999"]
    assert read < 100_000


# --- through the executor -----------------------------------------------------------------------------------------


def test_stdout_and_stderr_are_interleaved(executor: ExecutorAt, peer: Peer, gate: Callable[[str], Any]) -> None:
    """In the order in which they came, each with its time; seen while the step runs."""
    wait = gate("wait")
    script = (
        "for i in 1 2 3; do echo out $i; read x < $MESON_INPUT_wait; echo err $i >&2; read x < $MESON_INPUT_wait; done"
    )
    peer.order({"step": shell(script)}, order(inputs={"wait": str(wait.path)}))
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))

    def said(count: int) -> bool:
        return len(_texts(reader.of((1,)))) == count

    for count in range(1, 7):
        wait_for(functools.partial(said, count))
        wait.open()
    peer.end(key())
    found = list(lines(reader.of((1,))))

    assert [(line.stream, line.text) for line in found] == [
        (stream, f"{name} {number}") for number in (1, 2, 3) for stream, name in ((STDOUT, "out"), (STDERR, "err"))
    ]
    assert [line.at for line in found] == sorted(line.at for line in found)


def test_a_flood_does_not_stop_the_heart(executor: ExecutorAt, peer: Peer) -> None:
    """Output faster than anybody can read it; others have their turn all the same."""
    peer.order(
        {"flood": shell("yes 0123456789 | head -c 30000000"), "step": shell("echo done")},
        order("flood", 1),
        order("step", 2),
    )

    assert peer.end(key(2))["f"] == "succeeded"
    assert peer.end(key(1))["f"] == "succeeded"
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))
    assert sum(len(record.data) for record in reader.of((1,))) == 30_000_000


def test_each_attempt_has_its_own_lines(executor: ExecutorAt, peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text(
        "import os\ndef f(n):\n    print('py', n)\n    os.write(2, b'fd %d\\n' % n)\n    if n % 2: print('tail', n, end='')\n"
    )
    peer.order({"f": python(project, "f")}, *(order("f", indexes=(node,), inputs={"n": node}) for node in range(100)))
    for node in range(100):
        peer.end(key(indexes=(node,)))
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))

    for node in range(100):
        expected = {f"py {node}", f"fd {node}"} | ({f"tail {node}"} if node % 2 else set())
        assert set(_texts(reader.of((1, node)))) == expected


def test_what_the_executor_has_to_say_is_there_too(executor: ExecutorAt, peer: Peer, project: Path) -> None:
    (project / "steps.py").write_text(
        "import os, signal\ndef f():\n    os.write(4, b'nonsense\\n')\n    signal.pause()\n"
    )
    (project / "steps.py").write_text(
        """
import os, signal, stat
def f():
    for fd in range(3, 20):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, b'nonsense\\n')
        except OSError: pass
    signal.pause()
"""
    )
    peer.order({"f": python(project, "f")}, order("f"))
    peer.end(key())
    reader = LogReader(run_folder(str(executor.folder / "logs"), "run"))

    assert [(line.stream, line.text) for line in lines(reader.of((1,)))] == [
        (MESON, "the worker sent what cannot be read, and is ended: b'nonsense'")
    ]
