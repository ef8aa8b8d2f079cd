"""Tests of the inbox: wishes arrive as they were made, and each is answered once, with what it led to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.commands import Change
from meson_core.errors import StoreError
from meson_core.events import RunPaused, Selection
from meson_core.spec.states import RunState, State
from meson_core.store.records import Commit, WishReceipt
from meson_core.store.wishes import BODIES, Plain, Retry, Send, Settle, Skip, Start, Step, WishBody, WishKind
from tests.store.building import NOW, Log

if TYPE_CHECKING:
    from meson_core.store import Store

WISHES: list[tuple[WishKind, WishBody]] = [
    ("start", Start("sha256:1", "code", {"alpha": 0.5, "names": ["a"]}, "ada")),
    ("cancel", Plain()),
    ("pause", Plain()),
    ("resume", Plain()),
    ("hold", Step(3)),
    ("release", Step(3)),
    ("skip", Skip(Selection(nodes=(1, 2)))),
    ("retry", Retry(Selection(failed=True, instances=((2, 1), (2, 7))), "code2")),
    ("send", Send((2, 4), "stop early", {"at": 3})),
    ("settle", Settle((2, 4), "succeeded", {"model": "m"})),
]


def test_wishes_arrive_as_they_were_made(store: Store) -> None:
    numbers = [store.put_wish(what, "run1", body, by="ada", cell="local") for what, body in WISHES]
    found = store.wishes()

    assert sorted(BODIES) == sorted(what for what, _ in WISHES)
    assert numbers == [wish.wish_id for wish in found] == sorted(numbers)
    assert WISHES == [(wish.what, wish.body) for wish in found]
    assert {(wish.run_id, wish.by) for wish in found} == {("run1", "ada")}
    assert found[3:] == store.wishes(after=numbers[2])


def test_wishes_go_to_their_cell(store: Store) -> None:
    store.put_wish("cancel", "run1", by="ada", cell="local")
    store.put_wish("cancel", "run2", by="ada", cell="gpu")

    assert ["run2"] == [wish.run_id for wish in store.wishes(cell="gpu")]
    assert [] == store.wishes(cell="nobody")
    assert 2 == len(store.wishes())


def test_a_wish_is_answered_with_what_it_led_to(store: Store, log: Log) -> None:
    pause = store.put_wish("pause", "run1", by="ada", cell="local")
    cancel = store.put_wish("cancel", "run1", by="ada", cell="local")
    assert store.receipt(pause) is None

    frame = log.frame([RunPaused(NOW, "ada")], state=RunState.paused)
    store.commit(Commit(log.lease.epoch, [frame], [WishReceipt(pause, answer={"run_id": "run1"})]))

    assert store.receipt(pause) == WishReceipt(pause, "", {"run_id": "run1"})
    assert [wish.wish_id for wish in store.wishes()] == [cancel]

    store.commit(Commit(log.lease.epoch, [], [WishReceipt(cancel, "it has ended")]))
    assert store.receipt(cancel) == WishReceipt(cancel, "it has ended", None)
    assert store.wishes() == []


def test_a_wish_is_answered_once(store: Store, log: Log) -> None:
    """Should two orchestrators ever deal with one wish, what the second makes of it is not written."""
    wish = store.put_wish("pause", "run1", by="ada", cell="local")
    store.commit(Commit(log.lease.epoch, [], [WishReceipt(wish)]))
    again = log.frame([RunPaused(NOW, "ada")], [Change((0,), State.ready, State.starting)], state=RunState.paused)

    with pytest.raises(StoreError, match=f"one of the wishes {wish} was answered before"):
        store.commit(Commit(log.lease.epoch, [again], [WishReceipt(wish, "second")]))

    assert store.receipt(wish) == WishReceipt(wish)
    assert len(store.log("run1")) == 1
    assert store.instances("run1") == []


def test_what_was_not_written_has_no_receipt(store: Store, log: Log) -> None:
    wish = store.put_wish("pause", "run1", by="ada", cell="local")
    wrong = log.frame([RunPaused(NOW, "ada")])
    with pytest.raises(StoreError):
        store.commit(Commit(log.lease.epoch, [wrong, wrong], [WishReceipt(wish)]))

    assert store.receipt(wish) is None
    assert [each.wish_id for each in store.wishes()] == [wish]
    assert store.receipt(12345) is None
