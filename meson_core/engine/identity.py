"""Owns the keys that are derived and never chosen: job keys, timer keys, and the jitter of a back-off."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meson_core.spec.model import Retry
    from meson_core.spec.plan import Instance

#: Key of the timer that ends a run which takes too long.
RUN_TIMER: Final = (-1,)


def job_key(run_id: str, instance: Instance, job: int) -> str:
    """The key of an external job, known before anything is submitted.

    It holds lower-case letters, digits and a dash only and has 38 characters, so that it is a legal label, name or
    comment everywhere.

    Args:
        run_id: the run.
        instance: the step instance.
        job: the attempt that began the job (`Launch.job`).
    """
    return f"meson-{_digest(run_id, instance, job).hex()}"


def backoff_s(retry: Retry, failures: int, run_id: str, instance: Instance, attempt: int) -> float:
    """Seconds to wait after the given number of failures; the jitter is the same in every replay.

    Args:
        retry: the step's policy.
        failures: of this instance since it was last opened, at least 1.
        run_id: the run.
        instance: the step instance.
        attempt: the one that failed.
    """
    if not retry.backoff_s:
        return 0.0
    wait = retry.max_backoff_s
    if (failures - 1) * math.log(retry.factor) < 700:  # beyond that a float overflows
        wait = min(wait, retry.backoff_s * retry.factor ** (failures - 1))
    if not wait or not retry.jitter:
        return wait
    part = int.from_bytes(_digest(run_id, instance, attempt)[:4], "big") / 2**32
    return wait * (1 - retry.jitter * part)


def _digest(run_id: str, instance: Instance, number: int) -> bytes:
    named = "\0".join((run_id, *map(str, instance), str(number)))
    return blake2b(named.encode(), digest_size=16).digest()
