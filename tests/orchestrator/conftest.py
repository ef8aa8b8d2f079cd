"""Owns the fixtures of the orchestrator's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.orchestrator.cells import Cell, HandScheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def cell(tmp_path: Path) -> AsyncIterator[Cell]:
    """A cell with one machine that has room for a thousand attempts."""
    made = Cell(tmp_path, HandScheduler())
    yield made
    made.close()
