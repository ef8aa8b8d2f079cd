"""Owns the tests of how the type of an artifact is found."""

from __future__ import annotations

import pytest

from meson_core.artifacts import type_of
from meson_core.plugins import load_plugins

TYPES = load_plugins(only={"artifacts"}).artifact_types


@pytest.mark.parametrize(
    ("said", "name", "media", "found"),
    [
        ("model", "m.json", "application/json", "model"),
        (None, "m.json", "application/octet-stream", "json"),
        (None, "M.JSON", "", "json"),
        (None, "m", "application/json; charset=utf-8", "json"),
        (None, "notes.md", "application/json", "text"),
        (None, "m.bin", "application/x-unheard-of", "file"),
        (None, "", "", "file"),
    ],
)
def test_an_artifact_says_its_type_or_it_follows_from_name_and_media(
    said: str | None, name: str, media: str, found: str
) -> None:
    assert type_of(TYPES, type=said, name=name, media=media) == found
