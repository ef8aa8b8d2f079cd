"""Owns the proof that the local resource scheduler passes the kit that strangers' schedulers have to pass."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from meson_core.builtin.local import meson_resource_schedulers
from meson_core.testing.schedulers import ResourceSchedulerKit

if TYPE_CHECKING:
    from collections.abc import Mapping


def executors_of(directory: Path) -> list[int]:
    """Process ids of the executors that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"meson_executor" in command and os.fsencode(directory / "executor") in command:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
class TestLocalScheduler(ResourceSchedulerKit):
    definition = meson_resource_schedulers()[0]
    options: ClassVar[Mapping[str, Any]] = {"cpus": 2, "idle_exit_s": 5.0}

    def options_with_secret(self, folder: Path, name: str, value: str) -> Mapping[str, Any]:
        (folder / name).write_text(value)
        return {**self.options, "secrets": str(folder)}

    def break_executor(self, directory: Path) -> None:
        for pid in executors_of(directory):
            os.kill(pid, signal.SIGKILL)

    def executor_directory(self, directory: Path) -> Path:
        return directory / "executor"

    def clean_up(self, directory: Path) -> None:
        self.break_executor(directory)
