"""Owns the wire between an orchestrator and an executor: newline-delimited JSON, versioned, the same on every transport.

One JSON object a line, UTF-8, no line longer than `MAX_LINE` bytes. `"t"` says what it is. A **key** is
`[run_id, [node, *indexes], attempt]`. Times are seconds since the epoch.

Down (orchestrator to executor):

    hello    v, cell, epoch, acked            opens a session; `acked` is the last fact sequence that is in the log
    steps    steps: {id: Template}            what all attempts of one step have in common; sent before their first order
    launch   epoch, orders: [Order]           idempotent by key: a key that is known (queued, at work, or ended and not
                                              yet acknowledged) is not started again
    kill     epoch, keys: [[key, grace_s]]    TERM, grace, KILL to the process group; a queued one just ends
    forget   keys: [key]                      withdraw what has not begun; answered by `returned` where that came in time
    ack      seq                              all facts up to seq are in the log (cumulative)
    send     key, name, value                 a message for a running attempt
    ask      id, what, ...                    a request that wants an answer: "status"; "tail" (key, offset)
    drain                                     give back what has not begun, finish what runs, then leave
    stop                                      kill everything, then leave

Up (executor to orchestrator):

    welcome  v, executor, incarnation, machine, pid, totals, seq, attempts: [[key, "queued" | "running" | "ended"]]
                                              the answer to hello, after all processes of earlier incarnations are dead:
                                              an attempt that is not named here is fenced; facts after `acked` follow
    facts    seq, facts: [Fact]               `seq` is the number of the first one; numbers go on over incarnations
    samples  at, items: [[key, fraction | null, message | null]]   at least every `HEARTBEAT_S`, also when empty: the
                                              heartbeat of the executor and of all attempts that it named as running
    answer   id, ...
    refused  reason                           the hello or order came from an older epoch or another protocol version
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
               {"w": "python", "function": qualname, "module" | "file" | "source": text}
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
                traceback}, final
    killed      began | null
    returned    reason                        never began, no budget pays
    submitting  job, recoverable              the step waits until this is acknowledged
    remembered  id                            the step waits until this is acknowledged
    emitted     name, value
    link        name, url

A `started` is left out when the end is known before the next flush; `began` carries the time.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

VERSION = 1
#: Longest line that either side accepts, in bytes; a longer one ends the session.
MAX_LINE = 64 * 1024 * 1024
#: Seconds between two `samples` at most.
HEARTBEAT_S = 1.0
#: Largest outputs object of one attempt, in bytes of JSON; larger things go through `ctx.put`.
MAX_OUTPUTS = 64 * 1024

Key = Tuple[str, Tuple[int, ...], int]
Message = Dict[str, Any]

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
    except ValueError as error:
        raise WireError("not JSON: %s" % error) from None
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
        self._parts: List[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> List[bytes]:
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
    exit_code: Optional[int] = None,
    signal: Optional[str] = None,
    traceback: Optional[str] = None,
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
