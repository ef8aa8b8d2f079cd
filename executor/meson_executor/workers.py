"""Owns Python attempts: which worker gets which, what is handed over ahead, and what a worker's death means.

Attempts of one code bundle share warm workers. As many workers are at work as attempts hold resources; behind the one at
work, a worker may hold others of the same resources, if they are short: they begin without the executor's doing. What a
worker has not taken can be taken back at any time, so that nothing waits behind an attempt that turns out long, and nothing
is lost with a worker but the attempt that it was in.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from meson_executor.logs import STDERR, STDOUT, Logs
from meson_executor.loop import EDGE, READ, Loop
from meson_executor.orders import ENDED, Attempt, Need
from meson_executor.processes import Reaper, Spawner, signal_name, signal_process
from meson_executor.protocol import Key, failure
from meson_executor.secrets import SecretMissingError, Secrets
from meson_executor.worker_process import Place, WorkerProcess

if TYPE_CHECKING:
    from collections import deque

    from meson_executor.executor import Executor
    from meson_executor.fencing import Journal, Sweeper
    from meson_executor.limits import MemoryLimits

#: Work that a worker holds ahead, in seconds; and the longest attempt that is handed over ahead.
_AHEAD_S = 0.02
_MAX_AHEAD = 32
_LONGEST_AHEAD_S = 0.005
#: Seconds after which an idle worker is let go, and seconds that it gets for it.
_IDLE_S = 300.0
_LEAVE_S = 5.0
#: Seconds that a worker has to end after its stream has.
_SILENCE_S = 0.5
#: Seconds between two requests to stop.
_REMIND_S = 0.2
_PIPE_SIZE = 65536
_COMPLAINT = 4000
_FOREIGN = (signal.SIGKILL, signal.SIGTERM)

_Class = tuple[tuple[str, str], Need]


class Workers:
    """Runs Python attempts.

    Args:
        place: where workers come from.
        max_idle: idle workers that are kept warm.
    """

    def __init__(
        self,
        loop: Loop,
        executor: Executor,
        spawner: Spawner,
        reaper: Reaper,
        journal: Journal,
        sweeper: Sweeper,
        logs: Logs,
        limits: MemoryLimits,
        secrets: Secrets,
        place: Place,
        max_idle: int,
    ) -> None:
        self._loop = loop
        self._executor = executor
        self._spawner = spawner
        self._reaper = reaper
        self._journal = journal
        self._sweeper = sweeper
        self._logs = logs
        self._limits = limits
        self._secrets = secrets
        self._place = place
        self._max_idle = max_idle
        self._workers: dict[int, WorkerProcess] = {}
        #: Waiting for work, by code bundle; the ones that worked last are at the end.
        self._idle: dict[tuple[str, str], list[WorkerProcess]] = {}
        #: At work, by what makes attempts interchangeable.
        self._busy: dict[_Class, list[WorkerProcess]] = {}
        self._count = 0
        self._orders = 0
        self._late: list[tuple[Key, float | None, str | None]] = []

    # --- the runner -----------------------------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> None:
        template = attempt.template
        code = (template.code, template.project)
        once = template.isolate or template.memory > 0
        idle = self._idle.get(code)
        worker = idle.pop() if idle and not once else None
        if worker is None:
            worker = self._hire(attempt, code, once)
            if worker is None:
                return
        worker.need = template.need
        self._busy.setdefault((code, template.need), []).append(worker)
        handed = self._hand(worker, attempt)
        assert handed, "the row of a free worker is empty"
        self._executor.began(attempt, time.time())

    def stop(self, attempt: Attempt, grace_s: float) -> None:
        worker: WorkerProcess = attempt.runner
        if worker.closed:
            return
        if self._take_back(worker, attempt):
            # It was thought to be at work, and the worker had not come to it.
            self._executor.stopped(attempt)
            return
        if not worker.line or worker.line[-1][1] is not attempt:
            return  # it has ended, and the worker is in another one already
        at = time.monotonic() + grace_s
        if worker.stops is None:
            self._sweeper.signal(worker.marker, worker.pid, signal.SIGTERM)
            self._loop.after(_REMIND_S, lambda: self._remind(worker))
        elif at >= worker.stops:
            return
        worker.stops = at
        self._loop.after(grace_s, lambda: self._kill(worker))

    def deliver(self, attempt: Attempt, name: str, value: Any) -> None:
        worker: WorkerProcess = attempt.runner
        for number, found in worker.line:
            if found is attempt and not worker.tell({"n": number, "name": name, "value": value}):
                self._logs.note(attempt.key, f"the message {name!r} was dropped: the step does not read its messages")

    def samples(self) -> list[tuple[Key, float | None, str | None]]:
        found, self._late = self._late, []
        for workers in self._busy.values():
            for worker in workers:
                news = worker.progressed()
                if news is not None and worker.line and worker.line[0][0] == news[0]:
                    found.append((worker.line[0][1].key, news[1], news[2]))
        return found

    # --- ahead ----------------------------------------------------------------------------------------------------

    def hand_over(self, queue: deque[Attempt]) -> None:
        while queue:
            attempt = queue[0]
            template = attempt.template
            if attempt.state == ENDED:
                queue.popleft()
                continue
            seconds = template.seconds
            if template.kind != "python" or template.isolate or template.memory or seconds is None:
                return
            if seconds > _LONGEST_AHEAD_S:
                return
            busy = self._busy.get(((template.code, template.project), template.need), ())
            quick = [worker for worker in busy if not worker.slow and worker.stops is None]
            if not quick:
                return
            worker = min(quick, key=_row)
            depth = self._depth(seconds, len(queue), len(quick))
            if len(worker.line) > depth or not self._hand(worker, attempt):
                return
            queue.popleft()

    def recall(self, attempt: Attempt) -> None:
        worker = attempt.runner
        if isinstance(worker, WorkerProcess) and worker.ready and worker.line and worker.line[0][1] is attempt:
            worker.slow = True
            self._take_back(worker)

    def withdraw(self, attempt: Attempt) -> bool:
        worker = attempt.runner
        return isinstance(worker, WorkerProcess) and self._take_back(worker, attempt)

    def _take_back(self, worker: WorkerProcess, doomed: Attempt | None = None) -> bool:
        """Take back what a worker has not taken; True if `doomed` is among that, who is then nowhere any more."""
        back = worker.recall()
        spared = [attempt for attempt in back if attempt is not doomed]
        if back and not worker.line:
            # Not even the first one was taken, for which the worker holds the resources.
            if spared and back[0] is spared[0]:
                self._hand(worker, spared.pop(0))
            else:
                self._rest(worker)
        self._executor.requeue(spared)
        return len(spared) < len(back) and doomed in back

    def _depth(self, seconds: float, waiting: int, workers: int) -> int:
        """How many attempts a worker may hold ahead: what fills some time, and no more than its share."""
        return min(_MAX_AHEAD, int(_AHEAD_S / max(seconds, 1e-6)), -(-waiting // workers))

    # --- care -----------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Let go what has been idle for long, and what is too much; called now and then."""
        surplus = self._idle_count() - self._max_idle
        for code, idle in list(self._idle.items()):
            while idle and (surplus > 0 or self._loop.now - idle[0].idle_since > _IDLE_S):
                self._let_go(idle.pop(0))
                surplus -= 1
            if not idle:
                del self._idle[code]

    def leave(self) -> None:
        """Let all idle workers go; the executor ends."""
        for idle in list(self._idle.values()):
            while idle:
                self._let_go(idle.pop())

    @property
    def count(self) -> int:
        """Processes that are there."""
        return len(self._workers)

    def _hire(self, attempt: Attempt, code: tuple[str, str], once: bool) -> WorkerProcess | None:
        self._count += 1
        worker = WorkerProcess(self._count, code, once)
        if attempt.template.memory:
            worker.guard = self._limits.guard(attempt)
        try:
            worker.start(
                self._loop,
                self._spawner,
                self._journal,
                self._place,
                lambda line: self._on_line(worker, line),
                lambda _reason: self._on_silence(worker),
                lambda _events: self._on_output(worker, worker.out, STDOUT),
                lambda _events: self._on_output(worker, worker.err, STDERR),
            )
        except OSError as error:
            if worker.guard is not None:
                worker.guard.close()
            self._executor.release(attempt.template.need)
            self._executor.fail(attempt, "platform", failure("launch", f"no worker could be started: {error}"))
            return None
        if worker.guard is not None:
            worker.guard.watch(worker.pid)
        self._workers[worker.number] = worker
        self._reaper.watch(worker.pid, lambda status: self._on_end(worker, status))
        return worker

    def _hand(self, worker: WorkerProcess, attempt: Attempt) -> bool:
        self._orders += 1
        return worker.hand(self._orders, attempt)

    def _on_silence(self, worker: WorkerProcess) -> None:
        """Its stream has ended: so will it, or else a step has closed what is not its own."""
        self._loop.after(_SILENCE_S, lambda: self._insist(worker))

    def _let_go(self, worker: WorkerProcess) -> None:
        worker.leave()
        self._loop.after(_LEAVE_S, lambda: self._insist(worker))

    def _insist(self, worker: WorkerProcess) -> None:
        if worker.number in self._workers:
            self._sweeper.signal(worker.marker, worker.pid, signal.SIGKILL)

    def _remind(self, worker: WorkerProcess) -> None:
        """Ask again: a request that comes just before a call that waits is not noticed before the next one."""
        if worker.number in self._workers:
            signal_process(worker.pid, signal.SIGTERM)
            self._loop.after(_REMIND_S, lambda: self._remind(worker))

    def _kill(self, worker: WorkerProcess) -> None:
        if worker.number in self._workers and worker.stops is not None and time.monotonic() >= worker.stops - 0.001:
            self._sweeper.signal(worker.marker, worker.pid, signal.SIGKILL)

    # --- what a worker says ---------------------------------------------------------------------------------------

    def _on_line(self, worker: WorkerProcess, line: bytes) -> None:
        try:
            kind = line[:1]
            if kind == b"+":
                _, number, began, ended, outputs = line.split(b" ", 4)
                text = outputs.decode("ascii")
                if text != "{}":
                    json.loads(text)
                at = float(ended)
                attempt = self._ended(worker, int(number), float(began), at)
                self._executor.succeed(attempt, text, at)
            elif kind == b"-":
                _, number, began, ended, told = line.split(b" ", 4)
                why = json.loads(told)
                attempt = self._ended(worker, int(number), float(began), float(ended))
                self._executor.fail(attempt, "user", why)
            elif kind == b"!":
                worker.ready = True
                return
            elif kind == b"x":
                worker.terminated = True
                return
            else:
                self._on_word(worker, line)
                return
            self._next(worker)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            # Somebody else wrote into the socket: a step that closes or writes to descriptors that are not its own.
            self._garbled(worker, line)

    def _on_word(self, worker: WorkerProcess, line: bytes) -> None:
        kind, number, rest = line.split(b" ", 2)
        attempt = self._find(worker, int(number))
        if attempt is None:
            raise KeyError(number)
        if kind == b">":
            since, stream, text = rest.split(b" ", 2)
            data = json.loads(text).encode("utf-8", "surrogateescape")
            self._logs.write(attempt.key, stream.decode("ascii"), float(since), data)
        elif kind == b"p":
            fraction, message = json.loads(rest)
            self._late.append((attempt.key, fraction, message))
        elif kind == b"f":
            fields = rest.decode("ascii")
            json.loads(f"{{{fields}}}")
            self._executor.fact(attempt, fields)
        elif kind == b"?":
            name = json.loads(rest)
            try:
                worker.tell({"secret": name, "value": self._secrets.resolve(name)})
            except SecretMissingError as error:
                worker.tell({"secret": name, "error": str(error)})
        else:
            raise ValueError(kind)

    def _find(self, worker: WorkerProcess, number: int) -> Attempt | None:
        """The attempt of an order: one in the row, or the last one that ended."""
        for found, attempt in worker.line:
            if found == number:
                return attempt
        if worker.last is not None and worker.last[0] == number:
            return worker.last[1]
        return None

    def _ended(self, worker: WorkerProcess, number: int, began: float, ended: float) -> Attempt:
        """Take the attempt at work out of the row."""
        if worker.line[0][0] != number:
            raise KeyError(number)
        worker.slow = False
        worker.last = worker.line.popleft()
        attempt = worker.last[1]
        if not attempt.told:
            # The worker knows better than we did.
            attempt.began = began
        worker.known.add(attempt.template.serial)
        attempt.template.took(ended - began)
        return attempt

    def _next(self, worker: WorkerProcess) -> None:
        """The worker has ended an attempt: the next one in its row begins, or it is free."""
        line = worker.line
        if line:
            self._executor.began(line[0][1], time.time())
            if len(line) < _MAX_AHEAD // 2:
                self._executor.wake()
            return
        self._rest(worker)

    def _rest(self, worker: WorkerProcess) -> None:
        """There is nothing in its row."""
        self._free(worker)
        if worker.once or worker.stops is not None:
            self._let_go(worker)
            return
        worker.idle_since = self._loop.now
        self._idle.setdefault(worker.code, []).append(worker)
        if self._idle_count() > self._max_idle:
            # Another version of the code is in use now; the former one's workers will hardly be needed again.
            others = [idle for code, idle in self._idle.items() if idle and code != worker.code]
            if others:
                self._let_go(min(others, key=lambda idle: idle[0].idle_since).pop(0))

    def _idle_count(self) -> int:
        return sum(len(workers) for workers in self._idle.values())

    def _free(self, worker: WorkerProcess) -> None:
        """Give back what the attempts of this worker held."""
        if worker.need is not None:
            self._executor.release(worker.need)
            self._busy[(worker.code, worker.need)].remove(worker)
            worker.need = None

    def _garbled(self, worker: WorkerProcess, line: bytes) -> None:
        if worker.line:
            self._logs.note(worker.line[0][1].key, "the worker sent what cannot be read, and is ended: %.200r" % line)
        self._sweeper.signal(worker.marker, worker.pid, signal.SIGKILL)

    def _on_output(self, worker: WorkerProcess, fd: int, stream: str) -> None:
        """Programs and C code that a step runs write to descriptors, not to `sys.stdout`.

        A worker leaves nothing there when it ends an attempt: what is found was written in the one that it is in.
        """
        for _ in range(8):
            number = worker.marked()
            try:
                data = os.read(fd, _PIPE_SIZE)
            except BlockingIOError:
                return
            if not data:
                return
            if not worker.ready:
                worker.complaint = (worker.complaint + data)[-_COMPLAINT:]
            writer = self._find(worker, number) or (worker.line[0][1] if worker.line else None)
            if writer is not None:
                self._logs.write(writer.key, stream, time.time(), data)
            if len(data) < _PIPE_SIZE:
                return
        self._loop.change(fd, READ | EDGE)

    # --- the end of a worker --------------------------------------------------------------------------------------

    def _on_end(self, worker: WorkerProcess, status: int) -> None:
        worker.stream.read_rest()
        self._on_output(worker, worker.out, STDOUT)
        self._on_output(worker, worker.err, STDERR)
        del self._workers[worker.number]
        idle = self._idle.get(worker.code)
        if idle and worker in idle:
            idle.remove(worker)
        charged = []
        if worker.line and not worker.ready:
            # It could not even start. Somebody has to pay for it, or this would go on for ever.
            charged.append(worker.line.popleft()[1])
        self._executor.requeue(worker.recall())
        marked = worker.marked()
        exceeded = worker.guard is not None and worker.guard.exceeded()
        worker.close()
        for number, attempt in worker.line:
            if number > marked:
                # It was taken and not begun: nobody has seen anything of it.
                self._executor.requeue([attempt])
            else:
                charged.append(attempt)
        if exceeded and charged and charged[0].stopping is None:
            charged[0].stopping = "memory"
        if charged:
            self._sweeper.clear(worker.marker, worker.pid, lambda: self._charge(worker, charged, status))
        else:
            self._free(worker)

    def _charge(self, worker: WorkerProcess, charged: list[Attempt], status: int) -> None:
        """The worker died in these attempts; usually it is one."""
        self._free(worker)
        for attempt in charged:
            if attempt.stopping is not None:
                self._executor.stopped(attempt)
            elif not worker.ready:
                told = worker.complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
                message = "the worker ended before it was ready%s" % (": " + told if told else "")
                self._executor.fail(attempt, "platform", failure("launch", message))
            elif os.WIFSIGNALED(status) or worker.terminated:
                number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else int(signal.SIGTERM)
                name = signal_name(number)
                cause = "platform" if number in _FOREIGN else "user"
                self._executor.fail(attempt, cause, failure("signal", f"its worker was ended by {name}", signal=name))
            else:
                code = os.WEXITSTATUS(status)
                message = "it ended its process with exit code %d instead of returning" % code
                self._executor.fail(attempt, "user", failure("exit", message, exit_code=code))


def _row(worker: WorkerProcess) -> int:
    return len(worker.line)
