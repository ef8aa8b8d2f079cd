"""Owns drawing at random so that the same seed gives the same values everywhere, on every Python, for ever.

The k-th value of a stream is a function of (seed, name of the stream, k) alone: more of them never change the first ones,
and streams of one seed know nothing of each other. Bits come from SHA-256. Where a logarithm or a root is needed it is
computed in decimals, which round the same on every machine; a mathematical library's last bit does not.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from meson_core.expressions.values import LISTS, NUMBERS, Work, told

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a drawn value costs of an evaluation's budget: it takes about as long as building so many elements.
_COST: Final = 20
_BITS: Final = 53
_SEED_BITS: Final = 32
_EXACT: Final = Context(prec=28, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999, traps=[])


def _bits(seed: int, stream: str, *at: int) -> int:
    """256 bits of a stream at one place."""
    text = "/".join(("meson-draw", str(seed), stream.replace("/", "//"), *map(str, at)))
    return int.from_bytes(sha256(text.encode()).digest(), "big")


def _unit(seed: int, stream: str, *at: int) -> float:
    """A number in [0, 1), exactly as a float holds it."""
    return float(_bits(seed, stream, *at) >> (256 - _BITS)) / float(1 << _BITS)


def _stream(work: Work, n: Any, seed: Any, stream: Any) -> range:
    """The places of a stream, once it is clear what is wanted."""
    for what, value in (("how many", n), ("the seed", seed)):
        if type(value) is not int or (what == "how many" and value < 0):
            message = f"takes an int as {what}, got {told(value)}"
            raise TypeError(message)
    if type(stream) is not str:
        message = f"takes a text as the name of the stream, got {told(stream)}"
        raise TypeError(message)
    work.spend(n * _COST)
    return range(n)


def _bounds(low: Any, high: Any) -> tuple[float, float]:
    for bound in (low, high):
        if type(bound) not in NUMBERS or type(bound) is bool:
            message = f"takes numbers as bounds, got {told(bound)}"
            raise TypeError(message)
    if low > high:
        message = f"takes the lower bound first, got {low} and {high}"
        raise ValueError(message)
    return float(low), float(high)


def uniform(work: Work, n: Any, seed: Any, stream: Any, low: Any, high: Any) -> list[float]:
    """Between two bounds, every place as likely as any other."""
    places = _stream(work, n, seed, stream)
    least, most = _bounds(low, high)
    return [min(most, least + (most - least) * _unit(seed, stream, at)) for at in places]


def log_uniform(work: Work, n: Any, seed: Any, stream: Any, low: Any, high: Any) -> list[float]:
    """Between two bounds above zero, every order of magnitude as likely as any other."""
    places = _stream(work, n, seed, stream)
    least, most = _bounds(low, high)
    if least <= 0:
        message = f"takes bounds above 0, got {low}"
        raise ValueError(message)
    first = _EXACT.ln(Decimal(least))
    width = _EXACT.subtract(_EXACT.ln(Decimal(most)), first)

    def value(at: int) -> float:
        share = _EXACT.multiply(width, Decimal(_unit(seed, stream, at)))
        return min(most, max(least, float(_EXACT.exp(_EXACT.add(first, share)))))

    return [value(at) for at in places]


def normal(work: Work, n: Any, seed: Any, stream: Any, mean: Any, sd: Any) -> list[float]:
    """Around a mean, with a standard deviation, by Marsaglia's polar method."""
    places = _stream(work, n, seed, stream)
    for what, value in (("mean", mean), ("standard deviation", sd)):
        if type(value) not in NUMBERS or type(value) is bool or (what != "mean" and value < 0):
            message = f"takes a number as the {what}, got {told(value)}"
            raise TypeError(message)
    return [float(mean) + float(sd) * _standard(seed, stream, at) for at in places]


def _standard(seed: int, stream: str, at: int) -> float:
    """One value of the standard normal distribution."""
    tried = 0
    while True:
        x = Decimal(2 * _unit(seed, stream, at, tried) - 1)
        y = Decimal(2 * _unit(seed, stream, at, tried + 1) - 1)
        square = _EXACT.add(_EXACT.multiply(x, x), _EXACT.multiply(y, y))
        if 0 < square < 1:
            scale = _EXACT.sqrt(_EXACT.divide(_EXACT.multiply(Decimal(-2), _EXACT.ln(square)), square))
            return float(_EXACT.multiply(x, scale))
        tried += 2


def integers(work: Work, n: Any, seed: Any, stream: Any, low: Any, high: Any) -> list[int]:
    """Whole numbers between two bounds, both of which may come."""
    places = _stream(work, n, seed, stream)
    _bounds(low, high)
    if type(low) is not int or type(high) is not int:
        message = f"takes ints as bounds, got {told(low)} and {told(high)}"
        raise TypeError(message)
    return [low + _below(high - low + 1, _bits(seed, stream, at)) for at in places]


def one_of(work: Work, n: Any, seed: Any, stream: Any, items: Any) -> list[Any]:
    """Items of a list, each as likely as any other, and as often as it comes."""
    places = _stream(work, n, seed, stream)
    if type(items) not in LISTS or not items:
        message = f"takes a list with something in it, got {told(items)}"
        raise TypeError(message)
    return work.built([items[_below(len(items), _bits(seed, stream, at))] for at in places])  # type: ignore[no-any-return]


def seeds(work: Work, n: Any, seed: Any, stream: Any) -> list[int]:
    """Seeds for others, no two alike, each below 2 ** 32, which every library takes."""
    found = _distinct(seed, stream)
    return [next(found) for _ in _stream(work, n, seed, stream)]


def _distinct(seed: int, stream: str) -> Iterator[int]:
    known: set[int] = set()
    at = 0
    while True:
        value = _bits(seed, stream, at) >> (256 - _SEED_BITS)
        at += 1
        if value not in known:
            known.add(value)
            yield value


def _below(count: int, bits: int) -> int:
    """A number below `count`; of 256 bits, so that none is likelier than another by anything that can be seen."""
    return (bits * count) >> 256
