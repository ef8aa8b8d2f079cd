"""Owns the conditions of a measurement: which machine it was, how fast its disk is, how busy it was with other things."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

#: Share of the processors that others may use before the figures are called disturbed.
_QUIET = 0.1


@dataclass(frozen=True, slots=True)
class Conditions:
    """What figures were measured on.

    Args:
        python: version of the interpreter.
        system: kernel and architecture.
        cores: processors that this process may use.
        sync_ms: milliseconds that 4 KiB take to the disk for good.
        others: share of all processors that other programs used before the first figure.
        others_after: the same after the last one.
    """

    python: str
    system: str
    cores: int
    sync_ms: float
    others: float
    others_after: float = 0.0

    @property
    def disturbed(self) -> bool:
        """Whether the machine had other things to do."""
        return max(self.others, self.others_after) > _QUIET

    def finished(self) -> Conditions:
        """The same, with the load after the last figure."""
        return replace(self, others_after=_busy())

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"disturbed": self.disturbed}

    def __str__(self) -> str:
        load = f"others used {self.others:.0%} of the processors before, {self.others_after:.0%} after"
        warning = ": THE MACHINE WAS BUSY, these figures say little" if self.disturbed else ""
        return (
            f"Python {self.python}, {self.system}, {self.cores} processors, "
            f"a 4 KiB write reaches the disk in {self.sync_ms:.2g} ms; {load}{warning}"
        )


def conditions(folder: Path) -> Conditions:
    """Look at the machine; `folder` is on the disk that will be measured on."""
    return Conditions(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)),
        sync_ms=_sync_ms(folder),
        others=_busy(),
    )


def _sync_ms(folder: Path, count: int = 50) -> float:
    """The median of a few durable writes; every commit of a log pays at least this."""
    path = folder / "sync"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    path.unlink()
    return median(took) * 1e3


def _busy(seconds: float = 0.5) -> float:
    """Share of all processors that are at work while this process waits."""
    before, idle_before = _ticks()
    os.sched_yield()
    time.sleep(seconds)  # noqa: TID251  a window of time is what is measured
    after, idle_after = _ticks()
    return 1 - (idle_after - idle_before) / max(1, after - before)


def _ticks() -> tuple[int, int]:
    numbers = [int(text) for text in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]
