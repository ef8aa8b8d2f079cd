"""Owns the figures of a cold start: what a person waits for before anything happens, beside what Python alone takes.

Byte-compiled, as `make setup` and a wheel leave it. A command is a new process every time; nothing stays warm but the
file cache.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.projects import MESONCTL, WORKLOADS, environment, fresh_project, timed
from benchmarks.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What any program with these tasks imports: a command line, typed models, a database, a terminal.
_LIBRARIES = "click, pydantic, sqlalchemy, msgspec, asyncio, rich.console"


def cold_start(folder: Path, rounds: int) -> Iterator[Figure]:
    """`--help`, a check, and a whole run in a new project."""
    bare, imports, told, checked, ran = [], [], [], [], []
    env = environment()
    timed([sys.executable, "-m", "compileall", "-q", WORKLOADS])
    for _ in range(rounds):
        bare.append(timed([sys.executable, "-I", "-c", "pass"], env=env))
        imports.append(timed([sys.executable, "-c", f"import {_LIBRARIES}"], env=env))
        told.append(timed([MESONCTL, "--help"], env=env))
        with fresh_project(folder) as project:
            target = "workflows.py:one_step"
            checked.append(timed([MESONCTL, "validate", target], env=env, cwd=project.root))
            ran.append(timed([MESONCTL, "run", target], env=env, cwd=project.root))
    note = "baseline: an interpreter that does nothing"
    yield Figure("mesonctl --help", tuple(told), "s", tuple(bare), budget=0.2, note=note)
    note = f"baseline: an interpreter that imports {_LIBRARIES}"
    yield Figure("mesonctl validate of a Python file", tuple(checked), "s", tuple(imports), note=note)
    yield Figure("one-step workflow in a new project", tuple(ran), "s", tuple(imports), budget=0.5, note=note)
