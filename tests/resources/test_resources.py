"""Owns sizes as people write them, and amounts as requests have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.resources import CPUS, MEMORY, Request, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("0", 0),
        ("1 B", 1),
        ("2 GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        (" 1.5 mb ", 1_500_000),
        ("3 KB", 3000),
        ("1 TiB", 2**40),
        (1024, 1024),
        (2.5, 2),
    ],
)
def test_sizes_are_bytes(text: str | float, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "2 XB", "-1", "1 GB more", "1,5 GB"])
def test_what_is_no_size_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write a number of bytes or one with a unit") as caught:
        parse_size(text)

    assert repr(text) in str(caught.value)


def test_a_truth_is_no_size() -> None:
    with pytest.raises(ValueError, match="True is not a size"):
        parse_size(True)


def test_a_size_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="-5: a size cannot be negative"):
        parse_size(-5)


@given(st.integers(0, 10**15))
def test_a_number_of_bytes_is_itself(size: int) -> None:
    assert parse_size(size) == parse_size(str(size)) == size


def test_a_request_knows_its_amounts() -> None:
    request = Request(quantities=((CPUS, 2.0), (MEMORY, 1e9)))

    assert (request.amount(MEMORY), request.amount("gpus")) == (1e9, 0.0)
    assert Request().amount(CPUS) == 1.0
