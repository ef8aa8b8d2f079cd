"""Owns the proof that the built-in step kinds and those of the fake service pass the kit, and that each check can fail."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from meson_core.builtin.python import Python
from meson_core.builtin.shell import Shell, ShellOptions
from meson_core.errors import BackendError
from meson_core.ports import Program, SecretNamed, StepCapabilities
from meson_core.testing.kinds import ProgramKindKit, ServiceKindKit, StepKindKit
from tests.host.peer import FAKESERVICE
from tests.testing.judging import checks_of, found_out_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meson_core.ports import StepContext
    from meson_core.testing.fake_service import FakeService

# It is on the path for this import only: other tests list the plugins that are there.
sys.path.insert(0, str(FAKESERVICE))
from meson_fakeservice import Client, Job, JobOptions

sys.path.remove(str(FAKESERVICE))


class TestShell(ProgramKindKit):
    kind = Shell()
    options: ClassVar[Mapping[str, Any]] = {"script": "echo hello", "secrets": {"TOKEN": "token"}}
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = [{}, {"script": "x", "command": ["y"]}, {"command": []}]


class TestShellCommand(ProgramKindKit):
    kind = Shell()
    options: ClassVar[Mapping[str, Any]] = {"command": ["wc", "-l", {"input": "users"}], "cwd": "project"}


class TestPython(ProgramKindKit):
    kind = Python()
    options: ClassVar[Mapping[str, Any]] = {"function": "train", "module": "flows.train"}
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = [{"function": "f"}, {"function": "f", "file": "/etc/passwd"}]


class FakeServiceKit(ServiceKindKit):
    """The kit for kinds of the fake service."""

    options: ClassVar[Mapping[str, Any]] = {"seconds": 0.0}
    long_options: ClassVar[Mapping[str, Any] | None] = {"seconds": None}
    inputs: ClassVar[Mapping[str, Any]] = {"x": 1}
    deadline_s = 5.0
    deduplicates = True
    finds = True
    service: FakeService

    @pytest.fixture(autouse=True)
    def _service(self, meson_fake_service: Callable[..., FakeService]) -> None:
        self.service = meson_fake_service(deduplicates=self.deduplicates, finds=self.finds)

    def given(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"socket": self.service.socket, **options}

    def jobs(self) -> int:
        return len(self.service.report().states)

    def kills(self) -> int:
        return len(self.service.report().kills)


@pytest.mark.slow
class TestDeduplicating(FakeServiceKit):
    kind = Job("fake_job", StepCapabilities(deduplicates=True))
    finds = False


@pytest.mark.slow
class TestFinding(FakeServiceKit):
    kind = Job("fake_job_found", StepCapabilities(finds=True))
    deduplicates = False


@pytest.mark.slow
class TestBlind(FakeServiceKit):
    kind = Job("fake_job_blind", StepCapabilities())
    deduplicates = False
    finds = False


# --- kinds that are wrong -----------------------------------------------------------------------------------------


class WithoutName(Shell):
    name = "my shell"


class WithoutSchema(Shell):
    class Options(ShellOptions, arbitrary_types_allowed=True):
        loop: asyncio.AbstractEventLoop | None = None


class WithOptionsThatAreNotData(Shell):
    class Options(ShellOptions):
        def model_dump_json(self, **kwargs: Any) -> str:
            return '{"script": "another"}'


class WithAnyOptions(Shell):
    class Options(ShellOptions, extra="ignore"): ...


class WithContradictions(Shell):
    class Options(ShellOptions):
        def _one_of_two(self) -> ShellOptions:  # type: ignore[override]
            return self


class Forgetful(Shell):
    calls = 0

    def work(self, options: Any) -> Program:
        type(self).calls += 1
        return Program(("echo", str(self.calls)))


class Empty(Shell):
    def work(self, options: Any) -> Program:
        return Program(())


class Indiscreet(Shell):
    def work(self, options: Any) -> Program:
        return Program(("curl", "-H", SecretNamed("token")))


class Climbing(Shell):
    def work(self, options: Any) -> Program:
        return Program(("sh",), files={"../../.bashrc": "oh no"})


class WrongJob(Job):
    """A kind of the fake service; subclasses do one thing wrong."""

    def __init__(self) -> None:
        super().__init__("wrong", StepCapabilities(deduplicates=True))


class ReturnsAList(WrongJob):
    async def run(self, options: JobOptions, ctx: StepContext) -> Any:
        return [await super().run(options, ctx)]


class SubmitsFirst(WrongJob):
    async def _find_or_submit(self, client: Client, options: JobOptions, ctx: StepContext) -> str:
        answer = await client.ask("submit", key=ctx.job_key, seconds=options.seconds)
        await ctx.submitting()
        await ctx.remember(answer["id"])
        return str(answer["id"])


class ForgetsWhatItRemembers(WrongJob):
    async def run(self, options: JobOptions, ctx: StepContext) -> Any:
        if ctx.remembered is not None:
            ctx.remembered = None
            ctx.job_key += "-again"
        return await super().run(options, ctx)


class MakesUpKeys(WrongJob):
    """It promises that its service deduplicates, and gives it nothing to do so by."""

    async def _find_or_submit(self, client: Client, options: JobOptions, ctx: StepContext) -> str:
        await ctx.submitting()
        answer = await client.ask("submit", key=str(id(ctx)), seconds=options.seconds)
        await ctx.remember(answer["id"])
        return str(answer["id"])


class HasOneKey(WrongJob):
    async def _find_or_submit(self, client: Client, options: JobOptions, ctx: StepContext) -> str:
        await ctx.submitting()
        answer = await client.ask("submit", key="the key", seconds=options.seconds)
        await ctx.remember(answer["id"])
        return str(answer["id"])


class LetsItsJobGoOn(WrongJob):
    async def run(self, options: JobOptions, ctx: StepContext) -> Any:
        job = ctx.remembered or await self._find_or_submit(Client(options.socket), options, ctx)
        return await Client(options.socket).ask("wait", id=job)


class SwallowsCancellation(WrongJob):
    async def run(self, options: JobOptions, ctx: StepContext) -> Any:
        try:
            return await super().run(options, ctx)
        except (asyncio.CancelledError, BackendError):
            return {}


FOUND_OUT_BY: dict[type[Any], list[str]] = {
    WithoutName: ["it_is_what_its_hook_declares"],
    WithoutSchema: ["its_options_have_a_schema"],
    WithOptionsThatAreNotData: ["its_options_are_plain_data"],
    WithAnyOptions: ["it_refuses_options_that_it_does_not_have"],
    WithContradictions: ["it_refuses_wrong_options"],
    Forgetful: ["it_describes_its_work_the_same_every_time"],
    Empty: ["its_work_is_complete"],
    Indiscreet: ["its_arguments_have_no_secrets"],
    Climbing: ["its_files_stay_in_its_folder"],
    ReturnsAList: ["it_runs_and_returns_its_outputs"],
    SubmitsFirst: ["it_says_that_it_submits_before_it_does"],
    ForgetsWhatItRemembers: ["a_restarted_attempt_finds_its_job_again"],
    MakesUpKeys: ["a_crash_in_the_gap_makes_no_second_job"],
    HasOneKey: ["another_key_is_another_job"],
    LetsItsJobGoOn: ["a_step_that_is_stopped_stops_its_job"],
    SwallowsCancellation: ["a_step_that_is_stopped_stops_its_job"],
}


@pytest.fixture
def kits(meson_fake_service: Callable[..., FakeService]) -> Callable[[type[Any]], StepKindKit]:
    def make(kind: type[Any]) -> StepKindKit:
        kit: StepKindKit
        if issubclass(kind, Job):
            kit = FakeServiceKit()
            kit.service = meson_fake_service()
        else:
            kit = TestShell()
        kit.kind = kind()  # type: ignore[misc]
        return kit

    return make


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOUND_OUT_BY, ids=[one.__name__ for one in FOUND_OUT_BY])
def test_what_is_wrong_is_found_out_by_its_checks(
    kind: type[Any], kits: Callable[[type[Any]], StepKindKit], tmp_path: Path
) -> None:
    assert found_out_by(lambda: kits(kind), tmp_path) == set(FOUND_OUT_BY[kind])


def test_every_check_can_fail() -> None:
    expected = {check for checks in FOUND_OUT_BY.values() for check in checks}

    assert checks_of(StepKindKit, ProgramKindKit, ServiceKindKit) == expected


def test_the_folder_of_the_test_plugin_is_there() -> None:
    assert Path(FAKESERVICE, "meson_fakeservice-1.0.dist-info", "entry_points.txt").exists()
