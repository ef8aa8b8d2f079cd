"""Owns the steps of the benchmarks: they do nothing, so that only Meson is measured."""

from __future__ import annotations

from meson_core import step

#: Edited by the benchmark of `retry --failed --code current`, as an author would.
BROKEN = True


@step
def nothing(i: int) -> int:
    """No work at all."""
    return i


@step
def one_in_a_hundred(i: int) -> int:
    """No work either, but while the code is broken every hundredth item fails."""
    if BROKEN and i % 100 == 0:
        raise ValueError(f"item {i} is one of the hundredth")
    return i
