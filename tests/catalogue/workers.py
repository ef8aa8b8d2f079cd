"""Owns the processes beside the orchestrator that are killed: one that prunes without end, one that puts files by hand."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.client import connect
from meson_core.client.pruning import prune

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerProcess

#: Different contents that steps and hands put in the same two seconds: few, so that bytes which nothing names are often
#: put again just when they are deleted. Later ones are others, so that there always are some that nothing names.
POOL = 6
#: By how much the clocks of this machine's processes and its file system differ.
SKEW_S = 0.05
NAMES = ("rates", "users", "cohort")


def content(rng: random.Random) -> bytes:
    """A content of its own, mostly; else one that steps put at the moment, and would leave behind."""
    if rng.randrange(20):
        return b"by hand %d" % rng.randrange(POOL)
    return b"content %d %d" % (time.time() // 2, rng.randrange(POOL))


def prune_without_end(project: str, journal: str) -> None:
    """Prune with no grace at all: whatever stays does so because somebody needs it."""
    _prune(project, journal, grace_s=0.0, older_than_s=None)


def forget_without_end(project: str, journal: str) -> None:
    """Give up versions of half a second as well; the grace covers a result that is being restored just then."""
    _prune(project, journal, grace_s=1.0, older_than_s=0.5)


def _prune(project: str, journal: str, *, grace_s: float, older_than_s: float | None) -> None:
    with connect(project) as client, Path(journal).open("a") as told:
        while True:
            done = prune(
                client.store,
                client._artifacts.bytes,
                now=time.time(),
                grace_s=grace_s,
                older_than_s=older_than_s,
                skew_s=SKEW_S,
            )
            told.write(json.dumps([done.deleted, done.forgotten, done.leftovers]) + "\n")
            told.flush()


def put_without_end(project: str, journal: str) -> None:
    """Put files and folders by hand; the journal says what was begun, and what its number is once that is told."""
    rng = random.Random()
    with connect(project) as client, Path(journal).open("a") as told:
        mine = Path(journal).parent / f"put-{os.getpid()}"
        mine.mkdir()
        while True:
            name, put = rng.choice(NAMES), content(rng)
            path = mine / "file"
            if rng.randrange(4) == 0:
                path = mine / "folder"
                path.mkdir(exist_ok=True)
                (path / "part").write_bytes(put)
            else:
                path.write_bytes(put)
            told.write(json.dumps(["begin", name]) + "\n")
            told.flush()
            record = client.put_artifact(path, name=name)
            told.write(json.dumps(["done", record.number, name, record.digest]) + "\n")
            told.flush()


class Beside:
    """A process that does one thing until it is killed; another takes its place.

    Args:
        what: it does.
        project: in which.
        journal: where it tells what it did.
    """

    def __init__(self, what: Callable[[str, str], None], project: Path, journal: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.catalogue.workers", "meson_core.client.client", "sqlalchemy"])
        self._what = what
        self._project = project
        self.journal = journal
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """Begin, unless it is at work.

        Raises:
            AssertionError: it ended by itself, which it never should.
        """
        if self._process is not None and self._process.is_alive():
            return
        assert self._process is None, f"{self._what.__name__} ended by itself ({self._process.exitcode})"
        arguments = (str(self._project), str(self.journal))
        self._process = self._context.Process(target=self._what, args=arguments, daemon=True)
        self._process.start()

    def kill(self) -> None:
        """`kill -9` it."""
        process, self._process = self._process, None
        if process is not None:
            assert process.is_alive(), f"{self._what.__name__} ended by itself ({process.exitcode})"
            process.kill()
            process.join()

    def end(self) -> None:
        """Leave no process behind, whatever became of it."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def lines(self) -> int:
        """How many lines it has told, and those before it."""
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0

    def told(self) -> list[list[object]]:
        """What it told, and those before it; a line that a kill cut short is none."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found
