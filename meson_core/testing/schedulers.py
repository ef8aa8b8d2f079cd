"""Owns the kit for resource schedulers: what every one of them must do, by real programs that it runs.

    class TestMine(ResourceSchedulerKit):
        definition = my_plugin.DEFINITION

Machines and the tests must share a file system, for programs tell what they did in files of the test's folder. What a
scheduler does not declare among its capabilities is not asked of it; what only its author can do (break an executor, put
a secret there) are methods to override, and their tests are skipped otherwise.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import pytest
from pydantic.errors import PydanticInvalidForJsonSchema

from meson_core.agents.messages import Failed, Fenced, Killed, Returned, Started, Succeeded
from meson_core.ports import AttemptKey, Gone, Present, SchedulerDefinition, Silent
from meson_core.resources import CPUS
from meson_core.spec.states import Cause
from meson_core.testing.bench import Bench
from meson_core.testing.running import run_check
from meson_core.testing.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meson_core.ports import Placement
    from meson_core.resources import Offer
    from meson_core.testing.bench import Opened

SECRET = "s3cret-v4lue-of-the-kit"  # noqa: S105 (it is what must not be found anywhere)


class ResourceSchedulerKit:
    """The checks; a subclass whose name begins with `Test` sets `definition`."""

    definition: ClassVar[SchedulerDefinition]
    """The resource scheduler."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options, as in the settings."""
    deadline_s: ClassVar[float] = 30.0
    """Seconds that anything may take."""

    # --- to override ----------------------------------------------------------------------------------------------

    def options_with_secret(self, folder: Path, name: str, value: str) -> Mapping[str, Any]:
        """Options with which executors have a secret."""
        pytest.skip("options_with_secret is not overridden")

    def break_executor(self, directory: Path) -> None:
        """End all executors as a power failure would, the programs that they run not included."""
        pytest.skip("break_executor is not overridden")

    def executor_directory(self, directory: Path) -> Path:
        """The folder of the one executor that listens on a unix socket there: between it and the scheduler, messages are disturbed."""
        pytest.skip("executor_directory is not overridden")

    def clean_up(self, directory: Path) -> None:
        """End what outlives the scheduler; called after each test."""

    # --- carrying out ---------------------------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> Any:
        self._bench = Bench(self.definition, self.options, tmp_path, self.deadline_s)
        yield
        self.clean_up(self._bench.directory)

    def _run(self, check: Callable[[Opened], Awaitable[None]], *, acknowledge: bool = True) -> None:
        async def main() -> None:
            async with self._bench.open(acknowledge=acknowledge) as opened:
                await check(opened)

        run_check(main())

    def _needs(self, capability: str) -> None:
        if not getattr(self.definition.capabilities, capability):
            pytest.skip(f"{self.definition.name} does not declare the capability {capability!r}")

    # --- definition and offers ------------------------------------------------------------------------------------

    def test_its_options_have_defaults_and_a_schema(self) -> None:
        """Choosing it by name alone must work as far as it can, and editors make forms of the schema."""
        try:
            schema = self.definition.Options.model_json_schema()
        except PydanticInvalidForJsonSchema as error:
            raise AssertionError(f"the options have no JSON Schema: {error.message}") from None
        assert schema["type"] == "object"

    def test_it_offers_what_there_is(self) -> None:
        self._needs("offers")

        async def check(opened: Opened) -> None:
            offer = await opened.offer()
            assert offer is not None
            assert offer.machine
            assert offer.total.get(CPUS, 0) > 0
            assert all(offer.free.get(name, 0) <= amount for name, amount in offer.total.items())

        self._run(check)

    # --- the life of an attempt -----------------------------------------------------------------------------------

    def test_a_program_succeeds_with_its_outputs(self) -> None:
        async def check(opened: Opened) -> None:
            script = 'echo "{\\"x\\": $1}" > "$MESON_OUTPUTS"'
            key = await opened.launch("sh", "-c", script, "sh", "42", outputs={"x": "int"})
            end = await opened.end(key)
            assert isinstance(end, Succeeded), end
            assert msgspec.json.decode(end.outputs) == {"x": 42}
            assert end.began <= end.at

        self._run(check)

    def test_a_program_that_fails_tells_its_exit_code(self) -> None:
        async def check(opened: Opened) -> None:
            end = await opened.end(await opened.launch("sh", "-c", "exit 3"))
            assert isinstance(end, Failed), end
            assert (end.cause, end.failure.exit_code) == (Cause.user, 3)

        self._run(check)

    def test_a_program_that_crashes_tells_its_signal(self) -> None:
        async def check(opened: Opened) -> None:
            end = await opened.end(await opened.launch("sh", "-c", "kill -SEGV $$"))
            assert isinstance(end, Failed), end
            assert (end.cause, end.failure.signal) == (Cause.user, "SIGSEGV")

        self._run(check)

    def test_a_program_that_is_not_there_fails(self) -> None:
        async def check(opened: Opened) -> None:
            end = await opened.end(await opened.launch("/nowhere/no-such-program"))
            assert isinstance(end, Failed), end
            assert end.cause is Cause.user
            assert "no-such-program" in end.failure.message

        self._run(check)

    def test_a_program_that_takes_too_long_is_stopped(self) -> None:
        async def check(opened: Opened) -> None:
            placement, _, pid = self._bench.waiting(offer=await opened.offer(), timeout_s=0.5)
            await opened.scheduler.launch([placement])
            end = await opened.end(placement.key)
            assert isinstance(end, Failed), end
            assert end.cause is Cause.timeout
            await opened.happens(lambda: not _alive(pid), "the end of the process")

        self._run(check)

    def test_many_at_once_end_once_each(self) -> None:
        async def check(opened: Opened) -> None:
            offer = await opened.offer()
            placements = [self._bench.placement("true", cpus=0.01, offer=offer) for _ in range(50)]
            await opened.scheduler.launch(placements)
            for placement in placements:
                assert isinstance(await opened.end(placement.key), Succeeded)
            assert all(len(opened.ends(placement.key)) == 1 for placement in placements)

        self._run(check)

    # --- killing --------------------------------------------------------------------------------------------------

    def test_what_runs_is_killed_with_all_its_processes(self) -> None:
        async def check(opened: Opened) -> None:
            child = self._bench.folder / "child"
            script = 'sh -c \'echo $$ > "$1"; while :; do sleep 0.05; done\' sh "$1" & wait'
            key = await opened.launch("sh", "-c", script, "sh", str(child))
            await opened.appears(child)
            await opened.scheduler.kill(key, 5.0)
            assert isinstance(await opened.end(key), Killed)
            await opened.happens(lambda: not _alive(child), "the end of the child process")

        self._run(check)

    def test_what_does_not_listen_is_killed_after_its_grace(self) -> None:
        async def check(opened: Opened) -> None:
            pid = self._bench.folder / "pid"
            script = 'trap "" TERM; echo $$ > "$1"; while :; do sleep 0.05; done'
            key = await opened.launch("sh", "-c", script, "sh", str(pid))
            await opened.appears(pid)
            await opened.scheduler.kill(key, 0.2)
            assert isinstance(await opened.end(key), Killed)
            await opened.happens(lambda: not _alive(pid), "the end of the process")

        self._run(check)

    def test_what_is_queued_is_killed_before_it_begins(self) -> None:
        self._needs("ahead")

        async def check(opened: Opened) -> None:
            offer = await opened.offer()
            assert offer is not None
            hog, go, pid = self._bench.waiting(cpus=offer.total[CPUS], offer=offer)
            marker = self._bench.folder / "marker"
            queued = self._bench.placement("touch", str(marker), cpus=offer.total[CPUS], offer=offer)
            await opened.scheduler.launch([hog])
            await opened.appears(pid)
            await opened.scheduler.launch([queued])
            await opened.scheduler.kill(queued.key, 5.0)
            assert isinstance(await opened.end(queued.key), Killed | Returned)
            go.touch()
            assert isinstance(await opened.end(hog.key), Succeeded)
            assert not marker.exists()

        self._run(check)

    def test_what_is_queued_can_be_taken_back(self) -> None:
        self._needs("ahead")

        async def check(opened: Opened) -> None:
            offer = await opened.offer()
            assert offer is not None
            hog, go, pid = self._bench.waiting(cpus=offer.total[CPUS], offer=offer)
            queued = self._bench.placement("true", cpus=offer.total[CPUS], offer=offer)
            await opened.scheduler.launch([hog])
            await opened.appears(pid)
            await opened.scheduler.launch([queued])
            await opened.scheduler.forget([queued.key, hog.key])
            assert isinstance(await opened.end(queued.key), Returned)
            go.touch()
            assert isinstance(await opened.end(hog.key), Succeeded)

        self._run(check)

    def test_killing_what_has_ended_is_answered(self) -> None:
        """The kill and the end crossed: whoever waits for the kill must hear that there is nothing left."""

        async def check(opened: Opened) -> None:
            key = await opened.launch("true")
            assert isinstance(await opened.end(key), Succeeded)
            await opened.scheduler.kill(key, 1.0)
            await opened.until(
                lambda: len(opened.ends(key)) > 1 or any(isinstance(one, Gone) for one in opened.verdicts[key]),
                "an answer to the kill of what has ended",
            )
            assert len(opened.ends(key)) == 1 or opened.ends(key)[1] == opened.ends(key)[0]

        self._run(check)

    def test_killing_twice_is_killing_once(self) -> None:
        async def check(opened: Opened) -> None:
            placement, _, pid = self._bench.waiting(offer=await opened.offer())
            await opened.scheduler.launch([placement])
            await opened.appears(pid)
            await opened.scheduler.kill(placement.key, 5.0)
            await opened.scheduler.kill(placement.key, 5.0)
            await opened.end(placement.key)
            assert [type(fact) for fact in opened.ends(placement.key)] == [Killed]

        self._run(check)

    # --- idempotence and restarts ---------------------------------------------------------------------------------

    def test_one_key_is_launched_once(self) -> None:
        async def check(opened: Opened) -> None:
            runs, go = self._bench.folder / "runs", self._bench.folder / "go"
            script = 'echo run >> "$1"; while [ ! -e "$2" ]; do sleep 0.02; done'
            argv = ("sh", "-c", script, "sh", str(runs), str(go))
            placement = self._bench.placement(*argv, offer=await opened.offer())
            await opened.scheduler.launch([placement, placement])
            await opened.appears(runs)
            await opened.scheduler.launch([placement])
            go.touch()
            await opened.end(placement.key)
            # Whatever was started beside it has had its chance once a later attempt has ended.
            await opened.end(await opened.launch("true"))
            assert runs.read_text() == "run\n"
            assert len(opened.ends(placement.key)) == 1

        self._run(check)

    def test_what_runs_is_found_again_after_a_restart(self) -> None:
        placement, go, pid = self._bench.waiting()
        outlives = self.definition.capabilities.outlives

        async def begin(opened: Opened) -> None:
            nonlocal placement
            placement = _at(placement, await opened.offer())
            await opened.scheduler.launch([placement])
            await opened.appears(pid)
            await opened.until(lambda: [f for f in opened.facts[placement.key] if isinstance(f, Started)], "its start")

        async def go_on(opened: Opened) -> None:
            await opened.scheduler.reconcile([placement.key])
            if not outlives:
                await opened.verdict(placement.key, Gone)
                assert not _alive(pid)
                return
            await opened.verdict(placement.key, Present)
            go.touch()
            assert isinstance(await opened.end(placement.key), Succeeded)

        self._run(begin)
        self._run(go_on)

    def test_what_ended_while_nobody_listened_is_told(self) -> None:
        self._needs("outlives")
        placement, go, pid = self._bench.waiting()

        async def begin(opened: Opened) -> None:
            nonlocal placement
            placement = _at(placement, await opened.offer())
            await opened.scheduler.launch([placement])
            await opened.appears(pid)

        async def go_on(opened: Opened) -> None:
            await opened.scheduler.reconcile([placement.key])
            assert isinstance(await opened.end(placement.key), Succeeded)

        self._run(begin)
        go.touch()
        _wait_for_end(pid, self.deadline_s)
        self._run(go_on)

    def test_what_was_not_acknowledged_is_told_again(self) -> None:
        self._needs("outlives")
        key = AttemptKey("kit", (0,), 1)

        async def begin(opened: Opened) -> None:
            nonlocal key
            key = await opened.launch("true")
            await opened.end(key)

        async def go_on(opened: Opened) -> None:
            await opened.scheduler.reconcile([key])
            assert isinstance(await opened.end(key), Succeeded)

        self._run(begin, acknowledge=False)
        self._run(go_on)

    def test_what_was_acknowledged_is_not_told_again(self) -> None:
        first = AttemptKey("kit", (0,), 1)

        async def begin(opened: Opened) -> None:
            nonlocal first
            first = await opened.launch("true")
            await opened.end(first)
            # The next attempt's end comes after the acknowledgement of this one.
            await opened.end(await opened.launch("true"))

        async def go_on(opened: Opened) -> None:
            await opened.scheduler.reconcile([])
            await opened.end(await opened.launch("true"))
            assert opened.ends(first) == []

        self._run(begin)
        self._run(go_on)

    def test_what_nobody_knows_is_gone(self) -> None:
        async def check(opened: Opened) -> None:
            await opened.offer()
            stranger = AttemptKey("kit", (999,), 1)
            await opened.scheduler.reconcile([stranger])
            await opened.until(
                lambda: any(isinstance(one, Gone) for one in opened.verdicts[stranger]) or opened.ends(stranger),
                "Gone, or Returned when it certainly never began",
            )
            assert all(isinstance(end, Returned | Fenced) for end in opened.ends(stranger))

        self._run(check)

    def test_a_broken_executor_is_found_out_and_what_it_ran_is_ended(self) -> None:
        """Lost is not dead: only when nothing of the attempt runs any more may it be said to be gone."""

        async def check(opened: Opened) -> None:
            placement, _, pid = self._bench.waiting(offer=await opened.offer())
            await opened.scheduler.launch([placement])
            await opened.appears(pid)
            await opened.until(lambda: opened.facts[placement.key], "its start")
            self.break_executor(self._bench.directory)
            await opened.until(
                lambda: (
                    any(isinstance(one, Gone) for one in opened.verdicts[placement.key]) or opened.ends(placement.key)
                ),
                "Gone, or the end of the attempt",
            )
            assert not _alive(pid)
            # And it is as good as new.
            assert isinstance(await opened.end(await opened.launch("true")), Succeeded)

        self._run(check)

    # --- a bad wire -----------------------------------------------------------------------------------------------

    def _run_on_bad_wire(self, check: Callable[[Opened, Wire], Awaitable[None]]) -> None:
        """Do something with a scheduler whose messages from its executor go through a tap."""
        directory = self.executor_directory(self._bench.directory)

        async def begin(opened: Opened) -> None:
            assert isinstance(await opened.end(await opened.launch("true")), Succeeded)

        self._run(begin)
        with Wire.tapped(directory) as wire:
            self._run(lambda opened: check(opened, wire))

    def test_a_message_that_comes_twice_counts_once(self) -> None:
        async def check(opened: Opened, wire: Wire) -> None:
            wire.repeat("facts")
            keys = [await opened.launch("true") for _ in range(5)]
            for key in keys:
                assert isinstance(await opened.end(key), Succeeded)
            # Whatever else was told has come once a later attempt has ended.
            await opened.end(await opened.launch("true"))
            assert [len(opened.ends(key)) for key in keys] == [1] * 5

        self._run_on_bad_wire(check)

    def test_a_message_that_is_lost_is_told_again(self) -> None:
        async def check(opened: Opened, wire: Wire) -> None:
            await opened.offer()
            wire.lose("facts")
            first = await opened.launch("true")
            await wire.lost()
            second = await opened.launch("true")
            for key in (first, second):
                assert isinstance(await opened.end(key), Succeeded)
            assert [len(opened.ends(key)) for key in (first, second)] == [1, 1]

        self._run_on_bad_wire(check)

    def test_a_connection_that_is_cut_loses_nothing(self) -> None:
        async def check(opened: Opened, wire: Wire) -> None:
            placement, go, pid = self._bench.waiting(offer=await opened.offer())
            await opened.scheduler.launch([placement])
            await opened.appears(pid)
            wire.cut()
            go.touch()
            assert isinstance(await opened.end(placement.key), Succeeded)
            assert isinstance(await opened.end(await opened.launch("true")), Succeeded)
            assert len(opened.ends(placement.key)) == 1
            assert [one for one in opened.verdicts[placement.key] if isinstance(one, Gone)] == []

        self._run_on_bad_wire(check)

    def test_late_heartbeats_neither_revive_nor_kill(self) -> None:
        """Silence is no death; and what comes after the lease has run out is of a session that is over."""
        self._bench.lease_s = 2.5

        async def check(opened: Opened, wire: Wire) -> None:
            placement, go, pid = self._bench.waiting(offer=await opened.offer())
            await opened.scheduler.launch([placement])
            await opened.appears(pid)
            wire.hold()
            await opened.verdict(placement.key, Silent)
            assert _alive(pid), "it was killed for the silence of its executor"
            wire.release()
            await opened.verdict(placement.key, Present)
            assert [one for one in opened.verdicts[placement.key] if isinstance(one, Gone)] == []
            go.touch()
            assert isinstance(await opened.end(placement.key), Succeeded)
            assert len(opened.ends(placement.key)) == 1

        self._run_on_bad_wire(check)

    # --- content --------------------------------------------------------------------------------------------------

    def test_large_outputs_and_logs_do_no_harm(self) -> None:
        async def check(opened: Opened) -> None:
            script = (
                "head -c 5000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2; "
                'printf \'{"x": "%s"}\' "$(head -c 60000 /dev/zero | tr \'\\0\' y)" > "$MESON_OUTPUTS"'
            )
            end = await opened.end(await opened.launch("sh", "-c", script, outputs={"x": "str"}))
            assert isinstance(end, Succeeded), end
            assert msgspec.json.decode(end.outputs) == {"x": "y" * 60000}

        self._run(check)

    def test_names_and_values_are_text_of_any_language(self) -> None:
        async def check(opened: Opened) -> None:
            script = 'printf \'{"größe": "%s|%s|%s"}\' "$1" "$UEBER" "$REGION" > "$MESON_OUTPUTS"'
            end = await opened.end(
                await opened.launch(
                    "sh",
                    "-c",
                    script,
                    "sh",
                    "naïve 数据 🙂",
                    env={"UEBER": "ä ö", "REGION": {"$input": "région"}},
                    inputs={"région": "Zürich"},
                    step="entraîner.modèle_数",
                )
            )
            assert isinstance(end, Succeeded), end
            assert msgspec.json.decode(end.outputs) == {"größe": "naïve 数据 🙂|ä ö|Zürich"}

        self._run(check)

    def test_secrets_are_neither_among_arguments_nor_in_files(self) -> None:
        folder = self._bench.folder.parent / f"{self._bench.folder.name}-secrets"
        folder.mkdir()
        self._bench.options = self.options_with_secret(folder, "token", SECRET)

        async def check(opened: Opened) -> None:
            seen = self._bench.folder / "seen"
            go = self._bench.folder / "go"
            script = (
                'tr "\\0" " " < /proc/$$/cmdline > "$1.new"; echo "${#TOKEN}" >> "$1.new"; mv "$1.new" "$1"; '
                'while [ ! -e "$2" ]; do sleep 0.02; done'
            )
            argv = ("sh", "-c", script, "sh", str(seen), str(go))
            key = await opened.launch(*argv, env={"TOKEN": {"$secret": "token"}})
            told = await opened.appears(seen)
            assert told.endswith(f"{len(SECRET)}\n")
            assert SECRET not in told
            go.touch()
            assert isinstance(await opened.end(key), Succeeded)
            assert SECRET not in opened.told()

        self._run(check)
        assert [str(path) for path in _files(self._bench.folder) if SECRET.encode() in path.read_bytes()] == []

    # --- the end --------------------------------------------------------------------------------------------------

    def test_closing_leaves_nothing_behind(self) -> None:
        """No task, no thread, no open file, no folder that only this process knew; nor programs, unless they outlive it."""

        async def once(pid: Path | None) -> None:
            async with self._bench.open() as opened:
                assert isinstance(await opened.end(await opened.launch("true")), Succeeded)
                if pid is not None and not self.definition.capabilities.outlives:
                    placement, _, where = self._bench.waiting(offer=await opened.offer())
                    await opened.scheduler.launch([placement])
                    await opened.appears(where)
                    where.rename(pid)
            left = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            assert left == set(), f"tasks are left: {left}"

        run_check(once(None))  # what is imported and opened once for all does not count
        gc.collect()
        threads, files = set(threading.enumerate()), _open_files()
        pid = self._bench.folder / "left-pid"
        run_check(once(pid))
        gc.collect()
        assert set(threading.enumerate()) <= threads
        assert _open_files() <= files, "files or sockets are still open"
        assert not pid.exists() or not _alive(pid)


def _at(placement: Placement, offer: Offer | None) -> Placement:
    return placement if offer is None else replace(placement, offer_id=offer.offer_id)


def _alive(pid_file: Path) -> bool:
    try:
        state = Path(f"/proc/{int(pid_file.read_text())}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def _wait_for_end(pid_file: Path, deadline_s: float) -> None:
    pause = threading.Event()
    for _ in range(int(deadline_s / 0.02)):
        if not _alive(pid_file):
            return
        pause.wait(0.02)
    raise AssertionError(f"the program did not end within {deadline_s:g} s")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
