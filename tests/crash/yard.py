"""Owns a yard: a project of its own in a folder of its own, its processes, and what is done to them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from meson_core.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meson_core.client import Client
    from meson_core.spec.model import Workflow
    from meson_core.store.records import RunRow

REPOSITORY = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "project"
#: Folders with a plugin each, as if they were installed.
PLUGINS = (Path(__file__).parent / "plugin", REPOSITORY / "tests" / "plugins" / "fakeservice")
SETTINGS = """
window = 5
[schedulers.local]
cpus = 3
[liveness]
lost_after_s = 3
"""


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it did not come true in time.
    """
    end = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        pause.wait(0.004)


class Yard:
    """One project with its processes.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.project = folder / "project"
        (self.diary / "jobs").mkdir(parents=True)
        shutil.copytree(PROJECT, self.project, ignore=shutil.ignore_patterns("__pycache__"))
        (self.project / "meson.toml").write_text(SETTINGS)
        self.client: Client = connect(self.project, create=True)
        self.errors = (folder / "orchestrator.err").open("ab")
        self._orchestrator: subprocess.Popen[bytes] | None = None

    # --- runs ---------------------------------------------------------------------------------------------------------

    def submit(self, workflow: Workflow) -> str:
        """Leave the wish for a run; whoever comes starts it."""
        code = self.client.bundle()
        return self.client.start(workflow, code=code.digest, wait_s=None)

    def row(self, run_id: str) -> RunRow | None:
        """The run as it stands; None before it is started."""
        return self.client.store.run(run_id)

    def seq(self, run_id: str) -> int:
        """How many facts of the run are in the log."""
        position = self.client.store.position(run_id)
        return 0 if position is None else position[0]

    def ended(self, run_id: str) -> bool:
        """Whether the run has ended."""
        position = self.client.store.position(run_id)
        return position is not None and position[1].ended

    def lines(self) -> Iterator[dict[str, Any]]:
        """The diary; a line that a kill cut short is none."""
        path = self.diary / "diary.jsonl"
        if path.exists():
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    yield json.loads(line)

    # --- processes ----------------------------------------------------------------------------------------------------

    def start_orchestrator(self, die_at: int | None = None) -> None:
        """Start an orchestrator, which takes up whatever is unfinished."""
        command = [sys.executable, "-m", "tests.crash.orchestrator", str(self.project)]
        if die_at is not None:
            command += ["--die-at", str(die_at)]
        path = os.pathsep.join(map(str, (*PLUGINS, PROJECT, REPOSITORY)))
        environment = os.environ | {"MESON_CRASH_DIARY": str(self.diary), "PYTHONPATH": path}
        self._orchestrator = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=self.errors)

    @property
    def orchestrating(self) -> bool:
        """Whether an orchestrator is there.

        Raises:
            AssertionError: it ended by itself, which it never should.
        """
        if self._orchestrator is None:
            return False
        code = self._orchestrator.poll()
        if code is not None:
            assert code == -signal.SIGKILL, f"the orchestrator ended by itself ({code}):\n{self.complaints()}"
            self._orchestrator = None
        return code is None

    def complaints(self) -> str:
        """What orchestrators wrote on standard error."""
        return (self.folder / "orchestrator.err").read_text(errors="replace")

    def kill_orchestrator(self) -> None:
        """`kill -9` it, when it is there."""
        if self._orchestrator is not None:
            self._orchestrator.kill()
            self._orchestrator.wait()
            self._orchestrator = None

    def executors(self) -> list[psutil.Process]:
        """The executor of this project, and whatever was started in its place."""
        home = str(self.project / ".meson" / "executor")
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if home in command and "meson_executor" in " ".join(command):
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """All processes below the executor."""
        found: list[psutil.Process] = []
        for executor in self.executors():
            with contextlib.suppress(psutil.Error):
                found += executor.children(recursive=True)
        return found

    @staticmethod
    def kill(processes: list[psutil.Process]) -> None:
        """`kill -9` them."""
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def busy(self) -> bool:
        """Whether an attempt has begun and neither ended nor failed nor been killed."""
        open_: set[tuple[Any, ...]] = set()
        for line in self.lines():
            key = (line["step"], *line["indexes"], line["attempt"])
            (open_.add if line["what"] == "begin" else open_.discard)(key)
        return bool(open_) and bool(self.workers())

    def close(self) -> None:
        """End everything that was started here."""
        self.kill_orchestrator()
        for _ in range(3):
            self.kill([*self.executors(), *self.workers()])
        self.client.close()
        self.errors.close()
