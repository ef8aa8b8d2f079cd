"""Owns the local scheduler at work: one link to one executor, kept up; orders down, reports up, one offer.

Facts, samples and verdicts are gathered between two reports, so that a report holds whatever has come in meanwhile: the
busier the orchestrator, the larger the reports, and the fewer. The offer is what the executor has, less what was launched
and has not ended; while there is no executor, there is no offer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from meson_core.agents import Returned, Roster, Session, open_unix_link
from meson_core.agents.messages import ENDS
from meson_core.builtin.local.daemon import Daemon, command_of, directory_of, machine_of
from meson_core.errors import BackendError
from meson_core.ports import AttemptKey, Gone, Report, SchedulerCapabilities
from meson_core.resources import Offer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from types import TracebackType

    from meson_core.agents import Received, UnixLink
    from meson_core.agents.roster import Verdicts
    from meson_core.builtin.local import Options
    from meson_core.ports import Placement, Present, RequestClass, Sample, SchedulerSetting, Silent

logger = logging.getLogger(__name__)

#: Seconds between two tries to reach an executor that is just leaving, or being started by somebody else.
_TRIES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: Facts that may wait for the orchestrator before the socket is not read any more.
_MAX_PENDING = 50_000
#: Refusals in a row after which nobody hopes any more.
_MAX_REFUSALS = 3
_SESSION_FILE = "session.json"


class LocalScheduler:
    """The resource scheduler of one machine; use it as an async context manager.

    Args:
        options: as the settings have them.
        setting: cell, epoch and folder.
    """

    capabilities = SchedulerCapabilities(offers=True, ahead=True, outlives=True)

    def __init__(self, options: Options, setting: SchedulerSetting) -> None:
        self._options = options
        self._setting = setting
        self._directory = directory_of(options, setting)
        self._machine = machine_of(options)
        self._daemon = Daemon(self._directory, command_of(options, setting))
        # One executor, so one cursor: its number is known before its name is.
        self._roster = Roster(max(setting.cursor.values(), default=0), _last_incarnation(self._directory))
        self._session: Session | None = None
        self._link: UnixLink | None = None
        self._totals: dict[str, float] = {}
        self._held: dict[AttemptKey, Placement] = {}
        self._free: dict[str, float] = {}
        self._silent_since: float | None = None
        #: What is to be said in the next session.
        self._unsaid: list[Callable[[Session], bytes]] = []
        #: Sessions in a row that the executor refused.
        self._refusals = 0
        self._refusal = ""
        # What the next report holds.
        self._facts: list[Any] = []
        self._samples: dict[AttemptKey, Sample] = {}
        self._liveness: list[Gone | Silent | Present] = []
        self._notes: list[str] = []
        self._offer_due = True
        self._paused = False
        self._news = asyncio.Event()
        self._lost = asyncio.Event()
        self._closing = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._failure: BackendError | None = None

    async def __aenter__(self) -> LocalScheduler:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._tasks.create_task(self._keep_link(), name="local scheduler: link")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._lost.set()
        self._news.set()
        if self._link is not None:
            self._link.close("the orchestrator leaves")
        assert self._tasks is not None
        await self._tasks.__aexit__(None, None, None)
        self._daemon.unwatch()

    # --- the port -----------------------------------------------------------------------------------------------------

    async def launch(self, placements: Sequence[Placement]) -> None:
        for placement in placements:
            if placement.key not in self._held:
                self._held[placement.key] = placement
                self._take(placement, -1.0)
        if self._session is not None:
            self._write(self._session.launch(placements))
        else:
            self._roster.launch(placements)

    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        if self._session is not None:
            line = self._session.kill(key, grace_s)
            if line is not None:
                self._write(line)
                return
        elif self._roster.kill(key, grace_s):
            return
        self._liveness.append(Gone(key, "its executor does not know it"))
        self._news.set()

    async def forget(self, keys: Sequence[AttemptKey]) -> None:
        self._say(lambda session: session.forget(keys))

    async def send(self, key: AttemptKey, name: str, value: Any) -> None:
        self._say(lambda session: session.send(key, name, value))

    async def reconcile(self, keys: Iterable[AttemptKey]) -> None:
        self._report_verdicts(self._roster.expect(keys))
        if self._session is not None:
            self._write(self._session.settle())
        else:
            self._roster.settle()

    async def reports(self) -> AsyncIterator[Report]:
        while not self._closing.is_set():
            await self._news.wait()
            self._news.clear()
            if self._failure is not None:
                raise self._failure
            report = self._take_report()
            if report is not None:
                yield report

    async def acknowledge(self, receipts: Sequence[object]) -> None:
        seq = max((receipt for receipt in receipts if isinstance(receipt, int)), default=0)
        if self._session is not None:
            self._write(self._session.acknowledge(seq))
        else:
            self._roster.acked = max(self._roster.acked, seq)

    async def demand(self, classes: Sequence[RequestClass]) -> None:
        """There is one machine, and its offer always stands."""

    # --- reports ------------------------------------------------------------------------------------------------------

    def _take_report(self) -> Report | None:
        offers = None
        if self._offer_due:
            self._offer_due = False
            offers = self._offers()
        elif not (self._facts or self._samples or self._liveness or self._notes):
            return None
        seq = self._roster.received if self._facts else 0
        report = Report(
            facts=self._facts,
            samples=list(self._samples.values()),
            liveness=self._liveness,
            offers=offers,
            receipt=seq or None,
            cursors={self._roster.executor: seq} if seq else {},
            notes=self._notes,
        )
        self._facts, self._samples, self._liveness, self._notes = [], {}, [], []
        if self._paused and self._link is not None:
            self._paused = False
            self._link.resume()
        return report

    def _offers(self) -> list[Offer]:
        if self._session is None or not self._session.open:
            return []
        free = {name: max(0.0, amount) for name, amount in self._free.items()}
        return [Offer(self._machine, self._machine, free, dict(self._totals), dict(self._options.attributes))]

    def _take(self, placement: Placement, sign: float) -> None:
        free = self._free
        for name, amount in placement.request.quantities:
            free[name] = free.get(name, 0.0) + sign * amount

    def _report_verdicts(self, verdicts: Verdicts | Received) -> None:
        self._liveness.extend(verdicts.liveness)
        for verdict in verdicts.liveness:
            if isinstance(verdict, Gone):
                self._release(verdict.key)
        now = time.time()
        for key in verdicts.returned:
            self._release(AttemptKey(*key))
            self._facts.append(Returned(key, now, "it never got to the executor"))
        if verdicts.liveness or verdicts.returned:
            self._news.set()

    def _release(self, key: AttemptKey) -> None:
        placement = self._held.pop(key, None)
        if placement is not None:
            self._take(placement, 1.0)
            self._offer_due = True

    # --- the link -----------------------------------------------------------------------------------------------------

    def _say(self, line: Callable[[Session], bytes]) -> None:
        """Say this in the present session, or in the next one."""
        if self._session is not None:
            self._write(line(self._session))
        else:
            self._unsaid.append(line)

    def _write(self, data: bytes) -> None:
        if self._link is not None:
            self._link.write(data)

    def _receive(self, lines: list[bytes]) -> None:
        session = self._session
        if session is None or session.over:
            return
        received = session.receive(lines, time.monotonic())
        held = self._held
        for fact in received.facts:
            if type(fact) in ENDS:
                self._release(fact.k)  # type: ignore[arg-type]  # a plain tuple hashes like the named one
        self._facts.extend(received.facts)
        for sample in received.samples:
            self._samples[sample.key] = _merge(self._samples.get(sample.key), sample)
        self._report_verdicts(received)
        self._notes.extend(received.notes)
        if received.welcome is not None:
            self._silent_since = None
            self._refusals = 0
            _remember_incarnation(self._directory, received.welcome.incarnation)
            self._totals = dict(received.welcome.totals)
            self._free = dict(self._totals)
            for placement in held.values():
                self._take(placement, -1.0)
            self._offer_due = True
        self._write(received.reply)
        if received.ended and self._link is not None:
            self._notes.append(f"the executor ends the session: {received.ended}")
            self._refusals += session.over
            self._refusal = received.ended
            self._link.close(received.ended)
        if len(self._facts) > _MAX_PENDING and not self._paused and self._link is not None:
            self._paused = True
            self._link.pause()
        if self._facts or self._samples or self._notes or self._offer_due:
            self._news.set()

    def _closed(self, reason: str) -> None:
        logger.debug("the link to the executor has ended: %s", reason)
        self._link = None
        self._session = None
        self._offer_due = True
        self._news.set()
        self._lost.set()

    async def _keep_link(self) -> None:
        """Have a link to a live executor, whatever it takes, until we are closed."""
        try:
            while not self._closing.is_set():
                if self._refusals:
                    await self._after_refusal()
                await self._connect()
                if self._link is not None:
                    await self._watch()
        except BackendError as error:
            self._failure = error
            self._news.set()

    async def _after_refusal(self) -> None:
        """Who was refused may have been overtaken for a moment; who is refused again and again has lost the executor."""
        if self._refusals >= _MAX_REFUSALS:
            raise BackendError(
                f"the executor in {self._directory} refuses this orchestrator: {self._refusal}",
                retryable=False,
                hint="another orchestrator may have taken over the cell, or the cell was given another name",
            )
        await self._pause(_TRIES_S[-1])

    async def _connect(self) -> None:
        """Connect to the executor, and start one where there is none."""
        self._lost.clear()
        tries = 0
        while not self._closing.is_set():
            link = await open_unix_link(self._directory, self._receive, self._closed)
            if link is not None:
                self._link = link
                self._session = Session(
                    self._roster,
                    cell=self._setting.cell,
                    epoch=self._setting.epoch,
                    lease_s=self._setting.lost_after_s,
                    now=time.monotonic(),
                )
                if link.peer is not None:
                    self._daemon.watch(link.peer)
                link.write(self._session.hello())
                unsaid, self._unsaid = self._unsaid, []
                for line in unsaid:
                    line(self._session)  # nothing goes out yet: it waits for the welcome
                return
            if not await asyncio.to_thread(self._daemon.start):
                await self._pause(_TRIES_S[min(tries, len(_TRIES_S) - 1)])
                tries += 1

    async def _watch(self) -> None:
        """Wait for the end of the link, and end it ourselves when its lease runs out."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), timeout=max(0.2, self._setting.lost_after_s / 10))
            session = self._session
            if session is None or self._closing.is_set():
                continue
            now = time.monotonic()
            self._liveness.extend(session.expire(now))
            if session.over:
                self._silent(session, now)

    def _silent(self, session: Session, now: float) -> None:
        """An executor that has said nothing for its lease; it gets a new session, and at last a successor."""
        if self._silent_since is None:
            self._silent_since = session.heard_at
        silent_s = now - self._silent_since
        self._news.set()
        if silent_s >= self._options.replace_after_s and self._daemon.kill():
            self._notes.append(f"the executor was silent for {silent_s:.0f} s: it was killed and gets a successor")
            self._silent_since = None
        if self._link is not None:
            self._link.close("its lease has run out")

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), timeout=seconds)


def _merge(before: Sample | None, sample: Sample) -> Sample:
    """The latest of both; no news leaves what there was."""
    if before is None:
        return sample
    fraction = before.fraction if sample.fraction is None else sample.fraction
    message = before.message if sample.message is None else sample.message
    return sample._replace(fraction=fraction, message=message)


def _last_incarnation(directory: Any) -> int:
    """The latest incarnation that an orchestrator spoke to; 0 when none did."""
    try:
        found = json.loads((directory / _SESSION_FILE).read_text())["incarnation"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return found if isinstance(found, int) else 0


def _remember_incarnation(directory: Any, incarnation: int) -> None:
    """Before any order goes to it: whoever comes after us must know whether orders may have got there."""
    if _last_incarnation(directory) != incarnation:
        aside = directory / f"{_SESSION_FILE}.new"
        aside.write_text(json.dumps({"incarnation": incarnation}))
        aside.replace(directory / _SESSION_FILE)
