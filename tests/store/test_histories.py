"""Tests of the projections against random histories of real runs: whatever happens, they say what the engine says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.spec.model import Step
from meson_core.spec.states import ENDED, State
from meson_core.store import open_store
from meson_core.store.records import Commit, RunCommit
from tests.engine.worlds import TROUBLE, WORKING, World, random_plan
from tests.store.building import put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meson_core.commands import Change, Decision
    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.lease import Lease
    from meson_core.store.store import Store


class Known(NamedTuple):
    """What a naive reader of the history knows of an instance."""

    state: State
    attempt: int
    why: str
    machine: str | None = None
    outputs: bytes | None = None
    failure: str | None = None


class Books:
    """Reads a history event by event, as slowly as it likes."""

    def __init__(self, world: World, run_id: str, results: dict[str, tuple[str, Instance, bytes]]) -> None:
        self.world = world
        self.run_id = run_id
        #: Key → what was made last under it, in any run.
        self.results = results
        #: The answer that an instance got last: the key to keep its result under, None when it was found.
        self.answers: dict[Instance, str | None] = {}
        self.known: dict[Instance, Known] = {}
        self.failed: dict[tuple[Instance, int], str] = {}

    def note(self, event: ev.AnyEvent, decision: Decision) -> None:
        mine = [change for change in decision.changes if change.instance == getattr(event, "instance", None)]
        for change in decision.changes:
            if change.number == 1 or change.after is State.waiting:
                self._change(change)
        if isinstance(event, ev.ResultMissing):
            self.answers[event.instance] = event.key
        if not mine:
            return
        last = mine[-1]
        match event:
            case ev.AttemptPlaced(machine=machine):
                self._update(event.instance, machine=machine)
            case ev.AttemptSucceeded(outputs=outputs) | ev.OutcomeSettled(verdict="succeeded", outputs=outputs):
                self._update(event.instance, outputs=bytes(outputs))
                key = self.answers.get(event.instance)
                if key and isinstance(event, ev.AttemptSucceeded):
                    self.results[key] = (self.run_id, event.instance, bytes(outputs))
            case ev.ResultFound(outputs=outputs):
                self._update(event.instance, outputs=bytes(outputs))
                self.answers[event.instance] = None
            case ev.AttemptFailed(attempt=attempt, failure=failure):
                self._failure(event.instance, attempt, failure.message, last)
            case ev.AttemptFenced(attempt=attempt, reason=reason):
                self._failure(event.instance, attempt, reason, last)
            case ev.AttemptKilled(attempt=attempt):
                asked = mine[0].before is State.cancelling
                told = "stopped on request" if asked else "killed, though nobody asked for it"
                self._failure(event.instance, attempt, told, last)
            case ev.EvaluationFailed(failure=failure) if last.after is State.failed and last.attempt:
                self._update(event.instance, failure=failure.message)
            case ev.OutcomeSettled(verdict="failed"):
                self._update(event.instance, failure="settled as failed by ada")
            case _:
                pass

    def _change(self, change: Change) -> None:
        instance, after = change.instance, change.after
        if after is State.waiting:
            nodes = {instance[0], *_inside(self.world.plan, instance[0])}
            alike = {instance[1:]}
            if change.number > 1:
                alike = {(*instance[1:-1], instance[-1] + offset) for offset in range(change.number)}
            for other in list(self.known):
                if other[0] in nodes and other[1 : len(instance)] in alike:
                    del self.known[other]
            for other in list(self.answers):
                if other[0] in nodes and other[1 : len(instance)] in alike:
                    del self.answers[other]
            return
        before = self.known.get(instance)
        attempt = change.attempt or (before.attempt if before else 0)
        anew = after in (State.activated, State.ready, State.paused) or (ENDED[change.before] and not ENDED[after])
        machine = None if before is None or anew else before.machine
        self.known[instance] = Known(after, attempt, change.why, machine)

    def _update(self, instance: Instance, **what: object) -> None:
        if instance in self.known:
            self.known[instance] = self.known[instance]._replace(**what)  # type: ignore[arg-type]

    def _failure(self, instance: Instance, attempt: int, told: str, last: Change) -> None:
        self.failed.setdefault((instance, attempt), told)
        if last.after is State.failed:
            self._update(instance, failure=told)


def _inside(plan: Plan, node: int) -> set[int]:
    direct = {inner for scope in plan.nodes[node].scopes for inner in plan.scopes[scope].nodes}
    return direct.union(*(_inside(plan, inner) for inner in direct))


class Distinct(World):
    """A world in which no two attempts put out the same, and nobody reopens what cannot be reopened (it is refused)."""

    def _reopen(self) -> Iterator[ev.AnyEvent]:
        for event in super()._reopen():
            trial = RunMachine.restore(self.plan, self.machine.snapshot())
            if trial.handle(event).changes:
                yield event

    def tell(self, event: ev.AnyEvent) -> Decision:
        if isinstance(event, ev.AttemptSucceeded) and not any(event is told for told in self.log):
            event = msgspec.structs.replace(event, outputs=msgspec.Raw(b'{"at":%d}' % int(self.now)))
        if isinstance(event, ev.ResultMissing) and not any(event is told for told in self.log):
            # Some results are equal, and some have no key.
            event = msgspec.structs.replace(event, key=("", "one", "two", "three", "four")[int(self.now) % 5])
        return super().tell(event)


def history(
    store: Store,
    lease: Lease,
    run_id: str,
    rng: random.Random,
    steps: int,
    results: dict[str, tuple[str, Instance, bytes]],
) -> None:
    plan = random_plan(rng)
    version = put(store, plan.workflow)
    world = Distinct(plan)
    books = Books(world, run_id, results)
    restorable = frozenset(node.id for node in plan.nodes if isinstance(node.spec, Step) and node.spec.restorable)
    # The world has told the machine of its creation already; the log begins with it under the run's own id.
    events: list[ev.AnyEvent] = [ev.RunCreated(100.0, run_id, version, "", msgspec.Raw(b"{}"), {}, 2)]
    changes = list(type(world.machine)(plan).handle(events[0]).changes)
    for change in changes:
        books._change(change)
    seq = 0
    told: dict[int, list[int]] = {}
    for _ in range(steps):
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            kinds = WORKING if rng.random() < 0.6 else TROUBLE
            before = len(world.log)
            decision = world.happen(rng.choice(kinds), rng.randrange(1000))
            if decision is None or len(world.log) == before:
                continue
            events.append(world.log[-1])
            changes.extend(decision.changes)
            books.note(world.log[-1], decision)
        if not events:
            continue
        now = {node.id: world.machine.counts(node.id) for node in plan.nodes}
        counts = {node: each for node, each in now.items() if each != told.get(node)}
        told.update(counts)
        frame = RunCommit(run_id, seq, events, changes, counts, world.machine.run_state, restorable=restorable)
        store.commit(Commit(lease.epoch, [frame]))
        seq += len(events)
        events, changes = [], []
        compare(store, run_id, world, books)


def compare(store: Store, run_id: str, world: World, books: Books) -> None:
    row = store.run(run_id)
    assert row is not None
    assert row.state is world.machine.run_state
    assert (row.ended_at is not None) == row.state.ended
    assert row.generation == world.machine.generation

    found = {each.instance: each for each in store.instances(run_id, limit=100_000)}

    expected = {instance: known for instance, known in books.known.items() if known.state is not State.waiting}
    assert expected.keys() == found.keys()
    for instance, known in expected.items():
        each = found[instance]
        assert known == Known(
            each.state,
            each.attempt,
            each.why,
            each.machine,
            None if each.outputs is None else bytes(each.outputs),
            None if each.failure is None else each.failure.message,
        )
        assert world.machine.state_of(instance) is each.state
        assert (each.ended_at is not None) == ENDED[each.state]

    notable = {each.instance for each in store.instances(run_id, states=[State.failed, State.cancelled], limit=100_000)}
    assert {at for at, each in found.items() if each.state in (State.failed, State.cancelled)} == notable

    for node in store.nodes(run_id):
        assert world.machine.counts(node.node) == node.counts

    failed = {(each.instance, each.attempt): each.failure.message for each in store.attempts(run_id, limit=100_000)}
    assert books.failed == failed

    made = store.results({"one", "two", "three", "four"})
    assert {key: (each.run_id, each.instance, each.outputs) for key, each in made.items()} == books.results
    answers = store.lookups(run_id, range(len(world.plan.nodes)), limit=100_000)
    assert {each.instance: None if each.source else each.key for each in answers} == books.answers


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_projections_say_what_the_engine_says(tmp_path: Path, seed: int) -> None:
    """Frames of any size, with stale and doubled events, reopenings and restarts, of several runs in one store."""
    rng = random.Random(seed)
    with open_store(tmp_path) as store:
        lease = store.acquire("local", "a test")
        results: dict[str, tuple[str, Instance, bytes]] = {}
        for number in range(4):
            history(store, lease, f"run{number}", rng, 25, results)
