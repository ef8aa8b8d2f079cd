"""Owns a whole cell for tests: the real store and orchestrator, time turned by hand, machines that do as the test says."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from pydantic import BaseModel

from meson_core import agents
from meson_core.builtin.matchers import meson_resource_matchers
from meson_core.errors import ArtifactError
from meson_core.events import Failure
from meson_core.orchestrator.running import put_run
from meson_core.orchestrator.serve import Orchestrator
from meson_core.plugins import PluginInfo, Plugins, PluginState
from meson_core.plugins.record import KIND, MATCHER, SCHEDULER, STORE
from meson_core.ports import (
    ArtifactStoreDefinition,
    AttemptKey,
    PathTo,
    Program,
    PythonCall,
    Report,
    SchedulerCapabilities,
    SchedulerDefinition,
    StepCapabilities,
    StoredBytes,
)
from meson_core.resources import Offer
from meson_core.settings import Settings, read_settings
from meson_core.spec.states import Cause, RunState, State
from meson_core.store.store import Store, open_store
from meson_core.testing.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from meson_core.events import AnyEvent
    from meson_core.orchestrator.probe import Point
    from meson_core.ports import Gone, Placement, Present, RequestClass, SchedulerSetting, Silent
    from meson_core.spec.model import Workflow
    from meson_core.store.records import InstanceRow
    from meson_core.store.wishes import WishBody, WishKind

DEADLINE_S = 30.0


class Watch:
    """A probe that wakes those who wait, and does what the test has asked for at a point."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.changed = asyncio.Event()
        self.at: defaultdict[Point, list[Callable[[], None]]] = defaultdict(list)
        self.reached: list[Point] = []

    def reach(self, point: Point) -> None:
        self.reached.append(point)
        if threading.current_thread() is threading.main_thread():
            self.changed.set()
        else:
            self.loop.call_soon_threadsafe(self.changed.set)
        for action in tuple(self.at[point]):
            action()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something holds, with a deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await self.changed.wait()
                self.changed.clear()


class HandScheduler:
    """A resource scheduler whose machines do what the test says; it keeps what it launched over restarts."""

    def __init__(self, *, cpus: float = 1000.0, offers: bool = True, ahead: bool = False) -> None:
        self.capabilities = SchedulerCapabilities(offers=offers, ahead=ahead)
        self.launched: dict[AttemptKey, Placement] = {}
        self.launches: list[AttemptKey] = []
        self.kills: list[tuple[AttemptKey, float]] = []
        self.forgotten: list[AttemptKey] = []
        self.messages: list[tuple[AttemptKey, str, Any]] = []
        self.reconciled: list[AttemptKey] = []
        self.acknowledged: list[object] = []
        self.demands: list[list[tuple[float, int]]] = []
        self.changed: Callable[[], None] = lambda: None
        self._cpus = cpus
        self._reports: asyncio.Queue[Report] = asyncio.Queue()
        #: With facts, and not acknowledged yet.
        self._kept: list[Report] = []
        self._seq = 0
        self.setting: SchedulerSetting | None = None

    def open(self) -> None:
        """A new orchestrator begins: it gets the offer, and is told again what was not acknowledged."""
        self._reports = asyncio.Queue()
        self.tell(offers=[self.offer()])
        for report in self._kept:
            self._reports.put_nowait(report)

    def offer(self, free: float | None = None) -> Offer:
        amounts = {"cpus": self._cpus, "memory": 1e12}
        return Offer("o1", "m1", {**amounts, "cpus": self._cpus if free is None else free}, amounts, {"zone": "a"})

    # --- the port -----------------------------------------------------------------------------------------------------

    async def launch(self, placements: Sequence[Placement]) -> None:
        for placement in placements:
            self.launched[placement.key] = placement
            self.launches.append(placement.key)
        self.changed()

    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        self.kills.append((key, grace_s))
        self.changed()

    async def forget(self, keys: Sequence[AttemptKey]) -> None:
        self.forgotten.extend(keys)
        self.changed()

    async def send(self, key: AttemptKey, name: str, value: Any) -> None:
        self.messages.append((key, name, msgspec.json.decode(msgspec.json.encode(value))))
        self.changed()

    async def reconcile(self, keys: Iterable[AttemptKey]) -> None:
        self.reconciled.extend(keys)
        self.changed()

    async def reports(self) -> AsyncIterator[Report]:
        while True:
            yield await self._reports.get()

    async def acknowledge(self, receipts: Sequence[object]) -> None:
        self.acknowledged.extend(receipts)
        self._kept = [report for report in self._kept if report.receipt not in receipts]
        self.changed()

    async def demand(self, classes: Sequence[RequestClass]) -> None:
        self.demands.append([(one.request.amount("cpus"), one.waiting) for one in classes])
        self.changed()

    # --- what the machines do -----------------------------------------------------------------------------------------

    def tell(
        self,
        *facts: agents.Fact,
        liveness: Sequence[Gone | Silent | Present] = (),
        offers: Sequence[Offer] | None = None,
    ) -> None:
        """Report something."""
        self._seq += len(facts)
        report = Report(
            facts=facts,
            liveness=liveness,
            offers=offers,
            receipt=self._seq if facts else None,
            cursors={"hand": self._seq} if facts else {},
        )
        if facts:
            self._kept.append(report)
        self._reports.put_nowait(report)

    @property
    def untold(self) -> int:
        """How many reports nobody has taken yet."""
        return self._reports.qsize()

    def succeed(self, *keys: AttemptKey, at: float = 1_000_000.0, **outputs: Any) -> None:
        raw = msgspec.Raw(msgspec.json.encode(outputs))
        self.tell(*(agents.Succeeded(key, at, at, raw) for key in keys))

    def fail(self, key: AttemptKey, message: str = "exit code 1", cause: Cause = Cause.user, at: float = 1e6) -> None:
        self.tell(agents.Failed(key, at, at, cause, Failure("exit", message)))

    def of(self, node: int) -> list[AttemptKey]:
        """What was launched of a node, in order."""
        return [key for key in self.launches if key.instance[0] == node]

    def inputs(self, key: AttemptKey) -> Any:
        return msgspec.json.decode(msgspec.json.encode(self.launched[key].order["inputs"]))


class Nothing(BaseModel):
    """No options."""


class FileArtifacts:
    """Artifacts as files, named by their digests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = folder.as_uri()

    def exists(self, digest: str) -> bool:
        return (self.folder / digest).exists()

    def open(self, digest: str) -> BinaryIO:
        try:
            return (self.folder / digest).open("rb")
        except FileNotFoundError:
            raise ArtifactError(f"there is no artifact {digest}") from None

    def put(self, path: Path) -> str:
        raise NotImplementedError

    def claim(self, digest: str) -> bool:
        return self.exists(digest)

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        (self.folder / digest).unlink(missing_ok=True)
        return True

    def contents(self) -> Iterator[StoredBytes]:
        for path in self.folder.iterdir():
            yield StoredBytes(path.name, path.stat().st_size, path.stat().st_mtime)

    def tidy(self, untouched_since: float) -> int:
        return 0


class Python:
    """Python functions given as source."""

    name = "python"
    capabilities = StepCapabilities()

    class Options(BaseModel):
        function: str = "f"
        source: str = "def f(**inputs):\n    return inputs\n"

    def work(self, options: Options) -> PythonCall:
        return PythonCall(options.function, source=options.source)


class Shell:
    """Shell scripts."""

    name = "shell"
    capabilities = StepCapabilities()

    class Options(BaseModel):
        script: str

    def work(self, options: Options) -> Program:
        return Program(("sh", "-c", options.script), {"MESON_OUTPUTS": PathTo("outputs")})


class Moody:
    """A step kind whose plugin fails when it is asked for the work."""

    name = "moody"
    capabilities = StepCapabilities()
    Options = Nothing

    def work(self, options: Nothing) -> Program:
        raise RuntimeError("no licence for today")


def plugins_with(scheduler: SchedulerDefinition) -> Plugins:
    """What the tests need, declared by one plugin."""
    info = PluginInfo("tests", "meson-tests", "1.0", "tests", PluginState.loaded)
    artifacts = ArtifactStoreDefinition("files", Nothing, lambda _, directory: FileArtifacts(directory / "artifacts"))
    declared: Mapping[str, Mapping[str, Any]] = {
        KIND: {kind.name: kind for kind in (Python(), Shell(), Moody())},
        SCHEDULER: {scheduler.name: scheduler},
        MATCHER: {matcher.name: matcher for matcher in meson_resource_matchers()},
        STORE: {"files": artifacts},
    }
    owners = {(what, name): (info,) for what, names in declared.items() for name in names}
    return Plugins((info,), declared, owners)


class Cell:
    """A project with its store, and an orchestrator that can be left and entered again.

    Args:
        root: the project's.
        scheduler: what its machines do.
    """

    def __init__(self, root: Path, scheduler: HandScheduler, settings: Settings | None = None) -> None:
        self.root = root
        self.scheduler = scheduler
        self.clock = VirtualClock(1_000_000.0)
        self.settings = settings or read_settings(root, {})
        self.store: Store = open_store(self.settings.store_location)
        self.watch = Watch()
        scheduler.changed = self.watch.changed.set
        self.clock.on_alarm = lambda _: self.watch.changed.set()
        self.orchestrator: Orchestrator | None = None

        @asynccontextmanager
        async def open_hand(_: Nothing, setting: SchedulerSetting) -> AsyncIterator[HandScheduler]:
            scheduler.setting = setting
            scheduler.open()
            yield scheduler

        definition = SchedulerDefinition("local", Nothing, scheduler.capabilities, open_hand)
        self.plugins = plugins_with(definition)

    @asynccontextmanager
    async def driven(self) -> AsyncIterator[Orchestrator]:
        """An orchestrator at work."""
        orchestrator = Orchestrator(
            self.store, self.settings, self.plugins, clock=self.clock, probe=self.watch, holder="a test"
        )
        async with orchestrator:
            self.orchestrator = orchestrator
            yield orchestrator

    def submit(self, workflow: Workflow, **params: Any) -> str:
        return put_run(self.store, self.settings.cell, workflow, params, owner="ada")

    def wish(self, what: WishKind, run_id: str, *body: WishBody) -> int:
        return self.store.put_wish(what, run_id, *body, by="ada", cell=self.settings.cell)

    async def answered(self, wish_id: int) -> Any:
        """Wait for the receipt of a wish."""
        await self.until(lambda: self.store.receipt(wish_id) is not None)
        return self.store.receipt(wish_id)

    async def until(self, condition: Callable[[], Any]) -> None:
        await self.watch.until(condition)

    async def until_due_in(self, seconds: float) -> None:
        """Wait until an alarm is set that is due in so many seconds."""
        await self.until(lambda: seconds in self.clock.due_in())

    async def launched(self, node: int, number: int = 1) -> list[AttemptKey]:
        """Wait until so many attempts of a node were launched."""
        await self.until(lambda: len(self.scheduler.of(node)) >= number)
        return self.scheduler.of(node)

    def events(self, run_id: str) -> list[AnyEvent]:
        return [row.event for row in self.store.log(run_id)]

    def names(self, run_id: str) -> list[str]:
        return [type(event).__name__ for event in self.events(run_id)]

    def row(self, run_id: str, *instance: int) -> InstanceRow:
        (row,) = self.store.instances(run_id, node=instance[0], prefix=instance[1:], limit=1)
        return row

    def state(self, run_id: str) -> RunState:
        row = self.store.run(run_id)
        assert row is not None
        return row.state

    def states(self, run_id: str) -> dict[tuple[int, ...], State]:
        if self.store.run(run_id) is None:
            return {}
        return {row.instance: row.state for row in self.store.instances(run_id, limit=1000)}

    def close(self) -> None:
        self.store.close()
