"""Tests of the wake-up: whoever waits is woken across processes, at any depth of folders, and nobody polls fast."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from meson_core.store import open_store, wake
from meson_core.store.wake import SocketWakeUp
from tests.store.building import Log, many, python

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from meson_core.store.store import Store

# Long enough for a busy machine; a test that passes waits for none of it.
LONG_S = 20.0


def is_told(file: int) -> bool:
    return bool(select.select([file], [], [], 0)[0])


def test_a_commit_wakes_those_who_follow_logs(store: Store, log: Log) -> None:
    with open_store(store.place.removeprefix("the store "), read_only=True) as other:
        followers = [other.subscribe("log") for _ in range(3)]
        inbox = other.subscribe("wishes")

        log.write(*many(2, 1))

        for follower in followers:
            assert follower.wait(LONG_S)
            assert not is_told(follower.fileno())
        assert not is_told(inbox.fileno())
        for each in (*followers, inbox):
            each.close()
            each.close()


def test_a_wish_wakes_the_orchestrator(tmp_path: Path, store: Store) -> None:
    inbox = store.subscribe("wishes")
    code = "import sys; from meson_core.store import open_store\nwith open_store(sys.argv[1]) as store: store.put_wish('pause', 'r', by='a', cell='c')"
    process = python(code, tmp_path / ".meson")

    assert inbox.wait(LONG_S)

    process.communicate()
    assert len(store.wishes()) == 1
    inbox.close()


def test_news_are_not_lost_between_looking_and_waiting(store: Store) -> None:
    """Many at once wake once; one that comes after the draining wakes again."""
    inbox = store.subscribe("wishes")
    for _ in range(1000):  # more than a socket holds
        store.notify("wishes")
    inbox.drain()
    assert not is_told(inbox.fileno())

    store.notify("wishes")

    assert inbox.wait(LONG_S)
    inbox.close()


def test_those_who_died_are_forgotten(tmp_path: Path) -> None:
    wake_up = SocketWakeUp(tmp_path)
    alive = wake_up.subscribe("log")
    died = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    died.bind(str(tmp_path / "log" / "999-0"))
    died.close()

    wake_up.notify("log")

    assert alive.wait(LONG_S)
    assert [path.name for path in (tmp_path / "log").iterdir()] != []
    assert not (tmp_path / "log" / "999-0").exists()
    alive.close()
    assert list((tmp_path / "log").iterdir()) == []
    wake_up.notify("log")
    wake_up.close()
    wake_up.close()


def test_late_comers_are_told_as_well(tmp_path: Path) -> None:
    """Who is there is remembered from one commit to the next; one who came in between must not be overlooked."""
    wake_up = SocketWakeUp(tmp_path)
    for _ in range(30):
        wake_up.notify("log")
        late = wake_up.subscribe("log")
        wake_up.notify("log")
        assert is_told(late.fileno())
        late.close()
    wake_up.close()


def test_folders_may_be_deep(tmp_path: Path) -> None:
    """The path of a socket has at most 107 bytes; that of a project may have more."""
    deep = tmp_path / ("a" * 60) / ("ü" * 60) / ("c" * 60)
    assert len(str(deep)) > 200
    wake_up = SocketWakeUp(deep)
    inbox = wake_up.subscribe("wishes")
    assert inbox.fileno() >= 0

    other = SocketWakeUp(deep)
    other.notify("wishes")
    other.close()

    assert inbox.wait(LONG_S)
    assert inbox.look_s == wake.WOKEN_S
    inbox.close()
    assert list((deep / "wishes").iterdir()) == []


def test_without_sockets_everyone_looks_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have none; then news is found by looking, once a second and no faster."""
    (tmp_path / "log").write_text("in the way")
    monkeypatch.setattr(wake._Unwoken, "look_s", 0.05)
    wake_up = SocketWakeUp(tmp_path)
    follower = wake_up.subscribe("log")
    wake_up.notify("log")

    assert follower.fileno() == -1
    began = time.monotonic()
    assert not follower.wait(LONG_S)
    assert 0.05 <= time.monotonic() - began < LONG_S
    follower.drain()
    follower.close()
    assert wake.UNWOKEN_S == 1.0


def test_nobody_waits_longer_than_is_wise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who had news may have died before he told; so even who is woken looks by himself."""
    monkeypatch.setattr(wake._Woken, "look_s", 0.05)
    follower = SocketWakeUp(tmp_path).subscribe("log")

    assert not follower.wait(LONG_S)
    assert not follower.wait(-1.0)
    follower.close()


def test_telling_never_fails(tmp_path: Path) -> None:
    """A commit must not fail because somebody left rubbish among the sockets."""
    wake_up = SocketWakeUp(tmp_path)
    follower = wake_up.subscribe("log")
    (tmp_path / "log" / "a file").write_text("")
    (tmp_path / "log" / "a folder").mkdir()

    wake_up.notify("log")

    assert follower.wait(LONG_S)
    follower.close()
    wake_up.close()
