"""Owns the way up: facts are numbered, spooled and sent once a turn, and kept until they are acknowledged."""

from __future__ import annotations

import json
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Callable, Optional, Protocol

from meson_executor.protocol import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meson_executor.spool import Spool

#: Facts in one message when many are sent again.
_CHUNK = 1000
#: Seconds that facts wait for more of them while a lot is under way.
_GATHER_S = 0.005

#: Facts after which nothing more comes from an attempt.
ENDS = frozenset(("succeeded", "failed", "killed", "fenced", "returned"))

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

#: A fact: its number, its JSON, the key of the attempt that it ends, and what waits for its acknowledgement.
_Entry = tuple[int, str, Optional[Key], Optional[Callable[[], None]]]


class Line(Protocol):
    """The present session, as the facts see it."""

    @property
    def open(self) -> bool:
        """Whether somebody listens."""

    @property
    def crowded(self) -> bool:
        """Whether more would only pile up here."""

    def write(self, data: bytes) -> None:
        """Send, sooner or later."""


class Facts:
    """All facts that are not in the log yet.

    Args:
        spool: opened, not yet loaded.
        forget: called with the key of an attempt whose end is in the log.
        note: called with what went wrong, for people.
        later: calls something once, after so many seconds.
        busy: whether so much is under way that nobody waits for a single fact.
    """

    def __init__(
        self,
        spool: Spool,
        line: Line,
        forget: Callable[[Key], None],
        note: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], object],
        busy: Callable[[], bool],
    ) -> None:
        self._spool = spool
        self._line = line
        self._forget = forget
        self._note = note
        self._later = later
        self._busy = busy
        #: Whether fresh facts wait for more of them, and whether there is one among them that must not.
        self._gathering = False
        self._urgent = False
        self._kept: deque[_Entry] = deque()
        #: How many of the kept ones have gone into the present session.
        self._sent = 0
        #: How many of the kept ones came up in this turn; they are the last ones.
        self._fresh = 0
        #: Number of the last fact.
        self.last = 0
        #: Whether people were told that the spool cannot be written; once is enough until it works again.
        self._told = False

    def restore(self) -> tuple[list[Key], list[str]]:
        """Take over what an earlier incarnation left: the keys of the attempts that ended, and what was damaged."""
        found = self._spool.load()
        ended: list[Key] = []
        for number, fact in found.facts:
            key = None
            if fact["f"] in ENDS:
                run_id, instance, attempt = fact["k"]
                key = (run_id, tuple(instance), attempt)
                ended.append(key)
            self._kept.append((number, _dumps(fact), key, None))
        self.last = found.last
        self._rewrite(sync=True)
        return ended, found.notes

    def add(
        self, text: str, ended: Key | None = None, then: Callable[[], None] | None = None, *, urgent: bool = False
    ) -> None:
        """Take up a fact, given as JSON; it leaves with the next flush, or soon after unless it is urgent."""
        self.last += 1
        self._fresh += 1
        self._urgent = self._urgent or urgent
        self._kept.append((self.last, text, ended, then))

    def flush(self) -> None:
        """Spool and send what came up in this turn.

        While a lot is under way it waits a moment for more: a commit of many facts costs little more than one of a few,
        and what is saved goes to the steps.
        """
        if self._fresh and not self._urgent and self._line.open and self._busy():
            if not self._gathering:
                self._gathering = True
                self._later(_GATHER_S, self._flush)
            return
        self._flush()

    def _flush(self) -> None:
        self._gathering = self._urgent = False
        count = self._fresh
        if count:
            self._fresh = 0
            kept = self._kept
            body = ",".join([kept[index][1] for index in range(-count, 0)]).encode("utf-8")
            # Kept first: what was told once is told again by whoever comes after us.
            self._keep(count, body)
            if self._line.open and self._sent == len(kept) - count and not self._line.crowded:
                self._line.write(_message(self.last - count + 1, body))
                self._sent += count
        if not self._line.open:
            self._sync()

    def resend(self, acked: int) -> None:
        """Start a session whose orchestrator has everything up to `acked`; `pump` sends the rest."""
        self._sent = 0
        self.ack(acked)
        if self.last < acked:
            # The machine went down before the disk had what the orchestrator had: numbers that are in the log are taken.
            self.last = acked
            self._rewrite(sync=False)

    def pump(self) -> None:
        """Send what is spooled and has not gone into this session yet, as far as there is room."""
        spooled = len(self._kept) - self._fresh
        while self._line.open and self._sent < spooled and not self._line.crowded:
            entries = list(islice(self._kept, self._sent, min(self._sent + _CHUNK, spooled)))
            for first, body in _runs(entries):
                self._line.write(_message(first, body))
            self._sent += len(entries)

    def ack(self, seq: int) -> None:
        """Everything up to `seq` is in the log."""
        kept = self._kept
        before = len(kept)
        while kept and kept[0][0] <= seq:
            _, _, ended, then = kept.popleft()
            if ended is not None:
                self._forget(ended)
            if then is not None:
                then()
        self._sent = max(0, self._sent - (before - len(kept)))
        self._fresh = min(self._fresh, len(kept))
        if self._spool.due:
            self._rewrite(sync=False)

    @property
    def unacknowledged(self) -> int:
        """How many the log may not have."""
        return len(self._kept)

    @property
    def settled(self) -> bool:
        """Whether the log has everything."""
        return not self._kept

    def close(self) -> None:
        self._flush()
        self._sync()
        self._spool.close()

    def _keep(self, count: int, body: bytes) -> None:
        if not self._spool.complete:
            self._rewrite(sync=not self._line.open)
            return
        try:
            self._spool.append(self.last - count + 1, body)
        except OSError as error:
            self._fail(error)

    def _rewrite(self, sync: bool) -> None:
        try:
            self._spool.rewrite(self.last + 1, _runs(self._kept), sync)
            self._told = False
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._note(f"the spool cannot be written: {error}; facts are kept in memory alone until it can")

    def _sync(self) -> None:
        try:
            self._spool.sync()
        except OSError as error:
            self._note(f"the spool cannot be forced to disk: {error}")


def _message(first: int, body: bytes) -> bytes:
    return b'{"t":"facts","seq":%d,"facts":[%s]}\n' % (first, body)


def _runs(entries: Iterable[_Entry]) -> Iterator[tuple[int, bytes]]:
    """Entries without a gap in their numbers, together: the first number, and their JSON separated by commas."""
    first = 0
    texts: list[str] = []
    for number, text, _, _ in entries:
        if texts and number != first + len(texts):
            yield first, ",".join(texts).encode("utf-8")
            texts = []
        if not texts:
            first = number
        texts.append(text)
    if texts:
        yield first, ",".join(texts).encode("utf-8")
