"""Owns the replay of histories: of recorded ones, which must never change, and of fresh ones from every point."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from meson_core.engine import RunMachine
from tests.engine.histories.recording import FOLDER, RUNS, digest, read, told_by
from tests.engine.worlds import live

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = sorted(FOLDER.glob("*.jsonl"))


def test_all_histories_are_recorded() -> None:
    assert {path.stem for path in RECORDED} == set(RUNS), "run: python -m tests.engine.histories"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_is_told_again_word_for_word(path: Path) -> None:
    history = read(path)
    machine = RunMachine(history.plan)
    for number, (event, told) in enumerate(zip(history.log, history.told, strict=True)):
        assert told_by(machine, event) == told, f"event {number}: {event}"
        machine.validate()
    assert machine.run_state.ended
    assert history.snapshot in ("", digest(machine))


@pytest.mark.parametrize("seed", range(12))
def test_from_every_point_of_a_log_the_rest_leads_to_the_same(seed: int) -> None:
    world = live(random.Random(seed), size=12, steps=100)
    expected = world.machine.snapshot()
    machine = RunMachine(world.plan)
    for point, event in enumerate(world.log):
        resumed = RunMachine.restore(world.plan, machine.snapshot())
        for later in world.log[point:]:
            resumed.handle(later)
        assert resumed.snapshot() == expected, f"from event {point} on"
        machine.handle(event)
    assert machine.snapshot() == expected
