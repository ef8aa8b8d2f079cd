"""Owns the executor's end of a real host process, as `meson_executor.hosts` defines it, for tests."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meson_executor.protocol import LineBuffer, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 20.0
PLUGINS = Path(__file__).parents[1] / "plugins"
#: Folders with distributions of test plugins.
FAKESERVICE = PLUGINS / "fakeservice"
SAMPLES = Path(__file__).parent / "samples"

Message = dict[str, Any]


class Peer:
    """A host and the other end of its socket.

    Args:
        process: the host.
        sock: connected to it.
        log: where its output goes.
    """

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, log: Path) -> None:
        self.process = process
        self.sock = sock
        self._log = log
        self._lines = LineBuffer()
        self._unread: deque[Message] = deque()
        self._orders = 0
        self.seen: list[Message] = []

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path, *, output: int | None = None) -> Iterator[Peer]:
        """Start a host; it is killed afterwards, if it has not ended by itself.

        Args:
            folder: for its log and its artifacts.
            output: a descriptor for what it writes, in place of its log.
        """
        ours, theirs = socket.socketpair()
        theirs.set_inheritable(True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
        log = folder / "host.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "meson_core.host"],
                env={
                    **environment,
                    "MESON_HOST_FD": str(theirs.fileno()),
                    "MESON_ARTIFACTS": str(folder / "artifacts"),
                    "PYTHONPATH": os.pathsep.join(map(str, (FAKESERVICE, SAMPLES))),
                },
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=file if output is None else output,
            )
        theirs.close()
        try:
            yield cls(process, ours, log)
        finally:
            ours.close()
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE_S)

    @property
    def output(self) -> str:
        """What the host itself wrote."""
        return self._log.read_text(encoding="utf-8")

    def send(self, what: str, **fields: Any) -> None:
        self.sock.sendall(encode({"t": what, **fields}))

    def order(
        self,
        kind: str,
        *,
        distribution: str = "meson-samples",
        outputs: dict[str, str] | None = None,
        inputs: dict[str, Any] | None = None,
        remembered: str | None = None,
        job: str = "job-key",
        **options: Any,
    ) -> int:
        """Order one attempt and return its number."""
        self._orders += 1
        number = self._orders
        self.send(
            "order",
            n=number,
            order={
                "key": ["run1", [4, number, 7], 2],
                "step": "t1",
                "job": f"{job}-{number}" if job == "job-key" else job,
                "job_first": remembered is None,
                "inputs": inputs or {},
                "scratch": "file:///scratch/run1",
                "remembered": remembered,
            },
            template={
                "step": "sub.train",
                "project": "/project",
                "outputs": outputs or {},
                "work": {"w": "host", "kind": kind, "options": options, "distribution": distribution},
            },
        )
        return number

    def next(self, what: str, **fields: Any) -> Message:
        """The next message of this sort that has these fields; others are kept in `seen`.

        Raises:
            TimeoutError: it did not come in time.
        """
        deadline = time.monotonic() + DEADLINE_S
        while True:
            for message in list(self._unread):
                if message["t"] == what and all(message.get(name) == value for name, value in fields.items()):
                    self._unread.remove(message)
                    return message
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            data = self.sock.recv(1 << 18)
            if not data:
                raise ConnectionError(f"the host has ended: {self.output}")
            for line in self._lines.feed(data):
                self._unread.append(decode(line))
                self.seen.append(self._unread[-1])

    def end(self, number: int) -> Message:
        """How an attempt ended; its facts are acknowledged at once."""
        while True:
            message = self._next_of(number)
            if message["t"] == "end":
                end: Message = message["end"]
                return end
            if message["t"] == "fact" and message["id"] is not None:
                self.send("acked", id=message["id"])

    def failure(self, number: int) -> Message:
        """How an attempt failed."""
        end = self.end(number)
        assert end["f"] == "failed", end
        return end

    def lines(self, number: int) -> list[str]:
        """The lines of an attempt's log that have come up to now."""
        return [message["text"] for message in self.seen if message["t"] == "log" and message["n"] == number]

    def _next_of(self, number: int) -> Message:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            for message in list(self._unread):
                if message.get("n") == number:
                    self._unread.remove(message)
                    return message
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            data = self.sock.recv(1 << 18)
            if not data:
                raise ConnectionError(f"the host has ended: {self.output}")
            for line in self._lines.feed(data):
                self._unread.append(decode(line))
                self.seen.append(self._unread[-1])
