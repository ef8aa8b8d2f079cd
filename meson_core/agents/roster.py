"""Owns what was given to one executor, over all its connections and incarnations: which attempts it has to answer for.

An entry is made when an attempt is handed over (`launch`) or asked after (`expect`), and goes when the attempt has ended
or is gone. Each time the executor says what it knows (its welcome), every entry gets a verdict:

    named                      it is there: Present, if somebody waits for the word
    not named, and given to    the order was lost on the way: it is sent again, or given back when an earlier orchestrator
      this very incarnation      had it (that one ended between writing it down and sending it)
    not named otherwise        Gone: the successor killed whatever was left of it

What the executor names and nobody here has heard of belongs to nobody any more, and is killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meson_core.agents.messages import ENDS
from meson_core.ports import AttemptKey, Gone, Present, Silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meson_core.agents.messages import Fact, Key, Welcome
    from meson_core.ports import Placement

#: Grace of attempts that nobody knows any more.
_ORPHAN_GRACE_S = 10.0


@dataclass(slots=True)
class Entry:
    """One attempt that the executor has to answer for.

    Args:
        placement: what was ordered; None for one that an earlier orchestrator ordered.
        incarnation: of the executor when the order was sent, or of the latest that an earlier orchestrator spoke to; 0 when
            it was not sent, or nobody ever spoke to any.
        heard: whether a fact about it has come.
        silent: whether it was reported as Silent and nothing better since.
        asked: whether somebody waits for a Present.
        kill_s: the grace of a kill that was ordered, None while none was.
    """

    placement: Placement | None = None
    incarnation: int = 0
    heard: bool = False
    silent: bool = False
    asked: bool = False
    kill_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a welcome means for the entries.

    Args:
        liveness: verdicts to be reported.
        returned: attempts that certainly never got there.
        again: orders that got lost.
        kill: kills that got lost, and of attempts that nobody knows.
    """

    liveness: list[Present | Gone | Silent]
    returned: list[Key]
    again: list[Placement]
    kill: list[tuple[Key, float]]


class Roster:
    """The attempts of one executor.

    Args:
        acked: number of the last of its facts that is in the log.
        incarnation: the latest that was spoken to, by whatever orchestrator; 0 when none ever was.
    """

    def __init__(self, acked: int = 0, incarnation: int = 0) -> None:
        self.entries: dict[Key, Entry] = {}
        #: The last fact in the log, and the last one received.
        self.acked = acked
        self.received = acked
        self.executor = ""
        self.incarnation = incarnation
        self._before = incarnation
        self._named: set[Key] | None = None
        self._settled = False

    def launch(self, placements: Iterable[Placement]) -> list[Placement]:
        """Take these on; the answer is what was not known before."""
        fresh = []
        for placement in placements:
            entry = self.entries.get(placement.key)
            if entry is None:
                self.entries[placement.key] = Entry(placement)
            elif entry.placement is None:
                entry.placement = placement
            else:
                continue
            fresh.append(placement)
        return fresh

    def sent(self, placements: Iterable[Placement]) -> None:
        """These went to the present incarnation."""
        for placement in placements:
            self.entries[placement.key].incarnation = self.incarnation

    def expect(self, keys: Iterable[Key]) -> Verdicts:
        """Answer for these now where a welcome has come already, otherwise with the next one."""
        found = Verdicts([], [], [], [])
        for key in keys:
            entry = self.entries.get(key)
            if entry is None:
                entry = self.entries[key] = Entry(incarnation=self._before)
            if self._named is None or entry.silent:
                entry.asked = True
            elif key in self._named or entry.placement is not None:
                found.liveness.append(Present(AttemptKey(*key)))
            else:
                self._miss(key, entry, found)
        return found

    def settle(self) -> list[tuple[Key, float]]:
        """All that an orchestrator knows of has been asked after: what else the executor has is killed."""
        if self._settled:
            return []  # each welcome since has seen to it
        self._settled = True
        return [] if self._named is None else self._orphans()

    def kill(self, key: Key, grace_s: float) -> bool:
        """Note a kill; False when there is nothing to be killed."""
        entry = self.entries.get(key)
        if entry is None:
            return False
        entry.kill_s = grace_s
        return True

    def hear(self, facts: Sequence[Fact]) -> None:
        """Take note of what the executor reports."""
        entries = self.entries
        named = self._named
        for fact in facts:
            if type(fact) in ENDS:
                entries.pop(fact.k, None)
                if named:
                    named.discard(fact.k)
            else:
                entry = entries.get(fact.k)
                if entry is not None:
                    entry.heard = True

    def welcome(self, welcome: Welcome) -> Verdicts:
        """What the executor's list means."""
        self.executor, self.incarnation = welcome.executor, welcome.incarnation
        named = self._named = {key for key, _ in welcome.attempts}
        verdicts = Verdicts([], [], [], [])
        for key, entry in list(self.entries.items()):
            if key in named:
                if entry.asked or entry.silent:
                    verdicts.liveness.append(Present(AttemptKey(*key)))
                entry.asked = entry.silent = False
                if entry.kill_s is not None:
                    verdicts.kill.append((key, entry.kill_s))
            else:
                self._miss(key, entry, verdicts)
        if self._settled:
            verdicts.kill.extend(self._orphans())
        return verdicts

    def silence(self, reason: str) -> list[Present | Gone | Silent]:
        """The lease has run out: all entries that were not silent before are."""
        found: list[Present | Gone | Silent] = []
        for key, entry in self.entries.items():
            if not entry.silent:
                entry.silent = True
                found.append(Silent(AttemptKey(*key), reason))
        return found

    def _miss(self, key: Key, entry: Entry, verdicts: Verdicts) -> None:
        """The executor does not know of this one."""
        never_there = not entry.heard and entry.incarnation in (0, self.incarnation)
        if never_there and entry.placement is not None:
            verdicts.again.append(entry.placement)
            return
        del self.entries[key]
        if never_there:
            verdicts.returned.append(key)
        else:
            reason = "its executor was replaced, and nothing of it was left running"
            verdicts.liveness.append(Gone(AttemptKey(*key), reason))

    def _orphans(self) -> list[tuple[Key, float]]:
        assert self._named is not None
        return [(key, _ORPHAN_GRACE_S) for key in self._named if key not in self.entries]
