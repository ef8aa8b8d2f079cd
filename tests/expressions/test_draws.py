"""Owns the tests of drawing at random: the same on every machine, and what it says it is."""

from __future__ import annotations

import _pydecimal
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.errors import EvaluationError
from meson_core.expressions import draws, parse

TEXTS = (
    "draw_uniform({n}, {seed}, 'x', -1, 3)",
    "draw_log_uniform({n}, {seed}, 'x', 0.001, 10)",
    "draw_normal({n}, {seed}, 'x', 5, 2)",
    "draw_integers({n}, {seed}, 'x', -2, 4)",
    "draw_one_of({n}, {seed}, 'x', ['a', 'b', 'c'])",
    "draw_seeds({n}, {seed}, 'x')",
)
seeds = st.integers(-(2**70), 2**70)


def value(text: str, **names: Any) -> Any:
    return parse(text.format(**names)).evaluate({})


@pytest.mark.parametrize("text", TEXTS)
@given(n=st.integers(0, 30), more=st.integers(0, 30), seed=seeds)
def test_more_points_do_not_change_the_first_ones(text: str, n: int, more: int, seed: int) -> None:
    assert value(text, n=n + more, seed=seed)[:n] == value(text, n=n, seed=seed)


@given(seed=seeds)
def test_values_lie_where_they_should(seed: int) -> None:
    found = {text: value(text, n=40, seed=seed) for text in TEXTS}

    assert all(-1 <= each <= 3 for each in found[TEXTS[0]])
    assert all(0.001 <= each <= 10 for each in found[TEXTS[1]])
    assert set(found[TEXTS[3]]) <= set(range(-2, 5))
    assert set(found[TEXTS[4]]) <= {"a", "b", "c"}
    assert len(set(found[TEXTS[5]])) == 40


@pytest.mark.parametrize("text", TEXTS)
def test_seeds_and_streams_are_independent(text: str) -> None:
    first = value(text, n=50, seed=1)

    assert first != value(text, n=50, seed=2)
    assert first != value(text.replace("'x'", "'y'"), n=50, seed=1)


def test_they_are_distributed_as_they_say() -> None:
    uniform, normal = value(TEXTS[0], n=4000, seed=3), value(TEXTS[2], n=4000, seed=3)
    orders = [each < 0.1 for each in value(TEXTS[1], n=4000, seed=3)]
    dice = value(TEXTS[3], n=7000, seed=3)

    assert statistics.fmean(uniform) == pytest.approx(1, abs=0.1)
    assert statistics.fmean(normal) == pytest.approx(5, abs=0.15)
    assert statistics.stdev(normal) == pytest.approx(2, abs=0.15)
    assert statistics.fmean(orders) == pytest.approx(0.5, abs=0.05)
    assert all(850 < dice.count(face) < 1150 for face in range(-2, 5))


@pytest.mark.parametrize("text", TEXTS[:3])
def test_a_python_whose_decimals_are_written_in_python_draws_the_same(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes from the C library of mathematics, whose last bit differs from machine to machine."""
    usual = value(text, n=25, seed=11)
    slow = _pydecimal.Context(prec=28, rounding=_pydecimal.ROUND_HALF_EVEN, Emin=-999999, Emax=999999, traps=[])
    monkeypatch.setattr(draws, "Decimal", _pydecimal.Decimal)
    monkeypatch.setattr(draws, "_EXACT", slow)

    assert usual == value(text, n=25, seed=11)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("draw_uniform(-1, 7, 'x', 0, 1)", "takes an int as how many, got int -1"),
        ("draw_uniform(2, 0.5, 'x', 0, 1)", "takes an int as the seed, got float 0.5"),
        ("draw_uniform(2, 7, 3, 0, 1)", "takes a text as the name of the stream, got int 3"),
        ("draw_uniform(2, 7, 'x', 1, 0)", "takes the lower bound first, got 1 and 0"),
        ("draw_log_uniform(2, 7, 'x', 0, 1)", "takes bounds above 0, got 0"),
        ("draw_integers(2, 7, 'x', 0.5, 1)", "takes ints as bounds, got float 0.5 and int 1"),
        ("draw_normal(2, 7, 'x', 0, -1)", "takes a number as the standard deviation, got int -1"),
        ("draw_one_of(2, 7, 'x', [])", "takes a list with something in it, got list []"),
        ("draw_uniform(100000, 7, 'x', 0, 1)", "it would build more than 1,000,000 elements and characters"),
    ],
)
def test_what_cannot_be_drawn_is_told(text: str, told: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        parse(text).evaluate({})

    assert told in str(caught.value)
