"""Owns the command `python -m meson_executor`: its arguments, becoming a daemon, being the only one, and fencing first."""

from __future__ import annotations

import argparse
import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import traceback
from typing import NoReturn

from meson_executor import __version__
from meson_executor.agent import Agent, Options, mark_of
from meson_executor.fencing import Journal, fence
from meson_executor.state import State

#: Exit codes of the command.
STARTED = 0
FAILED = 1
ALREADY_THERE = 3
_FILES = 65536


def main(arguments: list[str] | None = None) -> int:
    """Start an executor; return once it can be connected to (0), has failed (1), or another one was there (3)."""
    parsed = _parser().parse_args(arguments)
    directory = os.path.realpath(parsed.dir)
    try:
        lock = _open_lock(directory)
    except OSError as error:
        sys.stderr.write(f"{error.filename or directory}: {error.strerror}\n")
        return FAILED
    options = Options(
        directory=directory,
        executor=parsed.executor,
        machine=parsed.machine or socket.gethostname(),
        totals=_totals(parsed),
        logs=os.path.abspath(parsed.logs or os.path.join(directory, os.pardir, "logs")),
        artifacts=parsed.artifacts or os.path.abspath(os.path.join(directory, os.pardir, "artifacts")),
        secrets=os.path.abspath(parsed.secrets) if parsed.secrets else None,
        python=parsed.python,
        host=parsed.host,
        cgroups=not parsed.no_cgroups,
        idle_exit_s=parsed.idle_exit_s,
        self_kill_s=parsed.self_kill_s,
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"an executor is at work in {directory} already\n")
        return ALREADY_THERE
    if parsed.foreground:
        _serve(options, None)
    return _daemonise(options)


def _open_lock(directory: str) -> int:
    """The file that says who is at work in a directory, which is made."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    return os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m meson_executor",
        description="Run attempts on this machine for a Meson orchestrator. Goes to the background once it can be reached.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--dir", required=True, help="directory of this executor alone: socket, spool, work folders")
    parser.add_argument("--executor", required=True, help="its id; the same after every restart")
    parser.add_argument("--machine", help="name of the machine (default: the host name)")
    parser.add_argument("--cpus", type=float, default=float(len(os.sched_getaffinity(0))), help="cores to give")
    parser.add_argument("--memory", type=int, default=0, help="bytes to give (default: all that the machine has)")
    parser.add_argument(
        "--quantity", action="append", default=[], metavar="NAME=AMOUNT", help="another quantity to give"
    )
    parser.add_argument("--logs", help="folder for logs (default: logs beside --dir)")
    parser.add_argument(
        "--artifacts", help="folder or file:// URL of the artifact store (default: artifacts beside --dir)"
    )
    parser.add_argument("--secrets", help="folder with a file per secret, or a file of name=value lines")
    parser.add_argument("--python", default=sys.executable, help="interpreter of Python steps (default: this one)")
    parser.add_argument(
        "--host",
        default="meson_core.host",
        help="module that runs the async steps of plugins (default: meson_core.host)",
    )
    parser.add_argument(
        "--idle-exit-s", type=float, default=0.0, help="leave after so long without work and session; 0: never"
    )
    parser.add_argument(
        "--self-kill-s", type=float, default=0.0, help="kill all and leave after so long without session; 0: never"
    )
    parser.add_argument(
        "--no-cgroups", action="store_true", help="watch memory limits instead of having the kernel do it"
    )
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground, for a supervisor")
    return parser


def _totals(parsed: argparse.Namespace) -> dict[str, float]:
    memory = parsed.memory or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    totals = {"cpus": parsed.cpus, "memory": float(memory)}
    for text in parsed.quantity:
        name, separator, amount = text.partition("=")
        try:
            totals[name] = float(amount)
        except ValueError:
            separator = ""
        if not separator:
            raise SystemExit(f"--quantity takes NAME=AMOUNT, such as gpus=2, got {text!r}")
    return totals


def _daemonise(options: Options) -> int:
    """Serve in a process of its own session that nobody waits for; return when it can be reached, or is not going to."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        with open(ready, encoding="utf-8") as pipe:
            answer = pipe.read()
        if answer == "ready":
            return STARTED
        sys.stderr.write(
            answer or "the executor did not start; see {}\n".format(os.path.join(options.directory, "executor.log"))
        )
        return FAILED
    os.close(ready)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(os.path.join(options.directory, "executor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    return _serve(options, tell)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {error}"


def _serve(options: Options, tell: int | None) -> NoReturn:
    try:
        agent = _prepare(options)
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits for us is to hear of it
        traceback.print_exc()
        if tell is not None:
            os.write(tell, f"{_why(error)}\n".encode())
        os._exit(FAILED)
    if tell is not None:
        os.write(tell, b"ready")
        os.close(tell)
    # What is here now stays; and orders come by the thousand, with nothing in them that needs a collection.
    gc.freeze()
    gc.set_threshold(20_000)
    code = FAILED
    try:
        agent.run()
        code = STARTED
    except Exception:  # noqa: BLE001 - a bug; the successor fences what is left
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Threads that still copy a file have no say in it.
        os._exit(code)


def _prepare(options: Options) -> Agent:
    """Fence, and listen."""
    os.chdir(options.directory)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Each program takes three files here while it runs; a limit of 1,024 would be a limit of 300 programs.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    state = State(os.path.join(options.directory, "state.json"))
    notes = state.load()
    mark = mark_of(options.executor, options.directory)
    marks: set[bytes] = {mark.encode()}
    if state.place and state.place != options.directory and not os.path.exists(state.place):
        # The directory was moved; what it started before has the mark of its former place.
        marks.add(mark_of(options.executor, state.place).encode())
    state.incarnation += 1
    state.place = options.directory
    state.save()
    journal = Journal(os.path.join(options.directory, "started"))
    for note in notes:
        _say(note)
    killed = fence(marks, state.incarnation, journal, _say)
    if killed:
        _say("killed %d processes of earlier incarnations" % killed)
    journal.begin()
    return Agent(options, state, "%s.%d" % (mark, state.incarnation), journal, notes)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
