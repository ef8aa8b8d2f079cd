"""Owns arrays: their types, and files of named ones that can hold nothing but numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays to an `.npz` file.

    Raises:
        ValueError: an array holds objects, which only a pickle could.
    """
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load_arrays(path: Path) -> Arrays:
    """Read what `save_arrays` wrote; a file made by a stranger cannot run code."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
