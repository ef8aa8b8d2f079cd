"""Owns the check that a snapshot is believed only when it is whole, of this version, and of this workflow."""

from __future__ import annotations

import random

import msgspec
import pytest

from meson_core.engine import RunMachine, snapshots
from meson_core.errors import EngineError
from tests.engine.stories import Story, compiled, for_each, step


def some_story() -> Story:
    story = Story(for_each("each", step("b"), step("c", "b")), step("d", "each"), window=3)
    story.created()
    story.items("each", 10)
    story.works("b[0]", "c[0]", "b[1]")
    story.placed("b[2]")
    story.held("d")
    return story


def test_damage_is_found_out() -> None:
    story = some_story()
    data = story.machine.snapshot()
    rng = random.Random(1)
    damaged = [b"", data[:7], data[:-1], data + b"x"]
    for _ in range(200):
        at = rng.randrange(len(data))
        damaged.append(data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :])
    for wrong in damaged:
        with pytest.raises(EngineError, match="the snapshot is damaged") as caught:
            RunMachine.restore(story.plan, wrong)
        assert caught.value.hint == "replay the log of the run instead"


def test_a_snapshot_of_another_workflow_is_refused() -> None:
    with pytest.raises(EngineError, match="the snapshot is of another workflow"):
        RunMachine.restore(compiled(step("a")), some_story().machine.snapshot())


def test_a_snapshot_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    story = some_story()
    data = story.machine.snapshot()
    monkeypatch.setattr(snapshots, "SNAPSHOT_VERSION", 99)
    with pytest.raises(EngineError, match="the snapshot is of version 2; this Meson reads 99"):
        RunMachine.restore(story.plan, data)


def test_a_hundred_thousand_instances_take_a_few_bytes_each() -> None:
    story = Story(for_each("each", step("b")))
    story.created()
    story.items("each", 100_000)
    # A state, an attempt number and a verdict each; nothing else grows.
    assert len(story.machine.snapshot()) < 620_000
    body = msgspec.msgpack.decode(story.machine.snapshot()[8:])
    assert body[0] == snapshots.SNAPSHOT_VERSION
