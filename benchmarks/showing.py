"""Owns the process of a `mesonctl show` that is measured: its imports first, then, when it is told to, the answer.

    python -m benchmarks.showing PROJECT MODULES      MODULES: a file with the names of modules, one a line

It prints `ready`, reads the id of a run from standard input, and prints one JSON object: the seconds that the answer took,
what was answered, and the modules that were imported only then. With an empty file, that is how the modules are found.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from importlib import import_module
from pathlib import Path

from meson_core.cli.entry import run_command_line


def main() -> None:
    """Be one `mesonctl show`."""
    folder, modules = sys.argv[1:]
    for name in Path(modules).read_text().split():
        with contextlib.suppress(ImportError):
            import_module(name)
    before = set(sys.modules)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    run_id = sys.stdin.readline().strip()
    answer = io.StringIO()
    begin = time.perf_counter()
    with contextlib.redirect_stdout(answer):
        code = run_command_line(["--project", folder, "show", run_id])
    took_s = time.perf_counter() - begin
    late = sorted(set(sys.modules) - before)
    sys.stdout.write(json.dumps({"took_s": took_s, "code": code, "answer": answer.getvalue(), "late": late}) + "\n")


if __name__ == "__main__":
    main()
