"""Owns the artifact type `pickle`: shown without being loaded, because loading a pickle runs what it says.

What the pickle names is read from its instructions (`pickletools`), which executes nothing.
"""

from __future__ import annotations

import hashlib
import io
import pickletools
from typing import TYPE_CHECKING, BinaryIO

from meson_core.artifacts import TableView
from meson_core.builtin.artifacts.reading import named
from meson_core.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meson_core.artifacts import ArtifactVersion, View

#: Of larger pickles the beginning is looked at, in bytes: classes are named where they occur first.
_LOOKED_AT = 1 << 20
_BLOCK = 1 << 20


class Pickle:
    """Python objects that only steps load."""

    name = "pickle"
    media = ("application/x-pickle",)
    suffixes = (".pkl", ".pickle")

    def fingerprint(self, file: BinaryIO) -> str:
        """Of its bytes."""
        found = hashlib.sha256()
        while block := file.read(_BLOCK):
            found.update(block)
        return "sha256:" + found.hexdigest()

    def preview(self, version: ArtifactVersion) -> View:
        """What it names."""
        facts = _facts(version)
        return TableView(("what", "value"), list(facts.items()), len(facts), version.record.name)

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """What differs in what it names."""
        before, after = _facts(old), _facts(new)
        rows = [(what, before[what], after[what]) for what in before if before[what] != after[what]]
        title = f"{new.record.name}: {old.record.number} → {new.record.number}"
        return TableView(("what", "old", "new"), rows, len(rows), title)

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """Nothing."""
        return None


def _facts(version: ArtifactVersion) -> dict[str, object]:
    with version.open() as file:
        start = file.read(_LOOKED_AT)
    protocol, names = _read(version, start)
    whole = "" if version.record.size <= len(start) else f" (in the first {_LOOKED_AT // 1024} KiB)"
    return {
        "bytes": version.record.size,
        "protocol": protocol,
        f"classes and functions{whole}": ", ".join(names) or "none",
        "digest": version.record.digest,
    }


def _read(version: ArtifactVersion, start: bytes) -> tuple[int, list[str]]:
    """Its protocol, and the classes and functions that it names, in their order."""
    protocol = 0
    texts: list[str] = []
    names: dict[str, None] = {}
    try:
        for code, argument, _ in pickletools.genops(io.BytesIO(start)):
            if code.name == "PROTO":
                protocol = int(str(argument))
            elif code.name == "GLOBAL":
                names[str(argument).replace(" ", ".")] = None
            elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                names[f"{texts[-2]}.{texts[-1]}"] = None
            elif isinstance(argument, str):
                texts = [*texts[-1:], argument]
    except (ValueError, KeyError, IndexError) as error:
        # The beginning of a larger one ends in the middle of an instruction.
        if version.record.size <= len(start) or len(start) < _LOOKED_AT:
            raise ArtifactError(f"{named(version)} is not a pickle: {error}") from None
    return protocol, list(names)
