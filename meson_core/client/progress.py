"""Owns percent complete and time to go: computed from counts, samples and learnt durations, without looking at instances.

**Fractions** are rolled up from the steps: an instance that has ended counts fully, a running one as far as it says, and
each weighs what instances of its step usually take. A composite that has not been expanded counts as one of each step in
it, so a run does not look done before its loops have begun.

**Time to go** of a step is what remains, at as many at a time as run now. Of a composite under way it is what its own
pace so far promises: that has everything in it, the parallelism, the waiting and the overhead. Of what has not begun it
is what it took in earlier runs, or else the longest way through it. Where a part is not known, the whole is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meson_core.spec.model import Choose
from meson_core.spec.states import ENDED, State
from meson_core.store.records import WHOLE_RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meson_core.spec.plan import Plan, PlanNode
    from meson_core.store.records import NodeRow, SampleRecord

_AT_WORK = (State.starting, State.running, State.lost, State.cancelling)
#: A pace that was kept for less than this part is no promise.
_MIN_FRACTION = 0.02


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one node, or of the run.

    Args:
        fraction: 0..1, None when nothing is known.
        eta_s: seconds to go, None when that cannot be told.
        took_s: seconds so far, or altogether.
        mean_s: mean duration of an instance.
    """

    fraction: float | None = None
    eta_s: float | None = None
    took_s: float | None = None
    mean_s: float | None = None


@dataclass(slots=True)
class _Work:
    """What there is to do in a node, in seconds (or in instances, while no duration is known)."""

    done: float = 0.0
    total: float = 0.0


@dataclass(slots=True)
class Estimate:
    """The progress of one run, as it stands at one moment.

    Args:
        plan: the run's workflow.
        rows: what is known of its nodes, by number.
        samples: what its running attempts have last told.
        learnt: mean seconds by dotted name of step, from earlier runs of the workflow.
        now: seconds since the epoch; the end of a run that has ended.
        created_at: when the run was created.
    """

    plan: Plan
    rows: Mapping[int, NodeRow]
    samples: Sequence[SampleRecord]
    learnt: Mapping[str, float]
    now: float
    created_at: float
    _told: dict[int, float] = field(default_factory=dict)
    _weights: dict[int, float] = field(default_factory=dict)
    _work: dict[int, _Work] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for sample in self.samples:
            if sample.fraction is not None:
                node = sample.instance[0]
                self._told[node] = self._told.get(node, 0.0) + min(max(sample.fraction, 0.0), 1.0)
        known = {node.id: mean for node in self.plan.nodes if (mean := self._mean(node)) is not None}
        usual = sum(known.values()) / len(known) if known else 1.0
        # A step that takes no time at all still is a step.
        self._weights = {node.id: max(known.get(node.id, usual), 1e-3) for node in self.plan.nodes}
        for inner_first in reversed(self.plan.nodes):
            self._work[inner_first.id] = self._work_of(inner_first)

    def node(self, number: int) -> Progress:
        """Of one node, with what it contains."""
        node = self.plan.nodes[number]
        work = self._work[number]
        fraction = work.done / work.total if work.total else None
        return Progress(fraction, self._eta(node), self._took(number), self._mean(node) if node.is_step else None)

    def run(self, ended_at: float | None) -> Progress:
        """Of the whole run."""
        took = (self.now if ended_at is None else ended_at) - self.created_at
        if ended_at is not None:
            return Progress(1.0, 0.0, took)
        works = [self._work[number] for number in self.plan.scopes[0].nodes]
        total = sum(work.total for work in works)
        eta = self._longest(0)
        usual = self.learnt.get(WHOLE_RUN)
        if eta is None and usual is not None:
            eta = max(0.0, usual - took)
        return Progress(sum(work.done for work in works) / total if total else None, eta, took)

    # --- what is done -------------------------------------------------------------------------------------------------

    def _counts(self, number: int) -> Sequence[int]:
        row = self.rows.get(number)
        return row.counts if row is not None else ()

    def _ended(self, number: int) -> tuple[int, int]:
        counts = self._counts(number)
        return sum(count for state, count in enumerate(counts) if ENDED[state]), sum(counts)

    def _work_of(self, node: PlanNode) -> _Work:
        ended, total = self._ended(node.id)
        if node.is_step:
            weight = self._weights[node.id]
            done = ended + min(self._told.get(node.id, 0.0), float(max(0, total - ended)))
            return _Work(done * weight, max(total, 1) * weight)
        inside = [self._work[inner] for scope in node.scopes for inner in self.plan.scopes[scope].nodes]
        work = _Work(sum(each.done for each in inside), sum(each.total for each in inside))
        if total and ended == total:
            work.done = work.total
        return work

    # --- what is still to come ----------------------------------------------------------------------------------------

    def _mean(self, node: PlanNode) -> float | None:
        row = self.rows.get(node.id)
        if row is not None and row.mean_s is not None:
            return row.mean_s
        return self.learnt.get(node.name)

    def _took(self, number: int) -> float | None:
        row = self.rows.get(number)
        if row is None or row.first_started is None:
            return None
        ended, total = self._ended(number)
        until = row.last_ended if total and ended == total and row.last_ended is not None else self.now
        return max(0.0, until - row.first_started)

    def _eta(self, node: PlanNode) -> float | None:
        ended, total = self._ended(node.id)
        if total and ended == total:
            return 0.0
        return self._step_eta(node, ended, total) if node.is_step else self._composite_eta(node)

    def _step_eta(self, node: PlanNode, ended: int, total: int) -> float | None:
        counts = self._counts(node.id)
        at_work = sum(counts[state] for state in _AT_WORK) if counts else 0
        told = self._told.get(node.id, 0.0)
        mean = self._mean(node)
        if mean is None:
            # One attempt that says how far it is: its own pace.
            took = self._took(node.id)
            return took * (1 - told) / told if total == 1 and took and told >= _MIN_FRACTION else None
        return (max(total, 1) - ended - told) * mean / max(1, at_work)

    def _composite_eta(self, node: PlanNode) -> float | None:
        work, took = self._work[node.id], self._took(node.id)
        if took is not None:
            fraction = work.done / work.total if work.total else 0.0
            if fraction >= _MIN_FRACTION:
                return took * (1 - fraction) / fraction
        usual = self.learnt.get(node.name)
        if usual is not None:
            return max(0.0, usual - (took or 0.0))
        ways = [self._longest(scope) for scope in node.scopes]
        known = [way for way in ways if way is not None]
        if len(known) < len(ways) or not known:
            return None
        return max(known) if isinstance(node.spec, Choose) else known[0]

    def _longest(self, scope: int) -> float | None:
        """Seconds of the longest way through what has not ended in a scope."""
        members = self.plan.scopes[scope].nodes
        ends: dict[int, float] = {}
        for number in self._in_order(scope):
            node = self.plan.nodes[number]
            own = self._eta(node)
            if own is None:
                return None
            ends[node.position] = own + max((ends[before] for before in node.predecessors), default=0.0)
        return max(ends.values()) if members else 0.0

    def _in_order(self, scope: int) -> list[int]:
        """The nodes of a scope, each behind its predecessors."""
        members = self.plan.scopes[scope].nodes
        missing = {number: len(self.plan.nodes[number].predecessors) for number in members}
        order = [number for number in members if not missing[number]]
        for number in order:
            for position in self.plan.nodes[number].successors:
                after = members[position]
                missing[after] -= 1
                if not missing[after]:
                    order.append(after)
        return order
