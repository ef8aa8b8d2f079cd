"""Owns a project for the tests of a plugin: a folder of its own, in which `mesonctl` is run as people run it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds that a command may take.
DEADLINE_S = 60.0
_MESONCTL = (sys.executable, "-c", "from meson_core.cli import main; main()")


class MesonProject:
    """A folder with workflows and settings.

    Args:
        folder: empty.

    Attributes:
        settings: what `meson.toml` says: two cores, and an executor that leaves soon; write others with `write`.
    """

    settings = "[schedulers.local]\ncpus = 2\nidle_exit_s = 0.5\n"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("meson.toml", self.settings)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def mesonctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; what it says, errors included, is in `stdout`."""
        return subprocess.run(  # noqa: S603 (ourselves)
            [*_MESONCTL, *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def mesonctl_until(self, text: str, *arguments: str) -> str:
        """Run a command again and again until it says something, and return all that it says then.

        Raises:
            AssertionError: it did not say it in time.
        """
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while True:
            said = self.mesonctl(*arguments).stdout
            if text in said:
                return said
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} was not said within {DEADLINE_S:g} s: {said}")
            pause.wait(0.1)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs meanwhile; it is ended as by Ctrl-C, and killed when that is not enough."""
        process = subprocess.Popen(  # noqa: S603 (ourselves)
            [*_MESONCTL, *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> dict[str, str]:
    """The variables of a command: none of Meson's own, and a terminal of a known size."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
    return {**kept, "COLUMNS": "200", "LINES": "50", "NO_COLOR": "1"}
