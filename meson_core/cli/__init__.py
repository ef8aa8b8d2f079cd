"""Owns `mesonctl`, the composition root: the only place where everything meets. Only the entry is here."""

from __future__ import annotations

import gc


def main() -> None:
    """The console script."""
    # A tenth of a start is collections that find nothing: imports make no garbage. Opening a project switches it on again.
    gc.disable()
    from meson_core.cli.entry import run_command_line

    raise SystemExit(run_command_line())
