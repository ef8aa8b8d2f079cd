"""Owns the projects that are measured: fresh folders with the workloads in them, and what is started there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from meson_core.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meson_core.client import Client

REPOSITORY = Path(__file__).parents[1]
WORKLOADS = Path(__file__).parent / "workloads"
#: The command of the environment that runs us.
MESONCTL = Path(sys.executable).with_name("mesonctl")

# Two cores whatever the machine has: two warm workers, and four processes of half a core, as the baselines have them.
# The executor leaves as soon as nobody needs it, so that the next measurement has the machine to itself.
_SETTINGS = """
[schedulers.local]
cpus = 2
idle_exit_s = 0.2
"""


class Project:
    """A folder with the workloads.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def client(self) -> Client:
        """A door to its store, which is made when there is none."""
        return connect(self.root, create=True)

    @contextmanager
    def driven(self, *arguments: str) -> Iterator[Driven]:
        """A measured orchestrator at work in it; see `benchmarks.driving`. It is killed when the block ends before it."""
        command = [sys.executable, "-m", "benchmarks.driving", str(self.root), *arguments]
        with (self.root / "driving.err").open("w+") as errors:
            process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=errors, text=True)
            assert process.stdout is not None
            try:
                yield Driven(process, process.stdout, errors)
            finally:
                process.kill()
                process.stdout.close()
                process.wait()

    def drive(self, *arguments: str) -> dict[str, Any]:
        """Run a workload to its end; what `benchmarks.driving` says of it."""
        with self.driven(*arguments) as driven:
            driven.read("started")
            return driven.read("ended")

    def mesonctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command in this project.

        Raises:
            RuntimeError: its exit code is not 0, and `check` is asked for.
        """
        found = subprocess.run(
            [MESONCTL, *arguments], cwd=self.root, env=environment(), capture_output=True, text=True, check=False
        )
        if check and found.returncode:
            raise RuntimeError(f"mesonctl {' '.join(arguments)}: exit code {found.returncode}\n{found.stderr}")
        return found

    def executor_pid(self) -> int | None:
        """The process of the executor; None when there is none."""
        home = str(self.root / ".meson" / "executor").encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                # Workers are below it, and the command that starts it is gone once it is there.
                if home in words and b"meson_executor" in words and parent == 1:
                    return int(entry.name)
        return None

    def settle(self, within_s: float = 30.0) -> None:
        """Wait until the executor has left.

        Raises:
            TimeoutError: it stays.
        """
        path = self.root / ".meson" / "executor" / "lock"
        if not path.exists():
            return
        with path.open("rb") as lock:
            wait_until(lambda: _free(lock), within_s, f"the end of the executor in {self.root}")


class Driven:
    """A measured orchestrator under way.

    Args:
        process: its process.
        told: what it prints.
        errors: what it complains of.
    """

    def __init__(self, process: subprocess.Popen[str], told: IO[str], errors: IO[str]) -> None:
        self.process = process
        self._told = told
        self._errors = errors

    def read(self, what: str) -> dict[str, Any]:
        """The next thing that it tells, which must be this.

        Raises:
            RuntimeError: it tells something else, or has ended.
        """
        line = self._told.readline()
        found: dict[str, Any] = json.loads(line) if line else {}
        if found.get("what") != what:
            self._errors.seek(0)
            raise RuntimeError(f"the orchestrator told {line!r} instead of {what!r}:\n{self._errors.read()}")
        return found


@contextmanager
def fresh_project(folder: Path) -> Iterator[Project]:
    """A project below `folder`, gone afterwards with all that runs in it."""
    with tempfile.TemporaryDirectory(prefix="project-", dir=folder, ignore_cleanup_errors=True) as name:
        project = Project(Path(name))
        shutil.copytree(
            WORKLOADS, project.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "__init__.py")
        )
        (project.root / "meson.toml").write_text(_SETTINGS)
        yield project
        project.settle()


def environment() -> dict[str, str]:
    """The variables of a shell that knows nothing of this repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MESON_", "PYTHON"))}
    return kept | {"COLUMNS": "100", "NO_COLOR": "1"}


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
        pause.wait(0.005)


def timed(command: Sequence[str | Path], **options: Any) -> float:
    """Wall seconds of a command that must succeed."""
    begin = time.perf_counter()
    found = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    took = time.perf_counter() - begin
    if found.returncode:
        told = " ".join(str(word) for word in command)
        raise RuntimeError(f"{told}: exit code {found.returncode}\n{found.stdout}{found.stderr}")
    return took


def _free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True
