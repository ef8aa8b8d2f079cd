"""Owns the tests of the commands that drive runs: `run`, `resume`, `retry`, and how they are left."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FLOW

if TYPE_CHECKING:
    from tests.cli.command import Project

pytestmark = pytest.mark.slow

GREET = """
from meson_core import param, step, workflow

whom = param("whom", str, default="world")

@step
def greet(whom: str) -> str:
    return f"hello {whom}"

wf = workflow("greeting", greet(whom=whom), outputs={"text": greet.output})
"""

#: A step that runs until a file is there, and one after it.
WAITING = """
name: waiting
sequence:
  - wait: {kind: shell, script: 'echo waiting; until [ -e "$GATE" ]; do sleep 0.05; done', env: {GATE: "%s"}, grace: 0}
  - after: {kind: shell, script: 'echo done'}
"""


def test_a_run_that_succeeds(project: Project) -> None:
    project.write("flow.py", GREET)
    done = project.mesonctl("run", "flow.py", "-p", "whom=you")

    # That it has started is told when it was seen to run, which it may be too quick for.
    told = re.sub(r"[\d:]+  ● greet  started\n", "", done.out)

    assert done.code == 0
    assert re.sub(r"\d\d:\d\d:\d\d|[\d.]+ s|(?<=run )\w+|(?<=show )\w+", "…", told) == (
        "…  greeting  run …\n"
        "…  ✓ greet  succeeded in …\n"
        "✓ greeting  succeeded after …  run …\n"
        '  text  "hello you"\n'
        "  all values:  mesonctl show … --outputs\n"
    )


def test_programs_get_one_document(project: Project) -> None:
    project.write("flow.py", FLOW)
    done = project.mesonctl("run", "flow.py", "--json", "-p", "rows=3")
    answer = done.json

    assert done.code == 1
    assert (answer["workflow"], answer["state"], answer["params"]) == ("recommend", "failed", {"rows": 3})
    assert answer["steps"] == {
        "regions": {"succeeded": 1},
        "train": {"succeeded": 2, "failed": 1},
        "select": {"upstream_failed": 1},
    }
    assert [(each["step"], each["indexes"], each["failure"]["message"]) for each in answer["failures"]] == [
        ("train", [2], "ValueError: no ratings in region 2")
    ]
    assert answer["next"] == [
        f"mesonctl logs {answer['run_id']} --failed",
        f"mesonctl retry {answer['run_id']} --failed",
    ]
    assert done.err == ""


def test_what_fails_is_told_with_the_authors_own_lines(project: Project) -> None:
    project.write("flow.py", FLOW)
    done = project.mesonctl("run", "flow.py")

    assert done.code == 1
    assert re.search(r"✗ train\[2\]  failed: ValueError: no ratings in region 2\n", done.out)
    assert "│ training region 2\n" in done.out
    line = next(number for number, text in enumerate(FLOW.splitlines(), start=1) if "raise" in text)
    assert f'│   File "flow.py", line {line}, in train\n' in done.out
    assert ".meson/code" not in done.out
    assert "train  1 failed: ValueError: no ratings in region 2 (train[2])\n" in done.out
    assert "select  upstream failed\n" in done.out


def test_only_what_failed_is_done_again_with_mended_code(project: Project) -> None:
    """The same run goes on: with its own code it fails again, with the present code it succeeds."""
    project.write("flow.py", FLOW)
    run = project.mesonctl("run", "flow.py", "--json").json["run_id"]
    project.write("flow.py", FLOW.replace('"region 2"', '"nowhere"'))
    again = project.mesonctl("retry", run, "--failed", "--json")
    mended = project.mesonctl("retry", "last", "--failed", "--code", "current")
    shown = project.mesonctl("show", run, "--step", "train", "--json").json

    assert (again.code, again.json["run_id"]) == (1, run)
    assert mended.code == 0
    assert "✓ train[2]  succeeded" in mended.out
    assert "train[0]" not in mended.out
    assert [each["attempt"] for each in shown] == [1, 1, 3, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_projects_files_are_kept_as_they_were(project: Project, number: signal.Signals) -> None:
    """A run that is interrupted goes on with the code that it began with."""
    gate = project.folder / "gate"
    project.write("flow.yaml", WAITING % gate)
    running = project.start("run", "flow.yaml")
    running.wait_for("wait  started")
    running.signal(number)
    running.wait_for("nothing new starts, what runs finishes; Ctrl-C again cancels the run")
    project.write("flow.yaml", "name: something_else\nbody: {other: {kind: shell, script: 'true'}}\n")
    gate.touch()

    assert running.wait() == 75
    assert re.search(
        r"waiting  is drained: nothing of it runs  run \w+\n  go on:    mesonctl resume \w+\n", running.said
    )

    resumed = project.mesonctl("resume", "last")

    assert resumed.code == 0
    assert "✓ after  succeeded" in resumed.out
    assert "wait  " not in resumed.out


def test_ctrl_c_twice_cancels(project: Project) -> None:
    project.write("flow.yaml", WAITING % (project.folder / "gate"))
    running = project.start("run", "flow.yaml")
    running.wait_for("wait  started")
    running.signal(signal.SIGINT)
    running.wait_for("Ctrl-C again cancels")
    running.signal(signal.SIGINT)

    assert running.wait() == 8
    assert "✗" not in running.said
    assert re.search(r"⊘ wait  cancelled\n", running.said)
    assert re.search(r"waiting  cancelled after", running.said)


def test_a_third_ctrl_c_leaves_at_once_and_the_run_is_found_again(project: Project) -> None:
    gate = project.folder / "gate"
    # The step does not die of TERM, so that being cancelled takes as long as its grace.
    stubborn = WAITING.replace("echo waiting", "trap : TERM; echo waiting").replace("grace: 0", "grace: 600")
    project.write("flow.yaml", stubborn % gate)
    running = project.start("run", "flow.yaml")
    running.wait_for("wait  started")
    for told in ("Ctrl-C again cancels", "Ctrl-C again leaves at once", "goes on without us"):
        running.signal(signal.SIGINT)
        running.wait_for(told)

    assert running.wait() == 75

    gate.touch()
    resumed = project.mesonctl("resume", "last", "--json")

    assert (resumed.code, resumed.json["state"]) == (8, "cancelled")


def test_a_killed_orchestrator_loses_nothing(project: Project) -> None:
    """The executor goes on without it; the next one finds what has finished meanwhile, and does none of it again."""
    gate = project.folder / "gate"
    project.write("flow.yaml", WAITING % gate)
    running = project.start("run", "flow.yaml")
    running.wait_for("wait  started")
    running.signal(signal.SIGKILL)
    running.wait()
    gate.touch()
    resumed = project.mesonctl("resume", "last", "--json")
    attempts = project.mesonctl("show", "last", "--step", "wait", "--json").json

    assert (resumed.code, resumed.json["state"]) == (0, "succeeded")
    assert [each["attempt"] for each in attempts] == [1]


def test_a_run_that_has_ended_is_not_resumed(ended: Project) -> None:
    done = ended.mesonctl("resume", "last")
    run = ended.mesonctl("runs", "--json").json[0]["run_id"]

    assert done.code == 5
    assert done.err == (
        f"error[conflict]: run {run} has failed: there is nothing to go on with\n"
        f"  hint: do parts of it again: mesonctl retry {run} --failed\n"
    )


def test_a_second_run_goes_to_the_one_that_runs(project: Project) -> None:
    """Two terminals, one project: the second one hands its run over, and takes the project over when the first leaves."""
    first_gate, second_gate = project.folder / "first", project.folder / "second"
    project.write("first.yaml", WAITING % first_gate)
    project.write("second.yaml", (WAITING % second_gate).replace("name: waiting", "name: second"))
    first = project.start("run", "first.yaml")
    first.wait_for("wait  started")
    second = project.start("run", "second.yaml")
    second.wait_for(r"cell 'local' is driven by mesonctl run \(process \d+ on [^)]*\); it gets the run")
    second.wait_for("wait  started")
    first_gate.touch()

    assert first.wait() == 0

    second_gate.touch()

    assert second.wait() == 0
    assert "✓ after  succeeded" in second.said


def test_a_workflow_beside_its_steps_in_a_folder_of_the_project(project: Project) -> None:
    """A module that is not imported from the project's root is found by the workers as well."""
    project.write(
        "flows/tools.py", "from meson_core import step\n\n@step\ndef double(x: int) -> int:\n    return 2 * x\n"
    )
    project.write(
        "flows/flow.py",
        "from tools import double\nfrom meson_core import workflow\n\nwf = workflow('doubling', double(x=4), outputs={'y': double.output})\n",
    )
    done = project.mesonctl("run", "flows/flow.py", "--json")

    assert done.json["outputs"] == {"y": 8}
    assert (project.folder / ".meson" / "store.db").exists()


def test_what_to_do_next_names_the_project_when_it_is_another_one(project: Project) -> None:
    project.write("inner/meson.toml", "[schedulers.local]\nidle_exit_s = 0.5\n")
    project.write("inner/flow.yaml", "name: bad\nbody: {a: {kind: shell, script: 'exit 3'}}\n")
    done = project.mesonctl("run", "inner/flow.yaml")
    run = project.mesonctl("--project", "inner", "runs", "--json").json[0]["run_id"]

    assert done.code == 1
    assert f"mesonctl --project inner retry {run} --failed\n" in done.out


def test_what_a_workflows_file_wants_done_at_the_end_is_done(project: Project) -> None:
    """And nothing complains of objects that are still there: the interpreter is not taken apart."""
    wants = (
        "\nimport atexit, os\n"
        "class Held:\n"
        "    def __del__(self):\n"
        "        os.write(2, b'taken apart')\n"
        "held = Held()\n"
        "atexit.register(lambda: os.write(2, b'at the end'))\n"
    )
    project.write("flow.py", GREET + wants)
    done = project.mesonctl("run", "flow.py", "--json")

    assert (done.code, done.json["state"], done.err) == (0, "succeeded", "at the end")
