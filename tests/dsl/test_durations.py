"""Owns the tests of durations as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from meson_core.dsl.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0), (1.5, 1.5), ("10 min", 600), ("10min", 600), ("1h 30m", 5400), ("2 days", 172800), ("500 ms", 0.5),
        ("1.5 hours", 5400), ("3S", 3), ("1 second", 1), ("2 mins", 120), (" 4 s ", 4),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(text: Any, seconds: float) -> None:
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["soon", "", "10", "-3 s", "3 parsecs", "3 s later", -1, float("nan"), float("inf"), True, None]
)
def test_what_is_no_duration_says_what_is(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration") as caught:
        parse_duration(text)

    assert repr(text) in str(caught.value)
