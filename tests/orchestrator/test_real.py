"""Owns the tests with real processes: the local scheduler, its executor, and whatever dies under way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.errors import BackendError
from meson_core.orchestrator.probe import Point
from meson_core.spec.model import Expression, ForEach
from meson_core.spec.states import RunState, State
from tests.orchestrator.cells import Watch
from tests.orchestrator.flows import Resources, Retry, flow, step
from tests.orchestrator.projects import Project, driver_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meson_core.spec.model import Step, Workflow

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    made = Project(tmp_path)
    yield made
    made.close()


def shell(name: str, script: str, *after: str, **fields: Any) -> Step:
    return step(name, *after, kind="shell", options={"script": script}, **fields)


def function(name: str, body: str, **fields: Any) -> Step:
    source = f"def f(**inputs):\n    {body}\n"
    return step(name, options={"function": "f", "source": source}, **fields)


def counted(log: Path, name: str = "work", **fields: Any) -> Step:
    """A step that leaves a line in a file each time it is done."""
    return function(
        name, f"open({str(log)!r}, 'a').write(str(inputs['i']) + '\\n'); return {{'x': inputs['i'] * 2}}", **fields
    )


async def until(watch: Watch, condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await watch.changed.wait()
            watch.changed.clear()


async def test_processes_and_functions_hand_values_on(project: Project) -> None:
    """A shell step and a Python step, with results at the end."""
    run_id = project.submit(
        flow(
            shell("ask", 'echo "{\\"rows\\": [3, 1, 2]}" > "$MESON_OUTPUTS"', outputs="rows"),
            function("sort", "return {'x': sorted(inputs['rows'])}", rows="ask.rows"),
            outputs={"sorted": "sort.x"},
        )
    )

    async with project.orchestrator() as orchestrator:
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    assert {"sorted": [1, 2, 3]} == project.results(run_id)


async def test_a_fan_out_is_gathered_in_order(project: Project, tmp_path: Path) -> None:
    """Two hundred functions on warm workers, each done once."""
    log = tmp_path / "done.log"
    each = ForEach(name="each", variables={"i": Expression(expr="range(200)")}, body=(counted(log, i="i"),))
    run_id = project.submit(flow(each, outputs={"all": "work.x"}))

    async with project.orchestrator() as orchestrator:
        await orchestrator.run_until_ended(run_id)

    assert {"all": [2 * item for item in range(200)]} == project.results(run_id)
    assert sorted(map(str, range(200))) == sorted(log.read_text().split())


async def test_a_failure_is_told_in_the_users_own_words(project: Project) -> None:
    """The exception and the user's line, and nothing of ours."""
    run_id = project.submit(flow(function("bad", "raise ValueError('no such region: mars')")))

    async with project.orchestrator() as orchestrator:
        state = await orchestrator.run_until_ended(run_id)

    (row,) = project.store.instances(run_id)
    assert (RunState.failed, State.failed) == (state, row.state)
    assert row.failure is not None
    assert "exception" == row.failure.reason
    assert "no such region: mars" in row.failure.message
    assert row.failure.traceback
    assert "meson_" not in row.failure.traceback


async def test_a_flaky_step_is_tried_again(project: Project, tmp_path: Path) -> None:
    """It fails once, by itself, and the budget pays for that."""
    marker = tmp_path / "tried"
    script = f'if [ -e {marker} ]; then echo "{{}}" > "$MESON_OUTPUTS"; else touch {marker}; exit 3; fi'
    run_id = project.submit(flow(shell("flaky", script, outputs="", retry=Retry(user=1, backoff_s=0.0))))

    async with project.orchestrator() as orchestrator:
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    (failed,) = project.store.attempts(run_id)
    assert 3 == failed.failure.exit_code


async def test_a_cancel_ends_the_process(project: Project, tmp_path: Path) -> None:
    """The whole process group gets TERM, and the run has ended when it is gone."""
    pid_file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"
    run_id = project.submit(flow(shell("long", script, grace_s=1.0)))
    watch = Watch()

    async with project.orchestrator(watch) as orchestrator:
        await until(watch, lambda: "AttemptStarted" in _names(project, run_id))
        while not pid_file.exists():
            await asyncio.to_thread(lambda: None)
        project.store.put_wish("cancel", run_id, by="ada", cell="local")
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.cancelled is state
    assert not _at_work(int(pid_file.read_text()))


def _at_work(pid: int) -> bool:
    """Whether a process is there and is no corpse that waits to be taken away."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _names(project: Project, run_id: str) -> list[str]:
    return [] if project.store.run(run_id) is None else project.names(run_id)


async def test_a_dead_executor_is_replaced_and_its_attempts_are_done_again(project: Project, tmp_path: Path) -> None:
    """The successor kills what was left, says what it knows, and the rest is fenced and tried again."""
    gate = tmp_path / "gate"
    script = f'[ -e {gate} ] || {{ touch {gate}; sleep 600; }}; echo "{{\\"x\\": 1}}" > "$MESON_OUTPUTS"'
    run_id = project.submit(flow(shell("s", script, retry=Retry(platform=2, backoff_s=0.0)), outputs={"x": "s.x"}))
    watch = Watch()

    async with project.orchestrator(watch) as orchestrator:
        await until(watch, lambda: "AttemptStarted" in _names(project, run_id))
        while not gate.exists():
            await asyncio.to_thread(lambda: None)
        project.kill_executor()
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    assert {"x": 1} == project.results(run_id)
    names = project.names(run_id)
    assert ["AttemptFenced"] == [name for name in names if name in ("AttemptFenced", "AttemptLost", "AttemptFailed")]


@pytest.mark.slow
async def test_a_silent_executor_is_lost_then_replaced(project: Project) -> None:
    """It is stopped, not dead: its attempt is lost, and done again only when a successor has killed everything."""
    marker = project.root / "began"
    script = f'[ -e {marker} ] || {{ touch {marker}; sleep 600; }}; echo "{{\\"x\\": 1}}" > "$MESON_OUTPUTS"'
    run_id = project.submit(flow(shell("s", script, retry=Retry(platform=2, backoff_s=0.0))))
    watch = Watch()

    async with project.orchestrator(watch) as orchestrator:
        await until(watch, lambda: "AttemptStarted" in _names(project, run_id))
        while not marker.exists():
            await asyncio.to_thread(lambda: None)
        project.kill_executor(signal.SIGSTOP)
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    names = [name for name in project.names(run_id) if name in ("AttemptLost", "AttemptFenced", "AttemptFound")]
    assert ["AttemptLost", "AttemptFenced"] == names


@pytest.mark.slow
async def test_an_executor_that_wakes_up_again_finds_its_attempts(tmp_path: Path) -> None:
    """Its machine slept for longer than the lease: what it does is found, and not done twice."""
    project = Project(tmp_path, MESON_SCHEDULERS_LOCAL_REPLACE_AFTER_S="60")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    run_id = project.submit(flow(shell("s", f'read line < {gate}; echo "{{\\"x\\": \\"$line\\"}}" > "$MESON_OUTPUTS"')))
    watch = Watch()

    async with project.orchestrator(watch) as orchestrator:
        await until(watch, lambda: "AttemptStarted" in _names(project, run_id))
        pid = project.kill_executor(signal.SIGSTOP)
        await until(watch, lambda: "AttemptLost" in project.names(run_id))
        os.kill(pid, signal.SIGCONT)
        await until(watch, lambda: "AttemptFound" in project.names(run_id))
        await asyncio.to_thread(gate.write_text, "once\n")
        state = await orchestrator.run_until_ended(run_id)

    assert RunState.succeeded is state
    assert 1 == project.names(run_id).count("AttemptPlaced")
    project.close()


async def test_attempts_outlive_the_orchestrator(project: Project, tmp_path: Path) -> None:
    """An outage longer than the steps: they end meanwhile, and their ends are told to the next one."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    done = tmp_path / "done"
    script = f'read line < {gate}; echo "{{\\"x\\": \\"$line\\"}}" > "$MESON_OUTPUTS"; touch {done}'
    run_id = project.submit(flow(shell("s", script), shell("t", ": $MESON_INPUT_v", v="s.x", outputs="")))
    watch = Watch()
    async with project.orchestrator(watch):
        await until(watch, lambda: "AttemptStarted" in _names(project, run_id))

    await asyncio.to_thread(gate.write_text, "alone\n")
    while not done.exists():
        await asyncio.to_thread(lambda: None)
    before = project.names(run_id)
    async with project.orchestrator() as orchestrator:
        state = await orchestrator.run_until_ended(run_id)

    assert "AttemptSucceeded" not in before
    assert RunState.succeeded is state
    assert 2 == project.names(run_id).count("AttemptPlaced")


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in Point if point is not Point.beside])
@pytest.mark.parametrize("times", [2, 5])
async def test_kill_9_of_the_orchestrator_changes_nothing(
    project: Project, tmp_path: Path, point: Point, times: int
) -> None:
    """At any moment: the next orchestrator ends the run with the same results, and finished work is not done again."""
    log = tmp_path / "done.log"
    run_id = project.submit(_crossing(log))

    process = await asyncio.to_thread(
        subprocess.run, driver_command(project, point, times, run_id), cwd=ROOT, check=False, timeout=50
    )
    async with project.orchestrator() as orchestrator:
        state = await orchestrator.run_until_ended(run_id)

    assert process.returncode in (-signal.SIGKILL, 0)
    assert RunState.succeeded is state
    assert {"sum": sum(2 * (2 * item) for item in range(12))} == project.results(run_id)
    assert sorted(map(str, [*range(12), *range(0, 24, 2)])) == sorted(log.read_text().split())


def _crossing(log: Path) -> Workflow:
    body = (counted(log, i="item"), counted(log, "more", i="work.x"))
    each = ForEach(name="each", variables={"item": Expression(expr="range(12)")}, max_parallel=3, body=body)
    return flow(each, function("add", "return {'x': sum(inputs['all'])}", all="more.x"), outputs={"sum": "add.x"})


async def test_what_no_machine_has_waits_and_says_so(project: Project) -> None:
    """The local machine offers what the settings say, and no more."""
    run_id = project.submit(flow(shell("big", "true", resources=Resources(cpus=64.0), outputs="")))
    watch = Watch()

    async with project.orchestrator(watch):
        await until(watch, lambda: project.store.run(run_id) is not None and project.store.waits(run_id))
        (wait,) = project.store.waits(run_id)

    assert "cpus" in wait.reason
    assert "AttemptPlaced" not in project.names(run_id)


async def test_percent_complete_and_messages_are_seen_while_it_runs(project: Project, tmp_path: Path) -> None:
    """The latest of each, beside the log, within a second or two."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f'echo "0.4 half of it" >> "$MESON_PROGRESS"; read line < {gate}'
    run_id = project.submit(flow(shell("s", script, outputs="")))
    watch = Watch()

    async with project.orchestrator(watch) as orchestrator:
        await until(watch, lambda: project.store.run(run_id) is not None and _fraction(project, run_id) is not None)
        (row,) = project.store.instances(run_id)
        await asyncio.to_thread(gate.write_text, "go\n")
        state = await orchestrator.run_until_ended(run_id)

    assert (0.4, "half of it") == (row.fraction, row.message)
    assert RunState.succeeded is state


def _fraction(project: Project, run_id: str) -> float | None:
    return next((row.fraction for row in project.store.instances(run_id)), None)


@pytest.mark.slow
async def test_an_executor_of_another_cell_says_so(project: Project) -> None:
    """It works for whom it worked for; the orchestrator stops with the executor's reason."""
    run_id = project.submit(flow(shell("s", "true", outputs="")))
    async with project.orchestrator() as orchestrator:
        await orchestrator.run_until_ended(run_id)
    other = Project(project.root, MESON_CELL="other")

    async with other.orchestrator() as orchestrator:
        with pytest.raises(BackendError) as error:
            await asyncio.wait_for(orchestrator.serve(), 30)

    assert "works for the cell 'local', not for 'other'" in str(error.value)
    assert "taken over the cell" in str(error.value)
    other.store.close()
