"""Owns the full crash equivalence: `python -m tests.crash --runs 300 --seed 1 --json FILE`."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.progress import Progress

from tests.crash.running import Outcome, run_seed


def main() -> int:
    """Run all seeds; non-zero when any verdict is bad."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side-by-side", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    begin = time.monotonic()
    outcomes: list[Outcome] = []
    # Not an executor of `concurrent.futures`: with a limit of tasks per child it stands still (python/cpython#115634).
    processes = multiprocessing.get_context("spawn").Pool(given.side_by_side, maxtasksperchild=20)
    with processes as pool, Progress() as progress:
        task = progress.add_task("crash runs", total=given.runs)
        for outcome in pool.imap(run_seed, range(given.seed, given.seed + given.runs)):
            outcomes.append(outcome)
            progress.advance(task)
            for problem in outcome.wrong:
                progress.console.print(f"seed {outcome.seed}: {problem}", markup=False)
    faults = Counter(fault.kind for outcome in outcomes for fault in outcome.faults)
    bad = [outcome.seed for outcome in outcomes if outcome.wrong]
    summary = {
        "runs": len(outcomes),
        "equal": len(outcomes) - len(bad),
        "faults": dict(faults),
        "facts": sum(outcome.facts for outcome in outcomes),
        "outside_jobs": sum(outcome.jobs for outcome in outcomes),
        "unknown_and_settled": sum(outcome.settled for outcome in outcomes),
        "seconds": round(time.monotonic() - begin, 1),
        "bad_seeds": bad,
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    if given.json:
        given.json.write_text(json.dumps(summary | {"outcomes": [asdict(outcome) for outcome in outcomes]}, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
