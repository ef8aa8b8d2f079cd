"""Owns the value types of placement: what a step asks for, what a machine offers, and the verdict on the pair."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

Attribute: TypeAlias = str | int | float | bool
#: Names that every resource scheduler understands; plugins may add their own (`gpus`, `licences`, …).
CPUS = "cpus"
MEMORY = "memory"  # bytes
DISK = "disk"  # bytes
GPUS = "gpus"

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$")


def parse_size(text: str | int | float) -> int:
    """Bytes from `"2 GB"`, `"512 MiB"` or a plain number of bytes.

    Raises:
        ValueError: not a size, with the text and the accepted units.
    """
    if isinstance(text, bool):
        raise ValueError(f"{text!r} is not a size")
    if isinstance(text, int | float):
        value = float(text)
    else:
        match = _SIZE.match(text)
        if match is None or match.group(2).upper() not in _UNITS:
            raise ValueError(
                f"{text!r} is not a size; write a number of bytes or one with a unit, like '2 GB' or '512 MiB'"
            )
        value = float(match.group(1)) * _UNITS[match.group(2).upper()]
    if value < 0:
        raise ValueError(f"{text!r}: a size cannot be negative")
    return int(value)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one attempt needs.

    Equal requests form a *request class*: placement compiles and matches per class, never per instance.

    Args:
        quantities: name → amount; `cpus` in cores, `memory` and `disk` in bytes. Sorted by name.
        constraints: expressions over the attributes and quantities of an offer, all of which must hold.
    """

    quantities: tuple[tuple[str, float], ...] = ((CPUS, 1.0),)
    constraints: tuple[str, ...] = ()

    def amount(self, name: str) -> float:
        """How much of `name` is asked for (0 when nothing is)."""
        for key, value in self.quantities:
            if key == name:
                return value
        return 0.0


class Offer(msgspec.Struct, frozen=True):
    """What a resource scheduler says is free on one machine.

    Args:
        offer_id: opaque; a newer offer of the same id replaces the older one.
        machine: the machine's name.
        free: name → amount free now.
        total: name → amount that the machine has for us when idle (tells "busy" from "never").
        attributes: labels: `zone`, `spark_version`, …
    """

    offer_id: str
    machine: str
    free: dict[str, float]
    total: dict[str, float]
    attributes: dict[str, Attribute] = {}


class Refusal(msgspec.Struct, frozen=True):
    """Why a matcher refuses a pair of request and offer.

    Args:
        matcher: name of the resource matcher.
        constraint: what was asked, as the author wrote it (`zone == "a"`, `cpus >= 4`).
        found: what the offer has instead.
        kind: "busy" when the machine could satisfy it once idle, "never" when it never can.
    """

    matcher: str
    constraint: str
    found: str
    kind: Literal["busy", "never"] = "never"


class Score(msgspec.Struct, frozen=True):
    """How well an offer fits; higher is better, 0 is neutral."""

    value: float = 0.0


Verdict: TypeAlias = Refusal | Score
