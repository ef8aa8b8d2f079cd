"""Owns how kits carry out their async checks: on a loop of their own, and failing with what the check said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run_check(check: Coroutine[Any, Any, None]) -> None:
    """Run a check to its end.

    What it raises comes out of task groups; who reads it should see it as it was said, and a skip must stay one.
    """
    try:
        asyncio.run(check)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
