"""Owns the promises of the page of kits: it is current, tells all of every kit, and its examples pass."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import meson_core.testing
from meson_core.testing.reference import KITS, Kit, render
from tests.repo.tracked import ROOT
from tests.testing.judging import checks_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "kits.md"


def test_the_page_is_current() -> None:
    assert render() == PAGE.read_text(encoding="utf-8"), "run: python -m meson_core.testing.reference > docs/kits.md"


def test_every_kit_has_its_part() -> None:
    kits = {name for name in meson_core.testing.__all__ if name.endswith("Kit")}

    assert {kit.name for kit in KITS} == kits


@pytest.mark.parametrize("kit", KITS, ids=[kit.name for kit in KITS])
def test_everything_that_can_be_set_and_is_checked_is_told(kit: Kit) -> None:
    name = kit.name
    part = PAGE.read_text(encoding="utf-8").partition(f"`{name}`\n")[2].partition("\n## ")[0]
    checks = checks_of(*getattr(meson_core.testing, name).__mro__)

    assert checks == {check.replace(" ", "_") for check in re.findall(r"^- \*([^*]+)\*", part, re.MULTILINE)}
    assert re.findall(r"^\| \S.*\|\s*\|$", part, re.MULTILINE) == [], "an attribute of which nothing is said"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_examples_pass(tmp_path: Path) -> None:
    examples = re.findall(
        r"^```python\n# (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for name, text in examples:
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(examples) == len(KITS)
    assert done.returncode == 0, done.stdout + done.stderr
