"""Owns the bare baselines: the least that any implementation must do, with nothing of Meson in it.

* `processes`: one thread, one epoll, `width` at a time: spawn in a session of its own, drain two pipes, reap.
* `fan_out`: two warm workers over socket pairs, batches, one SQLite commit (WAL, `synchronous=FULL`) per turn.
* `chain`: one warm worker; a commit before each launch and one after each result.
* `interpreter`, `imports`: what a Python process costs before it does anything.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How many attempts the skeleton hands to a worker at a time, as a real system would.
BATCH = 64


def processes(count: int, *, width: int = 4, program: str = "/bin/true") -> float:
    """Run `program` `count` times, `width` at a time; the rate in processes a second."""
    poll = select.epoll()
    started = ended = 0
    # pidfd -> pid, and both pipe ends still open per process
    pids: dict[int, int] = {}
    pipes: set[int] = set()
    begin = time.perf_counter()
    while ended < count:
        while started < count and started - ended < width:
            out_read, out_write = os.pipe()
            err_read, err_write = os.pipe()
            pid = os.posix_spawn(
                program,
                [program],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, out_write, 1), (os.POSIX_SPAWN_DUP2, err_write, 2)],
                setsid=True,
            )
            os.close(out_write)
            os.close(err_write)
            pidfd = os.pidfd_open(pid)
            pids[pidfd] = pid
            pipes.update((out_read, err_read))
            for descriptor in (pidfd, out_read, err_read):
                poll.register(descriptor, select.EPOLLIN)
            started += 1
        for descriptor, _ in poll.poll():
            if descriptor in pids:
                poll.unregister(descriptor)
                os.waitpid(pids.pop(descriptor), 0)
                os.close(descriptor)
                ended += 1
            elif descriptor in pipes and not os.read(descriptor, 65536):
                poll.unregister(descriptor)
                pipes.discard(descriptor)
                os.close(descriptor)
    took = time.perf_counter() - begin
    for descriptor in pipes:
        os.close(descriptor)
    poll.close()
    return count / took


_WORKER = """
import json, socket, sys
peer = socket.socket(fileno=int(sys.argv[1]))
stream = peer.makefile("rb")
def nothing(item): return {"result": None}
for line in stream:
    peer.sendall(b"".join(json.dumps([key, nothing(key)]).encode() + b"\\n" for key in json.loads(line)))
"""


class _Worker:
    def __init__(self) -> None:
        self.peer, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _WORKER, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self.stream = self.peer.makefile("rb")
        self.pending = b""

    def hand(self, keys: list[int]) -> None:
        self.peer.sendall(json.dumps(keys).encode() + b"\n")

    def close(self) -> None:
        self.stream.close()
        self.peer.close()
        self.process.wait()


@contextmanager
def _log(folder: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(folder / "baseline.db", isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table log (seq integer primary key, body text)")
    try:
        yield database
    finally:
        database.close()


def _append(database: sqlite3.Connection, rows: list[tuple[str]]) -> None:
    database.execute("begin")
    database.executemany("insert into log (body) values (?)", rows)
    database.execute("commit")


def fan_out(count: int, folder: Path) -> float:
    """`count` no-op calls in two warm workers, every launch and result durable; the rate in calls a second."""
    workers = [_Worker(), _Worker()]
    selector = selectors.DefaultSelector()
    for worker in workers:
        worker.hand([-1])
        worker.stream.readline()  # warm
        worker.peer.setblocking(True)
        selector.register(worker.peer, selectors.EVENT_READ, worker)
    with _log(folder) as database:
        begin = time.perf_counter()
        launched = ended = 0
        under_way = dict.fromkeys(workers, 0)
        while ended < count:
            launches: list[tuple[_Worker, list[int]]] = []
            for worker in workers:
                room = BATCH - under_way[worker]
                keys = list(range(launched, min(count, launched + room)))
                if keys:
                    launches.append((worker, keys))
                    launched += len(keys)
            if launches:
                _append(database, [(f"launched {key}",) for _, keys in launches for key in keys])
                for worker, keys in launches:
                    under_way[worker] += len(keys)
                    worker.hand(keys)
            results: list[tuple[str]] = []
            for chosen, _ in selector.select():
                worker = chosen.data
                data = worker.pending + worker.peer.recv(1 << 20)
                *lines, worker.pending = data.split(b"\n")
                under_way[worker] -= len(lines)
                results += [(str(json.loads(line)),) for line in lines]
            ended += len(results)
            _append(database, results)
        took = time.perf_counter() - begin
    selector.close()
    for worker in workers:
        worker.close()
    return count / took


def chain(count: int, folder: Path) -> float:
    """`count` no-op calls one after another, each launch and each result committed; seconds a call."""
    worker = _Worker()
    worker.hand([-1])
    worker.stream.readline()
    with _log(folder) as database:
        begin = time.perf_counter()
        for key in range(count):
            _append(database, [(f"launched {key}",)])
            worker.hand([key])
            _append(database, [(worker.stream.readline().decode(),)])
        took = time.perf_counter() - begin
    worker.close()
    return took / count


def interpreter(repeat: int = 5) -> float:
    """Seconds that an isolated interpreter takes to do nothing; the best of `repeat`."""
    return best(repeat, [sys.executable, "-I", "-c", "pass"])


def imports(modules: str, repeat: int = 5) -> float:
    """Seconds that an interpreter takes to import `modules`; the best of `repeat`."""
    return best(repeat, [sys.executable, "-c", f"import {modules}"])


def best(repeat: int, argv: list[str], **options: object) -> float:
    """Wall seconds of the quickest of `repeat` runs of a command that must succeed."""
    fastest = float("inf")
    for _ in range(repeat):
        begin = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
        fastest = min(fastest, time.perf_counter() - begin)
    return fastest
