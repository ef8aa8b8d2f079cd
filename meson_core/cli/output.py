"""Owns how answers look: one console, JSON for programs, colours of states, short durations."""

from __future__ import annotations

import errno
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.spec.states import STATES, RunState, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from meson_core.events import Failure

_RUN_COLOURS = {
    RunState.running: STATES[State.running].colour,
    RunState.paused: STATES[State.paused].colour,
    RunState.cancelling: STATES[State.cancelling].colour,
    RunState.succeeded: STATES[State.succeeded].colour,
    RunState.failed: STATES[State.failed].colour,
    RunState.cancelled: STATES[State.cancelled].colour,
}


@cache
def console() -> Console:
    """The terminal, or whatever standard output is."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            # The entry says what that means for the exit code; rich would end the process with 1.
            raise BrokenPipeError(errno.EPIPE, "the reader has gone")

    # Names of instances have brackets, and what steps say may have anything: nothing of it is markup.
    return Terminal(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def print_json(value: Any) -> None:
    """One JSON document on one line, for programs."""
    sys.stdout.buffer.write(msgspec.json.encode(value, enc_hook=_plain) + b"\n")
    sys.stdout.buffer.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "_asdict"):
        return value._asdict()
    return str(value)


def one_line(text: str) -> str:
    """The first line of something that a step has said, without what would move the cursor."""
    return "".join(char if char.isprintable() else " " for char in text.partition("\n")[0]).rstrip()


def headline(failure: Failure) -> str:
    """One line on what went wrong."""
    return one_line(failure.message) or failure.reason


def state_text(state: State | RunState) -> Text:
    """A state in its colour."""
    from rich.text import Text

    if isinstance(state, RunState):
        return Text(state.value, style=_RUN_COLOURS[state])
    return Text(state.label, style=STATES[state].colour)


def value_text(value: Any, *, limit: int | None = 200) -> Text:
    """A value of a run: artifacts by digest and size, anything else as JSON.

    Args:
        value: JSON.
        limit: characters after which it is cut; None for all of it.
    """
    from rich.text import Text

    if isinstance(value, dict) and "$artifact" in value:
        told = f"artifact {value['$artifact'][:19]}…"
        named = f" {value['name']}" if value.get("name") else ""
        return Text().append(told, style="cyan").append(f"{named}, {size(value.get('size'))}", style="dim")
    text = msgspec.json.encode(value, enc_hook=_plain).decode()
    return Text(text if limit is None or len(text) <= limit else text[: limit - 1] + "…")


def size(count: int | None) -> str:
    """Bytes as people read them: "512 B", "12.3 MB"; "" for None."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float | None) -> str:
    """Two units at most: "0.4 s", "12 s", "3 min 20 s", "5 h 2 min"; "" for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(at: float | None) -> str:
    """A time in the reader's zone; the day only when it is not today."""
    if at is None:
        return ""
    local = time.localtime(at)
    today = time.localtime()
    form = "%H:%M:%S" if local[:3] == today[:3] else "%Y-%m-%d %H:%M"
    return time.strftime(form, local)
