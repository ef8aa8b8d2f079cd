"""Tests of the client's questions: answers have names, add up, and cost the same for any number of instances."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import meson_core.client
from meson_core.client import Client, connect
from meson_core.commands import Change
from meson_core.errors import NotFoundError, StoreCorruptError, UnknownNameError
from meson_core.events import (
    AttemptFailed,
    AttemptKilled,
    AttemptPlaced,
    AttemptStarted,
    Failure,
    LinkShown,
    RunPaused,
    ValueEmitted,
)
from meson_core.spec.states import Cause, RunState, State
from meson_core.store import open_store
from meson_core.store.records import SampleRecord, WaitRecord
from tests.store.building import NOW, Log, many, put, sweep

if TYPE_CHECKING:
    from pathlib import Path

    from meson_core.store.store import Store

TRAIN = 2


def counts(**states: int) -> list[int]:
    return [states.get(state.name, 0) for state in State]


def as_json(value: object) -> Any:
    return json.loads(msgspec.json.encode(value))


# --- the tree -------------------------------------------------------------------------------------------------------


def test_a_tree_tells_everything_at_a_glance(client: Client, store: Store, log: Log) -> None:
    log.succeed((0,), b'{"rows":3}')
    log.write(
        [RunPaused(NOW, "a")],
        [Change((1,), State.waiting, State.running)],
        counts={0: counts(succeeded=1), 1: counts(running=1)},
    )
    log.write(*many(TRAIN, 6))
    failure = Failure("exit", "exit code 1", exit_code=1)
    log.write(
        [
            AttemptFailed(NOW + 3, (TRAIN, 6), 1, NOW, Cause.user, failure),
            AttemptPlaced(NOW, (TRAIN, 7), 1, "laptop"),
            AttemptStarted(NOW, (TRAIN, 7), 1),
        ],
        [
            Change((TRAIN, 6), State.running, State.failed, 1, "attempt 1 failed: exit code 1"),
            Change((TRAIN, 7), State.ready, State.running, 1),
        ],
        counts={TRAIN: counts(succeeded=6, failed=1, running=1, ready=2)},
    )
    store.write_samples([SampleRecord("run1", (TRAIN, 7), 1, NOW, 0.5, "epoch 3 of 6")])

    tree = client.tree("run1")

    assert (tree.run_id, tree.workflow, tree.state, tree.seq) == ("run1", "sweep", RunState.running, 19)
    prepare, each, train, collect = tree.nodes
    assert [(node.name, node.kind, node.owner) for node in tree.nodes] == [
        ("prepare", "step", -1),
        ("each", "for_each", -1),
        ("train", "step", 1),
        ("collect", "step", -1),
    ]
    assert (prepare.fraction, prepare.eta_s, prepare.took_s, prepare.mean_s) == (1.0, 0.0, 1.0, 1.0)
    assert (train.total, train.count(State.succeeded, State.failed)) == (10, 7)
    assert train.fraction == each.fraction == pytest.approx(0.75)
    assert train.note == "attempt 1 failed: exit code 1"
    assert train.eta_s == pytest.approx(2.5)
    assert (collect.fraction, collect.total, collect.note) == (0.0, 1, "")
    assert tree.fraction == pytest.approx(8.5 / 12)
    told = as_json(tree)
    assert told["nodes"][2]["counts"][State.failed] == 1
    assert told["state"] == "running"


def test_a_note_is_the_latest_message_or_why_it_waits(client: Client, store: Store, log: Log) -> None:
    log.write(
        [RunPaused(NOW, "a")],
        [Change((TRAIN, index), State.ready, State.running, 1) for index in (0, 1)],
        counts={TRAIN: counts(running=2, ready=1), 3: counts(ready=1), 0: counts(retrying=1)},
    )
    store.write_samples([SampleRecord("run1", (TRAIN, 0), 1, NOW + 5, None, "newer")])
    store.write_samples([SampleRecord("run1", (TRAIN, 1), 1, NOW + 4, None, "older")])
    store.write_waits([WaitRecord("run1", 3, NOW, 1, "2 offers refused: memory", None)])
    prepare, _, train, collect = client.tree("run1").nodes

    assert (prepare.note, train.note, collect.note) == ("", "newer", "2 offers refused: memory")


def test_a_tree_of_a_run_that_has_ended_stands_still(client: Client, log: Log) -> None:
    log.write([RunPaused(NOW + 60, "a")], state=RunState.cancelled, counts={0: counts(cancelled=1)})
    tree = client.tree("last")

    assert (tree.fraction, tree.eta_s, tree.at, tree.ended_at) == (1.0, 0.0, NOW + 60, NOW + 60)


def test_learnt_durations_give_the_next_run_a_time_to_go(client: Client, log: Log) -> None:
    log.succeed((0,))
    log.write([RunPaused(NOW + 30, "a")], state=RunState.succeeded)
    Log(log.store, log.lease, "run2", put(log.store, sweep()), at=time.time() - 10)

    tree = client.tree("run2")
    assert tree.nodes[0].mean_s == 1.0
    assert tree.nodes[0].eta_s == 1.0
    assert tree.eta_s == pytest.approx(20, abs=5)


# --- runs, instances, attempts --------------------------------------------------------------------------------------


def test_runs_by_state(client: Client, log: Log) -> None:
    log.write([RunPaused(NOW, "a")], state=RunState.failed)
    Log(log.store, log.lease, "run2", put(log.store, sweep()))

    assert [row.run_id for row in client.runs()] == ["run2", "run1"]
    assert [row.run_id for row in client.runs(state=RunState.failed)] == ["run1"]
    assert [row.run_id for row in client.runs(state=(RunState.failed, RunState.running), limit=1)] == ["run2"]
    assert [row.run_id for row in client.runs(after="run2")] == ["run1"]
    assert as_json(client.run("run1"))["params"] == {"alpha": 0.5}


def test_instances_have_names(client: Client, log: Log) -> None:
    log.succeed((0,), b'{"rows":3}')
    log.write(*many(TRAIN, 3))

    assert [(row.step, row.instance, row.state) for row in client.instances("run1")] == [
        ("prepare", (0,), "succeeded"),
        *(("train", (TRAIN, index), "succeeded") for index in range(3)),
    ]
    (row,) = client.instances("run1", step="train", after=(TRAIN, 1))
    assert (row.indexes, row.outputs, row.machine) == ((2,), {"score": 2}, "laptop")
    assert as_json(row)["outputs"] == {"score": 2}
    assert client.instances("run1", step="train", prefix=(1,))[0].indexes == (1,)
    assert client.instances("run1", states=[State.failed]) == []
    assert client.instance("run1", (TRAIN, 2)) == row
    waiting = client.instance("run1", (TRAIN, 99))
    assert (waiting.step, waiting.state, waiting.outputs) == ("train", "waiting", None)
    with pytest.raises(NotFoundError, match="an instance of 'train' has 1 indexes"):
        client.instance("run1", (TRAIN,))
    with pytest.raises(UnknownNameError, match="workflow 'sweep' has no step 'trian'"):
        client.instances("run1", step="trian")


def test_attempts_tell_the_whole_story(client: Client, log: Log) -> None:
    at = (TRAIN, 0)
    failure = Failure("exit", "exit code 1", exit_code=1)
    log.write(
        [AttemptPlaced(NOW, at, 1, "m1"), AttemptFailed(NOW + 2, at, 1, NOW + 1, Cause.user, failure)],
        [Change(at, State.starting, State.retrying, 1, "attempt 1 failed")],
    )
    assert [(each.attempt, each.outcome) for each in client.attempts("run1", at)] == [(1, "user")]

    log.write(
        [AttemptPlaced(NOW + 5, at, 2, "m2"), AttemptStarted(NOW + 6, at, 2)],
        [Change(at, State.retrying, State.ready, 2), Change(at, State.ready, State.running, 2)],
    )
    first, second = client.attempts("run1", at)
    assert (first.machine, first.began, first.ended, first.failure) == ("m1", NOW + 1, NOW + 2, failure)
    assert (second.outcome, second.machine, second.began, second.ended) == ("running", "m2", NOW + 6, None)

    log.write([AttemptKilled(NOW + 9, at, 2, NOW + 6)], [Change(at, State.cancelling, State.cancelled, 2)])
    assert [each.outcome for each in client.attempts("run1", at)] == ["user", "killed"]

    log.succeed(at, attempt=3, at=NOW + 20)
    assert [each.outcome for each in client.attempts("run1", at)] == ["user", "killed", "succeeded"]
    assert client.attempts("run1", (TRAIN, 99)) == []


def test_what_steps_show_and_emit(client: Client, log: Log) -> None:
    log.write(
        [
            LinkShown(NOW, (TRAIN, 1), 1, "ui", "http://a"),
            ValueEmitted(NOW, (TRAIN, 1), 1, "loss", msgspec.Raw(b"0.5")),
        ]
    )
    assert [(row.instance, row.url) for row in client.links("run1")] == [((TRAIN, 1), "http://a")]
    assert client.links("run1", (0,)) == []
    (value,) = client.emitted("run1")
    assert client.emitted("run1", (TRAIN, 1), after=value.position) == []
    assert as_json(value)["value"] == 0.5


def test_outputs_are_the_context(client: Client, log: Log) -> None:
    log.succeed((0,), b'{"rows":3}')
    log.write(*many(TRAIN, 3))
    log.write([RunPaused(NOW, "a")], state=RunState.succeeded, results=b'{"best":2}')
    found = client.outputs("run1")

    assert (found.params, found.results) == ({"alpha": 0.5}, {"best": 2})
    assert found.steps == {
        "prepare": {"rows": 3},
        "train": [((0,), {"score": 0}), ((1,), {"score": 1}), ((2,), {"score": 2})],
    }
    assert client.outputs("run1", steps=["train"], limit=1).steps == {"train": [((0,), {"score": 0})]}
    assert client.outputs("run1", steps=["collect"]).steps == {}


# --- why ------------------------------------------------------------------------------------------------------------


def why(client: Client, step: str) -> list[str]:
    return list(client.why("run1", step).lines)


def test_why_something_waits(client: Client, store: Store, log: Log) -> None:
    assert why(client, "prepare") == ["waiting: about to start"]
    assert why(client, "collect") == ["waiting: waits for each (waiting)"]
    assert why(client, "train") == ["waiting: is inside each, which waits for prepare (waiting)"]

    log.write([RunPaused(NOW, "a")], [Change((0,), State.waiting, State.ready, 1)], counts={0: counts(ready=1)})
    assert why(client, "prepare") == ["ready: placement has not looked at it yet"]
    store.write_waits(
        [WaitRecord("run1", 0, NOW, 1, "1 offer refused: memory 2 GB < 4 GB", {"refused": {"memory": 1}})]
    )
    told = client.why("run1", "prepare")
    assert told.lines == ("ready: 1 offer refused: memory 2 GB < 4 GB",)
    assert (told.waiting, told.counts, told.detail) == (1, {"ready": 1}, {"refused": {"memory": 1}})

    log.write(
        [RunPaused(NOW, "a")],
        [Change((1,), State.waiting, State.running)],
        counts={0: counts(succeeded=1), 1: counts(running=1), TRAIN: counts(waiting=40, ready=2)},
        state=RunState.paused,
    )
    assert why(client, "train") == [
        "the run is paused: nothing new starts until it is resumed",
        "2 ready: placement has not looked at it yet",
        "40 waiting: waits for its turn inside each: only some items are under way at a time",
    ]
    assert why(client, "prepare") == [
        "the run is paused: nothing new starts until it is resumed",
        "it has ended: succeeded",
    ]
    assert client.why("run1", "prepare").detail is None


def test_why_something_went_wrong(client: Client, log: Log) -> None:
    log.write(
        [RunPaused(NOW, "a")],
        [
            Change((TRAIN, 3), State.running, State.failed, 1, "attempt 1 failed: exit code 1"),
            Change((TRAIN, 7), State.running, State.lost, 1, "machine m1 is silent"),
            Change((TRAIN, 8), State.ready, State.running, 1),
            Change((3,), State.waiting, State.upstream_failed, 0, "each failed"),
        ],
        counts={
            TRAIN: counts(succeeded=5, failed=2, lost=1, running=1),
            3: counts(upstream_failed=1),
            0: counts(succeeded=1),
        },
    )

    assert why(client, "train") == [
        "1 lost, for example [7]: machine m1 is silent",
        "2 failed, for example [3]: attempt 1 failed: exit code 1",
        "1 running",
        "the rest has ended: 5 succeeded",
    ]
    assert why(client, "collect") == ["upstream failed: each failed"]


def test_why_something_never_was(client: Client, log: Log) -> None:
    log.write([RunPaused(NOW, "a")], counts={1: counts(succeeded=1)})

    assert why(client, "train") == ["there is nothing to do: each has ended without it"]


def test_why_all_is_well(client: Client, log: Log) -> None:
    log.write([RunPaused(NOW, "a")], counts={TRAIN: counts(succeeded=5, skipped=2)})

    assert why(client, "train") == ["all of it has ended: 5 succeeded, 2 skipped"]


# --- opening --------------------------------------------------------------------------------------------------------


def test_a_project_is_found_from_anywhere_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "flows").mkdir(parents=True)
    (project / "meson.toml").write_text('cell = "gpu"\n')
    for variable in ("MESON_STORE", "MESON_CELL", "MESON_OWNER"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(NotFoundError, match="there is no store at"):
        connect(project / "flows")
    with open_store(project / ".meson") as store:
        Log(store, store.acquire("gpu", "a test"), "run1", put(store, sweep()))

    monkeypatch.setenv("LOGNAME", "grace")
    with connect(project / "flows", read_only=True) as client:
        assert client.run("last").run_id == "run1"
        assert (client.cell, client.by, client.directory) == ("gpu", "grace", project / ".meson")
    monkeypatch.setenv("MESON_OWNER", "team")
    with connect(project, create=True) as client:
        assert client.by == "team"


def test_a_user_without_a_name_has_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the number of the user may have no entry, and no variable may tell."""

    def no_entry() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("meson_core.client.client.getpass.getuser", no_entry)
    with connect(tmp_path, create=True) as client:
        assert client.by.isdecimal()


def test_a_definition_that_cannot_be_read_is_explained(client: Client, log: Log) -> None:
    version = client.run("run1").version
    with log.store._database.write() as connection:
        connection.exec_driver_sql("UPDATE definitions SET body = ?", (b'{"name": "x"}',))

    with pytest.raises(StoreCorruptError, match=f"workflow version {version} cannot be read: Field required"):
        client.tree("run1")


def test_all_that_the_door_shows_is_there() -> None:
    for name in meson_core.client.__all__:
        assert getattr(meson_core.client, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = meson_core.client.nonsense
