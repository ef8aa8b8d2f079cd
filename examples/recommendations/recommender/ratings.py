"""Owns the table of ratings that every model is fitted to and judged by."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from recommender.arrays import load_arrays, save_arrays

if TYPE_CHECKING:
    from pathlib import Path

    from recommender.arrays import Floats, Ints, Mask


@dataclass(frozen=True, slots=True)
class Ratings:
    """Columns of one length; a row is one film that one user rated."""

    #: Ids as in the source: they need not be dense, so that models of different cohorts can be compared.
    user: Ints
    film: Ints
    #: One to five.
    stars: Floats
    #: Seconds since 1970.
    rated_at: Ints
    #: Leading digit of the user's ZIP code.
    region: Ints

    def __len__(self) -> int:
        return len(self.user)

    def where(self, keep: Mask | Ints) -> Ratings:
        """The rows that a mask, or an array of positions, keeps."""
        return Ratings(*(getattr(self, field.name)[keep] for field in fields(self)))

    def of_region(self, region: int) -> Ratings:
        """The rows of one region's users."""
        return self.where(self.region == region)

    def regions(self) -> list[int]:
        """The regions that have users, in ascending order."""
        return [int(region) for region in np.unique(self.region)]

    def save(self, path: Path) -> None:
        """Write all columns to an `.npz` file."""
        save_arrays(path, {field.name: getattr(self, field.name) for field in fields(self)})

    def save_table(self, path: Path) -> None:
        """Write what models are fitted to as CSV, for languages that do not read `.npz` files."""
        columns = np.column_stack([self.user, self.film, self.stars, self.region])
        np.savetxt(
            path, columns, fmt=["%d", "%d", "%.17g", "%d"], delimiter=",", header="user,film,stars,region", comments=""
        )

    @staticmethod
    def load(path: Path) -> Ratings:
        """Read what `save` wrote."""
        columns = load_arrays(path)
        return Ratings(*(columns[field.name] for field in fields(Ratings)))
