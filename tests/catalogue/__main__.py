"""Owns the full property: `python -m tests.catalogue --moments 200 --seed 1`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.catalogue.killing import kill_at


def main() -> int:
    """Kill at that many moments; non-zero when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.catalogue")
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forgetting", action="store_true", help="prunes give up old versions too")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="meson-killed-", ignore_cleanup_errors=True) as folder:
        outcome = kill_at(given.moments, given.seed, Path(folder) / "yard", forgetting=given.forgetting)
    told = json.dumps(asdict(outcome) | {"seconds": round(time.monotonic() - begin, 1)}, indent=1)
    sys.stdout.write(told + "\n")
    if given.json:
        given.json.write_text(told)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
