"""Owns `mesonctl`, the composition root: the only place where everything meets. Only the entry is here."""

from __future__ import annotations


def main() -> None:
    """The console script."""
    from meson_core.cli.entry import run_command_line

    raise SystemExit(run_command_line())
