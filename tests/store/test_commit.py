"""Tests of the commit: all of it or nothing, in the right order, by the right orchestrator, and what it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meson_core.commands import Change
from meson_core.errors import NotFoundError, SequenceConflictError, StoreError, StoreLockedError
from meson_core.events import (
    AttemptFailed,
    AttemptFenced,
    AttemptKilled,
    AttemptPlaced,
    AttemptStarted,
    AttemptSucceeded,
    CodeChanged,
    EvaluationFailed,
    Failure,
    JobRemembered,
    LinkShown,
    OutcomeSettled,
    RunCreated,
    RunPaused,
    RunReopened,
    Selection,
    ValueEmitted,
)
from meson_core.spec.states import Cause, RunState, State
from meson_core.store import Store, open_store
from meson_core.store.records import Commit, RunCommit, SampleRecord, WishReceipt
from tests.store.building import NOW, Log, many, put, sweep

if TYPE_CHECKING:
    from meson_core.events import AnyEvent

TRAIN = 2


def everything(store: Store, run_id: str = "run1") -> tuple[object, ...]:
    """All that a commit may change."""
    return (
        store.run(run_id),
        store.log(run_id),
        store.instances(run_id),
        store.nodes(run_id),
        store.attempts(run_id),
        store.links(run_id),
        [row.name for row in store.emitted(run_id)],
        store.load(run_id)[:2],
        store.cursors(),
        store.wishes(),
    )


# --- runs and their log -------------------------------------------------------------------------------------------


def test_a_run_begins_with_its_first_frame(store: Store, log: Log) -> None:
    row = store.run("run1")

    assert row is not None
    assert (row.run_id, row.workflow, row.state) == ("run1", "sweep", RunState.running)
    assert (row.owner, row.code, row.params, row.cell) == ("ada", "code0", {"alpha": 0.5}, "local")
    assert (row.created_at, row.ended_at, row.seq, row.generation, row.results) == (NOW, None, 1, 0, None)


def test_the_definition_must_be_there_first(store: Store) -> None:
    lease = store.acquire("local", "a test")

    with pytest.raises(StoreError, match="run run1: its definition sha256:none is not in the store"):
        Log(store, lease, "run1", "sha256:none")

    assert store.runs() == []


def test_the_log_is_read_from_anywhere(store: Store, log: Log) -> None:
    """Sequence numbers count events, not frames; a page may begin and end in the middle of a frame."""
    log.write(*many(TRAIN, 3))
    log.write([RunPaused(NOW, "ada")], state=RunState.paused)
    every = store.log("run1")

    assert [row.seq for row in every] == list(range(1, 9))
    assert [type(row.event).__name__ for row in every] == [
        "RunCreated", *["AttemptPlaced"] * 3, *["AttemptSucceeded"] * 3, "RunPaused"
    ]  # fmt: skip
    for after in range(9):
        assert store.log("run1", after) == every[after:]
        for limit in (1, 2, 5):
            assert store.log("run1", after, limit) == every[after : after + limit]


def test_recovery_reads_the_snapshot_and_what_came_after(store: Store, log: Log) -> None:
    assert store.load("run1") == (None, 0, [row.event for row in store.log("run1")])

    log.write(*many(TRAIN, 2), snapshot=b"first")
    log.write(*many(TRAIN, 1, first=2), snapshot=b"second")
    log.write([RunPaused(NOW, "ada")], state=RunState.paused)

    assert store.load("run1") == (b"second", 7, [RunPaused(NOW, "ada")])


def test_unfinished_runs_are_found_by_cell(store: Store, log: Log) -> None:
    other = Log(store, log.lease, "run2", put(store, sweep()))
    assert store.unfinished_runs("local") == ["run1", "run2"]
    assert store.unfinished_runs("other") == []

    log.write([RunPaused(NOW + 5, "ada")], state=RunState.failed)

    assert store.unfinished_runs("local") == ["run2"]
    ended = store.run("run1")
    assert ended is not None
    assert ended.ended_at == NOW + 5

    selection = Selection(failed=True)
    log.write(
        [RunReopened(NOW + 9, selection, 1, "ada"), CodeChanged(NOW + 9, "code1", "ada")],
        [Change((0,), State.failed, State.waiting)],
    )
    reopened = store.run("run1")
    assert reopened is not None
    assert (reopened.ended_at, reopened.generation, reopened.code) == (None, 1, "code1")
    assert store.unfinished_runs("local") == ["run1", "run2"]
    assert other.run_id == "run2"


def test_results_are_those_of_the_last_success(store: Store, log: Log) -> None:
    log.write([RunPaused(NOW, "ada")], state=RunState.succeeded, results=b'{"model":"m1"}')
    done = store.run("run1")
    assert done is not None
    assert done.results == {"model": "m1"}

    log.write([RunReopened(NOW, Selection(failed=True), 1, "ada")], [Change((0,), State.succeeded, State.waiting)])
    again = store.run("run1")
    assert again is not None
    assert again.results is None


# --- all or nothing -----------------------------------------------------------------------------------------------


def test_a_commit_at_the_wrong_place_writes_nothing(store: Store, log: Log) -> None:
    """Two runs in one commit: the one that is in order must not be written either."""
    other = Log(store, log.lease, "run2", put(store, sweep()))
    log.write(*many(TRAIN, 2))
    before = everything(store), everything(store, "run2")
    good = other.frame(*many(TRAIN, 1))
    bad = RunCommit("run1", 1, *many(TRAIN, 1, first=5), {}, RunState.running)

    with pytest.raises(SequenceConflictError) as caught:
        store.commit(Commit(log.lease.epoch, [good, bad], [], {"executor": 7}))

    assert (caught.value.expected, caught.value.found) == (1, 5)
    assert caught.value.message == "run run1: the log stands at 5, expected 1"
    assert before == (everything(store), everything(store, "run2"))


def test_a_commit_that_is_sent_twice_is_refused(store: Store, log: Log) -> None:
    """It may have been written although its answer got lost: it stands where it would stand afterwards."""
    frame = log.frame(*many(TRAIN, 2))
    store.commit(Commit(log.lease.epoch, [frame]))
    before = everything(store)

    with pytest.raises(SequenceConflictError, match="run run1: the log stands at 5, expected 1"):
        store.commit(Commit(log.lease.epoch, [frame]))

    assert before == everything(store)


def test_a_run_is_created_once(store: Store, log: Log) -> None:
    with pytest.raises(SequenceConflictError, match="run run1: the log stands at 1, expected 0"):
        Log(store, log.lease, "run1", put(store, sweep()))
    log.lease.release()
    with open_store(store.place.removeprefix("the store ")) as other:
        lease = other.acquire("local", "another")
        with pytest.raises(SequenceConflictError, match="run run1: the log stands at 1, expected 0"):
            Log(other, lease, "run1", put(other, sweep()))


def test_a_run_that_was_not_created_is_not_found(store: Store, log: Log) -> None:
    with pytest.raises(NotFoundError, match="there is no run 'nobody'"):
        store.commit(Commit(log.lease.epoch, [RunCommit("nobody", 3, *many(TRAIN, 1), {}, RunState.running)]))


def test_a_number_of_a_failed_commit_is_not_remembered(store: Store) -> None:
    """The run's number in the database is free again after the rollback, and goes to whoever comes next."""
    lease = store.acquire("local", "a test")
    version = put(store, sweep())
    created: list[AnyEvent] = [RunCreated(NOW, "lost", version, "", msgspec.Raw(b"{}"), {})]
    with pytest.raises(StoreError, match="one of the wishes 99 was answered before, or was never made"):
        store.commit(Commit(lease.epoch, [RunCommit("lost", 0, created, [], {}, RunState.running)], [WishReceipt(99)]))
    Log(store, lease, "kept", version)
    Log(store, lease, "lost", version).write(*many(TRAIN, 2))

    assert store.instances("kept") == []
    assert len(store.instances("lost")) == 2


def test_only_the_holder_of_the_lease_commits(tmp_path: object, store: Store, log: Log) -> None:
    before = everything(store)
    frame = log.frame(*many(TRAIN, 1))

    with pytest.raises(StoreLockedError) as caught:
        store.commit(Commit(log.lease.epoch + 1, [frame]))

    assert "cell 'local' was taken over: its epoch is 1, this orchestrator's 2" in str(caught.value)
    log.lease.release()
    with pytest.raises(StoreError, match="only the holder of a cell's lease"):
        store.commit(Commit(log.lease.epoch, [frame]))
    assert before == everything(store)


# --- instances ----------------------------------------------------------------------------------------------------


def test_an_instance_through_its_life(store: Store, log: Log) -> None:
    at = (TRAIN, 4)

    def row() -> tuple[object, ...]:
        found = store.instance("run1", at)
        assert found is not None
        outputs = None if found.outputs is None else bytes(found.outputs)
        told = None if found.failure is None else found.failure.message
        times = (found.started_at, found.ended_at)
        return (found.state.name, found.attempt, found.machine, times, outputs, told, found.external_id)

    log.write([RunPaused(NOW, "a")], [Change(at, State.waiting, State.ready, 1)])
    assert row() == ("ready", 1, None, (None, None), None, None, None)

    log.write([AttemptPlaced(NOW, at, 1, "m1")], [Change(at, State.ready, State.starting, 1)])
    assert row() == ("starting", 1, "m1", (None, None), None, None, None)

    log.write([AttemptStarted(NOW + 1, at, 1)], [Change(at, State.starting, State.running, 1)])
    log.write([JobRemembered(NOW + 2, at, 1, "job-7")])
    assert row() == ("running", 1, "m1", (NOW + 1, None), None, None, "job-7")

    log.write([AttemptFenced(NOW + 3, at, 1, "gone")], [Change(at, State.running, State.retrying, 1, "lost")])
    assert row() == ("retrying", 1, "m1", (NOW + 1, None), None, None, "job-7")

    log.write([RunPaused(NOW, "a")], [Change(at, State.retrying, State.ready, 2)])
    assert row() == ("ready", 2, None, (None, None), None, None, "job-7")

    failure = Failure("exit", "exit code 3", exit_code=3)
    log.write(
        [
            AttemptPlaced(NOW + 5, at, 2, "m2"),
            AttemptFailed(NOW + 7, at, 2, NOW + 6, Cause.user, failure),
        ],
        [
            Change(at, State.ready, State.starting, 2),
            Change(at, State.starting, State.failed, 2, "attempt 2 failed: exit code 3"),
        ],
    )
    assert row() == ("failed", 2, "m2", (NOW + 6, NOW + 7), None, "exit code 3", "job-7")

    log.write([RunReopened(NOW + 8, Selection(failed=True), 1, "a")], [Change(at, State.failed, State.waiting)])
    assert store.instance("run1", at) is None

    log.succeed(at, b'{"score":1}', attempt=3, at=NOW + 10)
    assert row() == ("succeeded", 3, "laptop", (NOW + 11, NOW + 12), b'{"score":1}', None, "job-7")

    story = [
        (row.attempt, row.began, row.ended, row.cause, row.failure.message, row.machine)
        for row in store.attempts("run1", at)
    ]
    assert story == [
        (1, NOW + 1, NOW + 3, Cause.platform, "gone", "m1"),
        (2, NOW + 6, NOW + 7, Cause.user, "exit code 3", "m2"),
    ]


def test_a_person_settles_what_nobody_knows(store: Store, log: Log) -> None:
    """Also when the attempt ended in the same frame: what the person says is what became of it."""
    for index, (verdict, after) in enumerate((("failed", State.failed), ("succeeded", State.succeeded))):
        at = (TRAIN, index)
        log.write(
            [
                AttemptFenced(NOW, at, 1, "gone"),
                OutcomeSettled(NOW + 1, at, verdict, msgspec.Raw(b'{"score":7}'), "ada"),
            ],
            [
                Change(at, State.running, State.outcome_unknown, 1, "gone"),
                Change(at, State.outcome_unknown, after, 1, "settled by ada"),
            ],
        )
    failed, succeeded = store.instances("run1")

    assert failed.failure == Failure("settled", "settled as failed by ada")
    assert failed.outputs is None
    assert (succeeded.failure, bytes(succeeded.outputs or b"")) == (None, b'{"score":7}')
    assert [row.instance for row in store.instances("run1", states=[State.outcome_unknown, State.failed])] == [(2, 0)]


def test_a_late_success_counts_although_the_attempt_was_given_up(store: Store, log: Log) -> None:
    at = (TRAIN, 0)
    log.write(
        [
            AttemptKilled(NOW, at, 1, NOW - 5),
            AttemptSucceeded(NOW + 1, at, 1, NOW - 5, msgspec.Raw(b'{"score":7}')),
        ],
        [
            Change(at, State.running, State.outcome_unknown, 1),
            Change(at, State.outcome_unknown, State.succeeded, 1),
        ],
    )
    (row,) = store.instances("run1")

    assert (row.state, bytes(row.outputs or b""), row.failure) == (State.succeeded, b'{"score":7}', None)
    (attempt,) = store.attempts("run1")
    assert (attempt.cause, attempt.failure.message) == (Cause.platform, "killed, though nobody asked for it")


def test_a_step_whose_inputs_cannot_be_evaluated(store: Store, log: Log) -> None:
    failure = Failure("evaluation", "division by zero")
    log.write([EvaluationFailed(NOW, (0,), failure)], [Change((0,), State.ready, State.failed, 1, "division by zero")])

    (row,) = store.instances("run1")
    assert row.failure == failure


def test_what_is_done_again_shows_nothing_old(store: Store, log: Log) -> None:
    """A composite that goes back to waiting takes with it all that is inside, and nothing that is beside it."""
    log.succeed((0,), b'{"rows":3}')
    log.write(*many(TRAIN, 3))
    log.succeed((3,), b'{"best":2}')
    log.write(
        [RunReopened(NOW, Selection(nodes=(1,)), 1, "ada")],
        [Change((1,), State.succeeded, State.waiting), Change((3,), State.succeeded, State.waiting)],
    )

    assert [row.instance for row in store.instances("run1")] == [(0,)]
    assert store.outputs_of("run1", TRAIN) == []


def test_changes_before_a_reset_in_the_same_frame_are_dropped(store: Store, log: Log) -> None:
    events, changes = many(TRAIN, 3)
    reopened = RunReopened(NOW, Selection(nodes=(1,)), 1, "ada")
    again_events, again_changes = many(TRAIN, 1, attempt=2)
    log.write(
        [*events, reopened, *again_events],
        [
            *changes,
            Change((1,), State.running, State.succeeded),
            Change((1,), State.succeeded, State.waiting),
            Change((1,), State.waiting, State.running),
            *again_changes,
        ],
    )

    found = {row.instance: (row.state, row.attempt) for row in store.instances("run1")}
    assert found == {(1,): (State.running, 0), (TRAIN, 0): (State.succeeded, 2)}


def test_items_that_end_unopened_have_no_rows(store: Store, log: Log) -> None:
    """Cancelling a loop of a hundred thousand must not write a hundred thousand rows."""
    changes = [Change((TRAIN, 5), State.waiting, State.cancelled, 0, "", 99_995)]
    log.write([RunPaused(NOW, "a")], changes, counts={TRAIN: [0] * 15 + [99_995]})

    assert store.instances("run1") == []
    assert [row.counts[State.cancelled] for row in store.nodes("run1")] == [99_995]


def test_items_that_wait_again_are_one_change(store: Store, log: Log) -> None:
    """Of those that were cancelled unopened, one by itself has a row; what follows or comes before them stays."""
    log.write(*many(TRAIN, 3))
    alone = Change((TRAIN, 5), State.waiting, State.cancelled)
    log.write([RunPaused(NOW, "a")], [alone])
    log.write(*many(TRAIN, 1, first=8))
    again = [Change((TRAIN, 3), State.cancelled, State.waiting, 0, "to be done again", 5)]
    log.write([RunReopened(NOW, Selection(failed=True), 1, "a")], again)
    assert [row.instance[1] for row in store.instances("run1")] == [0, 1, 2, 8]

    # The same in one frame.
    alike = [Change((TRAIN, 5), State.waiting, State.cancelled), Change((1,), State.running, State.cancelled)]
    log.write([RunPaused(NOW, "a"), RunReopened(NOW, Selection(failed=True), 2, "a")], [*alike, *again])
    assert [row.instance for row in store.instances("run1")] == [(1,), (2, 0), (2, 1), (2, 2), (2, 8)]
    assert [row.instance for row in store.instances("run1", states=[State.cancelled])] == [(1,)]


def test_a_deep_instance_is_addressed_by_all_its_indexes(store: Store, log: Log) -> None:
    instances = [(9, 0, 0, 1), (9, 0, 1, 0), (9, 1, 0, 0), (9, 256, 0, 0), (9, 0, 0, 0)]
    for instance in instances:
        log.succeed(instance, b'{"at":"%s"}' % str(instance).encode())

    assert sorted(instances) == [row.instance for row in store.instances("run1")]
    found = store.outputs_of("run1", 9, prefix=(0,))
    assert [row.indexes for row in found] == [(0, 0, 0), (0, 0, 1), (0, 1, 0)]
    exact = store.outputs_of("run1", 9, [(1, 0, 0), (7, 7, 7), (0, 0, 1)])
    assert [row.indexes for row in exact] == [(0, 0, 1), (1, 0, 0)]
    assert [row.indexes for row in store.outputs_of("run1", 9, limit=2)] == [(0, 0, 0), (0, 0, 1)]


# --- nodes --------------------------------------------------------------------------------------------------------


def test_nodes_add_up(store: Store, log: Log) -> None:
    log.write([RunPaused(NOW, "a")], [Change((1,), State.waiting, State.running)], counts={1: [0] * 4 + [1] + [0] * 11})
    counts = [0] * 10 + [4] + [0] * 5
    log.write(*many(TRAIN, 4), counts={TRAIN: counts})
    slow = AttemptSucceeded(NOW + 20, (TRAIN, 9), 1, NOW + 10, msgspec.Raw(b"{}"))
    log.write([slow], [Change((TRAIN, 9), State.starting, State.succeeded, 1)])
    loop, train = store.nodes("run1")

    assert (train.node, train.counts) == (TRAIN, counts)
    assert train.mean_s == pytest.approx((4 * 1 + 10) / 5)
    assert (train.first_started, train.last_ended) == (NOW + 1, NOW + 20)
    assert (loop.node, loop.mean_s, loop.first_started, loop.last_ended) == (1, None, NOW, None)


def test_a_success_that_is_told_twice_counts_once(store: Store, log: Log) -> None:
    log.write(*many(TRAIN, 1))
    log.write([AttemptSucceeded(NOW + 500, (TRAIN, 0), 1, NOW, msgspec.Raw(b'{"score":"other"}'))])

    assert [(row.node, row.mean_s) for row in store.nodes("run1")] == [(TRAIN, 1.0)]
    (row,) = store.outputs_of("run1", TRAIN)
    assert bytes(row.outputs or b"") == b'{"score":0}'


def test_durations_are_learnt_over_runs(store: Store) -> None:
    """A step that has become faster is soon known to be so: earlier runs count half, and half again."""
    lease = store.acquire("local", "a test")
    version = put(store, sweep())
    for number, seconds in enumerate((8.0, 2.0)):
        log = Log(store, lease, f"run{number}", version)
        done = AttemptSucceeded(NOW + seconds, (0,), 1, NOW, msgspec.Raw(b"{}"))
        log.write([done], [Change((0,), State.starting, State.succeeded, 1)], counts={0: [0] * 16})
        loop = [Change((1,), State.waiting, State.running), Change((1,), State.running, State.succeeded)]
        log.write([RunPaused(NOW + 2 * seconds, "a")], loop, counts={1: [0] * 16})
        state = RunState.succeeded if number else RunState.failed
        log.write([RunPaused(NOW + 10 * seconds, "a")], state=state)

    # The first run failed: how long it took as a whole says nothing.
    assert store.durations("sweep") == {"": 20.0, "prepare": pytest.approx((8 * 0.5 + 2) / 1.5), "each": 0.0}
    assert store.durations("other") == {}


# --- what steps tell beside their end -----------------------------------------------------------------------------


def test_links_values_and_jobs(store: Store, log: Log) -> None:
    at = (TRAIN, 1)
    log.write(
        [
            LinkShown(NOW, at, 1, "ui", "http://a"),
            LinkShown(NOW, at, 1, "ui", "http://b"),
            LinkShown(NOW, at, 1, "logs", "http://c"),
            ValueEmitted(NOW + 1, at, 1, "loss", msgspec.Raw(b"0.5")),
            ValueEmitted(NOW + 2, at, 1, "loss", msgspec.Raw(b"0.25")),
            ValueEmitted(NOW + 3, (0,), 1, "loss", msgspec.Raw(b"[]")),
            JobRemembered(NOW, at, 1, "job-1"),
            JobRemembered(NOW, at, 3, "job-3"),
        ]
    )

    assert [(row.name, row.url) for row in store.links("run1", at)] == [("logs", "http://c"), ("ui", "http://b")]
    assert store.links("run1", (0,)) == []
    assert len(store.links("run1")) == 2
    values = store.emitted("run1", at)
    assert [(row.at, row.name, bytes(row.value)) for row in values] == [
        (NOW + 1, "loss", b"0.5"),
        (NOW + 2, "loss", b"0.25"),
    ]
    assert [row.instance for row in store.emitted("run1", after=values[-1].position)] == [(0,)]
    assert store.external_id("run1", at, 1) == "job-3"
    assert store.external_id("run1", at, 4) is None
    assert store.external_id("run1", (0,), 1) is None


def test_cursors_are_kept_by_cell(tmp_path: object, store: Store, log: Log) -> None:
    store.commit(Commit(log.lease.epoch, [], [], {"e1": 5, "e2": 9}))
    store.commit(Commit(log.lease.epoch, [], [], {"e1": 8}))
    log.lease.release()
    lease = store.acquire("other", "a test")
    store.commit(Commit(lease.epoch, [], [], {"e3": 1}))

    assert store.cursors("local") == {"e1": 8, "e2": 9}
    assert store.cursors() == {"e1": 8, "e2": 9, "e3": 1}


def test_a_store_that_was_closed_and_opened_goes_on(store: Store, log: Log) -> None:
    """Also what the writer remembers of runs and samples is found again."""
    log.write([RunPaused(NOW, "a")], [Change((0,), State.ready, State.running, 1)])
    store.write_samples([SampleRecord("run1", (0,), 1, NOW, 0.5, "half")])
    place = store.place.removeprefix("the store ")
    store.close()
    with open_store(place) as again:
        log.store, log.lease = again, again.acquire("local", "a test")
        again.write_samples([SampleRecord("run1", (0,), 1, NOW + 1, None, "more")])
        assert [(sample.fraction, sample.message) for sample in again.samples("run1")] == [(0.5, "more")]
        log.succeed((0,))
        assert again.samples("run1") == []
