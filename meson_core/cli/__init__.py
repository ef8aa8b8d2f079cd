"""Owns `mesonctl`, the composition root: the only place where everything meets. Only the way in and out is here."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """The console script."""
    # A tenth of a start is collections that find nothing: imports make no garbage. Opening a project switches it on again.
    gc.disable()
    from meson_core.cli.entry import run_command_line

    _leave(run_command_line())


def _leave(code: int) -> NoReturn:
    """End the process without taking the interpreter apart, which takes a quarter as long as a short run does."""
    atexit._run_exitfuncs()  # noqa: SLF001  what the interpreter itself would do next
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
