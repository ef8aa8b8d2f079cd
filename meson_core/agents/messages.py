"""Owns what an executor says, as typed values: the upward half of `meson_executor.protocol`, decoded in one pass.

One `Decoder` reads a whole line into structs, which costs about half a microsecond a fact. Outputs and other values of
steps stay raw JSON all the way into the log: nobody between a step and the context has any use for them.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from meson_core.errors import ProtocolError
from meson_core.events import Failure
from meson_core.spec.states import Cause
from meson_executor import protocol

#: `(run_id, instance, attempt)`: equal to, and hashing like, `ports.AttemptKey`.
Key: TypeAlias = tuple[str, tuple[int, ...], int]
#: How an attempt stands at its executor.
Standing: TypeAlias = Literal["queued", "running", "ended"]

VERSION = protocol.VERSION
MAX_LINE = protocol.MAX_LINE
HEARTBEAT_S = protocol.HEARTBEAT_S

# --- facts --------------------------------------------------------------------------------------------------------


class FactBase(msgspec.Struct, frozen=True, tag_field="f", gc=False):
    """What happened to one attempt.

    Args:
        k: which attempt.
        at: seconds since the epoch, by the clock of the executor's machine.
    """

    k: Key
    at: float


class Started(FactBase, frozen=True, tag="started", gc=False):
    """It has begun."""


class Succeeded(FactBase, frozen=True, tag="succeeded", gc=False):
    """It is done.

    Args:
        began: when it began.
        outputs: a JSON object by output name.
    """

    began: float
    outputs: msgspec.Raw


class Failed(FactBase, frozen=True, tag="failed", gc=False):
    """It ended without a result.

    Args:
        began: None when it never began.
        cause: whose budget of retries pays.
        failure: what is told.
        final: a retry cannot help.
        after_s: seconds that an outside service asked to wait before the next attempt.
    """

    began: float | None
    cause: Cause
    failure: Failure
    final: bool = False
    after_s: float = 0.0


class Killed(FactBase, frozen=True, tag="killed", gc=False):
    """It ended by our kill."""

    began: float | None = None


class Fenced(FactBase, frozen=True, tag="fenced", gc=False):
    """It is certainly gone, through no doing of the step, and its result is not known; it keeps its job key."""

    reason: str = ""


class Returned(FactBase, frozen=True, tag="returned", gc=False):
    """It never began, and comes back to the queue."""

    reason: str = ""


class Submitting(FactBase, frozen=True, tag="submitting", gc=False):
    """It is about to submit an external job, and waits until this is acknowledged."""

    job: str
    recoverable: bool


class Remembered(FactBase, frozen=True, tag="remembered", gc=False):
    """The external job exists under this id; the step waits until this is acknowledged."""

    id: str


class Emitted(FactBase, frozen=True, tag="emitted", gc=False):
    """A value for people and followers."""

    name: str
    value: msgspec.Raw


class Link(FactBase, frozen=True, tag="link", gc=False):
    """Something to click at."""

    name: str
    url: str


Fact: TypeAlias = Started | Succeeded | Failed | Killed | Fenced | Returned | Submitting | Remembered | Emitted | Link

#: Facts after which nothing more comes from an attempt.
ENDS = frozenset({Succeeded, Failed, Killed, Fenced, Returned})

# --- messages -----------------------------------------------------------------------------------------------------


class Welcome(msgspec.Struct, frozen=True, tag_field="t", tag="welcome"):
    """The executor's answer to `hello`, given after all processes of its earlier incarnations are dead.

    Args:
        v: protocol version.
        executor: its id, the same over incarnations.
        incarnation: counts up with every start.
        machine: name of its machine.
        pid: of its process, on that machine.
        totals: what it has to give, name → amount.
        seq: number of the last fact that it has recorded so far.
        attempts: all attempts that it knows, and how they stand.
        notes: what it found damaged on its disk, for people.
    """

    v: int
    executor: str
    incarnation: int
    machine: str
    pid: int
    totals: dict[str, float]
    seq: int
    attempts: list[tuple[Key, Standing]]
    notes: list[str] = []


class Facts(msgspec.Struct, frozen=True, tag_field="t", tag="facts"):
    """Facts in order; `seq` is the number of the first."""

    seq: int
    facts: list[Fact]


class Samples(msgspec.Struct, frozen=True, tag_field="t", tag="samples"):
    """The heartbeat, with the latest fraction and message of attempts that had news.

    Args:
        at: when, by the machine's clock.
        items: of which attempt, its fraction and its message.
        notes: what the executor cannot write any more, for people.
    """

    at: float
    items: list[tuple[Key, float | None, str | None]]
    notes: list[str] = []


class Answer(msgspec.Struct, frozen=True, tag_field="t", tag="answer"):
    """The answer to an `ask` of the same id; what else it holds depends on what was asked."""

    id: int


class Refused(msgspec.Struct, frozen=True, tag_field="t", tag="refused"):
    """The hello or order came from an older epoch, or another version of the protocol."""

    reason: str


class Bye(msgspec.Struct, frozen=True, tag_field="t", tag="bye"):
    """The last message of an executor that leaves in order."""

    reason: str


Message: TypeAlias = Welcome | Facts | Samples | Answer | Refused | Bye

_decoder = msgspec.json.Decoder(Message)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()


def decode(line: bytes) -> Message:
    """One line from an executor.

    Raises:
        ProtocolError: not a message of this version of the protocol.
    """
    try:
        message: Message = _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise ProtocolError(
            f"an executor sent what protocol {VERSION} does not have: {error}",
            hint=f"the line began with {line[:80]!r}; are meson-core and meson-executor of the same release?",
        ) from None
    return message


def decode_answer(line: bytes) -> dict[str, Any]:
    """The whole of a line that `decode` found to be an `Answer`."""
    return _object_decoder.decode(line)


def encode(message: dict[str, Any]) -> bytes:
    """One downward message as a line."""
    return _encoder.encode(message) + b"\n"
