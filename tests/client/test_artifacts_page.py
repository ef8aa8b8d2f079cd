"""Owns the Python of the page on artifacts: what it shows does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.client import connect
from meson_runtime import ctx

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE = Path(__file__).parents[2] / "docs" / "artifacts.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def shown() -> dict[str, Any]:
    """The names that the page defines."""
    namespace: dict[str, Any] = {"__name__": "page"}
    for code in _BLOCK.findall(_PAGE.read_text(encoding="utf-8")):
        exec(compile(code.replace("from __future__", "# from __future__"), "artifacts.md", "exec"), namespace)
    return namespace


def test_the_step_puts_what_it_has_made(shown: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_text("1\n2\n3\n")
    trained = shown["train"].fn(sales=ctx.put("sales.csv"))

    assert trained["model"].path.read_text() == "3 rows"


def test_a_notebook_reads_what_the_catalogue_has(shown: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "meson.toml").touch()
    (tmp_path / "file").write_text("12345")
    with connect(tmp_path, create=True) as client:
        for name in ("train.model", "compare.report"):
            client.put_artifact(tmp_path / "file", name=name)
    sizes: Callable[[str], dict[str, int]] = shown["sizes"]

    assert sizes(str(tmp_path)) == {"train.model": 5, "compare.report": 5}
