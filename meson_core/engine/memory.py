"""Owns what the engine remembers of a run: scopes and step instances under way as objects, all else as bytes."""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from meson_core.commands import Change, Command
from meson_core.engine.shapes import CHOOSE, IMPLIED, STATES, WAITING, NodeShape, ScopeShape, Shapes
from meson_core.spec.states import RunState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.events import Event
    from meson_core.spec.plan import Instance, Plan

#: What is kept of an event: its kind, when, which instance, which attempt.
Gist: TypeAlias = "tuple[type[Event], float, Instance | None, int]"

_NO_COMPOSITES: dict[int, Composite | bytes] = {}


class Scope:
    """One opening of a scope: the root, an item, an iteration, a branch, a subworkflow.

    Args:
        owner: the composite around it; None for the root.
        index: item or iteration; 0 for all others.
        indexes: the indexes of its instances.
        states: a byte per node.
        missing: predecessors that have not ended, per node that has not started.
        attempts: the highest attempt number handed out, per node.
        left: nodes that have not ended.
        failed: whether something in it failed that no failure mode forgives.
        cancelled: whether something in it was cancelled.
        inner: composites that started, now or before a reopening, by position; as bytes until they are needed.
    """

    __slots__ = (
        "attempts", "cancelled", "failed", "index", "indexes", "inner", "left", "missing", "owner", "shape", "states",
    )  # fmt: skip

    def __init__(
        self, shape: ScopeShape, owner: Composite | None, index: int, indexes: tuple[int, ...], attempts: array[int]
    ) -> None:
        self.shape = shape
        self.owner = owner
        self.index = index
        self.indexes = indexes
        self.states = bytearray(shape.size)
        self.missing = list(shape.indegree)
        self.attempts = attempts
        self.left = shape.size
        self.failed = False
        self.cancelled = False
        self.inner: dict[int, Composite | bytes] = {} if shape.composites else _NO_COMPOSITES

    def instance(self, position: int) -> Instance:
        """The instance at this position."""
        return (self.shape.nodes[position].id, *self.indexes)


class Folds:
    """Scopes of one shape that are not under way, as rows of byte arrays.

    Rows of scopes that are under way are out of date. `attempts` may be longer than `states`: numbers go on counting
    when something is done again, so they outlive what they counted.

    Args:
        states: a byte per row and node.
        attempts: the highest attempt number handed out, per row and node.
        verdicts: how each row's scope ended; `OPEN` while it has not.
        inner: packed composites by row x size + position.
    """

    __slots__ = ("attempts", "inner", "size", "states", "verdicts")

    def __init__(self, size: int) -> None:
        self.size = size
        self.states = bytearray()
        self.attempts: array[int] = array("I")
        self.verdicts = bytearray()
        self.inner: dict[int, bytes] = {}

    def resize(self, rows: int) -> None:
        """Have exactly so many rows; new ones are waiting, and no attempt number is forgotten."""
        size = rows * self.size
        del self.states[size:]
        del self.verdicts[rows:]
        self.states.extend(bytes(size - len(self.states)))
        self.verdicts.extend(bytes(rows - len(self.verdicts)))
        if size > len(self.attempts):
            self.attempts.frombytes(bytes(self.attempts.itemsize * (size - len(self.attempts))))


class Composite:
    """A for_each, repeat, choose or subworkflow that has started.

    Args:
        scope: the scope it stands in.
        folds: per scope of the plan inside it, the openings that are not under way.
        live: openings under way, by index.
        slot: which of its scopes is open: the branch of a choose, -1 before the choice; 0 for all others.
        total: items, iterations begun, or 1; -1 before the items are known.
        next: items from here on have not been opened yet.
        todo: openings that are to be done again, besides.
        failed: how many items failed.
        pending: whether an evaluation is under way.
        doomed: why it fails whatever its content does; "" when it does not.
    """

    __slots__ = (
        "doomed", "failed", "folds", "instance", "live", "next", "node", "pending", "position", "scope", "slot", "todo",
        "total",
    )  # fmt: skip

    def __init__(self, node: NodeShape, scope: Scope) -> None:
        self.node = node
        self.scope = scope
        self.position = node.position
        self.instance: Instance = (node.id, *scope.indexes)
        self.folds = [Folds(inner.size) for inner in node.scopes]
        self.live: dict[int, Scope] = {}
        self.todo: deque[int] = deque()
        self.slot = -1 if node.kind == CHOOSE else 0
        self.total = 0
        self.next = 0
        self.failed = 0
        self.pending = False
        self.doomed = ""


class LiveStep:
    """A step instance that is ready or beyond, and has not ended.

    Args:
        attempt: number of the present attempt.
        job: the attempt that began the present external job.
        failures: since it was opened, by cause (user, platform, timeout).
        machine: where the attempt was placed; "" before.
        submission: what is known of the external job: a value of `attempts.Submission`.
        asking: whether it is not known yet if a result of it is there already; it is in no queue then.
        lost: whether its executor is silent (while cancelling, the state does not say so).
        due: when its back-off ends.
    """

    __slots__ = (
        "asking", "attempt", "due", "failures", "instance", "job", "lost", "machine", "node", "position", "scope", "submission",
    )  # fmt: skip

    def __init__(self, scope: Scope, node: NodeShape, instance: Instance, attempt: int) -> None:
        self.scope = scope
        self.node = node
        self.position = node.position
        self.instance = instance
        self.attempt = attempt
        self.job = attempt
        self.failures = (0, 0, 0)
        self.machine = ""
        self.submission = 0
        self.asking = False
        self.lost = False
        self.due = 0.0


class Memory:
    """All that is remembered of one run, and what the event at hand has led to so far.

    Args:
        steps: step instances that are ready or beyond and have not ended.
        composites: composites under way.
        counts: instances by node and state.
        held: nodes whose steps start no new attempt.
        skipped_nodes: every instance of these is skipped when it comes into being.
        skipped_instances: these are skipped when they come into being.
        fresh_nodes: no step of these is restored from a result that is there already.
        fresh_instances: neither are these.
        kept_jobs: external jobs of instances that ended without a word on them: (job, submission).
        under_way: items under way by for_each node, over all its instances.
        hungry: instances of a for_each node that could open more items if the window allowed it, by node.
        due: when the run has taken too long.
        ended: nodes that have ended, their consequences still to be drawn.
        starts: composites to be started.
        recent: the gist of the last events, for the story in an error.
    """

    __slots__ = (
        "changes", "commands", "composites", "counts", "created", "due", "ended", "fresh_instances",
        "fresh_nodes", "generation", "held", "hungry",
        "kept_jobs", "now", "recent", "root", "run_id", "run_state", "shapes", "skipped_instances", "skipped_nodes",
        "starts", "steps", "timed_out", "under_way", "window",
    )  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        shapes = self.shapes = Shapes(plan)
        self.run_id = ""
        self.run_state = RunState.running
        self.created = False
        self.window = 1
        self.generation = 0
        self.timed_out = False
        self.due: float | None = None
        self.root = Scope(shapes.root, None, 0, (), array("I", bytes(array("I").itemsize * shapes.root.size)))
        self.steps: dict[Instance, LiveStep] = {}
        self.composites: dict[Instance, Composite] = {}
        self.counts = [[0] * len(STATES) for _ in shapes.nodes]
        self.held: set[int] = set()
        self.skipped_nodes: set[int] = set()
        self.skipped_instances: set[Instance] = set()
        self.fresh_nodes: set[int] = set()
        self.fresh_instances: set[Instance] = set()
        self.kept_jobs: dict[Instance, tuple[int, int]] = {}
        self.under_way = [0] * len(shapes.nodes)
        self.hungry: dict[int, dict[Instance, None]] = {}
        # What the event at hand leads to; empty between events.
        self.now = 0.0
        self.changes: list[Change] = []
        self.commands: list[Command] = []
        self.ended: deque[tuple[Scope, int]] = deque()
        self.starts: deque[tuple[Scope, int]] = deque()
        self.recent: deque[Gist] = deque(maxlen=64)

    def exist(self, members: Iterable[int], number: int = 1) -> None:
        """So many instances of each of these nodes have come into being, waiting."""
        for node in members:
            self.counts[node][WAITING] += number

    def move(self, scope: Scope, position: int, after: int, attempt: int = 0, why: str = "") -> None:
        """A node enters a state."""
        states = scope.states
        before = states[position]
        states[position] = after
        node = scope.shape.nodes[position].id
        counts = self.counts[node]
        counts[before] -= 1
        counts[after] += 1
        self.changes.append(Change((node, *scope.indexes), STATES[before], STATES[after], attempt, why))

    def end(self, scope: Scope, position: int, after: int, attempt: int = 0, why: str = "") -> None:
        """A node enters a state in which it has ended; the consequences are drawn later, in order."""
        self.move(scope, position, after, attempt, why)
        self.ended.append((scope, position))

    def end_unstarted(self, scope: Scope, position: int, after: int, why: str = "") -> None:
        """A node ends without having started, and with it what exists inside it."""
        self.end(scope, position, after, 0, why)
        for static in scope.shape.nodes[position].statics:
            self.imply(static, scope.indexes, IMPLIED[after], why)

    def imply(self, members: Iterable[int], indexes: tuple[int, ...], after: int, why: str) -> None:
        """These waiting instances end with what is around them."""
        state = STATES[after]
        for node in members:
            counts = self.counts[node]
            counts[WAITING] -= 1
            counts[after] += 1
            self.changes.append(Change((node, *indexes), STATES[WAITING], state, 0, why))
