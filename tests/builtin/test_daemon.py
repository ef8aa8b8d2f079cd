"""Owns what starting the executor's process says: there, not this time, or never."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from meson_core.builtin.local import Options
from meson_core.builtin.local.daemon import Daemon, command_of, directory_of, start_early
from meson_core.errors import BackendError
from meson_core.ports import SchedulerSetting

if TYPE_CHECKING:
    from pathlib import Path


def start(folder: Path, program: str) -> bool:
    return Daemon(folder / "executor", [sys.executable, "-c", program]).start()


def test_an_executor_that_was_killed_on_its_way_is_worth_another_try(tmp_path: Path) -> None:
    assert start(tmp_path, "import os; os.kill(os.getpid(), 9)") is False


def test_an_executor_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot be started: no room") as caught:
        start(tmp_path, "raise SystemExit('no room')")

    assert not caught.value.retryable


@pytest.mark.slow
def test_an_executor_that_was_started_early_is_the_one_that_is_waited_for(tmp_path: Path) -> None:
    """And where one is there already, an early one just leaves."""
    options = Options(cpus=1, idle_exit_s=0.2)
    setting = SchedulerSetting("cell", 0, tmp_path / ".meson", f"file://{tmp_path}", {})
    started = []
    for _ in range(2):
        start_early(options, setting)
        start_early(options, setting)
        started.append(Daemon(directory_of(options, setting), command_of(options, setting)).start())

    assert started == [True, False]
