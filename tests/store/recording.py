"""Owns the recorded stores: `python -m tests.store.recording` writes one of the newest revision, to be kept in git."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from meson_core.commands import Change
from meson_core.events import AttemptFailed, AttemptPlaced, Failure, Selection
from meson_core.spec.states import Cause, RunState, State
from meson_core.store import open_store, versions
from meson_core.store.wishes import Retry
from tests.store.building import NOW, Log, many, put, sweep


def record(target: Path) -> None:
    """Write the dump of a small store with a bit of everything."""
    with tempfile.TemporaryDirectory() as folder:
        with open_store(folder) as store:
            log = Log(store, store.acquire("local", "a recording"), "run1", put(store, sweep()))
            log.succeed((0,), b'{"rows":3}')
            log.write(*many(2, 1))
            failure = Failure("exit", "exit code 1", exit_code=1)
            log.write(
                [
                    AttemptPlaced(NOW, (2, 1), 1, "laptop"),
                    AttemptFailed(NOW + 1, (2, 1), 1, NOW, Cause.user, failure),
                ],
                [Change((2, 1), State.starting, State.failed, 1, "attempt 1 failed: exit code 1")],
                counts={2: [0] * 10 + [1, 0, 0, 1, 0, 0]},
                state=RunState.failed,
                snapshot=b"snapshot",
            )
            store.put_wish("retry", "run1", Retry(Selection(failed=True)), by="ada", cell="local")
        connection = sqlite3.connect(Path(folder) / "store.db")
        target.write_text("\n".join(connection.iterdump()) + "\n")
        connection.close()


if __name__ == "__main__":
    record(Path(__file__).parent / "recorded" / f"{versions.HEAD}.sql")
