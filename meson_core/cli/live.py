"""Owns the view in a terminal: the tree, painted again and again; retries and failures stay above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from meson_core.cli import tree as trees
from meson_core.cli.looking import Looks, Watched, broken
from meson_core.cli.output import console, duration, state_text
from meson_core.cli.screen import Screen
from meson_core.client.records import TreeNode
from meson_core.graph.marks import SIGNS
from meson_core.spec.states import STATES, RunState, State

if TYPE_CHECKING:
    from meson_core.cli.news import Item
    from meson_core.client import Client, RunTree
    from meson_core.spec.plan import Plan

#: Head, foot, and a line between each and the tree.
_AROUND = 3
_LASTING = ("retry", "failure")
_BAR = 24


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
        self._looks = Looks(self._look, self._give_up)
        self._known: Watched | None = None
        self._watched: Watched | None = None
        self._latest: RunTree | None = None
        self._nodes = {node.id: _unknown(plan, node.id) for node in plan.nodes}
        self._notice = "Ctrl-C: finish what runs, then stop"
        self._closed = False

    def start(self) -> None:
        self._paint()
        self._looks.start()

    def know(self, client: Client, run_id: str) -> None:
        self._known = Watched.known(client, run_id, self._plan, steps=False)

    def watch(self, client: Client, run_id: str) -> None:
        self._watched = self._known or Watched(client, run_id, self._plan, steps=False)

    def say(self, text: str) -> None:
        self._notice = text

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._notice = ""
        self._looks.stop()
        self._screen.close(clear=False)

    def _look(self, last: bool) -> None:
        if self._watched is not None:
            found = self._watched.tree(last=last)
            if found is not None:
                self._latest = found
                self._nodes = {node.node: node for node in found.nodes}
                items = self._watched.news.take(found, last=last)
                lasting = [line for item in items if item.sort in _LASTING for line in _apart(item)]
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
        console().print(broken(error), style="red")


def _apart(item: Item) -> list[Text]:
    """An item as lines, with an empty one behind what has several."""
    return [item.line, *item.more, Text()] if item.more else [item.line]


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
