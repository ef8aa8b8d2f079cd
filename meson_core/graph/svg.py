"""Owns the SVG of a plan: the picture with its words and colours, complete in itself."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from meson_core.graph.marks import CONTAINERS, MARKS
from meson_core.graph.measure import cut, width_of
from meson_core.graph.picture import DETAIL_SIZE, HEAD_HEIGHT, LABEL_HEIGHT, NAME_SIZE, picture_of
from meson_core.graph.style import PATTERNS, STYLE
from meson_core.graph.words import detail_of, signature_of, tally_of
from meson_core.spec.states import STATES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.graph.blocks import Point, Route
    from meson_core.graph.picture import Branch, Frame, Picture
    from meson_core.spec.plan import Plan, PlanNode

_MARGIN = 28.0
_TITLE_HEIGHT = 46.0
_TITLE_SIZE = 17.0
_LEGEND_HEIGHT = 44.0
_MARK = 18.0
_TEXT_X = 38.0
_NARROWEST = 240.0
_STACK = 4.0

# XML has no way to say these.
_UNSAYABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def svg(
    plan: Plan,
    states: Mapping[int, State] | None = None,
    counts: Mapping[int, Mapping[State, int]] | None = None,
) -> str:
    """A plan as an SVG document; `data-node` on every node is its number in the plan.

    Args:
        plan: of a checked workflow.
        states: node number → state, for colours; what is not in it stays without.
        counts: node number → how many instances are in which state, for bars; usually of what is in a for_each.
    """
    drawing = _Drawing(plan, states or {}, counts or {})
    return drawing.document()


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _t(text: str) -> str:
    return escape(_UNSAYABLE.sub("\ufffd", text))


class _Drawing:
    def __init__(self, plan: Plan, states: Mapping[int, State], counts: Mapping[int, Mapping[State, int]]) -> None:
        self.plan = plan
        self.states = states
        self.counts = counts

    def document(self) -> str:
        picture = picture_of(self.plan)
        shown = {*self.states.values(), *(state for tally in self.counts.values() for state in tally if tally[state])}
        legend = list(self.legend([state for state in State if state in shown]))
        title = self.plan.workflow.name
        signature = cut(signature_of(self.plan.workflow), DETAIL_SIZE, max(picture.width, _NARROWEST))
        width = max(picture.width, _NARROWEST, width_of(title, _TITLE_SIZE), width_of(signature, DETAIL_SIZE))
        width += 2 * _MARGIN
        top = _MARGIN + _TITLE_HEIGHT
        height = top + picture.height + _MARGIN + (_LEGEND_HEIGHT if legend else 0)
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="meson" width="{_n(width)}" height="{_n(height)}"',
            f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{_t(f"workflow {title}")}">',
            f"<style>{STYLE}</style>",
            PATTERNS,
            '<rect class="paper" width="100%" height="100%"/>',
            f'<text class="title" x="{_n(_MARGIN)}" y="{_n(_MARGIN + 12)}">{_t(title)}</text>',
            f'<text class="detail" x="{_n(_MARGIN)}" y="{_n(_MARGIN + 30)}">{_t(signature)}</text>',
            f'<g transform="translate({_n((width - picture.width) / 2)} {_n(top)})">',
            *self.body(picture),
            "</g>",
        ]
        if legend:
            lines += [f'<g transform="translate({_n(_MARGIN)} {_n(height - _LEGEND_HEIGHT)})">', *legend, "</g>"]
        return "\n".join((*lines, "</svg>", ""))

    def body(self, picture: Picture) -> Iterator[str]:
        branches: dict[int, list[Branch]] = {}
        for branch in picture.branches:
            branches.setdefault(branch.frame.node, []).append(branch)
        for frame in picture.frames:
            node = self.plan.nodes[frame.node]
            yield from self.step(node, frame) if node.is_step else self.container(node, frame)
            for branch in branches.get(frame.node, ()):
                yield from self.branch(branch)
        for route in picture.routes:
            yield self.route(route)
        for junction in picture.junctions:
            yield f'<circle class="junction" cx="{_n(junction.x)}" cy="{_n(junction.y)}" r="4"/>'

    # --- nodes --------------------------------------------------------------------------------------------------------

    def opening(self, node: PlanNode, frame: Frame, sort: str) -> str:
        state = self.states.get(node.id)
        classes = f"node {sort}" + (f" {STATES[state].look} {state.name}" if state is not None else "")
        about = ": ".join(
            part for part in (node.name, self.detail(node), state.label if state is not None else "") if part
        )
        return (
            f'<g class="{classes}" data-node="{node.id}" data-name="{_t(node.name)}" '
            f'transform="translate({_n(frame.x)} {_n(frame.y)})"><title>{_t(about)}</title>'
        )

    def detail(self, node: PlanNode) -> str:
        tally = self.counts.get(node.id)
        if tally and sum(tally.values()):
            return tally_of(tally, most=1 if node.is_step else 3)
        return detail_of(node.spec)

    def step(self, node: PlanNode, frame: Frame) -> Iterator[str]:
        room = frame.width - _TEXT_X - 8
        yield self.opening(node, frame, "step")
        yield f'<rect class="box" width="{_n(frame.width)}" height="{_n(frame.height)}" rx="9"/>'
        yield self.mark(self.states.get(node.id), detail_of(node.spec), 11, (frame.height - _MARK) / 2)
        yield f'<text class="name" x="{_n(_TEXT_X)}" y="20">{_t(cut(node.spec.name, NAME_SIZE, room))}</text>'
        yield f'<text class="detail" x="{_n(_TEXT_X)}" y="35.5">{_t(cut(self.detail(node), DETAIL_SIZE, room))}</text>'
        yield from self.bar(node, 11, frame.height - 4.5, frame.width - 22)
        yield "</g>"

    def container(self, node: PlanNode, frame: Frame) -> Iterator[str]:
        sort = node.spec.node
        name = cut(node.spec.name, NAME_SIZE, frame.width - _TEXT_X - 12)
        after_name = _TEXT_X + width_of(name, NAME_SIZE) + 10
        detail = cut(self.detail(node), DETAIL_SIZE, frame.width - after_name - 10)
        size = f'width="{_n(frame.width)}" height="{_n(frame.height)}" rx="13"'
        yield self.opening(node, frame, f"container {sort} {'odd' if node.depth % 2 else 'even'}")
        if sort == "for_each":
            yield f'<rect class="stack" x="{_n(2 * _STACK)}" y="{_n(2 * _STACK)}" {size}/>'
            yield f'<rect class="stack" x="{_n(_STACK)}" y="{_n(_STACK)}" {size}/>'
        yield f'<rect class="box" {size}/>'
        state = self.states.get(node.id)
        if state is None:
            yield f'<path class="icon" transform="translate(11 8)" d="{CONTAINERS[sort]}"/>'
        else:
            yield self.mark(state, sort, 11, 8)
        yield f'<text class="name" x="{_n(_TEXT_X)}" y="21.5">{_t(name)}</text>'
        if detail != "…":
            yield f'<text class="detail" x="{_n(after_name)}" y="21.5">{_t(detail)}</text>'
        yield from self.bar(node, 12, HEAD_HEIGHT - 9, frame.width - 24)
        yield "</g>"

    def branch(self, branch: Branch) -> Iterator[str]:
        frame = branch.frame
        label = cut(branch.label, DETAIL_SIZE, frame.width - 24)
        yield (
            f'<rect class="branch" x="{_n(frame.x)}" y="{_n(frame.y)}" width="{_n(frame.width)}" '
            f'height="{_n(frame.height)}" rx="10"/>'
        )
        at = f'x="{_n(frame.x + 12)}" y="{_n(frame.y + LABEL_HEIGHT - 9)}"'
        yield f'<text class="label" {at}>{_t(label)}<title>{_t(branch.label)}</title></text>'

    def mark(self, state: State | None, kind: str, x: float, y: float) -> str:
        place = f'transform="translate({_n(x)} {_n(y)})"'
        square = f'<rect width="{_n(_MARK)}" height="{_n(_MARK)}" rx="5.5"/>'
        if state is None:
            letter = f'<text x="{_n(_MARK / 2)}" y="13">{_t(kind[:1].upper())}</text>'
            return f'<g class="mark kind{sum(map(ord, kind)) % 6}" {place}>{square}{letter}</g>'
        return f'<g class="mark {STATES[state].look} {state.name}" {place}>{square}<path d="{MARKS[state]}"/></g>'

    def bar(self, node: PlanNode, x: float, y: float, width: float) -> Iterator[str]:
        tally = self.counts.get(node.id, {})
        total = sum(tally.values())
        if not total:
            return
        yield f'<rect class="track" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="3"/>'
        for state in sorted(tally, reverse=True):
            part = width * tally[state] / total
            if part:
                yield f'<rect class="part {state.name}" x="{_n(x)}" y="{_n(y)}" width="{part:.2f}" height="3"/>'
            x += part

    # --- connections --------------------------------------------------------------------------------------------------

    def route(self, route: Route) -> str:
        first, *others = route.points
        path = [f"M{_n(first.x)} {_n(first.y)}"]
        previous = first
        for point in others:
            path.append(_leg(previous, point))
            previous = point
        arrow = ' marker-end="url(#meson-arrow)"' if route.after is not None else ""
        ends = "".join(
            f' data-{word}="{key}"'
            for word, key in (("before", route.before), ("after", route.after))
            if key is not None
        )
        return f'<path class="edge" d="{"".join(path)}"{ends}{arrow}/>'

    # --- legend -------------------------------------------------------------------------------------------------------

    def legend(self, states: list[State]) -> Iterator[str]:
        x = 0.0
        for state in states:
            yield self.mark(state, "", x, 0)
            yield f'<text class="detail" x="{_n(x + 24)}" y="13">{state.label}</text>'
            x += 24 + width_of(state.label, DETAIL_SIZE) + 20


def _leg(start: Point, end: Point) -> str:
    """From one point to the next: straight at one height, otherwise a bend that begins and ends level."""
    if start.y == end.y:
        return f"H{_n(end.x)}"
    middle = _n((start.x + end.x) / 2)
    return f"C{middle} {_n(start.y)} {middle} {_n(end.y)} {_n(end.x)} {_n(end.y)}"
