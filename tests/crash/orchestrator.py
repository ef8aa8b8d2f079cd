"""Owns the orchestrator process of the crash runs: the real one, which may kill itself at a chosen point.

    python -m tests.crash.orchestrator PROJECT [--die-at N]

It drives the cell until it is killed. With `--die-at N` it is gone, as by `kill -9`, at the N-th point that its probe
reaches: between a decision and its commit, between a commit and the launch, and so on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from itertools import count
from pathlib import Path

from meson_core.orchestrator.serve import Orchestrator
from meson_core.plugins import load_plugins
from meson_core.settings import read_settings
from meson_core.store.store import open_store


class Dying:
    """A probe that ends the process at its N-th point; nothing is flushed, closed or told."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self._count = count(1)  # its next() is atomic: points are reached in two threads

    def reach(self, point: object) -> None:
        """The orchestrator is at a point."""
        if self._at is not None and next(self._count) >= self._at:
            os.kill(os.getpid(), signal.SIGKILL)


async def drive(project: Path, die_at: int | None) -> None:
    """Drive the cell of a project for ever."""
    settings = read_settings(project, os.environ)
    with open_store(settings.store_location) as store:
        plugins = load_plugins(disabled=settings.disabled_plugins)
        async with Orchestrator(store, settings, plugins, probe=Dying(die_at), holder="crash run") as orchestrator:
            await orchestrator.serve()


def main() -> None:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("--die-at", type=int)
    given = parser.parse_args()
    asyncio.run(drive(given.project, given.die_at))


if __name__ == "__main__":
    main()
