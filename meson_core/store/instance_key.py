"""Owns the stored form of an instance's indexes: bytes that sort as the tuples do.

Each index is four bytes, big-endian, so the database's order of bytes is the order of items and iterations, and all
instances below a prefix are one range of the primary key.
"""

from __future__ import annotations

import struct

from meson_core.errors import StoreError

#: The largest index that is stored; the one above it is kept for the end of ranges.
MAX_INDEX = 2**32 - 2
_WIDTH = 4
_PACKERS = tuple(struct.Struct(f">{depth}I") for depth in range(9))
_one = _PACKERS[1].pack


def pack(indexes: tuple[int, ...]) -> bytes:
    """The key of these indexes; empty for a node outside every for_each and repeat.

    Raises:
        StoreError: an index that is negative or does not fit.
    """
    depth = len(indexes)
    try:
        if depth == 1:
            return _one(indexes[0])
        if depth < len(_PACKERS):
            return _PACKERS[depth].pack(*indexes)
        return struct.pack(f">{depth}I", *indexes)
    except struct.error:
        raise StoreError(f"indexes {indexes!r} cannot be stored: each must lie between 0 and {MAX_INDEX}") from None


def unpack(key: bytes) -> tuple[int, ...]:
    """The indexes that `pack` made this key from."""
    depth = len(key) // _WIDTH
    if depth < len(_PACKERS):
        return _PACKERS[depth].unpack(key)
    return struct.unpack(f">{depth}I", key)


def after_prefix(key: bytes) -> bytes:
    """The smallest key that lies behind every key that starts with this one."""
    return after_items(key, 1)


def after_items(key: bytes, number: int) -> bytes:
    """The smallest key behind so many items or iterations, of which the first has this key, and all inside them."""
    return (int.from_bytes(key) + number).to_bytes(len(key)) if key else b"\xff" * _WIDTH
