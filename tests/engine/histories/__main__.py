"""Owns the command that records the histories which are missing."""

from __future__ import annotations

import sys

from tests.engine.histories.recording import FOLDER, RUNS, write

for name, run in RUNS.items():
    if not (FOLDER / f"{name}.jsonl").exists():
        recorded = run()
        path = write(name, recorded.plan, recorded.log)
        sys.stdout.write(f"{path.name}: {len(recorded.log)} events, {path.stat().st_size:,} bytes\n")
