"""Owns what the client answers: small frozen values with names instead of numbers, ready to be written as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from meson_core.artifacts import ArtifactRecord
from meson_core.events import Failure
from meson_core.spec.plan import Instance
from meson_core.spec.states import RunState, State
from meson_core.store.records import UseRow


class StepInstance(msgspec.Struct, frozen=True):
    """One step instance, or composite node, as it stands.

    Args:
        step: dotted name of its node.
        instance: its address, `(node, *indexes)`.
        state: its state by name.
        why: one phrase on how it came to that.
        outputs: by name, when it succeeded.
        fraction: 0..1 as its attempt last told.
        message: what its attempt last said of itself.
    """

    step: str
    instance: Instance
    state: str
    attempt: int
    why: str
    machine: str | None
    started_at: float | None
    ended_at: float | None
    outputs: dict[str, Any] | None
    failure: Failure | None
    external_id: str | None
    fraction: float | None
    message: str | None

    @property
    def indexes(self) -> tuple[int, ...]:
        """Its item ordinals and iteration numbers, from the outermost inwards."""
        return self.instance[1:]


class Attempt(msgspec.Struct, frozen=True):
    """One attempt of a step instance.

    Args:
        outcome: "succeeded", "running", "user", "platform" or "timeout" (whose budget of retries paid), or "killed".
        failure: what went wrong.
    """

    step: str
    instance: Instance
    attempt: int
    outcome: str
    machine: str | None
    began: float | None
    ended: float | None
    failure: Failure | None


class TreeNode(msgspec.Struct, frozen=True):
    """One node of a run, with all its instances.

    Args:
        node: its number.
        name: its dotted name.
        kind: "step", "for_each", "repeat", "choose" or "subworkflow".
        owner: number of the composite around it; -1 for the root.
        counts: instances by `State`; what is not expanded yet is not counted.
        fraction: 0..1 of what is known to be done in it and in what it contains; None when nothing is known.
        eta_s: seconds until all of it has ended; None when it cannot be told, 0 when it has.
        took_s: seconds from its first start to its last end, or until now.
        mean_s: mean duration of its successful attempts, of this run or, before the first, of earlier runs.
        note: the latest message of what runs, why it waits, or what went wrong.
    """

    node: int
    name: str
    kind: str
    owner: int
    counts: tuple[int, ...]
    fraction: float | None
    eta_s: float | None
    took_s: float | None
    mean_s: float | None
    note: str

    @property
    def total(self) -> int:
        """How many instances are known of."""
        return sum(self.counts)

    def count(self, *states: State) -> int:
        """How many instances are in one of these states."""
        return sum(self.counts[state] for state in states)


class RunTree(msgspec.Struct, frozen=True):
    """A run with all its nodes.

    Args:
        nodes: in document order; a composite before what it contains.
        fraction: 0..1 of what is known to be done.
        eta_s: seconds to its end; None when that cannot be told.
        seq: how far its log was when this was read.
        at: when this was read.
    """

    run_id: str
    workflow: str
    state: RunState
    generation: int
    created_at: float
    ended_at: float | None
    fraction: float | None
    eta_s: float | None
    seq: int
    at: float
    nodes: tuple[TreeNode, ...]


class Submitted(msgspec.Struct, frozen=True):
    """A run that has been wished for and that no orchestrator has begun yet.

    Args:
        at: when it was wished for.
    """

    run_id: str
    workflow: str
    owner: str
    at: float


class Why(msgspec.Struct, frozen=True):
    """Why a step is not done.

    Args:
        step: its dotted name.
        lines: the reasons, the most telling first, as a person reads them.
        counts: its instances by name of state, only those that occur.
        waiting: how many of its instances wait for a machine.
        detail: what placement says about that: offers refused by constraint, the nearest miss, the queue position.
    """

    step: str
    lines: tuple[str, ...]
    counts: dict[str, int]
    waiting: int
    detail: Any


class Context(msgspec.Struct, frozen=True):
    """The values of a run.

    Args:
        params: its parameters by name.
        results: the outputs of the workflow, when it has succeeded.
        steps: of each step that has put something out: its outputs by name; for a step inside a for_each or repeat
            a list of `[indexes, outputs]`, at most so many as were asked for.
    """

    params: dict[str, Any]
    results: dict[str, Any] | None
    steps: dict[str, Any]


class LogLine(msgspec.Struct, frozen=True):
    """A line of output of a step.

    Args:
        stream: "out", "err", "log" (the step's own logger) or "meson" (what the executor has to say).
    """

    at: float
    step: str
    instance: Instance
    attempt: int
    stream: str
    text: str


class Input(msgspec.Struct, frozen=True):
    """An artifact that went into another one.

    Args:
        place: where it stood among the inputs: "model", "models[3]".
        digest: of its bytes.
        artifact: the version that it was; None when it is not in the catalogue.
        inputs: what went into it; empty where that was told before.
    """

    place: str
    digest: str
    artifact: ArtifactRecord | None
    inputs: list[Input]


class Lineage(msgspec.Struct, frozen=True):
    """Where a version of an artifact comes from, and where it went.

    Args:
        artifact: the version; its record names run, step, attempt and parameters.
        code: digest of the code bundle that made it.
        owner: of the run.
        forgotten_at: when its bytes were given up, in s since the epoch.
        inputs: the artifacts that its attempt was given.
        uses: the attempts that were given its bytes.
    """

    artifact: ArtifactRecord
    code: str
    owner: str
    forgotten_at: float | None
    inputs: list[Input]
    uses: list[UseRow]


class SweepItem(msgspec.Struct, frozen=True):
    """One item of a sweep.

    Args:
        indexes: of the loops around it, and of the item, last.
        point: loop variables by name; empty where they depend on a loop around the sweep.
        state: the name of the state that speaks for what stands in it.
        seconds: from the first start in it to the last end.
        value: what the sweep goes by, as a number.
        outputs: of the steps in it, by column.
        why: what went wrong.
    """

    indexes: tuple[int, ...]
    point: dict[str, Any]
    state: str
    seconds: float | None
    value: float | None
    outputs: dict[str, Any]
    why: str


class Sweep(msgspec.Struct, frozen=True):
    """A sweep at a glance.

    Args:
        name: of its loop.
        variables: of the loop.
        by: the output that says how good an item is; None when no number is among them.
        lowest: whether less is better.
        begun: how many items something is known of.
        succeeded: how many of these have succeeded.
        failed: how many have failed, or were cancelled.
        fraction: 0..1 of the whole.
        eta_s: seconds to its end; None when that cannot be told.
        best: the best first.
        failures: in their order.
        slowest: the slowest first.
    """

    name: str
    variables: tuple[str, ...]
    by: str | None
    lowest: bool
    begun: int
    succeeded: int
    failed: int
    fraction: float | None
    eta_s: float | None
    best: tuple[SweepItem, ...]
    failures: tuple[SweepItem, ...]
    slowest: tuple[SweepItem, ...]
