"""Owns the tree of a run as lines of text with colours: one line a node, however many instances it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from meson_core.cli.output import duration
from meson_core.spec.model import Choose, ForEach, Repeat, Step
from meson_core.spec.states import ENDED, STATES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meson_core.spec.plan import Plan, PlanNode

#: One character a state, so that a tree can be read without colours.
GLYPHS: dict[State, str] = {
    State.waiting: "·",
    State.activated: "◦",
    State.ready: "○",
    State.starting: "◔",
    State.running: "●",
    State.retrying: "↻",
    State.lost: "?",
    State.paused: "‖",
    State.cancelling: "⊘",
    State.outcome_unknown: "¿",
    State.succeeded: "✔",
    State.skipped: "↷",
    State.not_chosen: "-",
    State.failed: "✘",
    State.upstream_failed: "✗",
    State.cancelled: "⊗",
}
#: Which state speaks for a node with instances in several: what needs a person first, then what is under way.
_LOUDEST = (
    State.outcome_unknown,
    State.lost,
    State.cancelling,
    State.retrying,
    State.running,
    State.starting,
    State.ready,
    State.paused,
    State.activated,
    State.failed,
    State.upstream_failed,
    State.cancelled,
    State.waiting,
    State.succeeded,
    State.skipped,
    State.not_chosen,
)


@dataclass(frozen=True, slots=True)
class NodeView:
    """What is known of one node of a run.

    Args:
        counts: instances by state.
        fraction: 0..1 of what is to do, None when unknown.
        eta_s: seconds to go, None when unknown.
        took_s: seconds since its first start, until its last end.
        note: the latest message, or why it waits, or what went wrong.
    """

    counts: Sequence[int]
    fraction: float | None = None
    eta_s: float | None = None
    took_s: float | None = None
    note: str = ""


def loudest(counts: Sequence[int]) -> State:
    """The state that speaks for all these instances; waiting when there are none."""
    return next((state for state in _LOUDEST if counts[state]), State.waiting)


def lines(plan: Plan, nodes: Mapping[int, NodeView], width: int) -> Iterator[Text]:
    """The tree, one line a node.

    Args:
        plan: the run's.
        nodes: node number → what is known of it.
        width: of the terminal, in characters.
    """
    yield from _scope(plan, 0, "", nodes, width)


def _scope(plan: Plan, scope: int, indent: str, nodes: Mapping[int, NodeView], width: int) -> Iterator[Text]:
    members = plan.scopes[scope].nodes
    for at, number in enumerate(members):
        node = plan.nodes[number]
        last = at == len(members) - 1
        branch = f"{indent}{'└─' if last else '├─'} " if indent or scope else ""
        deeper = f"{indent}{'   ' if last else '│  '}" if indent or scope else ""
        yield _line(node, branch, nodes.get(number), width)
        for inner in node.scopes:
            inside = deeper or " "
            if len(node.scopes) > 1 or isinstance(node.spec, Choose):
                yield Text(f"{inside}{plan.scopes[inner].label}", style="dim italic", overflow="ellipsis", no_wrap=True)
            yield from _scope(plan, inner, inside, nodes, width)


def _line(node: PlanNode, branch: str, view: NodeView | None, width: int) -> Text:
    counts = view.counts if view is not None else _NOTHING
    state = loudest(counts)
    colour = STATES[state].colour
    line = Text(overflow="ellipsis", no_wrap=True).append(branch, style="dim")
    line.append(f"{GLYPHS[state]} ", style=colour)
    line.append(node.path[-1], style="bold" if node.is_step else "bold italic")
    what = _what(node)
    if what:
        line.append(f" {what}", style="dim")
    if view is None:
        return line
    total = sum(counts)
    if total > 1:
        line.append("  ")
        line.append_text(_bar(counts, total))
        line.append_text(_tally(counts, total))
    elif view.fraction is not None and not ENDED[state]:
        line.append("  ")
        line.append_text(_progress(view.fraction))
        line.append(f" {view.fraction:4.0%}")
    if not ENDED[state] and view.eta_s is not None:
        line.append(f"  {duration(view.eta_s)} to go", style="cyan")
    elif view.took_s is not None:
        line.append(f"  {duration(view.took_s)}", style="dim")
    room = width - line.cell_len - 2
    if view.note and room > 12:
        note = view.note.splitlines()[0]
        line.append("  " + (note if len(note) <= room else note[: room - 1] + "…"), style="dim")
    return line


_NOTHING = (0,) * len(State)


def _what(node: PlanNode) -> str:
    spec = node.spec
    if isinstance(spec, Step):
        return "" if spec.kind == "python" else spec.kind
    if isinstance(spec, ForEach):
        return f"for each {', '.join(spec.variables)}"
    if isinstance(spec, Repeat):
        return f"repeat until {spec.until}"
    return "choose" if isinstance(spec, Choose) else "subworkflow"


_BAR = 24


def _bar(counts: Sequence[int], total: int) -> Text:
    """A bar of all instances by state, ended ones first; every state that occurs gets at least one cell."""
    bar = Text()
    order = sorted((state for state in State if counts[state]), key=lambda state: (not ENDED[state], -state))
    cells = {state: max(1, round(counts[state] * _BAR / total)) for state in order}
    while sum(cells.values()) > _BAR:
        cells[max(cells, key=lambda state: cells[state])] -= 1
    for state in order:
        bar.append(("█" if state is not State.waiting else "░") * cells[state], style=STATES[state].colour)
    return bar


def _tally(counts: Sequence[int], total: int) -> Text:
    ended = sum(count for state, count in enumerate(counts) if ENDED[state])
    text = Text(f" {ended:,}/{total:,}")
    for state in (State.running, State.retrying, State.lost, State.outcome_unknown, State.failed, State.cancelled):
        if counts[state]:
            text.append(f"  {counts[state]:,} {state.label}", style=STATES[state].colour)
    return text


def _progress(fraction: float) -> Text:
    full = round(min(max(fraction, 0.0), 1.0) * _BAR)
    return Text("█" * full, style=STATES[State.running].colour).append("░" * (_BAR - full), style="dim")
