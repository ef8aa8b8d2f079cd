"""Owns what a person sees of a run while it goes on: a live tree in a terminal, lines elsewhere, nothing for programs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from meson_core.client import Client
    from meson_core.spec.plan import Plan


class View(Protocol):
    """What a person sees of one run."""

    #: The command that shows it, for messages.
    command: str
    #: Whether what it leaves behind tells how the run has ended.
    shows_end: bool

    def start(self) -> None:
        """Show what is going to be run."""

    def know(self, client: Client, run_id: str) -> None:
        """The run was there before the command began: what has happened so far is no news."""

    def watch(self, client: Client, run_id: str) -> None:
        """The run exists: show it from now on."""

    def say(self, text: str) -> None:
        """Tell something about the run as a whole."""

    def close(self) -> None:
        """Show the last state, and give the terminal back; twice is fine."""


class Silent:
    """Shows nothing.

    Args:
        command: that runs.
    """

    shows_end = False

    def __init__(self, command: str) -> None:
        self.command = command

    def start(self) -> None:
        return

    def know(self, client: Client, run_id: str) -> None:
        return

    def watch(self, client: Client, run_id: str) -> None:
        return

    def say(self, text: str) -> None:
        return

    def close(self) -> None:
        return


def make_view(plan: Plan, command: str, *, as_json: bool, plain: bool) -> View:
    """The view that fits to where the output goes.

    Args:
        plan: the workflow.
        command: that runs.
        as_json: the output is for a program.
        plain: lines are wanted, also in a terminal.
    """
    # Drawing takes longer to import than a short run takes; who draws nothing does not pay for it.
    if as_json:
        return Silent(command)
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        from meson_core.cli.lines import Lines

        return Lines(plan, command)
    from meson_core.cli.live import Live

    return Live(plan, command)
