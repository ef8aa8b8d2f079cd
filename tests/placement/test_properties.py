"""Owns the properties of placement over random cells, tickets and orders of events."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from meson_core.placement import Admission, Assignment, Key, Ticket
from meson_core.placement.admission import PATIENCE_S
from meson_core.placement.ahead import AHEAD_S, MAX_AHEAD
from meson_core.resources import Offer, Request
from tests.placement.cells import MATCHERS, SPREADING, offer, request, ticket

if TYPE_CHECKING:
    from meson_core.resources import Attribute

ZONES: list[Attribute] = ["a", "b"]
REQUESTS = [
    request(cpus=1),
    request(cpus=0.3),
    request(cpus=2),
    request(cpus=1, memory=3.0),
    request('zone == "a"', cpus=1),
    request('zone == "b"', cpus=3),
    request(cpus=99),
    request(cpus=0.0),
]
QUANTITIES = ("cpus", "memory")


class Cells(RuleBasedStateMachine):
    """Anything may happen in any order; a simple model says what is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.number = 0
        self.waiting: dict[Key, Ticket] = {}
        self.running: dict[Key, tuple[str, Request, bool]] = {}
        self.paused: set[str] = set()
        self.machines: dict[str, Offer] = {}
        self.admission = Admission(MATCHERS)
        #: What the present offers leave out; only newer ones tell when it has ended.
        self.counted: set[Key] = set()

    @initialize(
        machines=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 8), st.sampled_from(ZONES)), max_size=4),
        ahead=st.booleans(),
        spread=st.booleans(),
    )
    def begin(self, machines: list[tuple[int, int, Attribute]], ahead: bool, spread: bool) -> None:
        self.ahead = ahead
        self.admission = Admission(SPREADING if spread else MATCHERS, ahead=ahead)
        for at, (cpus, memory, zone) in enumerate(machines):
            self.machines[f"m{at}"] = offer(f"m{at}", attributes={"zone": zone}, cpus=cpus, memory=memory)
        self.admission.offers(self.machines.values())

    @rule(
        run=st.sampled_from(["r1", "r2", "r3"]),
        node=st.integers(0, len(REQUESTS) - 1),
        priority=st.integers(0, 1),
        number=st.integers(1, 5),
    )
    def enqueue(self, run: str, node: int, priority: int, number: int) -> None:
        for _ in range(number):
            self.number += 1
            owner = "ann" if run == "r1" else "bob"
            one = Ticket((run, (node, self.number), 1), REQUESTS[node], node, priority, owner)
            self.waiting[one.key] = one
            self.admission.enqueue(one, self.now)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[key]
        self.admission.withdraw(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), seconds=st.sampled_from([0.001, 0.03, 100.0]))
    def end(self, data: st.DataObject, seconds: float) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[key]
        self.admission.ended(key)
        self.admission.took(key[1][0], seconds)
        if key in self.counted:
            self.renew()

    @rule(run=st.sampled_from(["r1", "r2"]))
    def pause(self, run: str) -> None:
        self.paused.add(run)
        self.admission.pause(run)

    @rule(run=st.sampled_from(["r1", "r2"]))
    def resume(self, run: str) -> None:
        self.paused.discard(run)
        self.admission.resume(run)

    @rule(run=st.sampled_from(["r1", "r2", "r3"]))
    def forget(self, run: str) -> None:
        self.paused.discard(run)
        self.waiting = {key: one for key, one in self.waiting.items() if key[0] != run}
        self.admission.forget(run)

    @rule(seconds=st.sampled_from([0.0, 1.0, PATIENCE_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def renew(self) -> None:
        """The scheduler has counted all that runs."""
        for key in self.running:
            self.admission.sent(key)
        self.counted = set(self.running)
        self.admission.offers(
            [
                Offer(one.offer_id, name, self.free(name), one.total, one.attributes)
                for name, one in self.machines.items()
            ]
        )

    @precondition(lambda self: len(self.machines) > 1)
    @rule()
    def lose_a_machine(self) -> None:
        name = next(iter(self.machines))
        del self.machines[name]
        self.running = {key: taken for key, taken in self.running.items() if taken[0] != name}
        self.renew()

    @rule()
    def place(self) -> None:
        before = dict(self.waiting)
        for one in self.admission.assign(self.now):
            placed = self.waiting.pop(one.key)
            assert one.key[0] not in self.paused
            assert one.ahead is False or self.ahead
            self.running[one.key] = (one.machine, placed.request, one.ahead)
            assert self.suits(placed.request, self.machines[one.machine])
            if not one.ahead:
                assert self.overdrawn(one.machine, placed.request) == 0
        self.check_that_nothing_is_left_free(before)

    # --- the model ------------------------------------------------------------------------------------------------

    def free(self, name: str) -> dict[str, float]:
        """What the model says is left, as a scheduler would say it: never below zero."""
        taken: dict[str, float] = defaultdict(float)
        for machine, asked, _ in self.running.values():
            if machine == name:
                for quantity, amount in asked.quantities:
                    taken[quantity] += amount
        return {key: max(0.0, round(self.machines[name].total[key] - taken[key], 6)) for key in QUANTITIES}

    def overdrawn(self, name: str, asked: Request) -> float:
        """By how much a machine is overbooked, in what a request asks for, not counting what was sent ahead."""
        taken: dict[str, float] = defaultdict(float)
        for machine, request_, ahead in self.running.values():
            if machine == name and not ahead:
                for quantity, amount in request_.quantities:
                    taken[quantity] += amount
        over = (
            taken[quantity] - self.machines[name].total.get(quantity, 0.0)
            for quantity, amount in asked.quantities
            if amount
        )
        return max((round(value, 6) for value in over if value > 1e-6), default=0.0)

    def suits(self, asked: Request, machine: Offer) -> bool:
        """Whether a machine could take a request once it is idle; constraints are evaluated the simple way."""
        zone = machine.attributes["zone"]
        if any(f'"{zone}"' not in constraint for constraint in asked.constraints):
            return False
        return all(machine.total.get(quantity, 0.0) >= amount for quantity, amount in asked.quantities)

    def check_that_nothing_is_left_free(self, before: dict[Key, Ticket]) -> None:
        """Work-conserving, unless a machine is kept for an attempt that others overtook for long."""
        kept = self.now >= PATIENCE_S
        for key, one in self.waiting.items():
            if key[0] in self.paused or kept:
                continue
            for name, machine in self.machines.items():
                if self.suits(one.request, machine):
                    free = self.free(name)
                    fits = all(free.get(quantity, 0.0) >= amount for quantity, amount in one.request.quantities)
                    assert not fits, f"{key} waits, and {name} has {free}"

    @invariant()
    def what_waits_is_what_should(self) -> None:
        assert len(self.admission) == len(self.waiting)

    @invariant()
    def why_agrees(self) -> None:
        waits = list(self.admission.waits())
        assert sum(wait.waiting for wait in waits) == len(self.waiting)
        for wait in waits:
            asked = REQUESTS[wait.node]
            can = any(self.suits(asked, machine) for machine in self.machines.values())
            if wait.run_id in self.paused:
                assert wait.reason == "the run is paused"
            elif not self.machines:
                assert wait.reason == "no machine is offered"
            else:
                assert can == (not wait.reason.startswith("none of"))
                assert can == (wait.change == "")


@pytest.mark.slow
def test_any_order_of_events() -> None:
    """Never overbooked, work-conserving, and `why` agrees with both, whatever happens in between."""
    run_state_machine_as_test(Cells, settings=settings(max_examples=300, stateful_step_count=50, deadline=None))


@given(
    amounts=st.lists(st.sampled_from([1.0, 2.0, 3.0, 0.25]), min_size=1, max_size=60),
    owners=st.lists(st.sampled_from(["ann", "bob", "eve"]), min_size=60, max_size=60),
    cpus=st.integers(3, 6),
    steps=st.lists(st.integers(0, 5), min_size=200, max_size=200),
)
@settings(max_examples=60, deadline=None)
def test_nobody_starves(amounts: list[float], owners: list[str], cpus: int, steps: list[int]) -> None:
    """Everything that could be placed is placed in the end, under a stream of small work of the same priority."""
    admission = Admission(MATCHERS)
    admission.offers([offer(cpus=cpus)])
    wanted: set[Key] = set()
    for number, amount in enumerate(amounts):
        one = ticket(number, run=f"wanted-{owners[number]}", owner=owners[number], asks=request(cpus=amount))
        wanted.add(one.key)
        admission.enqueue(one, 0.0)
    running: list[Assignment] = []
    stream = 10_000
    for turn in range(60 * len(amounts) + 400):
        # There is always something small that would fit into every gap.
        for owner in ("ann", "bob", "zoe"):
            stream += 1
            admission.enqueue(ticket(stream, run=f"stream-{owner}", owner=owner, asks=request(cpus=0.25)), float(turn))
        placed = admission.assign(float(turn))
        wanted.difference_update(one.key for one in placed)
        running += placed
        if not wanted:
            break
        # Attempts end in some order, one or more of them in each second.
        for _ in range(min(4, len(running))):
            admission.ended(running.pop(steps[turn % 200] % len(running)).key)

    assert wanted == set()


@given(priorities=st.lists(st.integers(-2, 2), min_size=1, max_size=40), cpus=st.integers(1, 4))
def test_priorities_are_respected(priorities: list[int], cpus: int) -> None:
    """Of equal requests, the higher priority always goes first."""
    admission = Admission(MATCHERS)
    admission.offers([offer(cpus=cpus)])
    for number, priority in enumerate(priorities):
        admission.enqueue(ticket(number, node=number, priority=priority), 0.0)
    served: list[int] = []
    while len(admission):
        placed = admission.assign(0.0)
        served += [priorities[one.key[1][1]] for one in placed]
        for one in placed:
            admission.ended(one.key)

    assert served == sorted(priorities, reverse=True)


@given(counts=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=2), cpus=st.integers(1, 5))
def test_owners_are_served_evenly(counts: dict[str, int], cpus: int) -> None:
    """While two owners have work, neither gets ahead of the other by more than one attempt."""
    admission = Admission(MATCHERS)
    admission.offers([offer(cpus=cpus)])
    for owner, number in counts.items():
        for index in range(number):
            admission.enqueue(ticket(index, run=f"run-{owner}", owner=owner), 0.0)
    served: Counter[str] = Counter()
    while len(admission):
        placed = admission.assign(0.0)
        for one in placed:
            served[one.key[0][-1]] += 1
            hungry = [served[owner] for owner, number in counts.items() if served[owner] < number]
            assert not hungry or max(hungry) - min(hungry) <= 1
            assert all(served[owner] <= min(hungry) + 1 for owner in counts if hungry)
        for one in placed:
            admission.ended(one.key)

    assert served == Counter(counts)


@given(
    seconds=st.floats(0.001, 0.2),
    cpus=st.integers(1, 8),
    amount=st.sampled_from([0.5, 1.0, 2.0]),
    ends=st.lists(st.integers(0, 300), max_size=20),
)
def test_no_more_is_sent_ahead_than_declared(seconds: float, cpus: int, amount: float, ends: list[int]) -> None:
    admission = Admission(MATCHERS, ahead=True)
    admission.offers([offer(cpus=cpus)])
    admission.took("step", seconds)
    for number in range(3000):
        admission.enqueue(Ticket(("run", (0, number), 1), request(cpus=amount), "step"), 0.0)
    at_work = int(cpus / amount)
    allowed = cpus / amount * (1 + min(MAX_AHEAD, AHEAD_S / seconds))
    running: list[Assignment] = []
    for number in [*ends, 0]:
        running += admission.assign(0.0)
        assert at_work <= len(running) <= max(at_work, allowed)
        for one in running[:number]:
            admission.sent(one.key)
            admission.ended(one.key)
            admission.took("step", seconds)
        running = running[number:]
