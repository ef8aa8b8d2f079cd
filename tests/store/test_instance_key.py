"""Tests of the stored form of indexes: it must say the same as the tuple, and sort as it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.errors import StoreError
from meson_core.store.instance_key import MAX_INDEX, after_prefix, pack, unpack

# Small ones meet, large ones have all bytes.
index = st.integers(0, 3) | st.integers(0, MAX_INDEX) | st.sampled_from((255, 256, 65535, 65536, MAX_INDEX))
indexes = st.lists(index, max_size=12).map(tuple)


@given(indexes)
def test_it_is_the_same_afterwards(given: tuple[int, ...]) -> None:
    assert given == unpack(pack(given))


@given(indexes, indexes)
def test_keys_sort_as_tuples_do(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert (one < other) == (pack(one) < pack(other))


@given(indexes, indexes)
def test_a_prefix_is_a_range(prefix: tuple[int, ...], other: tuple[int, ...]) -> None:
    """A page or a gathered list below a prefix must hold all that is below it, and nothing else."""
    key = pack(prefix)
    inside = key <= pack(other) < after_prefix(key)

    assert (other[: len(prefix)] == prefix) == inside


@pytest.mark.parametrize("wrong", [(-1,), (2**32,), (0, -5), (1, 2, 3, 2**40)])
def test_what_does_not_fit_is_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(StoreError, match="each must lie between 0 and 4294967294") as caught:
        pack(wrong)

    assert str(wrong) in str(caught.value)
