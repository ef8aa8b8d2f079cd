"""Owns the values that go into and come out of the store; no SQL here, and none of it elsewhere but in this package."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from meson_core.commands import Change
from meson_core.events import AnyEvent, Failure
from meson_core.spec.plan import Instance
from meson_core.spec.states import Cause, RunState, State

#: The name under which the duration of whole runs is learnt, beside those of steps.
WHOLE_RUN = ""

# --- what the orchestrator writes ---------------------------------------------------------------------------------


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where the outputs of a step instance come from: what the log does not hold, and the orchestrator's context does.

    Args:
        items: JSON object: loop variables by name, and the iteration.
        uses: the artifacts among its inputs: place ("model", "models[3]") and digest.
        key: the artifact id that the step declares, filled in.
    """

    items: bytes = b"{}"
    uses: tuple[tuple[str, str], ...] = ()
    key: str | None = None


class RunCommit(msgspec.Struct, frozen=True, gc=False):
    """One run's part of a transaction.

    The first event of a run's first frame is `RunCreated`; its definition must be in the store by then.

    Args:
        run_id: the run.
        expected_seq: number of events that its log has before this frame.
        events: the frame, at least one.
        changes: what the engine changed, in order.
        counts: node → instances by state, for the nodes that changed.
        state: the run's state after it.
        snapshot: the engine's snapshot after it, when one is due.
        results: JSON object of the workflow's outputs, in the frame in which the run succeeds.
        restorable: nodes of steps whose results are kept to be recognised.
        origins: of the instances that succeed in this frame and have artifacts among their inputs or outputs.
    """

    run_id: str
    expected_seq: int
    events: list[AnyEvent]
    changes: list[Change]
    counts: dict[int, list[int]]
    state: RunState
    snapshot: bytes | None = None
    results: bytes | None = None
    origins: dict[Instance, Origin] = {}
    restorable: frozenset[int] = frozenset()


class WishReceipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a wish.

    Args:
        wish_id: which one.
        refusal: "" when it was accepted, else why not, for the person who asked.
        answer: JSON for the asker (`{"run_id": …}`).
    """

    wish_id: int
    refusal: str = ""
    answer: Any = None


class Commit(msgspec.Struct, frozen=True, gc=False):
    """Everything that one turn of the loop writes, in one transaction or not at all.

    Args:
        epoch: of the lease; the transaction fails when a later one is known.
        runs: frames.
        receipts: wishes that were dealt with.
        cursors: executor id → highest fact sequence that these frames hold.
    """

    epoch: int
    runs: list[RunCommit]
    receipts: list[WishReceipt] = []
    cursors: dict[str, int] = {}


class SampleRecord(msgspec.Struct, frozen=True, gc=False):
    """The latest sample of one attempt."""

    run_id: str
    instance: Instance
    attempt: int
    at: float
    fraction: float | None
    message: str | None


class WaitRecord(msgspec.Struct, frozen=True, gc=False):
    """Why the instances of one request class of one node wait, as placement last saw it (at most once a second).

    Args:
        waiting: how many; 0 forgets the record.
        reason: one sentence.
        detail: JSON: offers refused by constraint, nearest miss, what would place it, queue position.
    """

    run_id: str
    node: int
    at: float
    waiting: int
    reason: str
    detail: Any


# --- what queries answer ------------------------------------------------------------------------------------------


class RunRow(msgspec.Struct, frozen=True):
    """A run at a glance."""

    run_id: str
    workflow: str
    version: str
    state: RunState
    owner: str
    code: str
    created_at: float
    ended_at: float | None
    seq: int
    params: dict[str, Any]
    generation: int = 0
    cell: str = ""
    results: dict[str, Any] | None = None


class InstanceRow(msgspec.Struct, frozen=True):
    """One step instance (or composite node) as it stands."""

    node: int
    instance: Instance
    state: State
    attempt: int
    why: str
    machine: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    outputs: msgspec.Raw | None = None
    failure: Failure | None = None
    external_id: str | None = None
    fraction: float | None = None
    message: str | None = None


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt that did not succeed, kept for its story."""

    instance: Instance
    attempt: int
    began: float | None
    ended: float
    cause: Cause | None
    failure: Failure
    machine: str | None = None


class OutputRow(NamedTuple):
    """What an instance has put out; None for one that has not, or no longer, succeeded, and for one that a person skipped."""

    indexes: tuple[int, ...]
    state: State
    outputs: msgspec.Raw | None


class ResultRow(msgspec.Struct, frozen=True):
    """A result that may be found instead of being made again.

    Args:
        key: under which.
        run_id: the run that made it.
        instance: which of its instances did.
        attempt: in which attempt.
        at: when.
        outputs: JSON object.
        facts: what went into the key.
    """

    key: str
    run_id: str
    instance: Instance
    attempt: int
    at: float
    outputs: bytes
    facts: dict[str, Any]


class LookupRow(msgspec.Struct, frozen=True):
    """What came of looking for a result before an instance was queued.

    Args:
        source: the run whose result was taken; None when there was none.
        why: there was none.
        facts: what went into the key.
    """

    instance: Instance
    attempt: int
    at: float
    key: str
    source: str | None
    why: str
    facts: dict[str, Any]


class LinkRow(msgspec.Struct, frozen=True):
    """Something to click at that a step has shown."""

    instance: Instance
    attempt: int
    name: str
    url: str


class EmittedRow(msgspec.Struct, frozen=True):
    """A value that a step has emitted; `position` orders them over all runs."""

    position: int
    instance: Instance
    attempt: int
    at: float
    name: str
    value: msgspec.Raw


class NodeRow(msgspec.Struct, frozen=True):
    """A node's instances by state.

    Args:
        counts: indexed by `State`.
        mean_s: mean duration of its successful attempts, None before the first.
        first_started: of any instance.
        last_ended: of any instance.
    """

    node: int
    counts: list[int]
    mean_s: float | None = None
    first_started: float | None = None
    last_ended: float | None = None


class LogRow(msgspec.Struct, frozen=True):
    """One event of the log with its sequence number (from 1)."""

    seq: int
    event: AnyEvent


class UseRow(NamedTuple):
    """An attempt that had an artifact among its inputs."""

    run_id: str
    workflow: str
    step: str
    instance: Instance
    attempt: int
    place: str
    digest: str
