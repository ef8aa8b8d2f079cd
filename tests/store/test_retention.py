"""Tests of what must stay in the artifact store: what rows name, and what attempts in flight may be about to name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from meson_core.commands import Change
from meson_core.events import AttemptPlaced, AttemptStarted, AttemptSucceeded, RunCancelRequested, ValueEmitted
from meson_core.spec.model import Constant, Step, Workflow
from meson_core.spec.states import RunState, State
from meson_core.store.catalogue import ArtifactQuery
from meson_core.store.records import Origin
from meson_core.store.wishes import Start
from tests.store.building import NOW, Log, put, sweep

if TYPE_CHECKING:
    from meson_core.store import Store


def there() -> bool:
    return True


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def value(number: int) -> dict[str, Any]:
    return {"$artifact": digest(number), "size": 1, "name": "a", "media": "text/plain"}


def raw(content: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(content).encode())


def succeed(log: Log, instance: tuple[int, ...], number: int, at: float = NOW, items: bytes = b"{}") -> None:
    log.write(
        [AttemptSucceeded(at, instance, 1, at, raw({"m": value(number)}))],
        [Change(instance, State.running, State.succeeded, 1)],
        origins={instance: Origin(items=items)},
    )


def end(log: Log) -> None:
    log.write([RunCancelRequested(NOW, "a")], state=RunState.cancelled)


def numbers(store: Store) -> set[int]:
    return {int(each[7:], 16) for each in store.needed_artifacts().digests}


def test_all_that_a_run_works_on_is_named(store: Store) -> None:
    constant = Step(name="a", kind="shell", inputs={"x": Constant(value=value(1))})
    log = Log(store, store.acquire("local", "a test"), "run1", put(store, Workflow(name="w", body=(constant,))))
    succeed(log, (0,), 2)
    log.write([ValueEmitted(NOW, (0,), 1, "plot", raw({"svg": value(3)}))])
    store.add_artifact("rates", value(4), NOW, there)
    wish = Start(workflow=put(store, sweep()), code="", params={"data": [value(5)]})
    store.put_wish("start", "run2", wish, by="ada", cell="local")
    log.write(
        [AttemptSucceeded(NOW, (0,), 2, NOW, raw({"m": value(6), "note": "sha256:12"}))],
        [Change((0,), State.running, State.succeeded, 2)],
    )

    # The digest of the wished workflow is taken for one too: too much is kept rather than too little.
    assert {number for number in numbers(store) if number < 100} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("state", [State.starting, State.running, State.lost, State.cancelling, State.outcome_unknown])
def test_an_attempt_in_flight_may_name_what_it_put_since_it_began(store: Store, state: State) -> None:
    log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()), at=NOW - 100)
    assert store.needed_artifacts().busy_since is None
    log.write([AttemptPlaced(NOW - 60, (0,), 1, "m")], [Change((0,), State.ready, State.starting, 1)])
    assert store.needed_artifacts().busy_since == NOW - 100  # when it began is not known
    log.write([AttemptStarted(NOW - 50, (0,), 1)], [Change((0,), State.starting, State.running, 1)])
    if state is not State.running:
        log.write([RunCancelRequested(NOW, "a")], [Change((0,), State.running, state, 1)])

    assert store.needed_artifacts().busy_since == NOW - 50


def test_what_has_ended_is_in_flight_no_more(store: Store) -> None:
    log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))
    log.succeed((0,))
    log.write([AttemptStarted(NOW, (2, 0), 1)], [Change((2, 0), State.running, State.retrying, 1)])

    assert store.needed_artifacts().busy_since is None


def forgotten(store: Store) -> set[int]:
    return {int(each.record.digest[7:], 16) for each in store.artifacts(ArtifactQuery()) if each.forgotten_at}


def test_old_versions_are_given_up_and_the_latest_is_not(store: Store) -> None:
    lease, version = store.acquire("local", "a test"), put(store, sweep())
    for run in range(3):
        log = Log(store, lease, f"run{run}", version)
        for region in range(2):
            succeed(log, (2, region), 10 * run + region, at=NOW + run, items=b'{"r":%d}' % region)
        end(log)

    assert store.forget_artifacts(NOW + 1, NOW + 9) == 2
    assert forgotten(store) == {0, 1}
    assert store.forget_artifacts(NOW + 100, NOW + 9) == 2
    assert forgotten(store) == {0, 1, 10, 11}
    assert store.forget_artifacts(NOW + 100, NOW + 9) == 0
    assert numbers(store) == {20, 21}


def test_what_a_run_under_way_has_made_is_not_given_up(store: Store) -> None:
    lease, version = store.acquire("local", "a test"), put(store, sweep())
    first = Log(store, lease, "run1", version)
    succeed(first, (0,), 1)
    second = Log(store, lease, "run2", version)
    succeed(second, (0,), 2)
    end(second)

    assert store.forget_artifacts(NOW + 100, NOW) == 0
    end(first)
    assert store.forget_artifacts(NOW + 100, NOW) == 1
    assert forgotten(store) == {1}


def test_the_same_name_elsewhere_is_another_artifact(store: Store) -> None:
    """Two workflows may each have a step `prepare`; what is put by hand may be called the same again."""
    lease = store.acquire("local", "a test")
    for name in ("one", "two"):
        log = Log(store, lease, name, put(store, Workflow(name=name, body=(Step(name="prepare", kind="shell"),))))
        succeed(log, (0,), len(name) + ord(name[0]))
        end(log)
    store.add_artifact("prepare.m", value(1), NOW, there)
    store.add_artifact("prepare.m", value(2), NOW, there)

    assert store.forget_artifacts(NOW + 100, NOW) == 1
    assert forgotten(store) == {1}


def test_bytes_that_a_later_version_has_too_stay(store: Store) -> None:
    store.add_artifact("rates", value(1), NOW, there)
    store.add_artifact("rates", value(1), NOW, there)

    assert store.forget_artifacts(NOW + 100, NOW) == 1
    assert numbers(store) == {1}
