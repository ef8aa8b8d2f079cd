"""Owns one conversation with an executor: hello and welcome, fact numbers, templates, lease; bytes in, bytes out, no IO.

fact numbers   Facts are taken in order and once. A repeated one is dropped; where one is missing, a new hello asks for
               everything after the log's last. If the same one is missing then, its spool was damaged: it is passed
               over, and a note says so.
lease          Every line renews it. When it has run out, the attempts are silent, and this session is over: what
               comes late neither revives nor kills. Only the welcome of a new session does.
before the     Nothing but the hello goes out. Orders, kills and messages wait, and follow it.
  welcome
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.agents.messages import (
    VERSION,
    Answer,
    Bye,
    Fact,
    Facts,
    Key,
    Message,
    Refused,
    Samples,
    Welcome,
    decode,
    decode_answer,
    encode,
)
from meson_core.errors import ProtocolError
from meson_core.ports import AttemptKey, Gone, Present, Sample, Silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meson_core.agents.roster import Roster
    from meson_core.ports import Placement

#: Orders are cut into lines of about this many bytes, far below what either side accepts.
_MAX_BATCH = 4 * 1024 * 1024
_encode_order = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Received:
    """What some lines from an executor amount to.

    Args:
        facts: new ones, in order.
        seq: number of the last of them; 0 when there are none.
        samples: latest values.
        liveness: verdicts on attempts.
        returned: attempts that certainly never got there.
        welcome: the welcome, when it was among them.
        answers: to what was asked, by id.
        notes: for people: damage that the executor told of or that the numbers show.
        ended: why the executor ends the session, "" while it does not.
        reply: what is to be sent back at once.
    """

    facts: list[Fact] = field(default_factory=list)
    seq: int = 0
    samples: list[Sample] = field(default_factory=list)
    liveness: list[Present | Gone | Silent] = field(default_factory=list)
    returned: list[Key] = field(default_factory=list)
    welcome: Welcome | None = None
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ended: str = ""
    reply: bytes = b""


class Session:
    """One connection's worth of protocol; make a new one for every connection.

    Args:
        roster: what the executor has to answer for; shared by all its sessions.
        cell: name of the cell.
        epoch: of the lease of the cell.
        lease_s: seconds of silence after which the attempts are lost.
        now: monotonic seconds.
    """

    def __init__(self, roster: Roster, *, cell: str, epoch: int, lease_s: float, now: float) -> None:
        self.roster = roster
        self.cell = cell
        self.epoch = epoch
        self.lease_s = lease_s
        self.heard_at = now
        self.open = False
        self.over = False
        self._known_templates: set[str] = set()
        self._waiting: list[bytes] = []
        self._missing: int | None = None
        self._ids = 0

    # --- down ---------------------------------------------------------------------------------------------------------

    def hello(self) -> bytes:
        """The line that opens the session; also asks for everything after the log's last fact again."""
        self.open = False
        return encode({"t": "hello", "v": VERSION, "cell": self.cell, "epoch": self.epoch, "acked": self.roster.acked})

    def launch(self, placements: Iterable[Placement]) -> bytes:
        """Orders for these, with the templates that they need; what is known already is left out."""
        fresh = self.roster.launch(placements)
        # Before the welcome nothing goes out: it sends all orders that have not gone.
        return self._orders(fresh) if self.open else b""

    def kill(self, key: Key, grace_s: float) -> bytes | None:
        """The order to kill one; None when the executor does not have it."""
        if not self.roster.kill(key, grace_s):
            return None
        # The welcome repeats all kills.
        return self._kills([(key, grace_s)]) if self.open else b""

    def forget(self, keys: Sequence[Key]) -> bytes:
        """Ask for what has not begun."""
        return self._when_open(encode({"t": "forget", "keys": list(keys)}))

    def send(self, key: Key, name: str, value: Any) -> bytes:
        """A message for a running attempt."""
        return self._when_open(encode({"t": "send", "key": key, "name": name, "value": value}))

    def ask(self, what: str, **details: Any) -> tuple[int, bytes]:
        """A question; its answer comes with this id."""
        self._ids += 1
        return self._ids, self._when_open(encode({"t": "ask", "id": self._ids, "what": what, **details}))

    def acknowledge(self, seq: int) -> bytes:
        """All facts up to `seq` are in the log."""
        if seq <= self.roster.acked:
            return b""
        self.roster.acked = seq
        return encode({"t": "ack", "seq": seq}) if self.open else b""

    def settle(self) -> bytes:
        """Whatever the executor has and the roster has not is to be killed."""
        orphans = self.roster.settle()
        return self._kills(orphans) if orphans and self.open else b""

    # --- up -----------------------------------------------------------------------------------------------------------

    def receive(self, lines: Iterable[bytes], now: float) -> Received:
        """Read some lines.

        Raises:
            ProtocolError: the peer does not speak this protocol.
        """
        self.heard_at = now
        found = Received()
        for line in lines:
            message = decode(line)
            if type(message) is Facts:
                self._facts(message, found)
            elif type(message) is Samples:
                if self.open:
                    at = message.at
                    found.samples.extend(
                        Sample(AttemptKey(*key), at, fraction, text) for key, fraction, text in message.items
                    )
                    found.notes.extend(message.notes)
            else:
                self._rare(message, line, found)
        return found

    def expire(self, now: float) -> list[Present | Gone | Silent]:
        """Verdicts when the lease has run out; the session is over then."""
        silent_s = now - self.heard_at
        if self.over or silent_s < self.lease_s:
            return []
        self.over = True
        self.open = False
        return self.roster.silence(f"its executor has been silent for {silent_s:.0f} s")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _facts(self, message: Facts, found: Received) -> None:
        roster = self.roster
        if not self.open:
            return  # meant for an earlier hello: they come again
        facts, first = message.facts, message.seq
        expected = roster.received + 1
        if first > expected:
            if self._missing != first:
                self._missing = first
                found.reply += self.hello()
                return
            found.notes.append(
                f"executor {roster.executor}: its facts {expected} to {first - 1} are missing; "
                "attempts that ended with them are found by their executor's next welcome"
            )
        elif first < expected:
            facts = facts[expected - first :]
            if not facts:
                # Told once more: the acknowledgement was lost, or is still to come.
                found.reply += encode({"t": "ack", "seq": roster.acked})
                return
        self._missing = None
        roster.received = first + len(message.facts) - 1
        roster.hear(facts)
        found.facts.extend(facts)
        found.seq = roster.received

    def _rare(self, message: Message, line: bytes, found: Received) -> None:
        if isinstance(message, Welcome):
            self._welcome(message, found)
        elif isinstance(message, Answer):
            found.answers[message.id] = decode_answer(line)
        elif isinstance(message, Refused | Bye):
            found.ended = message.reason or "it leaves"
            self.over = isinstance(message, Refused)
            self.open = False

    def _welcome(self, welcome: Welcome, found: Received) -> None:
        if welcome.v != VERSION:
            raise ProtocolError(
                f"executor {welcome.executor} speaks protocol {welcome.v}, this orchestrator speaks {VERSION}",
                hint="install meson-core and meson-executor of one release",
            )
        first = welcome.executor != self.roster.executor
        verdicts = self.roster.welcome(welcome)
        if first and self.roster.received > welcome.seq:
            # A spool that was deleted begins again at 1: the numbers of the log belong to another one.
            found.notes.append(
                f"executor {welcome.executor} counts facts from {welcome.seq}, the log has {self.roster.received} of it"
            )
            self.roster.received = self.roster.acked = welcome.seq
        self.open = True
        found.welcome = welcome
        found.notes.extend(welcome.notes)
        found.liveness.extend(verdicts.liveness)
        found.returned.extend(verdicts.returned)
        self._known_templates.clear()
        found.reply += self._orders(verdicts.again)
        if verdicts.kill:
            found.reply += self._kills(verdicts.kill)
        found.reply += b"".join(self._waiting)
        self._waiting.clear()

    def _orders(self, placements: Sequence[Placement]) -> bytes:
        if not placements:
            return b""
        known = self._known_templates
        fresh = {}
        lines = []
        batch: list[bytes] = []
        size = 0
        for placement in placements:
            template = placement.template
            if template.template_id not in known:
                known.add(template.template_id)
                fresh[template.template_id] = template.body
            order = _encode_order(placement.order)
            batch.append(order)
            size += len(order)
            if size > _MAX_BATCH:
                lines.append(self._launch_line(batch))
                batch, size = [], 0
        if batch:
            lines.append(self._launch_line(batch))
        self.roster.sent(placements)
        steps = encode({"t": "steps", "steps": fresh}) if fresh else b""
        return steps + b"".join(lines)

    def _launch_line(self, orders: Sequence[bytes]) -> bytes:
        return b'{"t":"launch","epoch":%d,"orders":[%b]}\n' % (self.epoch, b",".join(orders))

    def _kills(self, kills: Sequence[tuple[Key, float]]) -> bytes:
        return encode({"t": "kill", "epoch": self.epoch, "keys": kills})

    def _when_open(self, line: bytes) -> bytes:
        if self.open:
            return line
        self._waiting.append(line)
        return b""
