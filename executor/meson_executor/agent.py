"""Owns the whole executor: puts its parts together, answers the orchestrator, keeps its heart beating, and ends it in order."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from meson_executor import protocol
from meson_executor.executor import Executor
from meson_executor.facts import Facts
from meson_executor.fencing import ATTEMPT_VARIABLE, EXECUTOR_VARIABLE, WORKER_VARIABLE, Journal, Sweeper
from meson_executor.files import Putter
from meson_executor.hosts import Hosts
from meson_executor.limits import MemoryLimits
from meson_executor.logs import LogReader, Logs, run_folder
from meson_executor.loop import Loop, Timer
from meson_executor.processes import Reaper, Spawner
from meson_executor.programs import Programs
from meson_executor.protocol import Message, WireError, key_of
from meson_executor.secrets import PREFIX, Secrets
from meson_executor.session import Sessions
from meson_executor.spool import Spool
from meson_executor.transport import listen
from meson_executor.worker_process import Place
from meson_executor.workers import Workers
from meson_runtime.remote import open_store

if TYPE_CHECKING:
    from meson_executor.state import State

#: Variables that are ours and that a step gets anew.
_OURS = ("MESON_RUN", "MESON_STEP", "MESON_JOB_KEY", EXECUTOR_VARIABLE, ATTEMPT_VARIABLE, WORKER_VARIABLE)
#: Characters of output that one answer to "tail" has.
_TAIL = 64 * 1024
_TIDY_S = 10.0
#: Attempts under way from which on their facts are gathered for a moment.
_MANY = 32


class Options(NamedTuple):
    """What an executor is started with; see `--help`.

    Args:
        directory: of this executor alone.
        executor: its id.
        machine: name of the machine.
        totals: what it has to give, name → amount.
        logs: folder of all logs.
        artifacts: folder or `file://` URL of the artifact store, "" for none.
        secrets: folder or file, or None.
        python: interpreter of workers and of the host.
        host: module that runs the async steps of plugins.
        cgroups: memory limits may be control groups.
        idle_exit_s: seconds without session and work after which it leaves; 0: never.
        self_kill_s: seconds without session after which it kills everything and leaves; 0: never.
    """

    directory: str
    executor: str
    machine: str
    totals: dict[str, float]
    logs: str
    artifacts: str
    secrets: str | None
    python: str
    host: str
    cgroups: bool
    idle_exit_s: float
    self_kill_s: float


class Agent:
    """A running executor.

    Args:
        options: what it was started with.
        state: loaded, with this incarnation's number saved.
        mark: value of this incarnation's executor variable.
        journal: begun.
        notes: what was found damaged so far.
    """

    def __init__(self, options: Options, state: State, mark: str, journal: Journal, notes: list[str]) -> None:
        self._options = options
        self._state = state
        self._journal = journal
        self._notes = notes
        #: What nobody was told yet.
        self._fresh_notes: list[str] = []
        self._serving = False
        self._began = time.time()
        self._leaving: str | None = None
        self._lonely_since: float | None = time.monotonic()
        self._lonely_timer: Timer | None = None
        directory = options.directory
        loop = self._loop = Loop()
        self._sweeper = Sweeper(loop, mark)
        self._logs = Logs(options.logs, "%s.%d" % (options.executor, state.incarnation), self._tell)
        self._spool = Spool(os.path.join(directory, "spool"))
        self._facts = Facts(self._spool, self, self._forget, self._tell, loop.after, self._busy)
        self._executor = Executor(loop, self._facts, options.totals, self._on_idle)
        ended, damaged = self._facts.restore()
        self._executor.inherit(ended)
        for note in damaged:
            self._note(note)
            self._notes.append(note)
        store = open_store(options.artifacts) if options.artifacts else None
        self._spawner = Spawner()
        self._reaper = Reaper(loop)
        self._putter = Putter(loop, store)
        limits = MemoryLimits(
            loop,
            "meson-%s" % mark.rpartition(".")[0],
            lambda attempt: self._executor.stop(attempt, "memory", 0.0),
            None if options.cgroups else "",
        )
        secrets = Secrets(options.secrets, dict(os.environ))
        environment = _environment(mark, options.python)
        self._programs = Programs(
            loop,
            self._executor,
            self._spawner,
            self._reaper,
            journal,
            self._sweeper,
            self._logs,
            self._putter,
            limits,
            secrets,
            store,
            os.path.join(directory, "work"),
            environment,
        )
        self._workers = Workers(
            loop,
            self._executor,
            self._spawner,
            self._reaper,
            journal,
            self._sweeper,
            self._logs,
            limits,
            secrets,
            _place(options, environment),
            max(4, int(2 * options.totals.get("cpus", 1))),
        )
        self._hosts = Hosts(
            loop,
            self._executor,
            self._spawner,
            self._reaper,
            journal,
            self._sweeper,
            self._logs,
            secrets,
            (options.python, "-m", options.host),
            {**environment, b"MESON_ARTIFACTS": os.fsencode(options.artifacts)},
            directory,
            self._note,
        )
        self._executor.runners.update(program=self._programs, python=self._workers, host=self._hosts)
        self._executor.ahead = self._workers
        self._limits = limits
        # What is found to be gone makes room for what waits; both make facts; a fact is told after what was written.
        loop.flushes.extend(
            (self._sweeper.flush, self._executor.end_turn, journal.flush, self._logs.flush, self._facts.flush)
        )
        self._handlers: dict[str, Callable[[Message], None]] = {
            "steps": self._on_steps,
            "launch": self._on_launch,
            "kill": self._on_kill,
            "forget": self._on_forget,
            "ack": self._on_ack,
            "send": self._on_send,
            "ask": self._on_ask,
            "drain": self._on_drain,
            "stop": self._on_stop,
        }
        self._sessions = Sessions(
            loop, listen(directory), state, self._on_hello, self._on_message, self._facts.pump, self._on_close
        )

    def run(self) -> None:
        """Work until there is a reason to leave."""
        self._loop.on_signal(signal.SIGTERM, self._on_term)
        self._loop.after(protocol.HEARTBEAT_S, self._beat)
        self._loop.after(_TIDY_S, self._tidy)
        self._wait_alone()
        self._serving = True
        self._note("incarnation %d is ready, pid %d" % (self._state.incarnation, os.getpid()))
        self._loop.run()
        os.unlink(os.path.join(self._options.directory, protocol.SOCKET))
        self._workers.leave()
        self._hosts.leave()
        self._facts.close()
        if self._sessions.open:
            self._sessions.send({"t": "bye", "reason": self._leaving or ""})
        self._sessions.close()
        self._logs.close()
        self._putter.close()
        self._limits.tidy()
        self._journal.flush()
        self._note(f"left: {self._leaving}")

    # --- the line, as facts see it --------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        return self._sessions.open

    @property
    def crowded(self) -> bool:
        return self._sessions.crowded

    def write(self, data: bytes) -> None:
        self._sessions.write(data)

    # --- the session ----------------------------------------------------------------------------------------------

    def _on_hello(self, message: Message) -> None:
        self._lonely_since = None
        if self._lonely_timer is not None:
            self._lonely_timer.cancel()
        self._executor.forget_templates()
        self._facts.resend(message["acked"])
        fields = {
            "t": "welcome",
            "v": protocol.VERSION,
            "executor": self._options.executor,
            "incarnation": self._state.incarnation,
            "machine": self._options.machine,
            "pid": os.getpid(),
            "totals": self._options.totals,
            "seq": self._facts.last,
            "notes": self._notes,
        }
        text = json.dumps(fields, separators=(",", ":"))
        self._sessions.write(b'%s,"attempts":%s}\n' % (text[:-1].encode(), self._executor.standing().encode()))
        self._facts.pump()
        self._beat_now()

    def _on_message(self, message: Message) -> None:
        handler = self._handlers.get(message["t"])
        if handler is None:
            raise WireError("there is no message {!r}".format(message["t"]))
        try:
            handler(message)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WireError("%s: %s: %.200r" % (type(error).__name__, error, message)) from error

    def _on_close(self) -> None:
        self._wait_alone()

    def _on_steps(self, message: Message) -> None:
        self._executor.add_templates(message["steps"])

    def _on_launch(self, message: Message) -> None:
        self._executor.launch(message["orders"])

    def _on_kill(self, message: Message) -> None:
        for key, grace_s in message["keys"]:
            self._executor.kill(key_of(key), float(grace_s))

    def _on_forget(self, message: Message) -> None:
        for key in message["keys"]:
            self._executor.forget(key_of(key), "withdrawn")

    def _on_ack(self, message: Message) -> None:
        self._facts.ack(int(message["seq"]))
        self._facts.pump()
        self._maybe_leave()

    def _on_send(self, message: Message) -> None:
        self._executor.deliver(key_of(message["key"]), str(message["name"]), message.get("value"))

    def _on_ask(self, message: Message) -> None:
        answer: Message = {"t": "answer", "id": message["id"]}
        if message["what"] == "status":
            answer.update(self._executor.status())
            answer.update(
                incarnation=self._state.incarnation,
                pid=os.getpid(),
                began=self._began,
                workers=self._workers.count,
                unacknowledged=self._facts.unacknowledged,
                notes=self._notes,
            )
        elif message["what"] == "tail":
            answer.update(self._tail(message))
        else:
            answer["error"] = "there is no question {!r}; there are status and tail".format(message["what"])
        self._sessions.send(answer)

    def _tail(self, message: Message) -> Message:
        run_id, instance, attempt = key_of(message["key"])
        offset = int(message.get("offset") or 0)
        self._logs.flush()
        reader = LogReader(run_folder(self._options.logs, run_id))
        part, before = b"", 0
        for record in reader.of(instance, attempt):
            part += record.data[max(0, offset - before) :]
            before += len(record.data)
            if len(part) >= _TAIL:
                break
        part = part[:_TAIL]
        return {"text": part.decode("utf-8", "replace"), "offset": offset + len(part)}

    def _on_drain(self, _message: Message) -> None:
        self._leaving = self._leaving or "drained"
        self._executor.drain()
        self._maybe_leave()

    def _on_stop(self, message: Message) -> None:
        self._leaving = "stopped"
        grace_s = message.get("grace_s")
        self._executor.stop_all("kill", None if grace_s is None else float(grace_s))
        self._maybe_leave()

    # --- time -----------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._loop.after(protocol.HEARTBEAT_S, self._beat)
        self._beat_now()
        idle_exit_s = self._options.idle_exit_s
        if self._lonely_since is None or not idle_exit_s or self._executor.under_way:
            return
        if self._loop.now - max(self._lonely_since, self._idle_since) >= idle_exit_s:
            self._leaving = "nothing to do, and nobody there"
            self._loop.stop()

    def _beat_now(self) -> None:
        items = []
        for runner in self._executor.runners.values():
            items.extend(runner.samples())
        if self._sessions.open and not self._sessions.crowded:
            fields: Message = {"t": "samples", "at": time.time(), "items": items}
            if self._fresh_notes:
                fields["notes"], self._fresh_notes = self._fresh_notes, []
            self._sessions.send(fields)

    def _tidy(self) -> None:
        self._loop.after(_TIDY_S, self._tidy)
        self._workers.tidy()
        self._limits.tidy()

    # --- leaving --------------------------------------------------------------------------------------------------

    _idle_since = 0.0

    def _on_idle(self) -> None:
        self._idle_since = self._loop.now
        self._maybe_leave()

    def _maybe_leave(self) -> None:
        """Leave once nothing runs any more, and the log has all facts, or nobody is there to take them."""
        if self._leaving is None or self._executor.under_way:
            return
        if self._facts.settled or not self._sessions.open:
            self._loop.stop()

    def _wait_alone(self) -> None:
        """Nobody listens: from now on the clock runs."""
        self._lonely_since = self._loop.now
        if self._options.self_kill_s:
            self._lonely_timer = self._loop.after(self._options.self_kill_s, self._kill_self)
        self._maybe_leave()

    def _on_term(self) -> None:
        """The machine goes down, or somebody ends this process: nobody would look after what it has started."""
        self._leaving = "ended by SIGTERM"
        self._executor.stop_all("end", None)
        self._maybe_leave()

    def _kill_self(self) -> None:
        self._leaving = f"no orchestrator for {self._options.self_kill_s:g} s"
        self._executor.stop_all("lease", 0.0)
        self._maybe_leave()

    def _busy(self) -> bool:
        return self._executor.under_way >= _MANY

    def _forget(self, key: protocol.Key) -> None:
        self._executor.acknowledged(key)

    def _tell(self, text: str) -> None:
        """Something that people should know of, who do not read the executor's own log.

        It goes out at once, so that a run which ends with this turn does not end before it is told.
        """
        self._note(text)
        self._fresh_notes.append(text)
        if self._serving:
            self._beat_now()

    def _note(self, text: str) -> None:
        """A line in the executor's own log."""
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        sys.stderr.write(f"{now} {text}\n")
        sys.stderr.flush()


def _environment(mark: str, python: str) -> dict[bytes, bytes]:
    """What every process of a step inherits: this one's, without our variables and without secrets.

    The programs of the environment that Python steps run in come first on PATH, so that `python` in a shell step is the
    same interpreter.
    """
    found = {
        os.fsencode(name): os.fsencode(value)
        for name, value in os.environ.items()
        if name not in _OURS and not name.startswith(PREFIX)
    }
    programs = os.fsencode(os.path.dirname(python))
    inherited = found.get(b"PATH", os.fsencode(os.defpath))
    if programs and programs not in inherited.split(b":"):
        found[b"PATH"] = programs + b":" + inherited
    found[EXECUTOR_VARIABLE.encode()] = mark.encode()
    return found


def _place(options: Options, environment: dict[bytes, bytes]) -> Place:
    import meson_runtime

    orders = os.path.join(options.directory, "orders")
    os.makedirs(orders, mode=0o700, exist_ok=True)
    for name in os.listdir(orders):
        os.unlink(os.path.join(orders, name))
    location = os.path.dirname(os.path.dirname(os.path.abspath(meson_runtime.__file__)))
    if os.path.isfile(location):
        # The runtime comes with the zipapp; the worker's interpreter knows nothing of it.
        environment = dict(environment)
        before = environment.get(b"PYTHONPATH")
        environment[b"PYTHONPATH"] = os.fsencode(location) + (b":" + before if before else b"")
    command: tuple[str, ...] = (options.python, "-m", "meson_runtime.worker")
    return Place(command, orders, options.artifacts, environment)


def mark_of(executor: str, directory: str) -> str:
    """What distinguishes this executor's processes from all others of the machine, whatever its incarnation."""
    import hashlib

    return f"{executor}@{hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]}"
