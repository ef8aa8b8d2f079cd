"""Owns program attempts: a process in a session of its own, its output, its files, its end.

An attempt's paths are made up before anything is there: `work/<n>` is its folder and the only thing that must exist;
`work/<n>.inputs`, `.outputs`, `.progress`, `.messages` lie beside it and come to be when they are used. A folder that is
still empty at the end serves the next attempt.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import tempfile
import time
from typing import TYPE_CHECKING, Any

from meson_executor.fencing import ATTEMPT_VARIABLE, Journal, Sweeper, boot_ticks
from meson_executor.logs import STDERR, STDOUT, Logs
from meson_executor.loop import EDGE, READ, Loop
from meson_executor.processes import Reaper, Spawner, signal_name
from meson_executor.progress import REASONS, Failure, News, ProgressFile, read_some
from meson_executor.protocol import Key, Message, failure
from meson_executor.recipes import Recipes
from meson_executor.secrets import SecretMissingError, Secrets
from meson_executor.texts import LaunchError
from meson_runtime.artifacts import ArtifactMissingError, FileStore
from meson_runtime.outputs import MAX_OUTPUTS, OutputError, check, dumps

if TYPE_CHECKING:
    from meson_executor.executor import Executor
    from meson_executor.files import Putter
    from meson_executor.limits import Guard, MemoryLimits
    from meson_executor.orders import Attempt

_PIPE_SIZE = 65536
#: Reads from one process in a row, before others get their turn.
_READS = 8
#: A signal from outside, as a machine that goes down or runs out of memory sends it: not the program's doing.
_FOREIGN = (signal.SIGKILL, signal.SIGTERM)
#: What a system says of a program that cannot be one; anything else is this machine's trouble.
_THEIR_ERRORS = frozenset(
    (
        errno.ENOENT,
        errno.EACCES,
        errno.ENOEXEC,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.E2BIG,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    )
)


class Process:
    """One program at work."""

    __slots__ = (
        "attempt",
        "ended",
        "err",
        "failure",
        "files",
        "guard",
        "name",
        "out",
        "pid",
        "prefix",
        "progress",
        "stops",
    )

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        #: Its folder, and what the names of the files beside it begin with.
        self.prefix = ""
        self.name = attempt.marker
        #: Suffixes of the files beside its folder that have come to be.
        self.files: set[str] = set()
        self.pid = 0
        self.out = -1
        self.err = -1
        self.ended = 0.0
        self.guard: Guard | None = None
        self.progress: ProgressFile | None = None
        #: What it has said of its own failure, in case it fails.
        self.failure: Failure | None = None
        #: When KILL follows TERM, once it is being stopped (monotonic).
        self.stops: float | None = None

    @property
    def marker(self) -> str:
        """What all of its processes have in their environment."""
        return "%s=%s" % (ATTEMPT_VARIABLE, self.name)


class Programs:
    """Runs program attempts.

    Args:
        directory: for work folders; what an earlier incarnation left there is removed.
        environment: what every program inherits.
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
        putter: Putter,
        limits: MemoryLimits,
        secrets: Secrets,
        store: FileStore | None,
        directory: str,
        environment: dict[bytes, bytes],
    ) -> None:
        self._loop = loop
        self._executor = executor
        self._spawner = spawner
        self._reaper = reaper
        self._journal = journal
        self._sweeper = sweeper
        self._logs = logs
        self._putter = putter
        self._limits = limits
        self._directory = directory
        self._running: dict[Key, Process] = {}
        self._folders: list[str] = []
        self._count = 0
        if os.path.exists(directory):
            # There may be much in it: it is moved out of the way, and removed while others begin.
            aside = tempfile.mkdtemp(prefix="old-", dir=os.path.dirname(directory))
            os.rename(directory, os.path.join(aside, "work"))
        for name in os.listdir(os.path.dirname(directory)):
            if name.startswith("old-"):
                putter.remove(os.path.join(os.path.dirname(directory), name))
        os.mkdir(directory, 0o700)
        nothing = os.path.join(directory, "nothing.json")
        with open(nothing, "w", encoding="ascii") as file:
            file.write("{}")
        self._recipes = Recipes(environment, nothing, store, secrets)

    # --- the runner -----------------------------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> None:
        process = attempt.runner = Process(attempt)
        try:
            process.prefix = self._folder()
            self._spawn(process)
        except (LaunchError, SecretMissingError, ValueError, RecursionError) as error:
            self._not_started(process, "user", str(error))
        except ArtifactMissingError as error:
            self._not_started(process, "platform", str(error))
        except OSError as error:
            theirs = error.errno in _THEIR_ERRORS and error.filename != attempt.template.project
            self._not_started(process, "user" if theirs else "platform", str(error))

    def stop(self, attempt: Attempt, grace_s: float) -> None:
        process: Process = attempt.runner
        if not process.pid:
            return  # it has ended, and its outputs are being stored
        at = time.monotonic() + grace_s
        if process.stops is None:
            self._sweeper.signal(process.marker, process.pid, signal.SIGTERM)
        elif at >= process.stops:
            return
        process.stops = at
        self._loop.after(grace_s, lambda: self._kill(process))

    def deliver(self, attempt: Attempt, name: str, value: Any) -> None:
        process: Process = attempt.runner
        process.files.add(".messages")
        try:
            with open(process.prefix + ".messages", "a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, "value": value}) + "\n")
        except OSError as error:
            self._logs.note(attempt.key, f"a message could not be delivered: {error}")

    def samples(self) -> list[tuple[Key, float | None, str | None]]:
        found = []
        for key, process in self._running.items():
            if process.progress is not None:
                news = process.progress.read()
                self._report(process, news)
                if news.fraction is not None or news.message is not None:
                    found.append((key, news.fraction, news.message))
        return found

    # --- starting -------------------------------------------------------------------------------------------------

    def _spawn(self, process: Process) -> None:
        attempt = process.attempt
        if attempt.inputs:
            process.files.add(".inputs")
        path, argv, env, cwd = self._recipes.start(attempt, process.prefix, process.name)
        if attempt.template.memory:
            if not os.access(path, os.X_OK):
                raise LaunchError("%s is not there, or is no program" % path)
            process.guard = self._limits.guard(attempt)
            path, argv = process.guard.enter(path, argv)
        out, out_theirs = os.pipe()
        try:
            err, err_theirs = os.pipe()
        except OSError:
            os.close(out)
            os.close(out_theirs)
            raise
        earliest = boot_ticks()
        try:
            process.pid = self._spawner.spawn(path, argv, env, cwd, out_theirs, err_theirs)
        except BaseException:
            os.close(out)
            os.close(err)
            raise
        finally:
            os.close(out_theirs)
            os.close(err_theirs)
        self._journal.add(process.pid, earliest)
        process.out, process.err = out, err
        process.progress = ProgressFile(process.prefix + ".progress")
        os.set_blocking(out, False)
        os.set_blocking(err, False)
        self._loop.watch(out, lambda events: self._on_output(process, process.out, STDOUT, events), READ | EDGE)
        self._loop.watch(err, lambda events: self._on_output(process, process.err, STDERR, events), READ | EDGE)
        self._running[attempt.key] = process
        if process.guard is not None:
            process.guard.watch(process.pid)
        self._executor.began(attempt, time.time())
        self._reaper.watch(process.pid, lambda status: self._on_end(process, status))

    def _folder(self) -> str:
        if self._folders:
            return self._folders.pop()
        self._count += 1
        path = os.path.join(self._directory, str(self._count))
        os.mkdir(path, 0o700)
        return path

    def _not_started(self, process: Process, cause: str, message: str) -> None:
        attempt = process.attempt
        if process.guard is not None:
            process.guard.close()
        self._clean(process)
        self._executor.release(attempt.template.need)
        self._executor.fail(attempt, cause, failure("launch", f"it could not be started: {message}"))

    # --- at work --------------------------------------------------------------------------------------------------

    def _on_output(self, process: Process, fd: int, stream: str, events: int) -> None:
        if not events & READ:
            return  # it was closed; what that means is seen at the end of the process
        for _ in range(_READS):
            try:
                data = os.read(fd, _PIPE_SIZE)
            except BlockingIOError:
                return
            if not data:
                return
            self._logs.write(process.attempt.key, stream, time.time(), data)
            if len(data) < _PIPE_SIZE:
                return
        self._loop.change(fd, READ | EDGE)

    def _kill(self, process: Process) -> None:
        if process.pid and process.stops is not None and time.monotonic() >= process.stops - 0.001:
            self._sweeper.signal(process.marker, process.pid, signal.SIGKILL)

    def _report(self, process: Process, news: News) -> None:
        for fields in news.facts:
            self._executor.fact(process.attempt, fields)
        process.failure = news.failure or process.failure

    # --- the end --------------------------------------------------------------------------------------------------

    def _on_end(self, process: Process, status: int) -> None:
        attempt = process.attempt
        for fd, stream in ((process.out, STDOUT), (process.err, STDERR)):
            self._drain(process, fd, stream)
            self._loop.close(fd)
        session, process.pid = process.pid, 0
        process.ended = time.time()
        del self._running[attempt.key]
        if attempt.stopping is None and process.guard is not None and process.guard.exceeded():
            attempt.stopping = "memory"
        if process.guard is not None:
            process.guard.close()
        self._executor.release(attempt.template.need)
        if status == 0 and attempt.stopping is None:
            self._finish(process, status)
        else:
            # Nobody reads the outputs of an attempt that failed.
            process.files.add(".outputs")
            # A next attempt may come: nothing of this one may be left.
            self._sweeper.clear(process.marker, session, lambda: self._finish(process, status))

    def _drain(self, process: Process, fd: int, stream: str) -> None:
        """Take what is still in a pipe; who else has it open may go on, but is not listened to."""
        for _ in range(64):
            try:
                data = os.read(fd, _PIPE_SIZE)
            except BlockingIOError:
                return
            if not data:
                return
            self._logs.write(process.attempt.key, stream, time.time(), data)

    def _finish(self, process: Process, status: int) -> None:
        attempt = process.attempt
        if process.progress is not None:
            self._report(process, process.progress.read(last=True))
            while process.progress.more:
                self._report(process, process.progress.read(last=True))
        if attempt.stopping is not None:
            self._executor.stopped(attempt)
        elif os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            cause = "platform" if number in _FOREIGN else "user"
            self._executor.fail(attempt, cause, _signalled(number))
        elif status:
            self._executor.fail(attempt, *_exited(os.WEXITSTATUS(status), process.failure))
        else:
            self._succeed(process)
            return
        self._clean(process)

    def _succeed(self, process: Process) -> None:
        attempt = process.attempt
        try:
            found = _read_outputs(process)
        except OutputError as error:
            self._fail_outputs(process, error)
            return
        if self._putter.needed(found, attempt.template.outputs):
            self._putter.put(found, attempt.template.outputs, process.prefix, lambda done: self._on_put(process, done))
            return
        self._take(process, found)

    def _on_put(self, process: Process, done: Any) -> None:
        if isinstance(done, OutputError):
            self._fail_outputs(process, done)
        elif isinstance(done, Exception):
            self._executor.fail(
                process.attempt, "platform", failure("outputs", f"an output could not be stored: {done}")
            )
            self._clean(process)
        else:
            self._take(process, done)

    def _take(self, process: Process, found: dict[str, Any]) -> None:
        try:
            check(found, process.attempt.template.outputs)
            text = dumps(found) if found else "{}"
        except OutputError as error:
            self._fail_outputs(process, error)
            return
        self._executor.succeed(process.attempt, text, process.ended)
        self._clean(process)

    def _fail_outputs(self, process: Process, error: OutputError) -> None:
        self._executor.fail(process.attempt, "user", failure("outputs", str(error)))
        self._clean(process)

    def _clean(self, process: Process) -> None:
        """Remove what the attempt left, and keep its folder for the next one if it is as it was."""
        prefix = process.prefix
        if not prefix:
            return
        if process.progress is not None and process.progress.there:
            process.files.add(".progress")
        used = False
        for suffix in process.files:
            try:
                os.unlink(prefix + suffix)
            except FileNotFoundError:
                pass
            except OSError:
                # It was asked to write a file and has made something else of it.
                self._putter.remove(prefix + suffix)
                used = True
        if used or os.listdir(prefix):
            self._putter.remove(prefix)
        else:
            self._folders.append(prefix)


def _exited(code: int, told: Failure | None) -> tuple[str, Message]:
    """Cause and failure of a program that ended with this exit code, by its own account where it gave one."""
    if told is None:
        return "user", failure("exit", "exit code %d" % code, exit_code=code)
    return REASONS[told.reason], failure(told.reason, told.message, exit_code=code, traceback=told.traceback)


def _signalled(number: int) -> Message:
    name = signal_name(number)
    return failure("signal", f"ended by {name}", signal=name)


def _read_outputs(process: Process) -> dict[str, Any]:
    try:
        data = read_some(process.prefix + ".outputs", 0, MAX_OUTPUTS + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        process.files.add(".outputs")
        raise OutputError("$MESON_OUTPUTS cannot be read: %s" % error) from None
    process.files.add(".outputs")
    if len(data) > MAX_OUTPUTS:
        raise OutputError(
            "$MESON_OUTPUTS has more than %d bytes; declare an output as artifact and write the path of a file there"
            % MAX_OUTPUTS
        )
    if not data.strip():
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OutputError(f"$MESON_OUTPUTS is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise OutputError("$MESON_OUTPUTS should be a JSON object by output name, got %.80r" % (found,))
    return found
