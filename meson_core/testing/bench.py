"""Owns a bench for one resource scheduler: it opens it as an orchestrator does, gives orders, and hears what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, Any

from meson_core.agents.messages import ENDS
from meson_core.ports import AttemptKey, Gone, Placement, Present, SchedulerSetting, Silent, Template
from meson_core.resources import CPUS, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from meson_core.agents.messages import Fact
    from meson_core.ports import Report, ResourceScheduler, SchedulerDefinition
    from meson_core.resources import Offer

#: A step that runs until it is told to end: `$1` is the file that tells it, `$2` the one with its process id.
WAITING = 'echo $$ > "$2.new"; mv "$2.new" "$2"; while [ ! -e "$1" ]; do sleep 0.02; done; echo "{}" > "$MESON_OUTPUTS"'


class Bench:
    """Opens a resource scheduler, as often as a test likes, over one folder.

    Args:
        definition: the resource scheduler.
        options: its options, as in the settings.
        folder: an empty folder.
        deadline_s: seconds that anything may take.
    """

    def __init__(
        self, definition: SchedulerDefinition, options: Mapping[str, Any], folder: Path, deadline_s: float
    ) -> None:
        self.definition = definition
        self.options = options
        self.folder = folder
        self.deadline_s = deadline_s
        #: Seconds of silence after which attempts are lost.
        self.lease_s = 5.0
        self.cursors: dict[str, int] = {}
        self.epoch = 0
        self._numbers = count(1)
        (folder / "project").mkdir(exist_ok=True)

    @property
    def directory(self) -> Path:
        """The folder that the scheduler may keep files in."""
        return self.folder / ".meson"

    @contextlib.asynccontextmanager
    async def open(self, *, acknowledge: bool = True) -> AsyncIterator[Opened]:
        """Open the scheduler; the next opening is that of an orchestrator that takes over.

        Args:
            acknowledge: whether what is reported gets into the log.
        """
        self.directory.mkdir(exist_ok=True)
        self.epoch += 1
        setting = SchedulerSetting(
            cell="kit",
            epoch=self.epoch,
            directory=self.directory,
            artifacts_url=(self.folder / "artifacts").as_uri(),
            cursor=dict(self.cursors),
            lost_after_s=self.lease_s,
        )
        options = self.definition.Options.model_validate(dict(self.options))
        async with asyncio.TaskGroup() as tasks:
            async with self.definition.open(options, setting) as scheduler:
                opened = Opened(self, scheduler, acknowledge=acknowledge)
                tasks.create_task(opened.listen())
                yield opened
            opened.closed = True

    def placement(
        self,
        *argv: Any,
        cpus: float = 0.1,
        offer: Offer | None = None,
        env: Mapping[str, Any] | None = None,
        outputs: Mapping[str, str] | None = None,
        inputs: Mapping[str, Any] | None = None,
        step: str = "step",
        timeout_s: float | None = None,
    ) -> Placement:
        """One attempt of a new step that runs a program.

        Args:
            argv: program and arguments, placeholders of the executor protocol included.
            cpus: cores that it takes.
            offer: where it goes.
            env: variables.
            outputs: declared ones, name → type.
            inputs: name → JSON value.
            step: name of the step.
            timeout_s: seconds that it may take.
        """
        number = next(self._numbers)
        key = AttemptKey("kit", (number,), 1)
        body = {
            "step": step,
            "code": "",
            "project": str(self.folder / "project"),
            "resources": {CPUS: cpus},
            "limits": {"memory": 0, "timeout_s": timeout_s},
            "grace_s": 1.0,
            "isolate": False,
            "outputs": dict(outputs or {}),
            "work": {"w": "program", "argv": list(argv), "env": dict(env or {}), "files": {}, "cwd": "work"},
        }
        order = {
            "key": key,
            "step": f"template-{number}",
            "job": f"job-{number}",
            "job_first": True,
            "inputs": dict(inputs or {}),
            "scratch": (self.folder / "scratch").as_uri(),
            "remembered": None,
        }
        template = Template(f"template-{number}", body)
        return Placement(key, "" if offer is None else offer.offer_id, Request(((CPUS, cpus),)), template, order)

    def waiting(self, **more: Any) -> tuple[Placement, Path, Path]:
        """An attempt that runs until a file is there: the attempt, that file, and the file that has its process id."""
        number = next(self._numbers)
        go, pid = self.folder / f"go-{number}", self.folder / f"pid-{number}"
        return self.placement("sh", "-c", WAITING, "sh", str(go), str(pid), **more), go, pid


class Opened:
    """A scheduler that is open, and what it has reported.

    Args:
        bench: where it belongs.
        scheduler: opened.
        acknowledge: whether what is reported gets into the log.
    """

    def __init__(self, bench: Bench, scheduler: ResourceScheduler, *, acknowledge: bool) -> None:
        self.scheduler = scheduler
        self.facts: defaultdict[AttemptKey, list[Fact]] = defaultdict(list)
        self.verdicts: defaultdict[AttemptKey, list[Gone | Silent | Present]] = defaultdict(list)
        self.offers: Sequence[Offer] = ()
        self.closed = False
        self._bench = bench
        self._acknowledge = acknowledge
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Take in all reports until the scheduler is closed."""
        async for report in self.scheduler.reports():
            self._take(report)
            if self._acknowledge and report.receipt is not None:
                self._bench.cursors.update(report.cursors)
                await self.scheduler.acknowledge([report.receipt])

    def _take(self, report: Report) -> None:
        for fact in report.facts:
            self.facts[AttemptKey(*fact.k)].append(fact)
        for verdict in report.liveness:
            self.verdicts[AttemptKey(*verdict.key)].append(verdict)
        if report.offers is not None:
            self.offers = report.offers
        self._changed.set()

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until something holds, and return it.

        Raises:
            AssertionError: it did not come to hold in time.
        """
        try:
            async with asyncio.timeout(self._bench.deadline_s):
                while not (found := condition()):
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            raise AssertionError(f"{what}: not within {self._bench.deadline_s:g} s; reported: {self.told()}") from None
        return found

    def told(self) -> str:
        """Everything that was reported about attempts, for messages."""
        facts = [f"{type(fact).__name__} {fact.k}" for facts in self.facts.values() for fact in facts]
        verdicts = [f"{type(one).__name__} {one.key}" for found in self.verdicts.values() for one in found]
        return ", ".join([*facts, *verdicts]) or "nothing"

    async def offer(self) -> Offer | None:
        """An offer to use; None where the scheduler makes none."""
        if not self._bench.definition.capabilities.offers:
            return None
        found: Offer = await self.until(lambda: next(iter(self.offers), None), "an offer")
        return found

    async def launch(self, *argv: Any, **more: Any) -> AttemptKey:
        """Run a program and return the key of its attempt."""
        placement = self._bench.placement(*argv, offer=await self.offer(), **more)
        await self.scheduler.launch([placement])
        return placement.key

    async def end(self, key: AttemptKey) -> Fact:
        """The end of an attempt."""
        await self.until(lambda: self.ends(key), f"an end of {key}")
        return self.ends(key)[0]

    def ends(self, key: AttemptKey) -> list[Fact]:
        """All ends of an attempt that were reported; more than one is an error of the scheduler."""
        return [fact for fact in self.facts[key] if type(fact) in ENDS]

    async def verdict(self, key: AttemptKey, kind: type[Gone | Silent | Present]) -> Gone | Silent | Present:
        """A verdict of this kind on an attempt."""
        found: Gone | Silent | Present = await self.until(
            lambda: next((one for one in self.verdicts[key] if isinstance(one, kind)), None),
            f"{kind.__name__} of {key}",
        )
        return found

    async def appears(self, path: Path) -> str:
        """The content of a file that a step writes, once it is there."""

        def read() -> str:
            return path.read_text(encoding="utf-8") if path.exists() else ""

        return str(await self.happens(read, f"a file {path.name}"))

    async def happens(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something outside of the scheduler, which tells nobody when it happens.

        Raises:
            AssertionError: it did not happen in time.
        """
        deadline = asyncio.get_running_loop().time() + self._bench.deadline_s
        pause = asyncio.Event()
        while not (found := condition()):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{what}: not within {self._bench.deadline_s:g} s; reported: {self.told()}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pause.wait(), 0.02)
        return found
