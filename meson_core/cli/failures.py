"""Owns how a failed instance is told: what, which attempt, why, and the end of what it wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.text import Text

from meson_core.cli.output import headline
from meson_core.client.code_bundle import CODE
from meson_core.graph.marks import SIGNS
from meson_core.spec.states import STATES, State

if TYPE_CHECKING:
    from meson_core.client import Client, StepInstance

#: Lines of a log or traceback that are shown with a failure.
TAIL = 12


def failure_lines(client: Client, run_id: str, row: StepInstance, name: str) -> list[Text]:
    """A failed instance with the tail of its log.

    Args:
        client: where the log is read.
        run_id: the run.
        row: the instance.
        name: as people type it.
    """
    colour = STATES[State.failed].colour
    line = Text().append(f"{SIGNS[State.failed]} ", style=colour).append(name, style="bold")
    line.append("  failed", style=colour)
    if row.attempt > 1:
        line.append(f" in attempt {row.attempt}")
    told = headline(row.failure) if row.failure is not None else row.why
    line.append(f": {told}")
    return [line, *(_quoted(text) for text in tail(client, run_id, row))]


def tail(client: Client, run_id: str, row: StepInstance, count: int = TAIL) -> list[str]:
    """The author's own traceback, or the end of what the last attempt wrote."""
    written = [line.text for line in client.tail(run_id, row.instance, row.attempt, count)]
    if row.failure is None or row.failure.traceback is None:
        return written
    frames = _in_project(client, row.failure.traceback).rstrip().splitlines()
    if len(frames) > count:
        frames = [frames[0], "  …", *frames[2 - count :]]
    room = count - len(frames)
    return [*(written[-room:] if room > 0 else []), *frames]


def _in_project(client: Client, traceback: str) -> str:
    """A traceback that names the author's files and not the copies in the code bundle."""
    return re.sub(re.escape(str(client.directory / CODE)) + r"/[0-9a-f]{64}/", "", traceback)


def _quoted(text: str) -> Text:
    return Text().append("  │ ", style="dim").append_text(Text.from_ansi(text.expandtabs(4)))
