"""Owns the tests of bad input: each case of the table says exactly what is written there, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.badinput.cases import Case, play, read_table
from tests.badinput.given import Stages

if TYPE_CHECKING:
    from tests.badinput.stage import Said

pytestmark = pytest.mark.slow
TABLE = read_table()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(tmp_path_factory.mktemp("stages"))


@pytest.mark.parametrize("case", TABLE, ids=[f"{case.file}: {case.case}" for case in TABLE])
def test_bad_input_is_met_with_exactly_these_words(case: Case, stages: Stages) -> None:
    """A message that changes is read by somebody before it is accepted."""
    played = play(case, stages)

    assert [] == played.wrong
    assert _lines(case.command.exit, case.command.says) == _said(played.said)
    if case.then is not None and played.then is not None:
        assert _lines(case.then.exit, case.then.says) == _said(played.then)


def _said(said: Said) -> list[str]:
    return _lines(said.code, said.text)


def _lines(code: int | None, text: str | None) -> list[str]:
    return [f"exit {code}", *(text or "").splitlines()]


def test_names_of_cases_are_different() -> None:
    """They are how a case is found."""
    names = [case.case for case in TABLE]

    assert len(set(names)) == len(names)
    assert len(names) >= 60
