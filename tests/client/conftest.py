"""Owns the fixtures of the client's tests: a client of a real store, and somebody who answers its wishes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from meson_core.client import Client
from meson_core.store import open_store
from meson_core.store.records import Commit, WishReceipt
from tests.store.building import Log, put, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meson_core.store.store import Store
    from meson_core.store.wishes import Wish

Answer = tuple[str, object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".meson"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """As the orchestrator has it."""
    with open_store(folder) as opened:
        yield opened


@pytest.fixture
def log(store: Store) -> Log:
    """The log of a run of the sweep workflow that has just been created."""
    return Log(store, store.acquire("local", "a test"), "run1", put(store, sweep()))


@pytest.fixture
def client(folder: Path, store: Store) -> Iterator[Client]:
    """As somebody else has it."""
    with Client(open_store(folder, create=False), folder, by="ada") as opened:
        yield opened


class Server:
    """Answers every wish of a cell, in a thread: with nothing done, but with a receipt that is in the store.

    Args:
        folder: of the store.
        answer: says for a wish what its refusal and its answer are.
    """

    def __init__(self, folder: Path, answer: Callable[[Wish], Answer]) -> None:
        self._folder = folder
        self._answer = answer
        self.wishes: list[Wish] = []
        self._stopped = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        with open_store(self._folder) as store:
            lease = store.acquire("local", "mesonctl serve")
            inbox = store.subscribe("wishes")
            self._ready.set()
            while not self._stopped.is_set():
                for wish in store.wishes():
                    self.wishes.append(wish)
                    refusal, answer = self._answer(wish)
                    store.commit(Commit(lease.epoch, [], [WishReceipt(wish.wish_id, refusal, answer)]))
                inbox.wait(5.0)
                inbox.drain()
            inbox.close()

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with open_store(self._folder) as store:
            store.notify("wishes")
        self._thread.join()


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(answer: Callable[[Wish], Answer] = lambda _: ("", None)) -> Server:
        server = Server(folder, answer)
        server.__enter__()
        servers.append(server)
        return server

    yield begin
    for server in servers:
        server.__exit__()
