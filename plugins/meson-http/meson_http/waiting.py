"""Owns how long to wait: what a service asks for, and between two questions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_http.options import Poll

#: Part of a wait by which steps that began together drift apart.
_SPREAD: Final = 0.2


def asked_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait by Retry-After, in seconds or until a date; None when it does not."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text).timestamp()
        # By the service's own clock, when it tells what that shows.
        now = parsedate_to_datetime(headers["Date"]).timestamp() if "Date" in headers else time.time()
    except ValueError:
        return None
    return max(0.0, until - now)


def next_wait_s(poll: Poll, questions: int, key: str, asked: float | None) -> float:
    """Seconds until the next question.

    Args:
        poll: says how they grow.
        questions: asked so far.
        key: of the job: those of a fan-out do not ask all at the same moment.
        asked: by the service, which is not asked before.
    """
    # Beyond that many doublings the longest wait has long been reached, and a float would overflow.
    grown = min(poll.max_interval_s, poll.interval_s * poll.factor ** min(questions, 200))
    drawn = blake2b(f"{key} {questions}".encode(), digest_size=4).digest()
    wait = grown * (1 - _SPREAD * int.from_bytes(drawn, "big") / 2**32)
    return wait if asked is None else max(wait, asked)


async def pause(seconds: float) -> None:
    """Let the time pass."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
