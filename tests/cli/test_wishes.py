"""Owns the tests of a project that is served: `serve`, `submit`, and everything that is wished of a run."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meson_core.testing.fake_service import FakeService
from tests.cli.command import Project, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

#: Steps that wait for a file each, one after the other; the first one listens as well.
GATED = """
from pathlib import Path
from meson_core import ctx, param, step, workflow

gates = param("gates", str)

def wait_for(gate):
    import select
    while not Path(gate).exists():
        select.select([], [], [], 0.02)

@step
def listen(gates: str) -> str:
    (message,) = ctx.messages(wait_s=60)
    return f"{message.name}: {message.value}"

@step
def first(gates: str) -> str:
    wait_for(f"{gates}/first")
    return "first"

@step
def second(gates: str) -> str:
    wait_for(f"{gates}/second")
    return "second"

listening = workflow("listening", listen(gates=gates), outputs={"heard": listen.output})
gated = workflow("gated", first(gates=gates) >> second(gates=gates))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with an orchestrator, for all tests of this module that leave it as it is."""
    with Project.made(tmp_path_factory.mktemp("served") / "project") as made:
        made.write("flow.py", GATED)
        made.serve()
        yield made


def _submit(project: Project, target: str, *params: str) -> tuple[str, Path]:
    gates = project.folder / ".gates" / str(len(list(project.folder.glob(".gates/*"))))
    gates.mkdir(parents=True)
    done = project.mesonctl("submit", target, "-p", f"gates={gates}", *params, "--json")
    assert done.code == 0, done
    return done.json["run_id"], gates


def _state(project: Project, run: str, step: str | None = None) -> str:
    if step is None:
        return str(project.mesonctl("show", run, "--json").json["state"])
    found = project.mesonctl("show", run, "--step", step, "--json").json
    return str(found[0]["state"]) if found else "waiting"


def _ends(project: Project, run: str, state: str) -> None:
    until(lambda: _state(project, run) == state, f"run {run} is {state}")


def test_a_run_is_handed_over_watched_and_listed(served: Project) -> None:
    run, gates = _submit(served, "flow.py:gated")
    listed = served.mesonctl("runs", "--state", "running", "--workflow", "gated", "--json").json
    (gates / "first").touch()
    (gates / "second").touch()
    followed = served.mesonctl("logs", run, "--follow")

    assert run in [each["run_id"] for each in listed]
    assert (followed.code, followed.err) == (0, "nothing was written\n")
    assert _state(served, run) == "succeeded"


def test_a_paused_run_starts_nothing_new(served: Project) -> None:
    run, gates = _submit(served, "flow.py:gated")
    until(lambda: _state(served, run, "first") == "running", "the first step runs")
    paused = served.mesonctl("pause", run)
    (gates / "first").touch()
    (gates / "second").touch()
    until(lambda: _state(served, run, "first") == "succeeded", "the first step has ended")
    why = served.mesonctl("why", run)
    resumed = served.mesonctl("resume", run)
    _ends(served, run, "succeeded")

    assert (paused.code, paused.out) == (0, f"run {run} is paused\n")
    assert "the run is paused: nothing new starts until it is resumed" in why.out
    assert (resumed.code, resumed.out) == (0, f"run {run} goes on\n")


def test_a_held_step_waits_for_its_release(served: Project) -> None:
    run, gates = _submit(served, "flow.py:gated")
    held = served.mesonctl("pause", run, "--step", "second")
    (gates / "first").touch()
    (gates / "second").touch()
    until(lambda: _state(served, run, "second") == "paused", "the second step is held")
    released = served.mesonctl("resume", run, "--step", "second")
    _ends(served, run, "succeeded")

    assert held.out == f"run {run} starts nothing new in second\n"
    assert released.out == f"run {run} goes on with second\n"


def test_a_step_is_skipped(served: Project) -> None:
    run, gates = _submit(served, "flow.py:gated")
    skipped = served.mesonctl("skip", run, "--step", "second")
    (gates / "first").touch()
    _ends(served, run, "succeeded")

    assert skipped.out == f"run {run} skips second\n"
    assert _state(served, run, "second") == "skipped"


def test_a_run_is_cancelled(served: Project) -> None:
    run, _ = _submit(served, "flow.py:gated")
    until(lambda: _state(served, run, "first") == "running", "the first step runs")
    cancelled = served.mesonctl("cancel", run)
    _ends(served, run, "cancelled")
    late = served.mesonctl("cancel", run)

    assert (cancelled.code, cancelled.out) == (0, f"run {run} is being cancelled\n")
    assert (late.code, late.err) == (
        5,
        (
            f"error[conflict]: run {run} was cancelled: that comes too late\n"
            f"  hint: do parts of it again: mesonctl retry {run} --failed\n"
        ),
    )


def test_a_message_reaches_a_running_step(served: Project) -> None:
    run, _ = _submit(served, "flow.py:listening")
    until(lambda: _state(served, run, "listen") == "running", "the step runs")
    sent = served.mesonctl("send", run, "listen", "rate", "0.5")
    _ends(served, run, "succeeded")
    late = served.mesonctl("send", run, "listen", "rate", "0.5")

    assert sent.out == f"run {run} has the message for listen\n"
    assert served.mesonctl("show", run, "--json").json["outputs"] == {"heard": "rate: 0.5"}
    assert late.code == 5


def test_a_step_that_cannot_be_placed_says_which_constraint_refuses(served: Project) -> None:
    served.write("zone.yaml", "name: zoned\nbody: {a: {kind: shell, script: 'true', where: ['zone == \"b\"']}}\n")
    run = served.mesonctl("submit", "zone.yaml", "--json").json["run_id"]
    until(lambda: served.mesonctl("why", run, "a", "--json").json[0]["detail"], "placement has looked at it")
    why = served.mesonctl("why", run)
    served.mesonctl("cancel", run)

    assert "zone == 'b' refuses 1 of 1 offer for good (constraints)" in why.out
    assert re.search("nearest: machine here: zone == 'b', it has no zone", why.out)


def test_wishes_that_make_no_sense_are_refused(served: Project) -> None:
    run, gates = _submit(served, "flow.py:gated")
    unknown = served.mesonctl("skip", run, "--step", "secnd")
    indexes = served.mesonctl("send", run, "second[3]", "a", "1")
    known = served.mesonctl("resolve", run, "first", "--as", "failed")
    nothing = served.mesonctl("skip", run)
    early = served.mesonctl("retry", run, "--failed")
    outputs = served.mesonctl("resolve", run, "first", "--as", "succeeded", "--outputs", "3")
    for name in ("first", "second"):
        (gates / name).touch()

    assert (unknown.code, unknown.err) == (
        4,
        "error[unknown-name]: workflow 'gated' has no step 'secnd'\n  hint: did you mean 'second'?\n",
    )
    assert (indexes.code, indexes.err) == (
        4,
        "error[not-found]: 'second[3]' has 1 index, and 'second' is in no loop\n  hint: write second\n",
    )
    assert known.code == 5
    assert "only a step whose outcome is unknown is settled" in known.err
    assert (nothing.code, nothing.err.splitlines()[-1]) == (
        2,
        "Error: Say what is meant: --step NAME or --instance INSTANCE.",
    )
    assert early.err.startswith(f"error[conflict]: run {run} is running: only a run that has ended can be retried\n")
    assert outputs.err == (
        "error[wrong-type]: --outputs must be a JSON object, got '3'\n"
        '  hint: one value for each output: {"rows": 3}\n'
    )


def test_a_run_waits_for_somebody_to_serve(project: Project) -> None:
    """Submitted to nobody, wished of by nobody's leave: whoever comes next sees to all of it."""
    project.write("flow.yaml", "name: later\nbody: {a: {kind: shell, script: 'echo later'}}\n")
    submitted = project.mesonctl("submit", "flow.yaml")
    found = re.search(r"later: run (\w+)\n", submitted.out)
    assert found is not None
    run = found[1]
    listed = project.mesonctl("runs")
    asked = project.mesonctl("show", run)
    serving = project.serve()
    _ends(project, run, "succeeded")
    serving.signal(signal.SIGTERM)

    assert "nobody serves this project: it starts with `mesonctl serve`\n" in submitted.out
    assert re.search(rf"{run} +later +submitted", listed.out)
    assert (asked.code, asked.err) == (
        5,
        (
            f"error[conflict]: run {run} is submitted, and nobody has begun it yet\n"
            "  hint: it begins with the next orchestrator of this project: mesonctl serve\n"
        ),
    )
    assert serving.wait() == 0
    assert re.search(rf"info +run {run} of later begins", serving.said)
    assert re.search(rf"info +run {run} has ended: succeeded", serving.said)
    assert re.search(r"info +SIGTERM: nothing new starts, what runs finishes\n.*info +stopped\n$", serving.said)


def test_two_cannot_serve(served: Project) -> None:
    done = served.mesonctl("serve")

    assert done.code == 5
    assert re.search(
        r"error\[store-locked\]: cell 'local' is driven by mesonctl serve \(process \d+ on .*\)\n"
        r"  hint: hand your wishes to it, or stop it first\n",
        done.err,
    )


def test_a_service_that_is_killed_goes_on_where_it_was(project: Project) -> None:
    project.write("flow.py", GATED)
    serving = project.serve()
    run, gates = _submit(project, "flow.py:gated")
    until(lambda: _state(project, run, "first") == "running", "the first step runs")
    serving.signal(signal.SIGKILL)
    serving.wait()
    wish = project.mesonctl("pause", run, "--step", "second")
    (gates / "first").touch()
    (gates / "second").touch()
    again = project.serve()
    until(lambda: _state(project, run, "second") == "paused", "the wish was found")
    project.mesonctl("resume", run, "--step", "second")
    _ends(project, run, "succeeded")

    assert wish.out == (
        f"nobody drives run {run} now: the next orchestrator will see to it\nto go on at once: mesonctl resume {run}\n"
    )
    assert re.search(rf"run {run} of gated goes on", again.said)


def test_an_outcome_that_is_unknown_is_settled_by_a_person(project: Project) -> None:
    """The host dies between the submission and its recording, at a service that offers neither way to find out."""
    project.env = {"PYTHONPATH": str(Path(__file__).parents[1] / "plugins" / "fakeservice")}
    with FakeService.running(deduplicates=False, finds=False) as service:
        project.write(
            "flow.yaml",
            "name: outside\nsequence:\n"
            f"  - job: {{kind: fake_job_blind, options: {{socket: {json.dumps(str(service.socket))}}}}}\n"
            "  - after: {kind: shell, script: 'true'}\n",
        )
        service.stall("submit", "after")
        project.serve()
        run = project.mesonctl("submit", "flow.yaml", "--json").json["run_id"]
        service.wait_for("submit")
        for host in _hosts(project):
            os.kill(host, signal.SIGKILL)
        service.release()
        until(lambda: _state(project, run, "job") == "outcome_unknown", "nobody knows")
        why = project.mesonctl("why", run, "job")
        settled = project.mesonctl("resolve", run, "job", "--as", "succeeded", "--outputs", '{"job": "job-1"}')
        _ends(project, run, "succeeded")

    assert "outcome unknown" in why.out
    assert settled.out == f"run {run} takes job as succeeded\n"


def _hosts(project: Project) -> list[int]:
    """Processes of the async host of this project's executor."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
            surroundings = (process / "environ").read_bytes()
        except OSError:
            continue
        if (
            process.name.isdigit()
            and b"meson_core.host" in command
            and str(project.folder).encode() in surroundings + command
        ):
            found.append(int(process.name))
    assert found
    return found
