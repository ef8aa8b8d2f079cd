"""Owns running the examples of the authoring guide, one after the other, as a reader would."""

from __future__ import annotations

from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

GUIDE = Path(__file__).parents[2] / "docs" / "authoring.md"


def test_the_guide_is_true() -> None:
    sybil = Sybil(parsers=[PythonCodeBlockParser(future_imports=["annotations"])], path=str(GUIDE.parent))
    examples = list(sybil.parse(GUIDE))

    assert len(examples) > 15
    for example in examples:
        example.evaluate()
