"""Owns how tests talk to a real executor: starting one, its socket, and waiting for what it says, with a deadline."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meson_executor import protocol, transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Fact = dict[str, Any]
Key = list[Any]

#: Seconds that anything may take before a test gives up on it.
DEADLINE_S = 20.0
#: What executors and workers run on; another than the tests' own is given in this variable.
INTERPRETER = os.environ.get("MESON_TESTED_PYTHON", sys.executable)
_ROOT = Path(__file__).parents[2]
INTERPRETER_PATH = {} if INTERPRETER == sys.executable else {"PYTHONPATH": f"{_ROOT / 'executor'}:{_ROOT}"}
ENDS = ("succeeded", "failed", "killed", "fenced", "returned")


class GoneError(Exception):
    """The executor has closed the connection."""


class Peer:
    """A test's end of the socket.

    Attributes:
        facts: all that came, in order, with their numbers.
        samples: items of all samples.
        beats: times of all samples.
        other: all other messages.
    """

    def __init__(self, directory: Path, *, acknowledge: bool = True) -> None:
        self.socket = transport.connect(str(directory))
        self.acknowledge = acknowledge
        self.facts: list[tuple[int, Fact]] = []
        self.samples: list[list[Any]] = []
        self.notes: list[str] = []
        self.beats: list[float] = []
        self.other: list[dict[str, Any]] = []
        self._lines = protocol.LineBuffer()

    def send(self, **message: Any) -> None:
        self.socket.sendall(protocol.encode(message))

    def hello(self, *, cell: str = "here", epoch: int = 1, acked: int = 0) -> dict[str, Any]:
        """Open the session and return the welcome, or the refusal."""
        self.send(t="hello", v=protocol.VERSION, cell=cell, epoch=epoch, acked=acked)
        return self.message("welcome", "refused")

    def order(self, steps: Mapping[str, Any], *orders: dict[str, Any], epoch: int = 1) -> None:
        self.send(t="steps", steps=dict(steps))
        self.send(t="launch", epoch=epoch, orders=list(orders))

    # --- waiting --------------------------------------------------------------------------------------------------

    def read(self, until: float) -> None:
        """Take what comes next.

        Raises:
            GoneError: the executor has closed the connection.
            TimeoutError: nothing came in time.
        """
        self.socket.settimeout(max(0.001, until - time.monotonic()))
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            raise GoneError
        for line in self._lines.feed(data):
            self._take(json.loads(line))

    def until(self, found: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
        """Read until `found()` gives something true, and return that."""
        end = time.monotonic() + deadline_s
        while not (result := found()):
            try:
                self.read(end)
            except TimeoutError:
                told = f"{len(self.facts)} facts, the last ones {self.facts[-5:]}; other: {self.other}"
                raise AssertionError(f"not within {deadline_s} s; {told}") from None
        return result

    def message(self, *kinds: str) -> dict[str, Any]:
        """The next message of these kinds, taken out of `other`."""
        found: dict[str, Any] = self.until(lambda: next((one for one in self.other if one["t"] in kinds), None))
        self.other.remove(found)
        return found

    def fact(self, what: str, key: Key, **fields: Any) -> Fact:
        """Wait for a fact of an attempt."""

        def matches(fact: Fact) -> bool:
            return fact["f"] == what and fact["k"] == key and all(fact[name] == fields[name] for name in fields)

        found: Fact = self.until(lambda: next((fact for _, fact in self.facts if matches(fact)), None))
        return found

    def end(self, key: Key) -> Fact:
        """Wait for the end of an attempt, whichever it is."""
        found: Fact = self.until(lambda: next((fact for fact in self.of(key) if fact["f"] in ENDS), None))
        return found

    def of(self, key: Key) -> list[Fact]:
        """The facts of one attempt so far."""
        return [fact for _, fact in self.facts if fact["k"] == key]

    def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        self.send(t="ask", id=1, what=what, **fields)
        return self.message("answer")

    def gone(self) -> None:
        """Read to the end of the connection."""
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.read(end)
            except GoneError:
                return

    def close(self) -> None:
        self.socket.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message["t"] == "facts":
            self.facts.extend(enumerate(message["facts"], message["seq"]))
            if self.acknowledge:
                self.send(t="ack", seq=self.facts[-1][0])
        elif message["t"] == "samples":
            self.beats.append(message["at"])
            self.samples.extend(message["items"])
            self.notes.extend(message.get("notes", ()))
        else:
            self.other.append(message)


class ExecutorAt:
    """A directory with an executor, which may be started again after it has ended.

    Args:
        folder: holds the executor's directory, logs and artifacts.
        options: for the command line, after those that every test needs.
        environment: added to the tests' own.
        under: a command that starts it, with the executor's command behind its own.
    """

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None, under: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.directory = folder / "executor"
        self.options = options
        self.under = under
        self.environment = dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.cell = "here"
        self._peers: list[Peer] = []
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *options: str) -> ExecutorAt:
        """Start it in the foreground, so that the test is its parent."""
        command = [INTERPRETER, "-m", "meson_executor", "--dir", str(self.directory), "--executor", "tested"]
        command += ["--cpus", "4", "--machine", "bench", "--foreground", "--host", "tests.executor.host_for_tests"]
        with (self.folder / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.under, *command, *self.options, *options],
                env={**os.environ, **INTERPRETER_PATH, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def peer(self, *, acknowledge: bool = True, hello: bool = True, **fields: Any) -> Peer:
        """A connection to it, once it listens, with its session opened."""
        self.listens()
        peer = Peer(self.directory, acknowledge=acknowledge)
        self._peers.append(peer)
        if hello:
            assert peer.hello(**fields)["t"] == "welcome"
        return peer

    def listens(self) -> None:
        """Wait until it can be connected to."""
        assert self.process is not None

        def there() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            return self._reachable()

        wait_for(there)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it, and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(DEADLINE_S)
        # A process that it was just starting holds its socket for a moment.
        wait_for(lambda: not self._reachable())

    def said(self) -> str:
        """What it wrote about itself."""
        return (self.folder / "stderr").read_text()

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        if self.process is not None and self.process.poll() is None:
            # In order, so that nothing of it stays: what a kill leaves behind is for a successor, and there is none.
            process = self.process
            wait_for(lambda: process.poll() is not None or self._reachable())
            try:
                last = Peer(self.directory)
            except OSError:
                self._end()  # it has left
                return
            last.hello(cell=self.cell, epoch=1_000_000)
            last.send(t="stop", grace_s=0)
            try:
                last.gone()
            finally:
                last.close()
                self._end()

    def _reachable(self) -> bool:
        try:
            transport.connect(str(self.directory)).close()
        except OSError:
            return False
        return True

    def _end(self) -> None:
        assert self.process is not None
        try:
            self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()


def wait_for(found: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Look until `found()` gives something true; for what nobody tells, such as a file or a process table."""
    end = time.monotonic() + deadline_s
    pause = select.poll()
    while not (result := found()):
        assert time.monotonic() < end, f"not within {deadline_s} s"
        pause.poll(2)
    return result


def ended(pid: int) -> None:
    """Wait until a process that is not ours has ended (one that waits to be reaped has)."""

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True

    wait_for(gone)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Gate:
    """A named pipe between a test and a step: either side writes a line, the other waits for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        # Opened for both, so that neither side waits for the other to open it.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._data = b""

    def line(self) -> str:
        """The next line that the step writes."""
        waiting = select.poll()
        waiting.register(self._fd, select.POLLIN)
        end = time.monotonic() + DEADLINE_S
        while b"\n" not in self._data:
            assert waiting.poll(1000 * max(0.0, end - time.monotonic())), "the step did not say anything"
            self._data += os.read(self._fd, 65536)
        line, _, self._data = self._data.partition(b"\n")
        return line.decode()

    def open(self) -> None:
        """Let one step through that reads a line."""
        os.write(self._fd, b"go\n")

    def close(self) -> None:
        os.close(self._fd)


# --- what is ordered ----------------------------------------------------------------------------------------------


def key(node: int = 1, *, attempt: int = 1, run: str = "run", indexes: tuple[int, ...] = ()) -> Key:
    return [run, [node, *indexes], attempt]


def order(step: str = "step", node: int = 1, *, attempt: int = 1, indexes: tuple[int, ...] = (), **fields: Any) -> Fact:
    base: dict[str, Any] = {
        "key": key(node, attempt=attempt, indexes=indexes),
        "step": step,
        "job": f"run/{node}/{attempt}",
    }
    return {**base, "job_first": True, "inputs": {}, "scratch": "", "remembered": None, **fields}


def program(*argv: Any, **fields: Any) -> dict[str, Any]:
    """A template of a program; `env`, `files` and `cwd` go into its work."""
    work: dict[str, Any] = {
        "w": "program",
        "argv": list(argv),
        **{name: fields.pop(name) for name in ("env", "files", "cwd") if name in fields},
    }
    return {"step": "step", "resources": {"cpus": 1}, "outputs": {}, "grace_s": 5.0, "work": work, **fields}


def shell(script: str, **fields: Any) -> dict[str, Any]:
    return program("/bin/sh", "-c", script, **fields)


def python(project: Path, function: str, *, source: str | None = None, **fields: Any) -> dict[str, Any]:
    """A template of a Python step: a function of the project's module `steps`, or of a source."""
    named: dict[str, Any] = {name: fields.pop(name) for name in ("module", "file") if name in fields}
    where = named or ({"module": "steps"} if source is None else {"source": source})
    work: dict[str, Any] = {"w": "python", "function": function, **where}
    base: dict[str, Any] = {
        "step": function,
        "resources": {"cpus": 1},
        "code": "digest",
        "project": str(project),
        "outputs": {},
        "grace_s": 5.0,
    }
    return {**base, "work": work, **fields}
