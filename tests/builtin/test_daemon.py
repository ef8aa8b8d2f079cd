"""Owns what starting the executor's process says: there, not this time, or never."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from meson_core.builtin.local.daemon import Daemon
from meson_core.errors import BackendError

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
