"""Owns making text of others into markup: whatever it is, it stays text."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

from meson_core.client.names import show_instance
from meson_core.graph import rows
from meson_core.graph.marks import SIGNS
from meson_core.spec.states import ENDED, STATES, RunState, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meson_core.client import RunTree, StepInstance, TreeNode
    from meson_core.spec.plan import Plan

_CELL = "padding:1px 12px 1px 0;text-align:left;white-space:nowrap;border:0;background:none"
_QUIET = "opacity:.65"
_MONO = "font-family:ui-monospace,monospace;white-space:pre"
#: Cells of a table, and characters of one cell.
_BAR_PX = 140
_CUT = 300
#: What needs a person first, then what is under way.
_LOUDEST = (
    State.outcome_unknown, State.lost, State.failed, State.cancelling, State.retrying, State.running, State.starting,
    State.ready, State.paused, State.activated, State.upstream_failed, State.cancelled, State.waiting,
    State.succeeded, State.skipped, State.not_chosen,
)  # fmt: skip


def text_of(value: Any) -> str:
    """A value in a cell, cut when it is long, and safe."""
    text = value if isinstance(value, str) else "" if value is None else _json(value)
    return escape(text if len(text) <= _CUT else text[: _CUT - 1] + "…")


def _json(value: Any) -> str:
    import json  # noqa: PLC0415

    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)


def table(columns: Iterable[str], lines: Iterable[Sequence[Any]]) -> str:
    """Rows under headings."""
    head = "".join(f'<th style="{_CELL}">{text_of(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{text_of(cell)}</td>' for cell in line) + "</tr>" for line in lines
    )
    return f'<table style="border-collapse:collapse;margin:.4em 0"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def plain(text: str) -> str:
    """Text of several lines."""
    return f'<pre style="white-space:pre-wrap">{escape(text)}</pre>'


def picture(media: str, data: bytes, title: str) -> str:
    """A picture as a picture: what is in an SVG cannot run there, or reach the page."""
    source = f"data:{media};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{escape(title)}" style="max-width:100%" src="{escape(source)}">'


def frame(page: str, title: str) -> str:
    """A page in a frame without any right: no scripts, no forms, no way to the page around it."""
    style = "width:100%;height:420px;border:1px solid #8884"
    return f'<iframe sandbox="" title="{escape(title)}" style="{style}" srcdoc="{escape(page)}"></iframe>'


# --- runs -------------------------------------------------------------------------------------------------------------


def run_markup(tree: RunTree, plan: Plan, failures: Sequence[StepInstance], results: Mapping[str, Any] | None) -> str:
    """A run as it stands: its head, a line for each node, what went wrong, what came out."""
    nodes = {node.node: node for node in tree.nodes}
    lines = "".join(_line(row.indent, row.label, nodes.get(row.node) if row.node is not None else None)
                    for row in rows(plan)[1:])  # fmt: skip
    wrong = "".join(
        f'<div style="color:{STATES[State.failed].colour}">{escape(show_instance(plan, each.instance))}: '
        f"{text_of(each.failure.message if each.failure else each.why)}</div>"
        for each in failures
    )
    found = table(("output", "value"), results.items()) if results else ""
    return f'<div class="meson-run">{_head(tree)}<table style="border-collapse:collapse;margin:.4em 0">{lines}</table>{wrong}{found}</div>'


def run_text(tree: RunTree) -> str:
    """The same in a few lines of text."""
    lines = [f"{tree.workflow}  run {tree.run_id}  {tree.state.value}{_percent(tree)}"]
    lines += [f"  {SIGNS[_state(node)]} {node.name}  {_tally(node)}".rstrip() for node in tree.nodes]
    return "\n".join(lines)


def _head(tree: RunTree) -> str:
    sign = State[tree.state.value] if tree.state is not RunState.paused else State.paused
    until = tree.at if tree.ended_at is None else tree.ended_at
    to_go = f", {seconds(tree.eta_s)} to go" if tree.eta_s and tree.ended_at is None else ""
    return (
        f'<div><span style="color:{STATES[sign].colour}">{SIGNS[sign]}</span> <b>{escape(tree.workflow)}</b> '
        f'<span style="{_QUIET}">run {escape(tree.run_id)}</span> {escape(tree.state.value)} '
        f"{seconds(until - tree.created_at)}{_percent(tree)}{to_go}</div>"
    )


def _percent(tree: RunTree) -> str:
    return f"  {int(tree.fraction * 100)} %" if tree.fraction is not None and tree.ended_at is None else ""


def _line(indent: str, label: str, node: TreeNode | None) -> str:
    name = f'<span style="{_MONO};{_QUIET}">{escape(indent)}</span>'
    if node is None:
        return f'<tr><td style="{_CELL}" colspan="3">{name}<i>{escape(label)}</i></td></tr>'
    state = _state(node)
    name += f'<span style="color:{STATES[state].colour}">{SIGNS[state]}</span> {escape(label)}'
    took = seconds(node.took_s) if node.took_s is not None else ""
    note = "" if state in (State.succeeded, State.skipped) else text_of(node.note)
    cells = (name, f"{_bar(node)} {escape(_tally(node))}", escape(took), f'<span style="{_QUIET}">{note}</span>')
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _state(node: TreeNode) -> State:
    return next((state for state in _LOUDEST if node.counts[state]), State.waiting)


def _tally(node: TreeNode) -> str:
    if node.total <= 1:
        fraction = node.fraction
        return f"{fraction:.0%}" if fraction and not ENDED[_state(node)] else ""
    ended = sum(count for state, count in zip(State, node.counts, strict=True) if ENDED[state])
    failed = node.counts[State.failed]
    return f"{ended:,}/{node.total:,}" + (f", {failed:,} failed" if failed else "")


def _bar(node: TreeNode) -> str:
    if node.total <= 1:
        return ""
    parts = "".join(
        f'<span style="display:inline-block;height:.7em;width:{node.counts[state] * _BAR_PX / node.total:.1f}px;'
        f'background:{STATES[state].colour}"></span>'
        for state in sorted((each for each in State if node.counts[each]), key=lambda each: (not ENDED[each], -each))
    )
    return f'<span style="display:inline-block;width:{_BAR_PX}px">{parts}</span>'


def seconds(value: float | None) -> str:
    """A duration as people read it."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
