"""Owns the warm Python worker: a process that runs step functions, one at a time, for as long as it is wanted.

It is started as `python -m meson_runtime.worker ORDERS STREAM BOARD OUT ERR PROJECT STORE`: two sockets, a file and two pipes by
their descriptors, the folder of the code bundle, the artifact store.

ORDERS is a SOCK_SEQPACKET socket: the kernel's queue of it is the row of attempts that were handed over. Each message is one
order, `[number, serial, template | null, order]`; what is too large for a message lies in a file, `[number, path]`. The
template comes along until an attempt with that serial has ended. The worker takes one only when it is free. So what it has not taken, the executor can take back, through the same
socket: no order is ever in two hands.

STREAM goes both ways, in lines. Up: a letter, the number of the order, what it is:

    !                              ready
    + number began ended outputs   succeeded; outputs is a JSON object
    - number began ended failure   failed, cause user; failure is a JSON object
    x number                       was stopped, and has cleaned up; the process ends
    > number at stream text        output; stream is a code of `meson_executor.logs`, text is JSON
    f number fields                a fact; its fields, as JSON without braces
    p number [fraction, message]   the last progress of an attempt that ends
    ? number name                  wants a secret; name is JSON

Down: `{"n": number, "name": …, "value": …}` for a message, `{"secret": name, "value": …}` or `{"secret": name, "error": …}`.

BOARD says which order is at work, see `board`.

OUT and ERR are the reading ends of the pipes that this process writes to as 1 and 2: what C code and programs of a step write.
The executor reads there as well; what it has not come to when an attempt ends, the worker passes on, so that no byte is taken
for the next attempt's.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING, Any, Callable

from meson_runtime import streams
from meson_runtime.artifacts import Artifact, FileStore, revive
from meson_runtime.board import Board
from meson_runtime.context import Cancelled, SecretError, ctx, present
from meson_runtime.declare import outputs_of
from meson_runtime.failures import describe, headline
from meson_runtime.functions import Function, FunctionMissingError, find
from meson_runtime.outputs import OutputError, checked
from meson_runtime.remote import open_store

if TYPE_CHECKING:
    from types import FrameType

#: Largest order that goes through the socket, in bytes.
MAX_ORDER = 96 * 1024

_PR_SET_PDEATHSIG = 1
_PIPE_SIZE = 65536
#: What FIONREAD says of an empty pipe.
_ZERO = b"\0\0\0\0"
_IDLE, _AT_WORK, _REPORTING = range(3)

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Step:
    """A step function that was found, and what its outputs should be."""

    __slots__ = ("declared", "function", "name", "plain")

    def __init__(self, template: dict[str, Any], project: str) -> None:
        self.name: str = template["step"]
        self.declared: dict[str, str] = template["outputs"]
        self.function: Function = find(template["work"], project)


class Worker:
    """The worker's side of the sockets; also the link through which `ctx` speaks."""

    def __init__(
        self,
        orders: socket.socket,
        stream: socket.socket,
        board: Board,
        pipes: tuple[int, int],
        project: str,
        store: FileStore | None,
    ) -> None:
        self._orders = orders
        self._stream = stream
        self._board = board
        self._pipes = pipes
        self._project = project
        self._store = store
        self._steps: dict[int, Step] = {}
        self._number = 0
        self._doing = _IDLE
        self._leave = False
        self._send_lock = threading.RLock()
        #: The thread that is writing to the stream, and whether a stop waits until it has: half a line is worse than none.
        self._sender = 0
        self._stop_waits = False
        self._progress: tuple[float | None, str | None] | None = None
        self._inbox: list[dict[str, Any]] = []
        self._partial = b""
        self._outputs: tuple[streams.Gathered, ...] = ()
        self._flush_c: Callable[[None], Any] = lambda _all: None

    # --- life -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until the executor closes the socket."""
        self._flush_c = _die_with_parent()
        self._outputs = streams.replace(self._send_output)
        os.register_at_fork(after_in_child=self._on_fork)
        sys.unraisablehook = self._on_unraisable
        signal.signal(signal.SIGTERM, self._on_term)
        home = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        sys.path[0] = self._project
        self._send(b"!\n")
        buffer = bytearray(2 * MAX_ORDER)
        view = memoryview(buffer)
        orders = self._orders
        loads = json.loads
        while not self._leave:
            self._doing = _IDLE
            size = orders.recv_into(buffer)
            self._doing = _REPORTING
            if not size:
                return
            message = loads(str(view[:size], "utf-8"))
            if len(message) == 2:
                message = _from_file(message[1])
            number, serial, template, order = message
            self._number = number
            began = time.time()
            self._board.mark(number, began)
            result = self._attempt(number, began, serial, template, order)
            for gathered in self._outputs:
                gathered.finish()
            self._flush_c(None)
            for fd, code in zip(self._pipes, "oe"):
                if ioctl(fd, FIONREAD, _ZERO) != _ZERO:
                    self._pass_on(fd, code)
            if self._progress is not None:
                result = b"p %d %s\n%s" % (number, _encode(self._progress).encode(), result)
                self._progress = None
            self._send(result)
            os.fchdir(home)

    def _attempt(
        self, number: int, began: float, serial: int, template: dict[str, Any] | None, order: dict[str, Any]
    ) -> bytes:
        """Run one attempt, and return the lines that say how it ended."""
        try:
            try:
                # From here on, a request to stop is an exception.
                self._doing = _AT_WORK
                outputs = self._call(serial, template, order)
            finally:
                self._doing = _REPORTING
        except Cancelled:
            self._leave = True
            return b"x %d\n" % number
        except OutputError as error:
            why: dict[str, Any] = {"reason": "outputs", "message": str(error)}
        except FunctionMissingError as error:
            why = {"reason": "launch", "message": str(error)}
        except SystemExit as error:
            why = _exited(error)
        except BaseException as error:  # noqa: BLE001 - whatever a step raises is told, and ends the attempt alone
            why = describe(error)
        else:
            return b"+ %d %.6f %.6f %s\n" % (number, began, time.time(), outputs.encode())
        return b"- %d %.6f %.6f %s\n" % (number, began, time.time(), _encode(why).encode())

    def _call(self, serial: int, template: dict[str, Any] | None, order: dict[str, Any]) -> str:
        step = self._steps.get(serial)
        if step is None:
            assert template is not None
            present.begin(self, template["step"], order, self._store)
            step = self._steps[serial] = Step(template, self._project)
        present.begin(self, step.name, order, self._store)
        inputs = order.get("inputs") or {}
        arguments = revive(inputs, self._store) if inputs else inputs
        value = step.function(**arguments)
        try:
            found = outputs_of(value, step.declared)
        except TypeError as error:
            raise OutputError(str(error)) from None
        if not found:
            return "{}"
        return checked(self._stored(found, step.declared), step.declared)

    def _stored(self, found: dict[str, Any], declared: dict[str, str]) -> dict[str, Any]:
        """Outputs in which a path that is declared as artifact has become one, as it does for programs."""
        for name, text in declared.items():
            value = found.get(name)
            # An artifact can be opened like a path, and is stored already, under the name that it was given.
            if text == "artifact" and isinstance(value, (str, os.PathLike)) and not isinstance(value, Artifact):
                try:
                    found[name] = ctx.put(os.fspath(value))
                except OSError as error:
                    raise OutputError(f"output {name} is declared as artifact and names {value!r}: {error}") from None
        return found

    def _on_unraisable(self, lost: Any) -> None:
        """Python drops what is raised in a finaliser; of a request to stop nobody needs to hear, for it is repeated."""
        if lost.exc_type is not Cancelled:
            sys.__unraisablehook__(lost)

    def _on_fork(self) -> None:
        """A step has forked: the child is an ordinary process."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._send_lock = threading.RLock()
        streams.restore()

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        """Somebody asks the process to stop; the executor does so again and again, for a request can get lost.

        It does when it comes just before a call that waits, and when it is raised where Python drops exceptions, as in
        the finaliser of a file.
        """
        if self._doing == _AT_WORK:
            present.cancelled = True
            if _cleans_up():
                return
            # Handlers run in the main thread, and so does this one.
            if self._sender == threading.get_ident():
                self._stop_waits = True
                return
            raise Cancelled("this attempt is being stopped")
        if self._doing == _IDLE:
            os._exit(0)
        self._leave = True

    # --- the link of ctx ------------------------------------------------------------------------------------------

    def progress(self, fraction: float | None, message: str | None) -> None:
        if message is None and self._progress is not None:
            message = self._progress[1]
        self._progress = (fraction, message)
        self._board.progress(self._number, fraction, message)

    def tell(self, kind: str, value: Any) -> None:
        name, what = value
        field = "url" if kind == "link" else "value"
        fields = f'"f":"{kind}","name":{_encode(name)},"{field}":{_encode(what)}'
        self._send(b"f %d %s\n" % (self._number, fields.encode()))

    def log(self, text: str) -> None:
        self._send_output(time.time(), "l", text.encode("utf-8", "backslashreplace") + b"\n")

    def receive(self, wait_s: float) -> list[tuple[str, Any]]:
        if not self._inbox:
            self._read(wait_s)
        mine = [(found["name"], found["value"]) for found in self._inbox if found.get("n") == self._number]
        self._inbox = [found for found in self._inbox if found.get("n", 0) > self._number]
        return mine

    def secret(self, name: str) -> str:
        self._send(b"? %d %s\n" % (self._number, _encode(str(name)).encode()))
        while True:
            self._read(None)
            for found in self._inbox:
                if found.get("secret") == name:
                    self._inbox.remove(found)
                    if "error" in found:
                        raise SecretError(found["error"])
                    return str(found["value"])

    def _read(self, wait_s: float | None) -> None:
        """Take what has come down the stream, waiting for something for `wait_s` seconds."""
        while select.select([self._stream], [], [], wait_s)[0]:
            data = self._stream.recv(65536)
            if not data:
                os._exit(1)  # the executor is gone, and so is the reason to be here
            *lines, self._partial = (self._partial + data).split(b"\n")
            self._inbox.extend(json.loads(line) for line in lines)
            wait_s = 0

    # --- up the stream --------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        with self._send_lock:
            self._sender = threading.get_ident()
            self._stream.sendall(data)
            self._sender = 0
        if self._stop_waits and self._doing == _AT_WORK and threading.current_thread() is threading.main_thread():
            self._stop_waits = False
            raise Cancelled("this attempt is being stopped")

    def _pass_on(self, fd: int, code: str) -> None:
        """Send what is still in a pipe, unless the executor is quicker."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._send_output(time.time(), code, os.read(fd, _PIPE_SIZE))

    def _send_output(self, at: float, stream: str, data: bytes) -> None:
        text = _encode(data.decode("utf-8", "surrogateescape"))
        self._send(b"> %d %.6f %s %s\n" % (self._number, at, stream.encode(), text.encode()))


def _cleans_up() -> bool:
    """Whether the present code runs because of a request to stop: in a `finally`, an `except`, the end of a `with`."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Cancelled):
            return True
        error = error.__context__
    return False


def _exited(error: SystemExit) -> dict[str, Any]:
    code = error.code
    if code is None or isinstance(code, int):
        told = {
            "reason": "exit",
            "message": "it called sys.exit(%s) instead of returning" % ("" if code is None else code),
        }
        return dict(told, exit_code=code or 0)
    return {"reason": "exit", "message": f"it called sys.exit(): {headline(error)}", "exit_code": 1}


def _from_file(path: str) -> list[Any]:
    with open(path, encoding="utf-8") as file:
        message: list[Any] = json.load(file)
    os.unlink(path)
    return message


def _die_with_parent() -> Callable[[None], Any]:
    """Have the kernel end this process with its executor; return what flushes the streams of C code."""
    parent = os.getppid()
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        flush: Callable[[None], Any] = libc.fflush
    except (ImportError, OSError, AttributeError):
        return lambda _all: None
    if os.getppid() != parent:
        os._exit(1)  # it ended before the kernel was told
    return flush


def _hide_archive() -> None:
    """Out of a zipapp, this module was found by the variable PYTHONPATH, which is none of a step's programs' business."""
    archive = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    first, _, others = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if first == archive and os.path.isfile(archive):
        if others:
            os.environ["PYTHONPATH"] = others
        else:
            del os.environ["PYTHONPATH"]


def main() -> None:
    """Run one worker on the descriptors that the executor gave it."""
    project, store = sys.argv[6:8]
    try:
        os.chdir(project)
    except OSError as error:
        sys.exit(
            "the code that the run is pinned to is not there (%s: %s); retry it with --code current"
            % (project, error.strerror)
        )
    _hide_archive()
    orders, stream, board, out, err = (int(text) for text in sys.argv[1:6])
    sys.argv[:] = [""]
    for fd in (orders, stream, board, out, err):
        os.set_inheritable(fd, False)
    worker = Worker(
        socket.socket(fileno=orders),
        socket.socket(fileno=stream),
        Board(board),
        (out, err),
        project,
        open_store(store) if store else None,
    )
    os.close(board)
    # What is here now stays; collections need not look at it again.
    gc.freeze()
    worker.run()


if __name__ == "__main__":
    main()
