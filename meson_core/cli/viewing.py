"""Owns what a person sees of a run while it goes on: a live tree in a terminal, lines elsewhere, nothing for programs.

A view looks at the projections some times a second in a thread of its own, and only where something has changed: its
cost depends on the number of nodes, not of instances, and a fan-out does not wait for it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from meson_core.cli import tree as trees
from meson_core.cli.news import News
from meson_core.cli.output import console, duration, state_text
from meson_core.cli.screen import Screen
from meson_core.client.records import TreeNode
from meson_core.graph.marks import SIGNS
from meson_core.spec.states import STATES, RunState, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.client import Client, RunTree
    from meson_core.spec.plan import Plan

#: Seconds between two looks.
LOOK_S = 0.25
#: Seconds after which a look is worth it although the log has not grown: percents and messages are not in it.
_SAMPLES_S = 1.0
#: Head, foot, and a line between each and the tree.
_AROUND = 3
_LASTING = ("retry", "failure")
_BAR = 24


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


class _Looks:
    """Looks again and again in a thread, until it is stopped; then one last time.

    Args:
        look: what is done; its failure ends the looking, and nothing else.
        failed: told of the failure.
    """

    def __init__(self, look: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        self._look = look
        self._failed = failed
        self._broken = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meson-view", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._once()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self._once()

    def _once(self) -> None:
        if self._broken:
            return
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  who only watches must not stop the run
            self._broken = True
            self._failed(error)


class _Watched:
    """A run that is watched: asked only when there may be news.

    Args:
        client: to its store.
        run_id: the run.
        plan: its workflow.
    """

    def __init__(self, client: Client, run_id: str, plan: Plan) -> None:
        self.run_id = run_id
        self.news = News(client, run_id, plan)
        self._client = client
        self._seq = -1
        self._looked = 0.0

    @classmethod
    def known(cls, client: Client, run_id: str, plan: Plan) -> _Watched:
        """One of which everything so far is known."""
        watched = cls(client, run_id, plan)
        watched.news.take_as_known(client.tree(run_id))
        return watched

    def tree(self) -> RunTree | None:
        """The run as it stands now; None when nothing can have changed since the last call."""
        now = time.monotonic()
        position = self._client.store.position(self.run_id)
        if position is None or (position[0] == self._seq and now - self._looked < _SAMPLES_S):
            return None
        self._seq, self._looked = position[0], now
        return self._client.tree(self.run_id)


# --- a terminal ---------------------------------------------------------------------------------------------------


class Live:
    """The tree, painted again and again; retries and failures stay above it.

    Args:
        plan: the workflow.
        command: that runs.
    """

    shows_end = True

    def __init__(self, plan: Plan, command: str) -> None:
        self.command = command
        self._plan = plan
        self._screen = Screen(console())
        self._lines = trees.outline(plan)
        self._looks = _Looks(self._look, self._give_up)
        self._known: _Watched | None = None
        self._watched: _Watched | None = None
        self._latest: RunTree | None = None
        self._nodes = {node.id: _unknown(plan, node.id) for node in plan.nodes}
        self._notice = "Ctrl-C: finish what runs, then stop"
        self._closed = False

    def start(self) -> None:
        self._paint()
        self._looks.start()

    def know(self, client: Client, run_id: str) -> None:
        self._known = _Watched.known(client, run_id, self._plan)

    def watch(self, client: Client, run_id: str) -> None:
        self._watched = self._known or _Watched(client, run_id, self._plan)

    def say(self, text: str) -> None:
        self._notice = text

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._notice = ""
        self._looks.stop()
        self._screen.close(clear=False)

    def _look(self) -> None:
        if self._watched is not None:
            found = self._watched.tree()
            if found is not None:
                self._latest = found
                self._nodes = {node.node: node for node in found.nodes}
                items = self._watched.news.take(found)
                lasting = [line for item in items if item.sort in _LASTING for line in (item.line, *item.more)]
                if lasting:
                    self._screen.print_above(lasting)
        self._paint()

    def _paint(self) -> None:
        width = self._screen.width
        room = max(1, self._screen.height - _AROUND)
        shown = trees.fit(self._lines, self._nodes, room)
        lines = [self._head(), *trees.texts(shown, self._nodes, width)]
        if self._notice:
            lines += [Text(), Text(self._notice, style="dim")]
        self._screen.paint(lines)

    def _head(self) -> Text:
        tree = self._latest
        name = self._plan.workflow.name
        if tree is None:
            return Text().append("○ ", style="dim").append(name, style="bold").append("  starting", style="dim")
        sign, colour = _sign(tree.state)
        head = (
            Text()
            .append(f"{sign} ", style=colour)
            .append(name, style="bold")
            .append(f"  run {tree.run_id}  ", style="dim")
        )
        head.append_text(state_text(tree.state)).append(f"  {duration(_age(tree))}")
        if tree.fraction is not None and not tree.state.ended:
            full = int(min(max(tree.fraction, 0.0), 1.0) * _BAR)
            head.append("  " + "━" * full, style=colour).append("━" * (_BAR - full), style="bright_black")
            head.append(f" {int(tree.fraction * 100)} %")
            if tree.eta_s:
                head.append(f"  {duration(tree.eta_s)} to go", style="cyan")
        return head

    def _give_up(self, error: Exception) -> None:
        self._screen.close(clear=False)
        console().print(_broken(error))


def _unknown(plan: Plan, number: int) -> TreeNode:
    node = plan.nodes[number]
    counts = [0] * len(State)
    counts[State.waiting] = 0 if node.depth else 1
    return TreeNode(number, node.name, node.spec.node, -1, tuple(counts), None, None, None, None, "")


def _sign(state: RunState) -> tuple[str, str]:
    as_step = State[state.value]
    return SIGNS[as_step], STATES[as_step].colour


def _age(tree: RunTree) -> float:
    return (tree.at if tree.ended_at is None else tree.ended_at) - tree.created_at


def _broken(error: Exception) -> Text:
    return Text(f"the view of the run has stopped, the run goes on: {type(error).__name__}: {error}", style="red")


# --- anything else ------------------------------------------------------------------------------------------------


class Plain:
    """A line for whatever is worth one.

    Args:
        plan: the workflow.
        command: that runs.
    """

    shows_end = False

    def __init__(self, plan: Plan, command: str) -> None:
        self.command = command
        self._plan = plan
        self._looks = _Looks(self._look, lambda error: console().print(_broken(error)))
        self._known: _Watched | None = None
        self._watched: _Watched | None = None

    def start(self) -> None:
        self._looks.start()

    def know(self, client: Client, run_id: str) -> None:
        self._known = _Watched.known(client, run_id, self._plan)

    def watch(self, client: Client, run_id: str) -> None:
        self._print(Text(f"{self._plan.workflow.name}  run {run_id}"))
        self._watched = self._known or _Watched(client, run_id, self._plan)

    def say(self, text: str) -> None:
        self._print(Text(text))

    def close(self) -> None:
        self._looks.stop()

    def _look(self) -> None:
        found = self._watched.tree() if self._watched is not None else None
        if self._watched is None or found is None:
            return
        for item in self._watched.news.take(found):
            self._print(item.line)
            for line in item.more:
                self._print(line, timed=False)

    def _print(self, line: Text, *, timed: bool = True) -> None:
        at = time.strftime("%H:%M:%S") if timed else " " * 8
        console().print(Text().append(f"{at}  ", style="dim").append_text(line), soft_wrap=True)


def make_view(plan: Plan, command: str, *, as_json: bool, plain: bool) -> View:
    """The view that fits to where the output goes.

    Args:
        plan: the workflow.
        command: that runs.
        as_json: the output is for a program.
        plain: lines are wanted, also in a terminal.
    """
    if as_json:
        return Silent(command)
    terminal = console()
    if plain or not terminal.is_terminal or terminal.is_dumb_terminal:
        return Plain(plan, command)
    return Live(plan, command)
