"""Owns the plan as the engine reads it: everything that can be known before a run starts, in plain tuples of ints.

States are kept as ints on the paths that every event takes; `STATES` turns them back into `State`.
"""

from __future__ import annotations

from typing import Final

from meson_core.spec.model import Choose, ForEach, Repeat, Retry, Step
from meson_core.spec.plan import ROOT, Plan, PlanNode
from meson_core.spec.states import Cause, FailureMode, Join, State, satisfies

WAITING: Final = int(State.waiting)
ACTIVATED: Final = int(State.activated)
READY: Final = int(State.ready)
STARTING: Final = int(State.starting)
RUNNING: Final = int(State.running)
RETRYING: Final = int(State.retrying)
LOST: Final = int(State.lost)
PAUSED: Final = int(State.paused)
CANCELLING: Final = int(State.cancelling)
OUTCOME_UNKNOWN: Final = int(State.outcome_unknown)
SUCCEEDED: Final = int(State.succeeded)
SKIPPED: Final = int(State.skipped)
NOT_CHOSEN: Final = int(State.not_chosen)
FAILED: Final = int(State.failed)
UPSTREAM_FAILED: Final = int(State.upstream_failed)
CANCELLED: Final = int(State.cancelled)

#: Indexable by the int.
STATES: Final = tuple(State)

STEP: Final = 0
FOR_EACH: Final = 1
REPEAT: Final = 2
CHOOSE: Final = 3
SUBWORKFLOW: Final = 4

#: How a scope ended; a byte per item in the folded arrays.
OPEN: Final = 0
FINE: Final = 1
BROKEN: Final = 2
STOPPED: Final = 3

#: What a scope's verdict makes of the composite around it.
VERDICT_STATE: Final = (RUNNING, SUCCEEDED, FAILED, CANCELLED)

#: Position of a cause in a step's budgets and in the counters of its failures.
CAUSES: Final = {Cause.user: 0, Cause.platform: 1, Cause.timeout: 2}

#: What became of the content of a choose or subworkflow whose scope never opened, by the state of the composite.
IMPLIED: Final = tuple(
    WAITING
    if state < SUCCEEDED
    else UPSTREAM_FAILED
    if state == FAILED
    else NOT_CHOSEN
    if state == SUCCEEDED
    else state
    for state in map(int, State)
)


_JOINS: Final = tuple(Join)
#: By failure mode of the predecessor, join of the successor, and end state of the predecessor.
_SATISFIES: Final = {
    mode: tuple(tuple(satisfies(state, join, mode) for state in State) for join in _JOINS) for mode in FailureMode
}


class NodeShape:
    """A node of the plan.

    Args:
        join: number of its join.
        satisfies: by number of the successor's join, which end states of this node satisfy it.
        edges: per successor its position, whether its join is `any`, and which end states of this node satisfy it.
        asks: whether it is looked up, when it gets ready, if a result of it is there already.
        budgets: retries by cause (user, platform, timeout); -1 is unlimited.
        statics: numbers of the nodes inside it whose instances exist together with it (choose, subworkflow), by scope.
        inside: numbers of all nodes inside it.
    """

    __slots__ = (
        "asks",
        "at_once",
        "budgets",
        "edges",
        "exhausted_fails",
        "forgiving",
        "grace_s",
        "id",
        "inside",
        "join",
        "join_any",
        "kind",
        "max_failed",
        "max_iterations",
        "max_parallel",
        "name",
        "position",
        "predecessors",
        "retry",
        "satisfies",
        "scope_id",
        "scopes",
        "statics",
    )  # fmt: skip

    def __init__(self, node: PlanNode) -> None:
        spec = node.spec
        self.id = node.id
        self.name = node.name
        self.position = node.position
        self.scope_id = node.scope
        self.predecessors = node.predecessors
        self.join = _JOINS.index(spec.join)
        self.join_any = spec.join is Join.any
        self.satisfies = _SATISFIES[spec.on_failure]
        self.forgiving = spec.on_failure is FailureMode.ignore
        self.at_once = spec.on_failure is FailureMode.fail_at_once
        self.edges: tuple[tuple[int, bool, tuple[bool, ...]], ...] = ()
        self.scopes: tuple[ScopeShape, ...] = ()
        self.statics: tuple[tuple[int, ...], ...] = ()
        self.inside: tuple[int, ...] = ()
        self.kind = SUBWORKFLOW
        self.asks = False
        self.retry = Retry()
        self.budgets = (0, 0, 0)
        self.grace_s = 0.0
        self.max_failed = 0
        self.max_parallel = 0
        self.max_iterations = 0
        self.exhausted_fails = False
        if isinstance(spec, Step):
            self.kind = STEP
            self.asks = spec.restorable
            self.retry = spec.retry
            platform = -1 if spec.retry.platform is None else spec.retry.platform
            self.budgets = (spec.retry.user, platform, spec.retry.timeout)
            self.grace_s = spec.grace_s
        elif isinstance(spec, ForEach):
            self.kind = FOR_EACH
            self.max_failed = spec.max_failed
            self.max_parallel = spec.max_parallel or 0
        elif isinstance(spec, Repeat):
            self.kind = REPEAT
            self.max_iterations = spec.max_iterations
            self.exhausted_fails = spec.on_exhausted == "fail"
        elif isinstance(spec, Choose):
            self.kind = CHOOSE


class ScopeShape:
    """A scope of the plan.

    Args:
        order: positions, predecessors first.
        indegree: predecessors per position.
        composites: positions of the nodes that are not steps.
        members: numbers of all nodes whose instances come into being with an opening of this scope.
    """

    __slots__ = (
        "composites", "depth", "id", "indegree", "members", "nodes", "order", "owner", "size", "slot", "sources",
    )  # fmt: skip

    def __init__(self, scope_id: int, depth: int, nodes: tuple[NodeShape, ...]) -> None:
        self.id = scope_id
        self.depth = depth
        self.nodes = nodes
        self.size = len(nodes)
        self.owner: NodeShape | None = None
        self.slot = 0
        self.indegree = tuple(len(node.predecessors) for node in nodes)
        self.sources = tuple(node.position for node in nodes if not node.predecessors)
        self.composites = tuple(node.position for node in nodes if node.kind != STEP)
        self.order: tuple[int, ...] = ()
        self.members: tuple[int, ...] = ()


class Shapes:
    """All nodes and scopes of a plan, by number."""

    __slots__ = ("nodes", "plan", "root", "scopes")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes = tuple(NodeShape(node) for node in plan.nodes)
        self.scopes = tuple(
            ScopeShape(scope.id, scope.depth, tuple(self.nodes[node] for node in scope.nodes)) for scope in plan.scopes
        )
        self.root = self.scopes[0]
        for plan_node in plan.nodes:
            node = self.nodes[plan_node.id]
            siblings = self.scopes[plan_node.scope].nodes
            node.edges = tuple(
                (at, siblings[at].join_any, node.satisfies[siblings[at].join]) for at in plan_node.successors
            )
            node.scopes = tuple(self.scopes[scope] for scope in plan_node.scopes)
        for plan_scope in reversed(plan.scopes):  # inner scopes have higher numbers
            scope = self.scopes[plan_scope.id]
            scope.order = _topological(scope)
            members: list[int] = []
            for node in scope.nodes:
                members.append(node.id)
                members.extend(number for static in node.statics for number in static)
            scope.members = tuple(members)
            if plan_scope.owner != ROOT:
                owner = scope.owner = self.nodes[plan_scope.owner]
                scope.slot = owner.scopes.index(scope)
                owner.inside = (
                    *(n.id for n in scope.nodes),
                    *(i for n in scope.nodes for i in n.inside),
                    *owner.inside,
                )
                if owner.kind in (CHOOSE, SUBWORKFLOW):
                    owner.statics = (scope.members, *owner.statics)

    def depth(self, node: int) -> int:
        """How many indexes an instance of this node has."""
        return self.scopes[self.nodes[node].scope_id].depth


def _topological(scope: ScopeShape) -> tuple[int, ...]:
    missing = list(scope.indegree)
    order = list(scope.sources)
    for position in order:  # grows while it is walked
        for successor, _, _ in scope.nodes[position].edges:
            missing[successor] -= 1
            if not missing[successor]:
                order.append(successor)
    return tuple(order)
