"""Tests of the catalogue: which versions it has after which frames, what went into them, and what used them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.commands import Change
from meson_core.events import AttemptSucceeded, OutcomeSettled, RunReopened, Selection
from meson_core.spec.states import State
from meson_core.store.catalogue import ArtifactQuery
from meson_core.store.records import Origin
from tests.store.building import NOW, Log, put, sweep

if TYPE_CHECKING:
    from meson_core.store import Store

EVERY = ArtifactQuery()


def there() -> bool:
    return True


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def value(number: int, **others: Any) -> dict[str, Any]:
    return {"$artifact": digest(number), "size": number, "name": "a.csv", "media": "text/csv", **others}


def begin(store: Store, run_id: str = "run1", cell: str = "local") -> Log:
    return Log(store, store.acquire(cell, "a test"), run_id, put(store, sweep()))


def succeed(log: Log, instance: tuple[int, ...], outputs: Any, attempt: int = 1, origin: Origin | None = None) -> None:
    event = AttemptSucceeded(NOW + 2, instance, attempt, NOW + 1, msgspec.Raw(json.dumps(outputs).encode()))
    change = Change(instance, State.running, State.succeeded, attempt)
    log.write([event], [change], origins={} if origin is None else {instance: origin})


def test_every_artifact_in_the_outputs_has_a_name_and_where_it_comes_from(store: Store) -> None:
    log = begin(store)
    origin = Origin(items=b'{"region":"north"}', key="model/north")
    outputs = {"model": value(1, type="pickle", meta={"rows": 3}), "by": {"x": value(2)}, "many": [1, value(3)]}
    succeed(log, (2, 4), outputs, origin=origin)

    found = store.artifacts(EVERY)

    assert [(each.record.name, each.record.digest) for each in found] == [
        ("train.many[1]", digest(3)),
        ("train.by.x", digest(2)),
        ("train.model", digest(1)),
    ]
    model = found[-1]
    record = model.record
    assert (record.key, record.type, record.size, record.media, record.file) == (
        "model/north",
        "pickle",
        1,
        "text/csv",
        "a.csv",
    )
    assert (record.run_id, record.workflow, record.step, record.instance, record.attempt) == (
        "run1",
        "sweep",
        "train",
        (2, 4),
        1,
    )
    assert (record.items, record.params, record.meta, record.at) == (
        {"region": "north"},
        {"alpha": 0.5},
        {"rows": 3},
        NOW + 2,
    )
    assert (model.code, model.forgotten_at) == ("code0", None)
    assert store.artifact(record.number) == model


def test_what_is_no_artifact_makes_no_row(store: Store) -> None:
    """Also not what only looks like one: a digest is never believed to be more than it is."""
    log = begin(store)
    succeed(log, (0,), {"note": 'it says "$artifact"', "odd": {"$artifact": 3}, "short": {"$artifact": "sha256:12"}})
    succeed(log, (2, 0), {"bare": {"$artifact": digest(7), "size": "large", "name": None, "meta": []}})

    (only,) = store.artifacts(EVERY)

    assert (only.record.digest, only.record.size, only.record.file, only.record.meta) == (digest(7), 0, "", {})


def test_a_success_that_changes_nothing_makes_no_row(store: Store) -> None:
    """A late success of an attempt that was given up is in the log, and nowhere else."""
    log = begin(store)
    late = AttemptSucceeded(NOW, (0,), 1, NOW, msgspec.Raw(json.dumps({"m": value(1)}).encode()))
    log.write([late])

    assert store.artifacts(EVERY) == []


def test_done_again_is_a_later_version_and_the_earlier_one_stays(store: Store) -> None:
    log = begin(store)
    succeed(log, (0,), {"m": value(1)})
    log.write([RunReopened(NOW, Selection(nodes=(0,)), 1, "ada")], [Change((0,), State.succeeded, State.waiting, 0)])
    succeed(log, (0,), {"m": value(2)}, attempt=2)

    assert [(each.record.digest, each.record.attempt) for each in store.artifacts(EVERY)] == [
        (digest(2), 2),
        (digest(1), 1),
    ]


def test_what_a_person_settles_is_catalogued(store: Store) -> None:
    log = begin(store)
    settled = OutcomeSettled(NOW, (0,), "succeeded", msgspec.Raw(json.dumps({"m": value(5)}).encode()), "ada")
    log.write([settled], [Change((0,), State.outcome_unknown, State.succeeded, 1)])

    assert [each.record.name for each in store.artifacts(EVERY)] == ["prepare.m"]


def test_versions_are_found_by_what_is_known_of_them(store: Store) -> None:
    log = begin(store)
    for index in range(3):
        succeed(log, (2, index), {"m": value(index)}, origin=Origin(key=f"m/{index}"))
    by_hand = store.add_artifact("rates", value(9, type="table"), NOW + 50, there)

    def names(limit: int = 100, **asked: Any) -> list[int]:
        return [each.record.number for each in store.artifacts(ArtifactQuery(**asked), limit=limit)]

    assert names(limit=2) == [by_hand, 3]
    assert names(before=3) == [2, 1]
    assert names(name="train.m") == [3, 2, 1]
    assert names(key="m/1") == [2]
    assert names(workflow="sweep", run_id="run1") == [3, 2, 1]
    assert names(workflow="other") == []
    assert names(types=("table",)) == [by_hand]
    assert names(types=("table", "")) == [by_hand, 3, 2, 1]
    assert names(since=NOW + 3) == [by_hand]
    assert names(digest=digest(2)) == [3]
    assert [each.record.number for each in store.artifacts_by_digest("sha256:" + "0" * 63)] == [by_hand, 3, 2, 1]
    assert [each.record.number for each in store.artifacts_by_digest(digest(1))] == [2]


def test_lineage_goes_both_ways(store: Store) -> None:
    log = begin(store)
    succeed(log, (0,), {"m": value(1)})
    used = Origin(uses=(("data", digest(1)), ("other", digest(8))))
    succeed(log, (2, 0), {"score": 0.5}, origin=used)
    succeed(log, (2, 1), {"m": value(2)}, origin=used)

    made = store.artifacts(ArtifactQuery(name="train.m"))[0].record
    source = store.artifacts(ArtifactQuery(name="prepare.m"))[0]

    assert store.inputs_of(made) == [("data", digest(1), source), ("other", digest(8), None)]
    assert store.inputs_of(source.record) == []
    assert [(use.step, use.instance, use.attempt, use.place) for use in store.uses_of(digest(1))] == [
        ("train", (2, 0), 1, "data"),
        ("train", (2, 1), 1, "data"),
    ]
    assert store.uses_of(digest(2)) == []


def test_the_latest_version_before_is_what_went_in(store: Store) -> None:
    """Equal bytes may come from several steps; what came later cannot have been the input."""
    log = begin(store)
    first = store.add_artifact("rates", value(1), NOW, there)
    succeed(log, (0,), {"m": value(2)}, origin=Origin(uses=(("rates", digest(1)),)))
    store.add_artifact("rates", value(1), NOW + 10, there)

    made = store.artifacts(ArtifactQuery(name="prepare.m"))[0].record
    ((_, _, found),) = store.inputs_of(made)

    assert found is not None
    assert found.record.number == first
