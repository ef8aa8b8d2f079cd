"""Owns the tests of prune: what goes, what stays, and that nothing goes that somebody is about to name."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from meson_core.builtin.files import Files
from meson_core.client import connect, pruning
from meson_core.commands import Change
from meson_core.errors import ArtifactError, ConflictError
from meson_core.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Failure
from meson_core.spec.states import Cause, State
from tests.store.building import Log, put, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meson_core.client import Client

DAY_S = 86400.0


class Place:
    """A project with a run under way, and what lies in its artifact store.

    Args:
        client: to it.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.files = Files(client.directory / "artifacts")
        self.folder = client.directory / "artifacts" / "sha256"
        store = client.store
        self.log = Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()), at=time.time() - 9 * DAY_S)

    def upload(self, content: str, age_s: float) -> str:
        """Bytes that were put so many seconds ago."""
        source = self.client.directory / "upload"
        source.write_text(content)
        digest = self.files.put(source)
        self.age(digest, age_s)
        return digest

    def age(self, digest: str, age_s: float) -> None:
        then = time.time() - age_s
        os.utime(self.folder / digest[7:9] / digest[9:], (then, then))

    def begin(self, index: int, age_s: float) -> None:
        self.log.write(
            [AttemptStarted(time.time() - age_s, (2, index), 1)], [Change((2, index), State.starting, State.running, 1)]
        )

    def succeed(self, index: int, digest: str) -> None:
        now = time.time()
        value = {"m": {"$artifact": digest, "size": 1, "name": "m", "media": "text/plain"}}
        event = AttemptSucceeded(now, (2, index), 1, now - 1, msgspec.Raw(json.dumps(value).encode()))
        self.log.write([event], [Change((2, index), State.running, State.succeeded, 1)])

    def fail(self, index: int) -> None:
        now = time.time()
        event = AttemptFailed(now, (2, index), 1, now - 1, Cause.user, Failure("exit", "exit code 1"))
        self.log.write([event], [Change((2, index), State.running, State.failed, 1)])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "meson.toml").touch()
    with connect(tmp_path, create=True) as client:
        yield Place(client)


def test_what_nothing_names_goes_after_the_grace_period(place: Place) -> None:
    named, young, old = place.upload("named", 9 * DAY_S), place.upload("young", 60), place.upload("old!!", 2 * DAY_S)
    place.succeed(0, named)

    would = place.client.prune_artifacts(dry_run=True)
    assert (would.deleted, would.freed, would.kept, would.held) == (1, 5, 2, 1)
    assert place.files.exists(old)

    done = place.client.prune_artifacts()
    assert (done.deleted, done.freed, done.kept, done.held) == (1, 5, 2, 1)
    assert [place.files.exists(each) for each in (named, young, old)] == [True, True, False]
    assert place.client.prune_artifacts().deleted == 0


def test_what_an_attempt_in_flight_has_put_stays_however_long_it_takes(place: Place) -> None:
    """A step of three days puts something on its first day, and tells of it on the third."""
    place.begin(0, 3 * DAY_S)
    before, since = place.upload("before it began", 4 * DAY_S), place.upload("since then", 2.5 * DAY_S)

    assert place.client.prune_artifacts().deleted == 1
    assert [place.files.exists(each) for each in (before, since)] == [False, True]

    place.fail(0)
    assert place.client.prune_artifacts().deleted == 1
    assert not place.files.exists(since)


def test_what_is_put_again_between_the_reading_and_the_deletion_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue was read before the attempt began: only the store's own look can tell."""
    digest = place.upload("old and unnamed", 9 * DAY_S)
    asked = place.client.store.needed_artifacts

    def begin_after_the_reading() -> object:
        found = asked()
        place.begin(0, 0)
        place.files.put(place.client.directory / "upload")
        place.succeed(0, digest)
        return found

    monkeypatch.setattr(place.client.store, "needed_artifacts", begin_after_the_reading)
    assert place.client.prune_artifacts(grace_s=0).deleted == 0
    assert place.files.exists(digest)


def test_a_file_that_is_put_by_hand_beside_a_prune_is_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes come before its row: a prune in between deletes them, and they are put again."""
    source = place.client.directory / "rates.csv"
    source.write_text("a,b")
    add = place.client.store.add_artifact
    deleted: list[int] = []

    def prune_first(name: str, value: dict[str, object], at: float, claim: Callable[[], bool]) -> int | None:
        if not deleted:
            place.age(str(value["$artifact"]), DAY_S)
            deleted.append(place.client.prune_artifacts(grace_s=0).deleted)
        return add(name, value, at, claim)

    monkeypatch.setattr(place.client.store, "add_artifact", prune_first)
    record = place.client.put_artifact(source)

    assert deleted == [1]
    assert place.files.exists(record.digest)
    assert [each.number for each in place.client.artifacts()] == [record.number]


def test_versions_that_are_given_up_are_still_known(place: Place) -> None:
    source = place.client.directory / "rates.csv"
    for content in ("old", "new"):
        source.write_text(content)
        record = place.client.put_artifact(source)
        place.age(record.digest, 2 * DAY_S)

    done = place.client.prune_artifacts(older_than_s=0)

    assert (done.forgotten, done.deleted) == (1, 1)
    assert [each.number for each in place.client.artifacts(name="rates.csv")] == [2, 1]
    assert place.client.lineage(1).forgotten_at is not None
    with pytest.raises(ArtifactError, match=r"the bytes of rates.csv #1 were pruned on \d\d\d\d-\d\d-\d\d"):
        place.client.artifact(1).open()
    with place.client.artifact(2).open() as file:
        assert file.read() == b"new"


def test_a_place_that_others_may_share_is_asked_about(tmp_path: Path) -> None:
    """What the catalogues of other projects name is not known here."""
    (tmp_path / "meson.toml").write_text('[artifact_stores.files]\nfolder = "shared"\n')
    with connect(tmp_path, create=True) as client:
        with pytest.raises(ConflictError, match="where other projects may keep theirs"):
            client.prune_artifacts()
        assert client.prune_artifacts(sole=True).deleted == 0


def test_what_is_left_of_uploads_goes_by_the_same_rule(place: Place) -> None:
    place.upload("something", 0)
    half = place.folder / "incoming-x"
    half.write_text("half")
    then = time.time() - 2 * DAY_S
    os.utime(half, (then, then))
    place.begin(0, 3 * DAY_S)

    assert place.client.prune_artifacts().leftovers == 0
    place.fail(0)
    assert place.client.prune_artifacts().leftovers == 1
    assert not half.exists()
    assert pruning.GRACE_S == DAY_S
