"""Owns the visualizer `table`: the beginning of the newest version, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from meson_core.artifacts import TableView
from meson_core.builtin.artifacts.reading import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion, View


class TableOptions(BaseModel):
    """Options of the table preview."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(default=20, ge=1, le=10_000, description="How many rows to show.")


class TablePreview:
    """The visualizer."""

    name = "table"
    types = ("json", "table")
    Options = TableOptions

    def draw(self, versions: Sequence[ArtifactVersion], options: TableOptions) -> View:
        """The first rows of the newest version."""
        newest = versions[-1]
        found = rows_of(newest, options.rows)
        return TableView(found.columns, found.rows, found.total, newest.record.name)
