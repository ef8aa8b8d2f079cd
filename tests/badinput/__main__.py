"""Owns `python -m tests.badinput [--update] [NAME]...`: play the table, show what is said, write it down to be read."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.badinput.cases import Played, play, read_table, update
from tests.badinput.given import Stages


def main() -> int:
    """Play cases whose names contain one of the words; non-zero when what must never happen has happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.badinput")
    parser.add_argument("names", nargs="*", help="parts of the names of cases")
    parser.add_argument("--update", action="store_true", help="write what is said into the table; read it line by line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="meson-badinput-", ignore_cleanup_errors=True) as folder:
        stages = Stages(Path(folder))
        if given.update:
            played = update(lambda case: play(case, stages), given.names)
        else:
            chosen = [case for case in read_table() if not given.names or any(n in case.case for n in given.names)]
            played = [(case, play(case, stages)) for case in chosen]
    for case, found in played:
        _show(case.case, found)
    return 1 if any(found.wrong for _, found in played) else 0


def _show(name: str, found: Played) -> None:
    sys.stdout.write(f"--- {name}\n")
    for said in (found.said, found.then):
        if said is not None:
            sys.stdout.write(f"[{said.code}]\n{said.text}")
    for wrong in found.wrong:
        sys.stdout.write(f"WRONG: {wrong}\n")


if __name__ == "__main__":
    sys.exit(main())
