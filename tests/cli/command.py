"""Owns running `mesonctl` in tests: in a process of its own, in a project of its own, with deadlines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Seconds that anything may take.
DEADLINE_S = 45.0
MESONCTL = [sys.executable, "-c", "from meson_core.cli import main; main()"]
SETTINGS = """
[schedulers.local]
cpus = 2
name = "here"
idle_exit_s = 0.5
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command has said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer to `--json`."""
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """The variables of a command: none of Meson's own, and a terminal of a known size."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
    return {**kept, "COLUMNS": "100", "LINES": "30", "NO_COLOR": "1", **more}


class Project:
    """A folder with workflows.

    Args:
        folder: it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: dict[str, str] = {}
        self._running: list[Running] = []

    @classmethod
    @contextlib.contextmanager
    def made(cls, folder: Path) -> Iterator[Project]:
        """A new one; what was started in it is ended."""
        folder.mkdir(parents=True)
        project = cls(folder)
        project.write("meson.toml", SETTINGS)
        try:
            yield project
        finally:
            for running in project._running:
                running.end()
            project._end_executor()

    def write(self, name: str, text: str) -> Path:
        """A file of it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def mesonctl(self, *arguments: str, cwd: str = ".", env: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [*MESONCTL, *arguments],
            cwd=self.folder / cwd,
            env=environment(**{**self.env, **(env or {})}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert "Traceback (most recent call last)" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> Running:
        """Start a command, and go on."""
        process = subprocess.Popen(
            [*MESONCTL, *arguments],
            cwd=self.folder,
            env=environment(**self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        running = Running(process)
        self._running.append(running)
        return running

    def serve(self) -> Running:
        """An orchestrator that serves."""
        running = self.start("serve")
        running.wait_for("serving cell")
        return running

    def _end_executor(self) -> None:
        """Its executor would leave by itself, but not before the folder is removed."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and str(self.folder).encode() in _command_line(entry):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(entry.name), signal.SIGKILL)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


class Running:
    """A command that runs.

    Args:
        process: its process, with its output in a pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until what it has said matches."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = re.search(pattern, self.said)
            if found is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} was not said within {DEADLINE_S} s:\n{self.said}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError(f"{pattern!r} was never said (exit {self.process.wait()}):\n{self.said}")
            self.said += data.decode()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, and the rest of what it says."""
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        self.said += out.decode()
        return self.process.returncode

    def end(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def until(condition: Any, what: str) -> Any:
    """Wait until something is the case; the answer is what the condition gives."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_S} s: {what}")
        select.select([], [], [], 0.02)
    return found
