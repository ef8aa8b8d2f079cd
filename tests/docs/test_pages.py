"""Owns the promise that the pages for users are true: every command on them is run, every output compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from meson_core.cli.reference import page as errors_page
from tests.docs.pages import execute

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ["getting-started.md", "running.md"])
def test_what_a_page_shows_is_what_happens(page: str, tmp_path: Path) -> None:
    wrong = execute(DOCS / page, tmp_path)

    assert not wrong, "\n\n".join(
        f"$ {one.command}\nexpected:\n{one.expected}\nprinted:\n{one.printed}" for one in wrong
    )


def test_the_page_of_errors_is_current() -> None:
    """Made anew by `python -m meson_core.cli.reference > docs/errors.md`."""
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == errors_page()
