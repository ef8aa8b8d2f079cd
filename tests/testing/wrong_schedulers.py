"""Owns resource schedulers that are each wrong in one way: the local one, with one thing done as it must not be."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from pydantic import BaseModel

from meson_core.agents.messages import ENDS, Failed, Killed, Started, Succeeded
from meson_core.builtin.local import meson_resource_schedulers
from meson_core.ports import Gone, Present, Report, SchedulerDefinition, Silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from meson_core.agents.messages import Fact
    from meson_core.ports import AttemptKey, Placement, ResourceScheduler, SchedulerSetting

LOCAL = meson_resource_schedulers()[0]


class Right:
    """The local scheduler as it is; subclasses do one thing wrong.

    Args:
        real: the local scheduler.
        options: its options.
        setting: what it was opened with.
    """

    def __init__(self, real: ResourceScheduler, options: Any, setting: SchedulerSetting) -> None:
        self.real = real
        self.capabilities = real.capabilities
        self.options = options
        self.setting = setting
        self.keys: list[AttemptKey] = []
        self.extra: asyncio.Queue[Report] = asyncio.Queue()

    async def launch(self, placements: Sequence[Placement]) -> None:
        self.keys += [placement.key for placement in placements]
        await self.real.launch([self.order(placement) for placement in placements])

    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        await self.real.kill(key, grace_s)

    async def forget(self, keys: Sequence[AttemptKey]) -> None:
        await self.real.forget(keys)

    async def send(self, key: AttemptKey, name: str, value: Any) -> None:
        await self.real.send(key, name, value)

    async def reconcile(self, keys: Iterable[AttemptKey]) -> None:
        await self.real.reconcile(keys)

    async def acknowledge(self, receipts: Sequence[object]) -> None:
        await self.real.acknowledge(receipts)

    async def demand(self, classes: Any) -> None:
        await self.real.demand(classes)

    async def reports(self) -> AsyncIterator[Report]:
        async for report in self.real.reports():
            yield self.report(report)
            while not self.extra.empty():
                yield self.extra.get_nowait()

    async def close(self) -> None:
        """Before the real one is closed."""

    def report(self, report: Report) -> Report:
        return replace(report, facts=[told for fact in report.facts for told in self.tell(fact)])

    def tell(self, fact: Fact) -> list[Fact]:
        return [fact]

    def order(self, placement: Placement) -> Placement:
        return placement

    @classmethod
    def setting_of(cls, setting: SchedulerSetting) -> SchedulerSetting:
        return setting

    @classmethod
    def definition(cls) -> SchedulerDefinition:
        @asynccontextmanager
        async def open_wrong(options: Any, setting: SchedulerSetting) -> AsyncIterator[ResourceScheduler]:
            async with LOCAL.open(options, cls.setting_of(setting)) as real:
                wrong = cls(real, options, setting)
                yield wrong
                await wrong.close()

        return SchedulerDefinition("wrong", cls.Options, LOCAL.capabilities, open_wrong)

    Options: type[BaseModel] = LOCAL.Options


def changed(placement: Placement, **body: Any) -> Placement:
    return replace(placement, template=replace(placement.template, body={**placement.template.body, **body}))


class OptionsWithoutSchema(Right):
    class Options(BaseModel, arbitrary_types_allowed=True):
        loop: asyncio.AbstractEventLoop | None = None


class OffersNothing(Right):
    def report(self, report: Report) -> Report:
        return replace(report, offers=None)


class OffersMoreThanThereIs(Right):
    def report(self, report: Report) -> Report:
        offers = report.offers and [msgspec.structs.replace(one, free={"cpus": 1e6}) for one in report.offers]
        return replace(report, offers=offers)


class LosesOutputs(Right):
    def tell(self, fact: Fact) -> list[Fact]:
        return [msgspec.structs.replace(fact, outputs=msgspec.Raw(b"{}"))] if isinstance(fact, Succeeded) else [fact]


class LosesDetails(Right):
    def tell(self, fact: Fact) -> list[Fact]:
        if not isinstance(fact, Failed):
            return [fact]
        failure = msgspec.structs.replace(fact.failure, exit_code=None, signal=None, message="it failed")
        return [msgspec.structs.replace(fact, failure=failure)]


class SwallowsFailures(Right):
    def tell(self, fact: Fact) -> list[Fact]:
        return [] if isinstance(fact, Failed) else [fact]


class KnowsNoTimeouts(Right):
    def order(self, placement: Placement) -> Placement:
        return changed(placement, limits={"memory": 0, "timeout_s": None})


class TellsTwice(Right):
    def tell(self, fact: Fact) -> list[Fact]:
        return [fact, fact] if type(fact) in ENDS else [fact]


class NeverKills(Right):
    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        pass


class SaysKilledAtOnce(Right):
    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        self.extra.put_nowait(Report(facts=[Killed((key.run_id, key.instance, key.attempt), 0.0, None)]))
        await self.real.kill(key._replace(attempt=99), 0.0)  # its answer brings the report along


class WaitsForEver(Right):
    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        await self.real.kill(key, 1000.0)


class DoesNotAnswerKills(Right):
    def report(self, report: Report) -> Report:
        return replace(report, liveness=[one for one in report.liveness if not isinstance(one, Gone)])


class TakesNothingBack(Right):
    async def forget(self, keys: Sequence[AttemptKey]) -> None:
        pass


class LaunchesTwice(Right):
    async def launch(self, placements: Sequence[Placement]) -> None:
        again = [
            replace(
                one, key=one.key._replace(attempt=7 + n), order={**one.order, "key": one.key._replace(attempt=7 + n)}
            )
            for n, one in enumerate(placements)
        ]
        await self.real.launch([*placements, *again])


class ReconcilesNothing(Right):
    async def reconcile(self, keys: Iterable[AttemptKey]) -> None:
        await self.real.reconcile([])

    def report(self, report: Report) -> Report:
        kept = [one for one in report.liveness if not isinstance(one, Present | Gone)]
        return replace(super().report(report), liveness=kept)


class TakesItsPrograms(Right):
    """It says that they outlive it, and kills them when it goes."""

    async def close(self) -> None:
        for key in self.keys:
            await self.real.kill(key, 0.0)


class AcknowledgesByItself(Right):
    async def reports(self) -> AsyncIterator[Report]:
        async for report in super().reports():
            if report.receipt is not None:
                await self.real.acknowledge([report.receipt])
            yield report


class RepeatsItself(Right):
    """It keeps what was acknowledged, and knows nothing of the log."""

    async def acknowledge(self, receipts: Sequence[object]) -> None:
        pass

    @classmethod
    def setting_of(cls, setting: SchedulerSetting) -> SchedulerSetting:
        return replace(setting, cursor={})


class SaysGoneTooEarly(Right):
    """It takes silence for death."""

    def tell(self, fact: Fact) -> list[Fact]:
        if isinstance(fact, Started):
            self.extra.put_nowait(Report(liveness=[Gone(key, "it is silent") for key in self.keys]))
        return [fact]


class ForgetsWhoWasFirst(Right):
    """What it was told first is lost to it; not before an orchestrator has taken over, so that the kit gets that far."""

    seen = False

    def tell(self, fact: Fact) -> list[Fact]:
        if type(fact) in ENDS and not self.seen and self.setting.epoch > 1:
            self.seen = True
            return []
        return [fact]


class SaysGoneWhenCutOff(Right):
    """It takes a connection that has ended for an executor that has."""

    def report(self, report: Report) -> Report:
        gone = [Gone(key, "the connection has ended") for key in self.keys] if report.offers == [] else []
        return replace(report, liveness=[*report.liveness, *gone])


class SaysGoneWhenSilent(Right):
    """It takes silence for death, once it has lasted for the lease."""

    def report(self, report: Report) -> Report:
        gone = [Gone(one.key, one.reason) for one in report.liveness if isinstance(one, Silent)]
        return replace(report, liveness=[*report.liveness, *gone])


class KillsTheSilent(Right):
    def __init__(self, real: ResourceScheduler, options: Any, setting: SchedulerSetting) -> None:
        super().__init__(real, options, setting)
        self.late: list[AttemptKey] = []

    def report(self, report: Report) -> Report:
        self.late = [one.key for one in report.liveness if isinstance(one, Silent)]
        return super().report(report)

    async def reports(self) -> AsyncIterator[Report]:
        async for report in super().reports():
            for key in self.late:
                await self.real.kill(key, 0.0)
            yield report


class CutsLargeValues(Right):
    def tell(self, fact: Fact) -> list[Fact]:
        if isinstance(fact, Succeeded) and len(fact.outputs) > 10_000:
            return [msgspec.structs.replace(fact, outputs=msgspec.Raw(b'{"x": ""}'))]
        return [fact]


class KnowsAsciiOnly(Right):
    def order(self, placement: Placement) -> Placement:
        work = dict(placement.template.body["work"])
        work["argv"] = [
            part.encode("ascii", "replace").decode() if isinstance(part, str) else part for part in work["argv"]
        ]
        return changed(placement, work=work)


def secret_of(options: Any) -> str:
    return (Path(options.secrets) / "token").read_text() if options.secrets else ""


class PutsSecretsIntoArguments(Right):
    def order(self, placement: Placement) -> Placement:
        work = dict(placement.template.body["work"])
        work["argv"] = [*work["argv"], secret_of(self.options)]
        return changed(placement, work=work)


class WritesSecretsDown(Right):
    def order(self, placement: Placement) -> Placement:
        (self.setting.directory / "debug.log").write_text(f"TOKEN={secret_of(self.options)}")
        return placement


class LeavesAThread(Right):
    async def close(self) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class LeavesATask(Right):
    tasks: ClassVar[set[asyncio.Task[Any]]] = set()

    async def close(self) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(asyncio.Event().wait()))


class LeavesAFileOpen(Right):
    files: ClassVar[list[Any]] = []

    async def close(self) -> None:
        self.files.append((self.setting.directory / "leak").open("w"))
