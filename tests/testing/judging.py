"""Owns the way to see which checks of a kit find something: each is carried out as pytest would, in a folder of its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def checks_of(*kits: type[Any]) -> set[str]:
    """The names of all checks, without `test_`."""
    return {name.removeprefix("test_") for kit in kits for name in vars(kit) if name.startswith("test_")}


def found_out_by(make: Callable[[], Any], folder: Path) -> set[str]:
    """The checks of a kit that fail.

    Args:
        make: a new kit for each check, as pytest makes one; ready but for its fixture `_folder`, if it has one.
        folder: empty.
    """
    failing = set()
    for number, check in enumerate(sorted(checks_of(*type(make()).__mro__))):
        kit = make()
        if hasattr(kit, "_folder"):
            place = folder / str(number)
            place.mkdir()
            type(kit)._folder.__wrapped__(kit, place)
        with contextlib.suppress(pytest.skip.Exception):
            try:
                getattr(kit, f"test_{check}")()
            except (Exception, pytest.fail.Exception):  # noqa: BLE001 (whatever a check says)
                failing.add(check)
    return failing
