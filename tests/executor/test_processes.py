"""Owns the tests of waiting and of processes as such: the loop, and both ways to hear of a process's end."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from meson_executor.loop import READ, Loop
from meson_executor.processes import Reaper, Spawner, signal_name
from meson_executor.protocol import MAX_LINE, LineBuffer, WireError, decode, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGUSR1)}
    # A loop that waits in vain is a failure of its own.
    made.after(10, made.stop)
    yield made
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
    made.end()


@pytest.mark.parametrize("descriptors", [True, False])
def test_ends_of_processes(loop: Loop, tmp_path: Path, descriptors: bool) -> None:
    """By process descriptors, or by SIGCHLD where a system has none: the same is told, also of those that end at once."""
    spawner, reaper = Spawner(), Reaper(loop, descriptors=descriptors)
    told: dict[int, int] = {}

    def watch(script: str) -> int:
        pid = spawner.spawn(
            "/bin/sh", [b"sh", b"-c", script.encode()], {b"PATH": b"/bin:/usr/bin"}, str(tmp_path), 1, 2
        )

        def on_end(status: int) -> None:
            told[pid] = status
            if len(told) == len(pids):
                loop.stop()

        reaper.watch(pid, on_end)
        return pid

    pids: list[int] = []
    pids.extend(watch(script) for script in ("exit 3", "kill -9 $$", "true", "sleep 0.05; exit 4"))
    loop.run()

    assert [os.waitstatus_to_exitcode(told[pid]) for pid in pids] == [3, -9, 0, 4]
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[0], 0)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Spawner().spawn("/no/such/program", [b"x"], {}, str(tmp_path), 1, 2)
    with pytest.raises(FileNotFoundError):
        Spawner().spawn("/bin/true", [b"x"], {}, str(tmp_path / "gone"), 1, 2)


def test_timers_fire_in_order_and_can_be_cancelled(loop: Loop) -> None:
    told: list[str] = []
    loop.after(0.02, lambda: told.append("b"))
    loop.after(0.01, lambda: told.append("a"))
    loop.after(0.015, lambda: told.append("never")).cancel()
    loop.after(0.03, loop.stop)
    loop.run()

    assert told == ["a", "b"]


def test_an_event_of_a_number_that_was_given_away_is_not_told(loop: Loop) -> None:
    """Two files are ready in one turn; the first one's handler closes the second and opens another under its number."""
    first, first_writer = os.pipe()
    second, second_writer = os.pipe()
    told: list[str] = []
    again: list[int] = []

    def on_first(_events: int) -> None:
        os.read(first, 1)
        loop.close(second)
        again.extend(os.pipe())
        assert again[0] == second
        loop.watch(again[0], lambda _events: told.append("wrong"))
        loop.after(0.01, loop.stop)

    loop.watch(first, on_first)
    loop.watch(second, lambda _events: told.append("wrong"))
    os.write(first_writer, b"x")
    os.write(second_writer, b"x")
    loop.run()
    for fd in (first_writer, second_writer, again[1]):
        os.close(fd)
    loop.close(first)
    loop.close(again[0])

    assert told == []


def test_a_closed_file_is_forgotten_though_a_child_has_it(loop: Loop) -> None:
    """The kernel would go on telling of it under a number that is somebody else's by then."""
    reader, writer = os.pipe()
    told: list[int] = []
    loop.watch(reader, told.append)
    copy = os.dup(reader)
    loop.close(reader)
    other, other_writer = os.pipe()
    assert other == reader
    loop.watch(other, told.append, READ)
    os.write(writer, b"x")
    loop.after(0.01, loop.stop)
    loop.run()
    loop.close(other)
    for fd in (writer, copy, other_writer):
        os.close(fd)

    assert told == []


def test_signals(loop: Loop) -> None:
    told: list[str] = []

    def on_signal() -> None:
        told.append("signal")
        loop.stop()

    loop.on_signal(signal.SIGUSR1, on_signal)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run()

    assert told == ["signal"]


def test_names_of_signals() -> None:
    assert (signal_name(11), signal_name(9), signal_name(40)) == ("SIGSEGV", "SIGKILL", "signal 40")


def test_lines_are_cut_wherever_they_arrive() -> None:
    data = b"one\n\ntwo\nthree" * 3
    for size in range(1, len(data) + 1):
        buffer = LineBuffer()
        found = [line for start in range(0, len(data), size) for line in buffer.feed(data[start : start + size])]
        assert found == data.split(b"\n")[:-1]


def test_a_line_without_end_is_refused() -> None:
    buffer = LineBuffer()
    block = b"x" * (1 << 20)
    for _ in range(MAX_LINE // len(block)):
        assert buffer.feed(block) == []

    with pytest.raises(WireError, match=r"a line longer than \d+ bytes"):
        buffer.feed(block)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"t": 1}', b'{"x": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_message(line: bytes) -> None:
    with pytest.raises(WireError):
        decode(line)


@pytest.mark.parametrize("raw", [None, 7, [], ["r"], ["r", [1]], ["r", 1, 1], ["r", ["x"], 1], ["r", [1], None], "abc"])
def test_what_is_no_key(raw: object) -> None:
    with pytest.raises(WireError, match="not a key"):
        key_of(raw)
