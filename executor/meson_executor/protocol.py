"""Owns the wire between an orchestrator and an executor: newline-delimited JSON, versioned, the same on every transport.

One JSON object a line, UTF-8, no line longer than `MAX_LINE` bytes. `"t"` says what it is. A **key** is
`[run_id, [node, *indexes], attempt]`. Times are seconds since the epoch. Unknown fields are ignored. Locally the transport
is the unix socket `SOCKET` in the executor's directory (`transport.connect` reaches it however long the path is).

Down (orchestrator to executor):

    hello    v, cell, epoch, acked            opens a session and ends any older one; `acked` is the last fact sequence that
                                              is in the log
    steps    steps: {id: Template}            what all attempts of one step have in common; sent, in each session, before
                                              their first order
    launch   epoch, orders: [Order]           idempotent by key: a key that is known (queued, at work, or ended and not
                                              yet acknowledged) is not started again
    kill     epoch, keys: [[key, grace_s]]    TERM, grace, KILL to the process group; a queued one just ends
    forget   keys: [key]                      withdraw what has not begun; answered by `returned` where that came in time
    ack      seq                              all facts up to seq are in the log (cumulative)
    send     key, name, value                 a message for a running attempt
    ask      id, what, ...                    a request that wants an answer: "status"; "tail" (key, offset)
    drain                                     give back what has not begun, finish what runs, then leave
    stop     grace_s                          kill everything (grace_s missing: each step's own), then leave

Up (executor to orchestrator):

    welcome  v, executor, incarnation, machine, pid, totals, seq, attempts: [[key, "queued" | "running" | "ended"]], notes
                                              the answer to hello, after all processes of earlier incarnations are dead:
                                              an attempt that is not named here is fenced; facts after `acked` follow;
                                              `notes` (texts) tell what was found damaged on disk
    facts    seq, facts: [Fact]               `seq` is the number of the first one; numbers go on over incarnations, and
                                              leave a gap only where the spool was damaged
    samples  at, items: [[key, fraction | null, message | null]], notes   at least every `HEARTBEAT_S`, also when empty:
                                              the heartbeat of the executor and of all attempts that it named as running;
                                              `notes` (texts, may be missing) tell what cannot be written any more
    answer   id, ... | id, error              `error` (text) where the question makes no sense
    refused  reason                           the hello or order came from an older epoch, another cell or another protocol
                                              version, or could not be read; the session ends
    bye      reason                           last message of an executor that leaves in order

A Template has what a step's attempts share (a missing field counts as its zero):

    step       dotted name of the step, for logs and people
    code       digest of the code bundle; its files are at `project`
    project    absolute folder of the code bundle on this machine
    resources  {"cpus": 1.0, "memory": bytes, ...} that the executor reserves while it runs; it queues what does not fit
    limits     {"memory": bytes or 0, "timeout_s": seconds or null}
    grace_s    between TERM and KILL at a timeout
    isolate    true: a process of its own
    outputs    {name: type} as declared; {} accepts anything
    work       one of
               {"w": "program", "argv": [Text], "env": {name: Text}, "files": {name: text}, "cwd": "work" | "project"}
               {"w": "python", "function": qualname, "module" | "file" | "source": text}, with "module" also "path": the
               folder of the project that it is imported from, where that is not the project itself
               {"w": "host", "kind": name, "options": {...}, "distribution": name}

Text is a string, or a placeholder that the executor fills: {"$path": "work" | "project" | "inputs" | "outputs" |
"progress" | "scratch"}, {"$input": name} (the local path of an artifact, else the value as text), {"$secret": name}.

An Order is one attempt:

    key, step (template id), job (job key), job_first (whether this attempt began that job),
    inputs {name: JSON}, scratch (URI), remembered (external id or null)

A Fact is `{"f": what, "k": key, "at": time, ...}`:

    started
    succeeded   began, outputs
    failed      began | null, cause ("user" | "platform" | "timeout"), failure {reason, message, exit_code, signal,
                traceback}, final, after_s (that an outside service asked to wait)
    killed      began | null
    fenced      reason                        certainly gone, through no doing of the step, and its result is not known
    returned    reason                        never began, no budget pays
    submitting  job, recoverable              the step waits until this is acknowledged
    remembered  id                            the step waits until this is acknowledged
    emitted     name, value
    link        name, url

`succeeded`, `failed`, `killed`, `fenced` and `returned` end an attempt: nothing follows them. A `started` is left out when the
end is known within `STARTED_AFTER_S`; `began` carries the time.

What ended an attempt badly is told by `cause` and `failure.reason`:

    user        "exit" (exit code), "signal" (one that a program brings on itself: SEGV, ABRT, …), "exception",
                "out of memory" (its own limit), "outputs" (missing, of another type, too large, not JSON),
                "launch" (nothing to start: no such program, function, file)
    platform    "signal" (KILL or TERM, and not by us), "launch" (this machine could not), "host died"
    timeout     "timeout"

A program that ends with an exit code other than 0 may have told by itself what was wrong (`progress`): then its own words
are in `failure`, beside the exit code, with the reason "exception", "out of memory" or, cause platform, "launch".

`failed` and `fenced` differ in what they mean for an external job: a failure begins a new one with the next attempt, a fenced
attempt keeps its job key. So a host that dies fences the attempts that had told of a submission or that carry on an
earlier attempt's job; all others that a foreign KILL or a dead host takes along are `failed`, cause platform.
"""

from __future__ import annotations

import json
from typing import Any

VERSION = 1
#: Longest line that either side accepts, in bytes; a longer one ends the session.
MAX_LINE = 64 * 1024 * 1024
#: Name of the unix socket in the executor's directory.
SOCKET = "socket"
#: Seconds between two `samples` at most.
HEARTBEAT_S = 1.0
#: Seconds after which the start of an attempt that still runs is told.
STARTED_AFTER_S = 0.02
#: Largest outputs object of one attempt, in bytes of JSON; larger things go through `ctx.put`.
MAX_OUTPUTS = 64 * 1024

Key = tuple[str, tuple[int, ...], int]
Message = dict[str, Any]

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class WireError(Exception):
    """A line that is not a message of this protocol."""


def encode(message: Message) -> bytes:
    """One message as a line, with its newline."""
    return _dumps(message).encode("utf-8") + b"\n"


def decode(line: bytes) -> Message:
    """One line as a message.

    Raises:
        WireError: not a JSON object with a "t", or longer than MAX_LINE.
    """
    if len(line) > MAX_LINE:
        raise WireError("a line of %d bytes; the limit is %d" % (len(line), MAX_LINE))
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise WireError("not a message: %.80r" % line)
    return message


def key_of(raw: Any) -> Key:
    """A key from its JSON form.

    Raises:
        WireError: another shape.
    """
    try:
        run_id, instance, attempt = raw
        return (str(run_id), tuple(int(index) for index in instance), int(attempt))
    except (TypeError, ValueError):
        raise WireError("not a key: %.80r" % (raw,)) from None


class LineBuffer:
    """Cuts a stream of bytes into lines without copying a long unfinished line again and again."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their newlines.

        Raises:
            WireError: a line longer than MAX_LINE.
        """
        if b"\n" not in data:
            self._parts.append(data)
            self._size += len(data)
            if self._size > MAX_LINE:
                raise WireError("a line longer than %d bytes" % MAX_LINE)
            return []
        lines = data.split(b"\n")
        if self._parts:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
        last = lines.pop()
        self._parts = [last] if last else []
        self._size = len(last)
        return lines


def failure(
    reason: str,
    message: str,
    exit_code: int | None = None,
    signal: str | None = None,
    traceback: str | None = None,
) -> Message:
    """A failure object; fields that do not apply are left out."""
    found: Message = {"reason": reason, "message": message}
    if exit_code is not None:
        found["exit_code"] = exit_code
    if signal is not None:
        found["signal"] = signal
    if traceback is not None:
        found["traceback"] = traceback
    return found
