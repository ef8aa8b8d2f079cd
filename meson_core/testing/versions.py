"""Owns versions of artifacts as tests make them, and what can be said of any view: whether people can be shown it."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from meson_core.artifacts import (
    FALLBACK,
    ArtifactRecord,
    ArtifactVersion,
    HtmlView,
    ImageView,
    TableView,
    TextView,
    VegaLite,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DAY_S = 86_400.0
#: 2026-01-01, in s since the epoch.
_FIRST_DAY_S = 1_767_225_600.0


class Shelf:
    """Versions of one artifact, one a day, that say whether what was opened was closed again.

    Args:
        contents: from the oldest to the newest.
        type: name of their artifact type.
        file: their file's name.
        media: their media type.
        meta: facts of their type's own, for all of them.
    """

    def __init__(
        self,
        contents: Sequence[bytes],
        *,
        type: str = FALLBACK,  # noqa: A002 (as records call it)
        file: str = "data",
        media: str = "application/octet-stream",
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self._opened: list[io.BytesIO] = []
        self.versions = [
            ArtifactVersion(
                ArtifactRecord(
                    number=number,
                    name="train.result",
                    type=type,
                    digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
                    size=len(content),
                    media=media,
                    file=file,
                    meta=dict(meta or {}),
                    at=_FIRST_DAY_S + number * _DAY_S,
                    run_id=f"run{number}",
                    workflow="kit",
                    step="train",
                    attempt=1,
                    items={"iteration": number - 1},
                    params={"date": f"2026-01-{number:02}"},
                ),
                lambda content=content: self._open(content),  # type: ignore[misc]
            )
            for number, content in enumerate(contents, start=1)
        ]

    @property
    def left_open(self) -> int:
        """Files that nobody has closed."""
        return sum(not file.closed for file in self._opened)

    def _open(self, content: bytes) -> io.BytesIO:
        file = io.BytesIO(content)
        self._opened.append(file)
        return file


def wrong_with(view: Any) -> str:
    """Why people cannot be shown a view; "" when they can."""
    if isinstance(view, VegaLite):
        return _wrong_with_chart(view.spec)
    if isinstance(view, TableView):
        return _wrong_with_table(view)
    if isinstance(view, ImageView):
        well = view.media.startswith("image/") and len(view.data) > 0
        return "" if well else f"a picture of the media type {view.media!r} with {len(view.data)} bytes"
    if isinstance(view, HtmlView):
        return "" if view.html.strip() else "a page with nothing on it"
    if isinstance(view, TextView):
        return ""
    return f"{type(view).__name__} is no view"


def _wrong_with_chart(spec: Mapping[str, Any]) -> str:
    try:
        json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"a chart that is not JSON: {error}"
    for key, value in _members(spec):
        if key == "url" and isinstance(value, str) and not value.startswith("data:"):
            return f"a chart that fetches {value!r}: its data must be inside it"
    return ""


def _wrong_with_table(view: TableView) -> str:
    for number, row in enumerate(view.rows, start=1):
        if len(row) != len(view.columns):
            return f"row {number} of a table has {len(row)} values for {len(view.columns)} columns"
    if view.total < len(view.rows):
        return f"a table of {view.total} rows in all shows {len(view.rows)}"
    try:
        json.dumps([list(row) for row in view.rows], allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"a table whose values are not JSON: {error}"
    return ""


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from _members(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _members(part)
