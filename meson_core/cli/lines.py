"""Owns the view where there is no terminal: a line for whatever is worth one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from meson_core.cli.looking import Looks, Watched, broken
from meson_core.cli.output import console

if TYPE_CHECKING:
    from meson_core.client import Client
    from meson_core.spec.plan import Plan


class Lines:
    """A line for whatever is worth one.

    Args:
        plan: the workflow.
        command: that runs.
    """

    shows_end = False

    def __init__(self, plan: Plan, command: str) -> None:
        self.command = command
        self._plan = plan
        self._looks = Looks(self._look, lambda error: console().print(broken(error), style="red"))
        self._known: Watched | None = None
        self._watched: Watched | None = None

    def start(self) -> None:
        self._looks.start()

    def know(self, client: Client, run_id: str) -> None:
        self._known = Watched.known(client, run_id, self._plan, steps=True)

    def watch(self, client: Client, run_id: str) -> None:
        self._print(Text(f"{self._plan.workflow.name}  run {run_id}"))
        self._watched = self._known or Watched(client, run_id, self._plan, steps=True)

    def say(self, text: str) -> None:
        self._print(Text(text))

    def close(self) -> None:
        self._looks.stop()

    def _look(self, last: bool) -> None:
        found = self._watched.tree(last=last) if self._watched is not None else None
        if self._watched is None or found is None:
            return
        for item in self._watched.news.take(found, last=last):
            self._print(item.line)
            for line in item.more:
                self._print(line, timed=False)

    def _print(self, line: Text, *, timed: bool = True) -> None:
        at = time.strftime("%H:%M:%S") if timed else " " * 8
        console().print(Text().append(f"{at}  ", style="dim").append_text(line), soft_wrap=True)
