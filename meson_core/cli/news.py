"""Owns what is worth a lasting line while a run goes on: found by comparing what the projections said before and say now.

A step of a few instances is told of one by one; of a fan-out, its beginning, its progress now and then, its first
failures and its end. So the cost does not depend on how many instances there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from rich.text import Text

from meson_core.cli.failures import failure_lines
from meson_core.cli.output import duration, headline
from meson_core.client.names import show_instance
from meson_core.graph.marks import SIGNS
from meson_core.spec.states import ENDED, STATES, RunState, State

if TYPE_CHECKING:
    from meson_core.client import Client, RunTree, StepInstance, TreeNode
    from meson_core.spec.plan import Instance, Plan

#: "step": one has begun or ended. "progress": of a fan-out. "retry": an attempt failed, and is not the last.
#: "failure": an instance has failed. "run": the run has changed its state.
Sort: TypeAlias = Literal["step", "progress", "retry", "failure", "run"]

#: A step with more instances is told of as a whole.
FEW = 10
#: So many failures of a fan-out are told of one by one.
MAX_FAILURES = 3
#: Seconds between two lines on the progress of one step.
PROGRESS_S = 10.0

_UNDER_WAY = (State.starting, State.running, State.retrying, State.lost, State.cancelling, State.outcome_unknown)
_BAD = (State.failed, State.upstream_failed, State.cancelled, State.skipped, State.not_chosen)


#: So many steps are asked after in one look; the others are told of in the next one.
_MAX_LOOKS = 20


class _Seen(NamedTuple):
    """How a step stood in the last look.

    Args:
        counts: its instances by state.
        took_s: how long it took, when it has ended: that changes when it is done again.
    """

    counts: tuple[int, ...]
    took_s: float | None


class Item(NamedTuple):
    """Something that happened.

    Args:
        sort: what sort of thing.
        line: how it is told.
        more: further lines: the tail of a log, a traceback.
    """

    sort: Sort
    line: Text
    more: tuple[Text, ...] = ()


class News:
    """What has changed in a run since the last look.

    Args:
        client: where details are asked for.
        run_id: the run.
        plan: its workflow.
        steps: whether it is wanted that steps have begun and ended, and not only what goes wrong.
    """

    def __init__(self, client: Client, run_id: str, plan: Plan, *, steps: bool = True) -> None:
        self._client = client
        self._run_id = run_id
        self._plan = plan
        self._steps = steps
        self._state = RunState.running
        #: What was last told of each step: its counts, and when it has ended, how long it took altogether.
        self._seen: dict[int, _Seen] = {}
        self._progress_at: dict[int, float] = {}
        self._ended: dict[int, int] = {}
        self._begun: set[int] = set()
        #: Of the steps of a few instances: state and attempt.
        self._known: dict[Instance, tuple[str, int]] = {}
        self._told_attempts: set[tuple[Instance, int]] = set()
        self._told_failures: dict[int, int] = {}
        #: Looks at instances that are left in this look at the run.
        self._left = 0

    def take_as_known(self, tree: RunTree) -> None:
        """What was so before anybody looked: nothing of it is new."""
        self.take(tree, last=True)
        self._told_failures.clear()
        self._begun.clear()

    def take(self, tree: RunTree, *, last: bool = False) -> list[Item]:
        """What is new.

        Args:
            tree: the run as it stands now.
            last: there is no later look, to which something could be left.
        """
        found: list[Item] = []
        self._left = len(tree.nodes) * (FEW + 1) if last else _MAX_LOOKS
        for node in tree.nodes:
            if node.kind != "step":
                continue
            seen = _Seen(node.counts, node.took_s if _all_ended(node) else None)
            before = self._seen.get(node.node)
            if seen == before and node.total <= FEW:
                continue
            if node.total > FEW:
                found.extend(self._of_many(node, tree.at))
            elif node.total == 1:
                found.extend(self._of_one(node, _state_of(before)))
            elif self._left > 0:
                found.extend(self._of_few(node))
            else:
                continue
            self._seen[node.node] = seen
        if tree.state is not self._state:
            if not tree.state.ended:
                found.append(Item("run", Text(f"the run is {tree.state.value}")))
            self._state = tree.state
        return found

    # --- one by one ---------------------------------------------------------------------------------------------------

    def _of_one(self, node: TreeNode, before: State) -> list[Item]:
        """Of a step with a single instance, whose counts say most: a long chain is not asked after, step by step."""
        state = _state_of(_Seen(node.counts, None))
        if state in (State.failed, State.retrying):
            return self._of_few(node)
        if not self._steps:
            return []
        if ENDED[state]:
            took = node.mean_s if state is State.succeeded else None
            return [Item("step", _line(state, node.name, _ended_text(state, took)))]
        if state in _UNDER_WAY and before not in _UNDER_WAY:
            return [Item("step", _line(State.running, node.name, "started"))]
        return []

    def _of_few(self, node: TreeNode) -> list[Item]:
        if not (self._steps or any(node.counts[state] for state in (State.failed, State.retrying))):
            return []
        self._left -= 1
        found: list[Item] = []
        for row in self._client.instances(self._run_id, step=node.name, limit=FEW):
            state = State[row.state]
            before, attempt = self._known.get(row.instance, (State.waiting.name, 0))
            if (row.state, row.attempt) == (before, attempt):
                continue
            self._known[row.instance] = (row.state, row.attempt)
            name = show_instance(self._plan, row.instance)
            if row.attempt > 1 or state is State.retrying:
                found.extend(self._retries(row, name))
            if ENDED[state]:
                if not ENDED[State[before]] or row.attempt > attempt:
                    found.append(self._end(row, state, name))
            elif state in _UNDER_WAY and (State[before] not in _UNDER_WAY or row.attempt > attempt):
                found.append(Item("step", _line(State.running, name, "started")))
        return [item for item in found if self._steps or item.sort != "step"]

    def _retries(self, row: StepInstance, name: str) -> list[Item]:
        found = []
        for attempt in self._client.attempts(self._run_id, row.instance):
            key = (row.instance, attempt.attempt)
            last = attempt.attempt == row.attempt and row.state != State.retrying.name
            if last or attempt.failure is None or key in self._told_attempts:
                continue
            self._told_attempts.add(key)
            told = (
                f"attempt {attempt.attempt} failed ({attempt.outcome}): {headline(attempt.failure)}; it is tried again"
            )
            found.append(Item("retry", _line(State.retrying, name, told)))
        return found

    def _end(self, row: StepInstance, state: State, name: str) -> Item:
        if state is State.failed:
            self._told_failures[row.instance[0]] = self._told_failures.get(row.instance[0], 0) + 1
            lines = failure_lines(self._client, self._run_id, row, name)
            return Item("failure", lines[0], tuple(lines[1:]))
        took = None if row.started_at is None or row.ended_at is None else row.ended_at - row.started_at
        return Item("step", _line(state, name, _ended_text(state, took)))

    # --- as a whole ---------------------------------------------------------------------------------------------------

    def _of_many(self, node: TreeNode, now: float) -> list[Item]:
        found: list[Item] = []
        if node.node not in self._begun and any(node.counts[state] for state in State if state is not State.waiting):
            self._begun.add(node.node)
            self._progress_at[node.node] = now
            found.append(Item("step", _line(State.running, node.name, f"{node.total:,} instances")))
        found.extend(self._first_failures(node))
        ended = sum(node.counts[state] for state in State if ENDED[state])
        if ended == self._ended.get(node.node, 0):
            return found
        if ended == node.total:
            found.append(Item("step", _line(_verdict(node), node.name, _tally(node))))
        elif now - self._progress_at.get(node.node, 0.0) >= PROGRESS_S:
            found.append(Item("progress", _line(State.running, node.name, _tally(node))))
        else:
            return found
        self._ended[node.node] = ended
        self._progress_at[node.node] = now
        return found

    def _first_failures(self, node: TreeNode) -> list[Item]:
        told = self._told_failures.get(node.node, 0)
        if told >= min(node.counts[State.failed], MAX_FAILURES):
            return []
        found = []
        for row in self._client.instances(self._run_id, step=node.name, states=(State.failed,), limit=MAX_FAILURES):
            key = (row.instance, row.attempt)
            if key in self._told_attempts or told >= MAX_FAILURES:
                continue
            self._told_attempts.add(key)
            told += 1
            found.append(self._end(row, State.failed, show_instance(self._plan, row.instance)))
        self._told_failures[node.node] = told
        return found


def _all_ended(node: TreeNode) -> bool:
    return node.total > 0 and node.total == sum(node.counts[state] for state in State if ENDED[state])


def _state_of(seen: _Seen | None) -> State:
    """The state of the single instance of a step."""
    return next((state for state in State if seen is not None and seen.counts[state]), State.waiting)


def _ended_text(state: State, took_s: float | None) -> str:
    return state.label if took_s is None or state is not State.succeeded else f"{state.label} in {duration(took_s)}"


def _verdict(node: TreeNode) -> State:
    order = (*_BAD[:3], State.succeeded, *_BAD[3:])
    return next((state for state in order if node.counts[state]), State.succeeded)


def _tally(node: TreeNode) -> str:
    ended = sum(node.counts[state] for state in State if ENDED[state])
    bad = "".join(f", {node.counts[state]:,} {state.label}" for state in _BAD if node.counts[state])
    if ended == node.total:
        took = "" if node.took_s is None else f" in {duration(node.took_s)}"
        if _verdict(node) in _BAD[3:]:
            # Nothing was done, and so nothing succeeded or took any time.
            return bad.removeprefix(", ")
        return f"{node.counts[State.succeeded]:,} succeeded{bad}{took}"
    left = f", {duration(node.eta_s)} to go" if node.eta_s else ""
    return f"{ended:,} of {node.total:,}{bad}{left}"


def _line(state: State, name: str, told: str) -> Text:
    line = Text().append(f"{SIGNS[state]} ", style=STATES[state].colour)
    return line.append(name, style="bold").append(f"  {told}")
