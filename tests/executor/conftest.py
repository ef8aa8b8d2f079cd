"""Owns what the executor's tests share: a real executor, a project with a module of steps, gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.executor.client import ExecutorAt, Gate, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make_executor(tmp_path: Path) -> Iterator[Callable[..., ExecutorAt]]:
    """Makes executors that are ended with the test; they are not started yet."""
    made: list[ExecutorAt] = []

    def make(*options: str, name: str = "one", **fields: Any) -> ExecutorAt:
        made.append(ExecutorAt(tmp_path / name, *options, **fields))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


@pytest.fixture
def executor(make_executor: Callable[..., ExecutorAt]) -> ExecutorAt:
    """A running executor with 4 cpus."""
    return make_executor().start()


@pytest.fixture
def peer(executor: ExecutorAt) -> Peer:
    """A session with the running executor."""
    return executor.peer()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A code bundle; `steps.py` in it is written by the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Callable[[str], Gate]]:
    """Makes gates by name."""
    made: list[Gate] = []

    def make(name: str) -> Gate:
        made.append(Gate(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        one.close()
