"""Owns how the outputs of an attempt become rows of the catalogue: pure, as `projection.py`, of which it is a part."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meson_core.store.records import Origin

#: Positional parameters of one statement of `statements.py`.
Row: TypeAlias = tuple[Any, ...]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
#: Outputs without this have no artifact in them; most have not, and are not decoded.
_MARK = b'"$artifact"'
#: How deep in a value artifacts are looked for; programs may write JSON that is nested without end.
MAX_DEPTH = 64
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def artifacts_in(value: Any, place: str, depth: int = MAX_DEPTH) -> Iterator[tuple[str, dict[str, Any]]]:
    """The artifacts in a JSON value, each with its place: `model`, `models[3]`, `by_region.north`."""
    if not depth:
        return
    if isinstance(value, dict):
        digest = value.get("$artifact")
        if isinstance(digest, str):
            if _DIGEST.match(digest):
                yield place, value
            return
        for key, part in value.items():
            yield from artifacts_in(part, f"{place}.{key}", depth - 1)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from artifacts_in(part, f"{place}[{index}]", depth - 1)


def may_have_artifacts(outputs: bytes) -> bool:
    """Whether it is worth while to decode this JSON."""
    return _MARK in outputs


def facts_of(value: dict[str, Any]) -> Row:
    """type, digest, size, media, file, meta of an artifact value; a program may write one by hand, so any may be odd."""
    size, meta = value.get("size"), value.get("meta")
    return (
        _text(value, "type"),
        value["$artifact"],
        size if isinstance(size, int) else 0,
        _text(value, "media"),
        _text(value, "name"),
        _encode(meta if isinstance(meta, dict) else {}),
    )


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def artifact_rows(key: Row, step: str, at: float, outputs: bytes, origin: Origin | None) -> list[Row]:
    """The rows of the artifacts in the outputs of one attempt.

    Args:
        key: run, node, packed indexes, attempt.
        step: dotted name.
        at: when the attempt ended.
        outputs: JSON object.
        origin: what the orchestrator knows of the attempt.
    """
    if not may_have_artifacts(outputs):
        return []
    items = b"{}" if origin is None else origin.items
    declared = None if origin is None else origin.key
    return [
        (*key, name, declared, *facts_of(value), at, key[0], items)
        for name, value in artifacts_in(_decode(outputs), step)
    ]


def use_rows(key: Row, origin: Origin | None) -> list[Row]:
    """The rows of the artifacts that one attempt had among its inputs."""
    return [] if origin is None else [(*key, place, digest) for place, digest in origin.uses]
