"""Owns a terminal for tests: a pseudo-terminal with a command in it, and what a person would see on its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

from tests.cli.command import DEADLINE_S, Project, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Makes the pseudo-terminal the one that controls the command, so that Ctrl-C is a signal.
_IN_CONTROL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from meson_core.cli import main; main()"
_SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


class Picture:
    """The lines that a terminal shows, those that were scrolled away included."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self._row = 0
        self._column = 0
        self._rest = ""

    def feed(self, text: str) -> None:
        """Take what was written."""
        text = self._rest + text
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                match = _SEQUENCE.match(text, at)
                if match is None:
                    break  # the rest of it is still to come
                self._obey(match[1], match[2])
                at = match.end()
                continue
            self._put(text[at])
            at += 1
        self._rest = text[at:]

    def _put(self, char: str) -> None:
        if char == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")
        elif char == "\r":
            self._column = 0
        else:
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + char + line[self._column + 1 :]
            self._column += 1

    def _obey(self, arguments: str, what: str) -> None:
        if what == "F":
            self._row = max(0, self._row - int(arguments or 1))
            self._column = 0
        elif what == "K":
            self.lines[self._row] = ""
        elif what == "J":
            self.lines[self._row :] = [self.lines[self._row][: self._column]]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """A command in a terminal.

    Args:
        process: of the command.
        master: our end of the pseudo-terminal.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.picture = Picture()
        self.written = ""
        self._master = master

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the window another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, pattern: str) -> str:
        """Wait until what is to be seen matches; the answer is the whole picture."""
        return self._until(lambda: re.search(pattern, self.picture.text) is not None, pattern)

    def wait(self) -> int:
        """Wait for its end."""
        self._until(lambda: self.process.poll() is not None, "its end")
        while self._read(0.0):
            pass
        return self.process.returncode

    def _until(self, condition: Callable[[], bool], what: str) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {DEADLINE_S} s: {what}\n{self.picture.text}")
            if not self._read(0.05) and self.process.poll() is not None and not condition():
                raise AssertionError(f"it has ended without: {what}\n{self.picture.text}")
        return self.picture.text

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._master], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        text = data.decode("utf-8", "replace")
        self.written += text
        self.picture.feed(text)
        return bool(data)


@contextlib.contextmanager
def in_terminal(project: Project, *arguments: str, columns: int = 100, rows: int = 30) -> Iterator[Terminal]:
    """Start a command of a project in a terminal of this size."""
    master, slave = os.openpty()
    terminal = None
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        surroundings = environment(TERM="xterm-256color", COLORTERM="truecolor", **project.env)
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            surroundings.pop(name)
        process = subprocess.Popen(
            [sys.executable, "-c", _IN_CONTROL, *arguments],
            cwd=project.folder,
            env=surroundings,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        terminal = Terminal(process, master)
        yield terminal
    finally:
        if terminal is not None and terminal.process.poll() is None:
            terminal.process.send_signal(signal.SIGKILL)
            terminal.process.wait()
        os.close(slave)
        os.close(master)
