"""Owns a project for whole runs of `mesonctl`, and its processes, of which the tests kill what they like."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE_S = 40.0
MESONCTL = [sys.executable, "-c", "from meson_core.cli import main; main()"]
SETTINGS = """
[schedulers.local]
cpus = 2
idle_exit_s = 0.5
[liveness]
lost_after_s = 3
"""


@dataclass
class Project:
    """A folder with a workflow.

    Args:
        folder: it.
        env: further variables of what is run there.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def made(cls, folder: Path, **env: str) -> Iterator[Project]:
        """A new one; whatever was started in it is ended."""
        folder.mkdir()
        (folder / "meson.toml").write_text(SETTINGS)
        project = cls(folder, env)
        try:
            yield project
        finally:
            for process in project._running:
                if process.poll() is None:
                    process.kill()
                process.communicate()
            for _ in range(3):
                for one in project.processes("meson_executor", "meson_core.host"):
                    with contextlib.suppress(psutil.Error):
                        one.kill()

    def write(self, name: str, text: str) -> None:
        """A file of it."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `mesonctl`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
        process = subprocess.Popen(
            [*MESONCTL, *arguments],
            cwd=self.folder,
            env={**kept, "COLUMNS": "200", "NO_COLOR": "1", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.append(process)
        return process

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit code and output of a command, once it has ended."""
        out, _ = process.communicate(timeout=DEADLINE_S)
        return process.returncode, out

    def mesonctl(self, *arguments: str) -> tuple[int, str]:
        """Run a command to its end."""
        return self.ended(self.start(*arguments))

    def json(self, *arguments: str) -> Any:
        """What a command answers to `--json`."""
        _, out = self.mesonctl(*arguments, "--json")
        return json.loads(out)

    def run_id(self) -> str:
        """The one run, once it is there."""

        def found() -> Any:
            answer = self.json("runs")
            return answer if isinstance(answer, list) else None

        (one,) = until(found, "there is a run")
        return str(one["run_id"])

    def shown(self) -> str:
        """What is shown of the one run."""
        return self.mesonctl("show", self.run_id())[1]

    def processes(self, *modules: str) -> list[psutil.Process]:
        """Processes of this project's executor that run one of these modules."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                ours = str(self.folder) in command or str(self.folder) in str(process.environ().get("MESON_ARTIFACTS"))
                if ours and any(module in command for module in modules):
                    found.append(process)
        return found

    def kill(self, module: str) -> None:
        """`kill -9` the one process that runs this module."""
        (process,) = self.processes(module)
        process.kill()

    def written(self) -> Iterator[tuple[Path, bytes]]:
        """Everything that was written in it."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something; the answer is what the condition gives."""
    end = time.monotonic() + DEADLINE_S
    pause = Event()
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        pause.wait(0.02)
    return found
