"""Owns the other side of `Facts` without a socket: a line that keeps what was sent, and a clock that the test turns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from meson_executor.facts import Facts
from meson_executor.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Line:
    """A session for `Facts`: what was sent, whether anybody listens, and what is to be called later."""

    def __init__(self) -> None:
        self.open = True
        self.crowded = False
        #: Whether a lot is under way.
        self.busy = False
        self.sent: list[bytes] = []
        self.due: list[Callable[[], None]] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def numbers(self) -> list[list[int]]:
        """The numbers of the facts in each message."""
        messages = [json.loads(data) for data in self.sent]
        return [list(range(message["seq"], message["seq"] + len(message["facts"]))) for message in messages]

    def later(self, _seconds: float, action: Callable[[], None]) -> None:
        self.due.append(action)

    def pass_time(self) -> None:
        """What is to be called later is called now."""
        due, self.due = self.due, []
        for action in due:
            action()


def open_facts(path: Path, line: Line, notes: list[str]) -> Facts:
    """Facts with a spool of their own; `restore` is the next call."""
    return Facts(Spool(str(path)), line, lambda _key: None, notes.append, line.later, lambda: line.busy)


def fact_text(number: int, size: int = 0) -> str:
    """A fact as its JSON."""
    return json.dumps({"f": "emitted", "k": ["r", [1], 1], "n": number, "x": "x" * size})
