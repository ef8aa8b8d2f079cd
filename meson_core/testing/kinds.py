"""Owns the kits for step kinds: what every one of them must do.

    class TestMyScript(ProgramKindKit):
        kind = my_plugin.MyScript()
        options = {"file": "train.R"}

    class TestMyQuery(ServiceKindKit):
        kind = my_plugin.MyQuery()
        options = {"query": "select 1"}

A kind that talks to a service gets further checks when its test says what happens there (`jobs`, `kills`): that a
restarted attempt finds its job again, that a crash in the gap makes no second one, that a stopped step stops its job.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from meson_core.plugins.conformance import ConformanceError, checked_answer
from meson_core.ports import InputOf, PathTo, Program, PythonCall, SecretNamed
from meson_core.testing.context import FakeContext
from meson_core.testing.running import run_check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence

    from meson_core.ports import ProgramKind, ServiceKind, StepKind

MAX_OUTPUTS = 64 * 1024


class StepKindKit:
    """What all kinds must do; `ProgramKindKit` and `ServiceKindKit` have it as well."""

    kind: ClassVar[StepKind]
    """The step kind."""
    options: ClassVar[Mapping[str, Any]]
    """Options of a step that succeeds within a second or so."""
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Options that the model must refuse."""

    def given(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options as the test uses them: where only a running test knows the address of a service."""
        return options

    def _options(self, options: Mapping[str, Any]) -> BaseModel:
        return self.kind.Options.model_validate(dict(self.given(options)))

    def test_it_is_what_its_hook_declares(self) -> None:
        try:
            checked_answer("meson_step_kinds", [self.kind])
        except ConformanceError as error:
            raise AssertionError(str(error)) from None

    def test_its_options_have_a_schema(self) -> None:
        """The schema is the form in editors, in the terminal and on the page."""
        try:
            schema = self.kind.Options.model_json_schema()
        except PydanticInvalidForJsonSchema as error:
            raise AssertionError(f"the options have no JSON Schema: {error.message}") from None
        assert schema["type"] == "object"

    def test_its_options_are_plain_data(self) -> None:
        """They are kept in the spec and travel to the executor as JSON."""
        options = self._options(self.options)
        again = self.kind.Options.model_validate_json(options.model_dump_json())
        assert again == options

    def test_it_refuses_options_that_it_does_not_have(self) -> None:
        """A misspelt option is found before anything runs, or it is found by its missing effect."""
        with pytest.raises(ValidationError):
            self._options({**self.options, "surely_no_option": 1})

    def test_it_refuses_wrong_options(self) -> None:
        for wrong in self.wrong_options:
            with pytest.raises(ValidationError):
                self._options(wrong)


class ProgramKindKit(StepKindKit):
    """The checks of a kind that describes programs or calls; a subclass whose name begins with `Test` sets its attributes."""

    kind: ClassVar[ProgramKind]
    """The step kind."""

    def test_it_describes_its_work_the_same_every_time(self) -> None:
        """What is described is pinned with the run; describing has no effect."""
        kind = self.kind
        options = self._options(self.options)
        before = options.model_dump()
        assert kind.work(options) == kind.work(options)
        assert options.model_dump() == before

    def test_its_work_is_complete(self) -> None:
        kind = self.kind
        work = kind.work(self._options(self.options))
        assert isinstance(work, Program | PythonCall)
        if isinstance(work, PythonCall):
            assert work.function
            assert sum(where is not None for where in (work.module, work.file, work.source)) == 1
            return
        assert work.argv
        texts = (*work.argv, *work.env.values())
        assert all(isinstance(text, str | PathTo | InputOf | SecretNamed) for text in texts)
        assert all(isinstance(text, str) for text in work.files.values())
        assert work.cwd in ("work", "project")

    def test_its_arguments_have_no_secrets(self) -> None:
        """Every user of a machine can read the arguments of its processes."""
        work = self.kind.work(self._options(self.options))
        assert not isinstance(work, Program) or not any(isinstance(text, SecretNamed) for text in work.argv)

    def test_its_files_stay_in_its_folder(self) -> None:
        work = self.kind.work(self._options(self.options))
        if isinstance(work, Program):
            assert [name for name in work.files if name.startswith("/") or ".." in name.split("/")] == []


class ServiceKindKit(StepKindKit):
    """The checks of a kind that talks to a service; a subclass whose name begins with `Test` sets its attributes."""

    kind: ClassVar[ServiceKind]
    """The step kind."""
    long_options: ClassVar[Mapping[str, Any] | None] = None
    """Options of a step that goes on until it is stopped; None: there is no such step."""
    inputs: ClassVar[Mapping[str, Any]] = {}
    """Inputs of the step."""
    deadline_s: ClassVar[float] = 20.0
    """Seconds that anything may take."""

    def jobs(self) -> int:
        """How many jobs the service has ever started."""
        pytest.skip("jobs is not overridden")

    def kills(self) -> int:
        """How many jobs of the service were stopped."""
        pytest.skip("kills is not overridden")

    def test_it_runs_and_returns_its_outputs(self) -> None:
        async def check() -> None:
            outputs = await self._within(self._step(self.options, self._context()))
            assert isinstance(outputs, Mapping), "run returns a mapping of outputs by name"
            text = json.dumps(dict(outputs), allow_nan=False)
            assert len(text.encode()) <= MAX_OUTPUTS, "large things go through ctx.put"

        run_check(check())

    def test_it_says_that_it_submits_before_it_does(self) -> None:
        """The intent must be in the log first, and the id right after, or a crash makes a second job."""

        async def check() -> None:
            context = self._context(crash="submitting")
            before = self.jobs()
            async with self._running(self.options, context):
                await self._within(context.crashed.wait())
                assert self.jobs() == before, "a job was started before the intent was in the log"
            context = self._context(job_key=f"{self._key}-another")
            await self._within(self._step(self.options, context))
            told = [what for what, *_ in context.told if what in ("submitting", "remember")]
            assert told == ["submitting", "remember"]

        run_check(check())

    def test_a_restarted_attempt_finds_its_job_again(self) -> None:
        async def check() -> None:
            first = self._context(crash="remembered")
            async with self._running(self.options, first):
                await self._within(first.crashed.wait())
                before = self.jobs()
                again = self._context(remembered=first.remembered)
                await self._within(self._step(self.options, again))
                assert self.jobs() == before, "the restarted attempt started a second job"
                assert ("submitting", self._key) not in again.told

        run_check(check())

    def test_a_crash_in_the_gap_makes_no_second_job(self) -> None:
        """The job runs, and nobody has remembered it: what the capabilities promise must hold."""
        if not self.kind.capabilities.recoverable:
            pytest.skip(f"{self.kind.name} promises neither to deduplicate nor to find jobs")

        async def check() -> None:
            first = self._context(crash="submitted")
            before = self.jobs()
            async with self._running(self.options, first):
                await self._within(first.crashed.wait())
                await self._within(self._step(self.options, self._context()))
                assert self.jobs() == before + 1, "two jobs run under one key"

        run_check(check())

    def test_another_key_is_another_job(self) -> None:
        async def check() -> None:
            before = self.jobs()
            for key in ("one", "two"):
                await self._within(self._step(self.options, self._context(job_key=f"{self._key}-{key}")))
            assert self.jobs() == before + 2

        run_check(check())

    def test_a_step_that_is_stopped_stops_its_job(self) -> None:
        if self.long_options is None:
            pytest.skip("long_options is not set")
        if not self.kind.capabilities.kill:
            pytest.skip(f"{self.kind.name} does not promise that it can be stopped")

        async def check() -> None:
            context = self._context()
            before = self.kills()
            async with self._running(self.long_options or {}, context) as task:
                await self._within(context.until("remember"))
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._within(task)
                assert task.cancelled(), "run let no CancelledError pass"
                assert self.kills() == before + 1, "its job goes on"

        run_check(check())

    # --- carrying out ---------------------------------------------------------------------------------------------

    def _context(self, **more: Any) -> FakeContext:
        return FakeContext(**{"inputs": self.inputs, "job_key": self._key, **more})

    @cached_property
    def _key(self) -> str:
        """A job key of this check alone: the service may be one for all of them, and know jobs of earlier ones."""
        return f"kit-{uuid.uuid4().hex}"

    def _step(self, options: Mapping[str, Any], context: FakeContext) -> Coroutine[Any, Any, Mapping[str, Any]]:
        return self.kind.run(self._options(options), context)

    @contextlib.asynccontextmanager
    async def _running(self, options: Mapping[str, Any], context: FakeContext) -> AsyncIterator[asyncio.Task[Any]]:
        """A step under way; it is stopped afterwards, and what it says then does not matter."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._step(options, context))
            try:
                yield task
            finally:
                task.cancel()

    async def _within(self, awaitable: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(awaitable, self.deadline_s)
        except TimeoutError:
            raise AssertionError(f"not within {self.deadline_s:g} s") from None
