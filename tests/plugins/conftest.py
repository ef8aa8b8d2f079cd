"""Owns the fixtures of the plugin tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugins import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[installed.Site]:
    """A folder to install plugins into."""
    yield from installed.site(tmp_path, monkeypatch)
