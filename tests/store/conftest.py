"""Owns the fixtures of the store's tests: real SQLite files, all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.store import open_store
from tests.store.building import Log, put, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meson_core.store.lease import Lease
    from meson_core.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / ".meson") as opened:
        yield opened


@pytest.fixture
def lease(store: Store) -> Lease:
    return store.acquire("local", "a test")


@pytest.fixture
def log(store: Store, lease: Lease) -> Log:
    """The log of a run of the sweep workflow that has just been created."""
    return Log(store, lease, "run1", put(store, sweep()))
