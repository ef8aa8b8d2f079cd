"""Owns the property test of the machine: whatever happens, in whatever order, all invariants hold and the run ends."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meson_core.engine import RunMachine
from tests.engine.worlds import TROUBLE, WORKING, World, live, random_plan

WHICH = st.integers(0, 10_000)


class Anything(RuleBasedStateMachine):
    """Hypothesis as fate."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World
        self.kept: RunMachine | None = None
        self.mark = 0

    @initialize(
        rng=st.randoms(use_true_random=False),
        size=st.integers(1, 14),
        depth=st.integers(0, 3),
        window=st.integers(1, 4),
    )
    def begin(self, rng: random.Random, size: int, depth: int, window: int) -> None:
        self.world = World(random_plan(rng, size, depth), window)

    @rule(kind=st.sampled_from(WORKING), which=WHICH)
    def something_works(self, kind: str, which: int) -> None:
        self.world.happen(kind, which)

    @rule(which=WHICH)
    def something_succeeds(self, which: int) -> None:
        for kind in ("answer", "look_up", "place", "succeed"):
            self.world.happen(kind, which)

    @rule(kind=st.sampled_from(TROUBLE), which=WHICH)
    def something_else_happens(self, kind: str, which: int) -> None:
        self.world.happen(kind, which)

    @precondition(lambda self: self.world.ended)
    @rule(which=WHICH)
    def it_is_reopened(self, which: int) -> None:
        self.world.happen("reopen", which)

    @rule()
    def a_snapshot_is_kept(self) -> None:
        self.kept = RunMachine.restore(self.world.plan, self.world.machine.snapshot())
        self.mark = len(self.world.log)

    @invariant()
    def a_snapshot_and_the_rest_of_the_log_is_the_live_state(self) -> None:
        if self.kept is not None:
            for event in self.world.log[self.mark :]:
                self.kept.handle(event)
            self.mark = len(self.world.log)
            assert self.kept.snapshot() == self.world.machine.snapshot()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()
            self.world.check_replay()


TestAnything = pytest.mark.slow(Anything.TestCase)
TestAnything.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("seed", range(40))
def test_long_lives(seed: int) -> None:
    """Longer runs than Hypothesis makes, with everything that may happen in them."""
    world = live(random.Random(seed), size=20, steps=200)
    world.finish()
    world.check_replay()
    assert len(world.log) > 20
