"""Owns the picture of a plan: where every node, container and connection is, without a word on how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from meson_core.graph.blocks import Block, Box, Point, Route, in_parallel, in_sequence
from meson_core.graph.layers import in_columns
from meson_core.graph.measure import width_of
from meson_core.graph.reduction import reduced
from meson_core.graph.words import detail_of
from meson_core.spec.plan import is_branching
from meson_core.spec.shape import shape_of

if TYPE_CHECKING:
    from meson_core.spec.plan import Plan, PlanNode, PlanScope
    from meson_core.spec.shape import Shape

NAME_SIZE = 13.0
DETAIL_SIZE = 11.0
#: A step: its height, narrowest and widest, and the room beside its text.
STEP_HEIGHT = 46.0
_STEP_WIDTHS = (104.0, 260.0)
_STEP_ROOM = 54.0
#: Narrowest of a step in a loop, which has counts to tell.
_COUNTED_WIDTH = 158.0
#: A container: its head, the room around what is inside, and the widest that its head may make it.
HEAD_HEIGHT = 40.0
_INSIDE = 18.0
_HEAD_ROOM = 54.0
_WIDEST_HEAD = 420.0
#: A branch of a choose: its label, the room around what is inside.
LABEL_HEIGHT = 26.0
_BRANCH_INSIDE = 14.0
_BRANCH_GAP = 12.0


class Frame(NamedTuple):
    """A rectangle on the picture.

    Args:
        node: number of the node.
        x: of its left edge.
        y: of its upper edge.
        width: of it.
        height: of it.
    """

    node: int
    x: float
    y: float
    width: float
    height: float


class Branch(NamedTuple):
    """One way of a choose.

    Args:
        frame: its rectangle; the node is the choose.
        label: "when …" or "otherwise".
    """

    frame: Frame
    label: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it; later frames lie upon earlier ones.

    Args:
        width: of all of it.
        height: of all of it.
        frames: of every node, a container before what is in it.
        branches: of every choose.
        routes: connections, by node number.
        junctions: where several routes become several others.
    """

    width: float
    height: float
    frames: tuple[Frame, ...]
    branches: tuple[Branch, ...]
    routes: tuple[Route, ...]
    junctions: tuple[Point, ...]


def picture_of(plan: Plan) -> Picture:
    """Lay a plan out."""
    painter = _Painter(plan)
    block = painter.scope(plan.scopes[0])
    painter.place(block, 0.0, 0.0)
    return Picture(
        block.width,
        block.height,
        tuple(painter.frames),
        tuple(painter.branches),
        tuple(painter.routes),
        tuple(painter.junctions),
    )


class _Painter:
    """Measures from the inside out, then places from the outside in."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.blocks: dict[int, Block] = {}  # by scope
        self.frames: list[Frame] = []
        self.branches: list[Branch] = []
        self.routes: list[Route] = []
        self.junctions: list[Point] = []

    # --- measuring ----------------------------------------------------------------------------------------------------

    def scope(self, scope: PlanScope) -> Block:
        nodes = [self.plan.nodes[node] for node in scope.nodes]
        boxes = [self.box(node) for node in nodes]
        predecessors = reduced([node.predecessors for node in nodes])
        shape = shape_of(predecessors)
        assert shape is not None, "a graph is never empty"
        self.blocks[scope.id] = block = self.block(shape, boxes, predecessors)
        return block

    def block(self, shape: Shape, boxes: list[Box], predecessors: list[list[int]]) -> Block:
        if isinstance(shape, int):
            return Block.of(boxes[shape])
        if shape.way == "mesh":
            positions = [part for part in shape.parts if isinstance(part, int)]
            inside = set(positions)
            before = {
                boxes[at].key: [boxes[other].key for other in predecessors[at] if other in inside] for at in positions
            }
            return in_columns([boxes[at] for at in positions], before)
        parts = [self.block(part, boxes, predecessors) for part in shape.parts]
        return in_sequence(parts) if shape.way == "sequence" else in_parallel(parts)

    def box(self, node: PlanNode) -> Box:
        name = width_of(node.spec.name, NAME_SIZE)
        detail = width_of(detail_of(node.spec), DETAIL_SIZE)
        if node.is_step:
            narrowest, widest = _STEP_WIDTHS
            if node.depth:
                narrowest = _COUNTED_WIDTH
            width = min(max(max(name, detail) + _STEP_ROOM, narrowest), widest)
            return Box(node.id, width, STEP_HEIGHT, STEP_HEIGHT / 2)
        head = min(name + detail + _HEAD_ROOM, _WIDEST_HEAD)
        blocks = [self.scope(self.plan.scopes[scope]) for scope in node.scopes]
        if not is_branching(node):
            (inner,) = blocks
            width = max(inner.width + 2 * _INSIDE, head)
            return Box(node.id, width, HEAD_HEIGHT + inner.height + _INSIDE, HEAD_HEIGHT + inner.axis)
        labels = [width_of(self.plan.scopes[scope].label, DETAIL_SIZE) + 2 * _BRANCH_INSIDE for scope in node.scopes]
        widths = [block.width + 2 * _BRANCH_INSIDE for block in blocks]
        inside = max(*widths, min(max(labels), _WIDEST_HEAD))
        height = sum(LABEL_HEIGHT + block.height + _BRANCH_INSIDE for block in blocks) + _BRANCH_GAP * (len(blocks) - 1)
        return Box(node.id, max(inside + 2 * _INSIDE, head), HEAD_HEIGHT + height + _INSIDE, HEAD_HEIGHT + height / 2)

    # --- placing ------------------------------------------------------------------------------------------------------

    def place(self, block: Block, x: float, y: float) -> None:
        moved = block.moved(x, y)
        self.routes += moved.routes
        self.junctions += moved.junctions
        for box, at in moved.boxes:
            self.frames.append(Frame(box.key, at.x, at.y, box.width, box.height))
            node = self.plan.nodes[box.key]
            if is_branching(node):
                self.place_branches(node, box, at)
            elif node.scopes:
                inner = self.blocks[node.scopes[0]]
                self.place(inner, at.x + (box.width - inner.width) / 2, at.y + HEAD_HEIGHT)

    def place_branches(self, node: PlanNode, box: Box, at: Point) -> None:
        x, y, width = at.x + _INSIDE, at.y + HEAD_HEIGHT, box.width - 2 * _INSIDE
        for scope in node.scopes:
            inner = self.blocks[scope]
            height = LABEL_HEIGHT + inner.height + _BRANCH_INSIDE
            self.branches.append(Branch(Frame(node.id, x, y, width, height), self.plan.scopes[scope].label))
            self.place(inner, x + (width - inner.width) / 2, y + LABEL_HEIGHT)
            y += height + _BRANCH_GAP
