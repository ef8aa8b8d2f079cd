"""Owns the tree of a run as lines of text with colours: one line a node, however many instances it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from meson_core.cli.output import duration, one_line
from meson_core.graph import rows
from meson_core.graph.marks import SIGNS
from meson_core.spec.model import ForEach, Repeat
from meson_core.spec.plan import ROOT
from meson_core.spec.states import ENDED, STATES, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.client import TreeNode
    from meson_core.spec.plan import Plan

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
#: What a reader looks for first when not all lines fit.
_URGENT = (
    (State.cancelling, State.retrying, State.running, State.starting),
    (State.outcome_unknown, State.lost, State.failed),
    (State.ready, State.paused, State.activated, State.cancelled, State.upstream_failed),
    (State.waiting,),
)
#: States that a tally of instances tells in words; the others are in the bar.
_TOLD = (
    State.running,
    State.retrying,
    State.lost,
    State.outcome_unknown,
    State.paused,
    State.failed,
    State.upstream_failed,
    State.cancelled,
    State.skipped,
)
_BAR = 20
#: Names are in a column of their own, at most so wide.
_WIDEST = 40
#: A note that has less room than this says nothing.
_MIN_NOTE = 12


class Line(NamedTuple):
    """A line of the tree before anything is known of the run.

    Args:
        node: what it is about; None for a group or a branch.
        indent: the strokes that lead to it.
        label: name of the node, or what the group is.
        detail: what the node does, in a few words.
        looped: whether its instances are iterations only, so that the number of them is no progress.
    """

    node: int | None
    indent: str
    label: str
    detail: str
    looped: bool


class Folded(NamedTuple):
    """Lines that are left out.

    Args:
        indent: the strokes that lead to them.
        nodes: what they are about.
    """

    indent: str
    nodes: tuple[int, ...]


def outline(plan: Plan) -> tuple[Line, ...]:
    """The tree of a workflow without its head; it does not change while a run goes on."""
    return tuple(
        Line(row.node, row.indent, row.label, row.detail, row.node is not None and _looped(plan, row.node))
        for row in rows(plan)[1:]
    )


def _looped(plan: Plan, number: int) -> bool:
    around = []
    owner = plan.scopes[plan.nodes[number].scope].owner
    while owner != ROOT:
        around.append(plan.nodes[owner].spec)
        owner = plan.scopes[plan.nodes[owner].scope].owner
    return any(isinstance(spec, Repeat) for spec in around) and not any(isinstance(spec, ForEach) for spec in around)


def loudest(counts: Sequence[int]) -> State:
    """The state that speaks for all these instances; waiting when there are none."""
    return next((state for state in _LOUDEST if counts[state]), State.waiting)


# --- what fits ----------------------------------------------------------------------------------------------------


def fit(lines: Sequence[Line], nodes: Mapping[int, TreeNode], height: int) -> list[Line | Folded]:
    """The lines that a reader needs most, in their order, with the rest folded.

    Args:
        lines: the whole tree.
        nodes: what is known of each node.
        height: lines that there is room for, at least 1.
    """
    if len(lines) <= height:
        return list(lines)
    kept: set[int] = set()
    used = 1  # the whole, folded
    for at in sorted(range(len(lines)), key=lambda at: (_urgency(lines[at], nodes), at)):
        # What is left out before and behind it becomes two folded lines, or one, or none.
        more = (at > 0 and at - 1 not in kept) + (at + 1 < len(lines) and at + 1 not in kept)
        if used + more <= height:
            kept.add(at)
            used += more
    found: list[Line | Folded] = []
    left_out: list[Line] = []
    for at, line in enumerate(lines):
        if at not in kept:
            left_out.append(line)
            continue
        if left_out:
            found.append(_fold(left_out))
            left_out = []
        found.append(line)
    return [*found, _fold(left_out)] if left_out else found


def _urgency(line: Line, nodes: Mapping[int, TreeNode]) -> int:
    view = nodes.get(line.node) if line.node is not None else None
    if view is None:
        return len(_URGENT) + 1
    for urgency, states in enumerate(_URGENT):
        if any(view.counts[state] for state in states):
            # A composite around it is under way as well, and comes before it in the tree.
            return urgency
    return len(_URGENT)


def _fold(lines: Sequence[Line]) -> Folded:
    return Folded(lines[0].indent, tuple(line.node for line in lines if line.node is not None))


# --- as people read it --------------------------------------------------------------------------------------------


def texts(lines: Sequence[Line | Folded], nodes: Mapping[int, TreeNode], width: int) -> list[Text]:
    """The tree as people read it.

    Args:
        lines: of `outline` or `fit`.
        nodes: node number → what is known of it.
        width: of the terminal, in characters.
    """
    names = [
        cell_len(line.indent + line.label) + 2 for line in lines if isinstance(line, Line) and line.node is not None
    ]
    column = min(max(names, default=0), _WIDEST, width // 2)
    return [_folded(line, nodes) if isinstance(line, Folded) else _text(line, nodes, column, width) for line in lines]


def _folded(line: Folded, nodes: Mapping[int, TreeNode]) -> Text:
    numbers = [0] * len(State)
    for node in line.nodes:
        view = nodes.get(node)
        numbers[loudest(view.counts) if view else State.waiting] += 1
    told = ", ".join(f"{numbers[state]} {state.label}" for state in _LOUDEST if numbers[state])
    return Text(f"{line.indent}⋮ {told}" if told else f"{line.indent}⋮", style="dim")


def _text(line: Line, nodes: Mapping[int, TreeNode], column: int, width: int) -> Text:
    text = Text().append(line.indent, style="dim")
    view = nodes.get(line.node) if line.node is not None else None
    if view is None:
        text.append(line.label, style="italic")
        return text
    state = loudest(view.counts)
    text.append(f"{SIGNS[state]} ", style=STATES[state].colour)
    room = max(column - text.cell_len, cell_len(line.label))
    text.append(set_cell_size(line.label, room), style="bold" if state in _BOLD else "")
    total = view.total
    if total > 1 and not line.looped:
        text.append("  ").append_text(_bar(view.counts, total)).append_text(_tally(view.counts, total))
    elif total > 1:
        text.append(f"  {total} times", style="dim")
    elif view.kind == "step" and view.fraction and not ENDED[state]:
        text.append("  ").append_text(_progress(view.fraction)).append(f" {view.fraction:4.0%}")
    if line.looped and total > 1:
        # From the first iteration to the last is not how long it takes.
        if view.mean_s is not None:
            text.append(f"  {duration(view.mean_s)} each", style="dim")
    elif state is State.waiting or (not ENDED[state] and not view.took_s):
        text.append(f"  {line.detail}", style="dim")
    elif view.took_s is not None and total == view.count(*_ENDED):
        text.append(f"  {duration(view.took_s)}", style="dim")
    elif view.took_s is not None:
        text.append(f"  {duration(view.took_s)}")
        if view.eta_s:
            text.append(f", {duration(view.eta_s)} to go", style="cyan")
    left = width - text.cell_len - 2
    note = "" if state in _DONE else one_line(view.note)
    if note and left >= _MIN_NOTE:
        style = STATES[state].colour if state in _AMISS else "dim"
        text.append("  " + (note if cell_len(note) <= left else set_cell_size(note, left - 1) + "…"), style=style)
    return text


#: What is done needs no explanation; its last message has become old.
_DONE = frozenset({State.succeeded, State.skipped, State.not_chosen})
_ENDED = tuple(state for state in State if ENDED[state])
_AMISS = frozenset({State.outcome_unknown, State.lost, State.failed, State.retrying})
_BOLD = frozenset({State.starting, State.running, State.cancelling, *_AMISS})


def _bar(counts: Sequence[int], total: int) -> Text:
    """A bar of all instances by state, ended ones first; every state that occurs gets at least one cell."""
    bar = Text()
    order = sorted((state for state in State if counts[state]), key=lambda state: (not ENDED[state], -state))
    cells = {state: max(1, round(counts[state] * _BAR / total)) for state in order}
    largest = max(cells, key=lambda state: cells[state])
    cells[largest] += _BAR - sum(cells.values())
    for state in order:
        bar.append(("░" if state is State.waiting else "█") * cells[state], style=STATES[state].colour)
    return bar


def _tally(counts: Sequence[int], total: int) -> Text:
    ended = sum(counts[state] for state in _ENDED)
    text = Text(f" {ended:,}/{total:,}")
    for state in _TOLD:
        if counts[state]:
            text.append(f"  {counts[state]:,} {state.label}", style=STATES[state].colour)
    return text


def _progress(fraction: float) -> Text:
    full = round(min(max(fraction, 0.0), 1.0) * _BAR)
    return Text().append("█" * full, style=STATES[State.running].colour).append("░" * (_BAR - full), style="dim")
