"""Owns the short form of the property: whatever is killed whenever, the catalogue and the bytes are right.

`python -m tests.catalogue --moments 200` is the long one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.catalogue.killing import kill_at

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("forgetting", [False, True])
def test_nothing_dangles_nothing_is_lost_nothing_stays_behind(forgetting: bool, tmp_path: Path) -> None:
    outcome = kill_at(12, 1, tmp_path / "yard", forgetting=forgetting)

    assert outcome.wrong == []
    assert outcome.versions > 0
