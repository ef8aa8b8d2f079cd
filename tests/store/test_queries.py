"""Tests of pages and samples: every page is what the whole list says, however it is cut, and however deep it lies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from meson_core.commands import Change
from meson_core.errors import NotFoundError
from meson_core.events import AttemptFailed, Failure, RunPaused
from meson_core.spec.states import Cause, RunState, State
from meson_core.store.records import SampleRecord, WaitRecord
from tests.store.building import NOW, Log, many, put, python, sweep

if TYPE_CHECKING:
    from pathlib import Path

    from meson_core.events import AnyEvent
    from meson_core.spec.plan import Instance
    from meson_core.store import Store

TRAIN = 2


def fail(log: Log, instances: list[Instance]) -> None:
    events: list[AnyEvent] = [
        AttemptFailed(NOW + 1, each, 1, NOW, Cause.user, Failure("exit", "exit code 1")) for each in instances
    ]
    log.write(events, [Change(each, State.running, State.failed, 1, "exit code 1") for each in instances])


# --- runs -----------------------------------------------------------------------------------------------------------


def test_runs_come_in_pages_the_latest_first(store: Store) -> None:
    lease = store.acquire("local", "a test")
    version = put(store, sweep())
    ids = [f"run{number}" for number in range(7)]
    for run_id in ids:
        log = Log(store, lease, run_id, version)
        if run_id in ("run2", "run5"):
            log.write([RunPaused(NOW, "a")], state=RunState.failed)

    page = store.runs(limit=3)
    assert [row.run_id for row in page] == ["run6", "run5", "run4"]
    assert [row.run_id for row in store.runs(after=page[-1].run_id, limit=3)] == ["run3", "run2", "run1"]
    assert [row.run_id for row in store.runs(states=[RunState.failed])] == ["run5", "run2"]
    assert [row.run_id for row in store.runs(states=[RunState.failed], after="run5")] == ["run2"]
    assert [row.run_id for row in store.runs(workflow="sweep", limit=1)] == ["run6"]
    assert store.runs(workflow="other") == []
    assert [row.run_id for row in store.runs_by_prefix("run")] == ids
    assert [row.run_id for row in store.runs_by_prefix("run3")] == ["run3"]
    assert store.runs_by_prefix("run%") == []
    assert store.position("run5") == (2, RunState.failed)
    assert store.position("nobody") is None
    assert store.run("nobody") is None
    with pytest.raises(NotFoundError, match="there is no run 'nobody'"):
        store.runs(after="nobody")
    with pytest.raises(NotFoundError, match="there is no run 'nobody'"):
        store.instances("nobody")
    with pytest.raises(NotFoundError, match="there is no workflow version sha256:none"):
        store.definition("sha256:none")
    with pytest.raises(NotFoundError, match="there is no workflow version sha256:none"):
        store.outline("sha256:none")


def test_a_definition_that_is_there_stays(store: Store) -> None:
    version = put(store, sweep())
    text = store.definition(version)
    put(store, sweep())

    assert text == store.definition(version)
    entries = store.outline(version).entries
    assert [(entry.name, entry.owner, entry.depth) for entry in entries] == [
        ("prepare", -1, 0),
        ("each", -1, 0),
        ("train", 1, 1),
        ("collect", -1, 0),
    ]


# --- instances ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
@pytest.mark.parametrize("node", [None, TRAIN])
@pytest.mark.parametrize(
    "states",
    [(), (State.succeeded,), (State.failed,), (State.failed, State.cancelled), (State.failed, State.succeeded)],
)
def test_pages_put_together_are_the_whole(
    store: Store, log: Log, limit: int, node: int | None, states: tuple[State, ...]
) -> None:
    """Also where a page begins at another node, and where it is served from the table of notable instances."""
    log.succeed((0,))
    log.write(*many(TRAIN, 20))
    fail(log, [(TRAIN, index) for index in (3, 4, 11, 255, 256, 70_000)])
    log.write([RunPaused(NOW, "a")], [Change((3,), State.running, State.cancelled)])
    whole = [row for row in store.instances("run1", limit=1000) if node in (None, row.node)]
    expected = [row.instance for row in whole if not states or row.state in states]
    assert len(whole) == (25 if node is None else 23)

    found: list[Instance] = []
    while page := store.instances("run1", node=node, states=states, after=found[-1] if found else None, limit=limit):
        assert len(page) <= limit
        found.extend(row.instance for row in page)

    assert expected == found


def test_attempts_come_in_pages(store: Store, log: Log) -> None:
    fail(log, [(TRAIN, index) for index in range(5)])
    log.write(
        [AttemptFailed(NOW + 9, (TRAIN, 2), 2, NOW, Cause.timeout, Failure("timeout", "too slow"))],
        [Change((TRAIN, 2), State.running, State.retrying, 2)],
    )
    keys = [(row.instance, row.attempt) for row in store.attempts("run1")]
    assert keys == [((2, 0), 1), ((2, 1), 1), ((2, 2), 1), ((2, 2), 2), ((2, 3), 1), ((2, 4), 1)]

    for cut in range(len(keys)):
        assert keys[cut + 1 :] == [(row.instance, row.attempt) for row in store.attempts("run1", after=keys[cut])]
    assert [row.cause for row in store.attempts("run1", (TRAIN, 2))] == [Cause.user, Cause.timeout]


# --- samples and waits ----------------------------------------------------------------------------------------------


def test_samples_are_the_latest_of_what_is_at_work(store: Store, log: Log) -> None:
    at, other = (TRAIN, 0), (TRAIN, 1)
    log.write([RunPaused(NOW, "a")], [Change(each, State.ready, State.running, 1) for each in (at, other)])

    store.write_samples(
        [SampleRecord("run1", at, 1, NOW, 0.25, "reading"), SampleRecord("run1", other, 1, NOW, 0.1, None)]
    )
    store.write_samples([SampleRecord("run1", at, 1, NOW + 1, 0.5, None)])
    store.write_samples([SampleRecord("run1", at, 1, NOW + 2, None, "training")])
    store.write_samples([])

    assert store.samples("run1") == [
        SampleRecord("run1", at, 1, NOW + 2, 0.5, "training"),
        SampleRecord("run1", other, 1, NOW, 0.1, None),
    ]
    row = store.instance("run1", at)
    assert row is not None
    assert (row.fraction, row.message) == (0.5, "training")

    store.write_samples([SampleRecord("run1", at, 2, NOW + 3, None, None)])
    assert store.samples("run1")[0] == SampleRecord("run1", at, 2, NOW + 3, None, None)
    row = store.instance("run1", at)
    assert row is not None
    assert (row.attempt, row.fraction) == (1, None)  # the sample is of another attempt

    log.write([RunPaused(NOW, "a")], [Change(at, State.running, State.retrying, 2)])
    assert [sample.instance for sample in store.samples("run1")] == [other]
    log.write([RunPaused(NOW, "a")], [Change(other, State.running, State.lost, 1)])
    assert [sample.instance for sample in store.samples("run1")] == [other]
    log.write([RunPaused(NOW, "a")], [Change(other, State.lost, State.failed, 1)])
    assert store.samples("run1") == []


def test_waits_are_the_latest(store: Store, log: Log) -> None:
    store.write_waits([WaitRecord("run1", TRAIN, NOW, 40, "2 offers refused: memory", {"refused": {"memory": 2}})])
    store.write_waits([WaitRecord("run1", 3, NOW, 1, "queued behind 40 others", None)])
    store.write_waits([WaitRecord("run1", TRAIN, NOW + 1, 39, "1 offer refused: cpus", {"refused": {"cpus": 1}})])
    store.write_waits([])

    assert store.waits("run1") == [
        WaitRecord("run1", TRAIN, NOW + 1, 39, "1 offer refused: cpus", {"refused": {"cpus": 1}}),
        WaitRecord("run1", 3, NOW, 1, "queued behind 40 others", None),
    ]
    store.write_waits([WaitRecord("run1", TRAIN, NOW + 2, 0, "", None)])
    assert [wait.node for wait in store.waits("run1")] == [3]


# --- sizes ----------------------------------------------------------------------------------------------------------

# What `mesonctl show` asks, timed by itself: after its imports, with the store opened by another process.
SHOW = """
import sys, time
from meson_core.store import open_store
from meson_core.spec.states import State
import meson_core.store.store
began = time.perf_counter()
with open_store(sys.argv[1], read_only=True) as store:
    run = store.runs(limit=1)[0]
    nodes, samples, waits = store.nodes(run.run_id), store.samples(run.run_id), store.waits(run.run_id)
    failed = store.instances(run.run_id, states=[State.failed], limit=20)
    deep = store.instances(run.run_id, node=2, after=(2, 19_000), limit=100)
    print(len(nodes), len(failed), len(deep), time.perf_counter() - began)
"""


@pytest.mark.slow
def test_twenty_thousand_instances_are_shown_at_once_and_take_little_room(
    tmp_path: Path, store: Store, log: Log
) -> None:
    count, frame = 20_000, 500
    for first in range(0, count, frame):
        log.write(*many(TRAIN, frame, first=first), counts={TRAIN: [0] * 10 + [first + frame] + [0] * 5})
    fail(log, [(TRAIN, index) for index in range(0, count, 100)])

    process = python(SHOW, tmp_path / ".meson")
    output, errors = process.communicate()
    assert errors == ""
    nodes, failed, deep, seconds = output.split()
    assert (nodes, failed, deep) == ("1", "20", "100")
    # The promise is 0.1 s on a machine that has time; a test must not fail on one that has not.
    assert float(seconds) < 0.5
    began = time.process_time()
    assert len(store.outputs_of("run1", TRAIN)) == count
    assert time.process_time() - began < 1.0

    store.close()
    size = (tmp_path / ".meson" / "store.db").stat().st_size
    assert size / count < 500
