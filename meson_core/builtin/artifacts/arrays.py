"""Owns the artifact type `numpy`: one array of numbers or text; arrays of objects are refused, as they are pickles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, BinaryIO

from meson_core.artifacts import TableView
from meson_core.builtin.artifacts.distribution import Distribution, DistributionOptions
from meson_core.builtin.artifacts.reading import array_in, array_of, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: So many numbers are shown.
_SHOWN = 10


class Array:
    """An array. The order in memory means nothing."""

    name = "numpy"
    media = ("application/x-npy",)
    suffixes = (".npy",)

    def fingerprint(self, file: BinaryIO) -> str:
        """Of type, shape and values."""
        array = array_in(file, "the array")
        array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        facts = f"{array.dtype.str} {array.shape} ".encode()
        return "sha256:" + hashlib.sha256(facts + array.tobytes()).hexdigest()

    def preview(self, version: ArtifactVersion) -> View:
        """What there is to say of it, and its first values."""
        facts = _facts(array_of(version))
        return TableView(("what", "value"), list(facts.items()), len(facts), version.record.name)

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """What differs, and by how much at most."""
        one, other = array_of(old), array_of(new)
        before, after = _facts(one), _facts(other)
        rows: list[tuple[str, Any, Any]] = [
            (what, before.get(what), after.get(what))
            for what in dict.fromkeys([*before, *after])
            if before.get(what) != after.get(what)
        ]
        if one.shape == other.shape and one.size:
            rows.append(("values that differ", None, int((one != other).sum())))
            if one.dtype.kind in "iuf" and other.dtype.kind in "iuf":
                rows.append(
                    ("largest difference", None, plain(float(abs(other.astype(float) - one.astype(float)).max())))
                )
        title = f"{new.record.name}: {old.record.number} → {new.record.number}"
        return TableView(("what", "old", "new"), rows, len(rows), title)

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """How the distribution of its numbers moved."""
        arrays = [array_of(version) for version in versions]
        if len(versions) < 2 or any(array.dtype.kind not in "iuf" or not array.size for array in arrays):
            return None
        return Distribution().draw(versions, DistributionOptions())


def _facts(array: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": str(array.dtype), "shape": " x ".join(map(str, array.shape)) or "one value"}
    if array.dtype.kind in "iuf" and array.size:
        finite = array[abs(array) < float("inf")] if array.dtype.kind == "f" else array
        facts["not finite"] = int(array.size - finite.size)
        if finite.size:
            facts |= {
                "lowest": plain(finite.min().item()),
                "mean": plain(float(finite.mean())),
                "highest": plain(finite.max().item()),
            }
    facts["first values"] = ", ".join(
        f"{value:.6g}" if isinstance(value, float) else str(value) for value in array.ravel()[:_SHOWN].tolist()
    )
    return facts
