"""Owns the question of what this machine has for us: cpus and memory within affinity and control groups, v1 and v2."""

from __future__ import annotations

import os
from pathlib import Path

from meson_core.resources import CPUS, MEMORY

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
#: What version 1 says when there is no limit is a number near 2**63.
_NO_LIMIT = 1 << 60


def capacity(proc: Path = _PROC, cgroup: Path = _CGROUP) -> dict[str, float]:
    """Cores and bytes of memory that this process may use.

    Args:
        proc: where the system's process information is mounted.
        cgroup: where control groups are mounted.
    """
    cpus = float(len(os.sched_getaffinity(0)))
    memory = float(_total_memory(proc))
    for folder in _groups(proc, cgroup, "cpu"):
        quota = _cpu_quota(folder)
        if quota is not None:
            cpus = min(cpus, quota)
    for folder in _groups(proc, cgroup, "memory"):
        limit = _memory_limit(folder)
        if limit is not None:
            memory = min(memory, float(limit))
    return {CPUS: cpus, MEMORY: memory}


def _total_memory(proc: Path) -> int:
    for line in (proc / "meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _groups(proc: Path, cgroup: Path, controller: str) -> list[Path]:
    """Folders of the control groups around this process, outermost last; every one of them limits."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            root = cgroup
        elif controller in controllers.split(","):
            root = cgroup / controllers if (cgroup / controllers).is_dir() else cgroup / controller
        else:
            continue
        inside = Path(path.lstrip("/"))
        found += [root / inside, *(root / above for above in inside.parents)]
    return found


def _cpu_quota(folder: Path) -> float | None:
    text = _read(folder / "cpu.max")
    if text is not None:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100_000)
    quota_text, period_text = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    if quota_text is None or period_text is None or int(quota_text) <= 0:
        return None
    return int(quota_text) / int(period_text)


def _memory_limit(folder: Path) -> int | None:
    text = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
    if text is None or text == "max" or int(text) >= _NO_LIMIT:
        return None
    return int(text)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
