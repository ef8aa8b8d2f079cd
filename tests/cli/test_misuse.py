"""Owns the exact words with which `mesonctl` meets mistakes, and the exit codes that go with them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meson_core.cli.entry import run_command_line
from tests.cli.command import DEADLINE_S, Project, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = """
from meson_core import step, workflow

@step
def hello() -> int:
    return 1

wf = workflow("one", hello)
"""
TWO = ONE + "\nother = workflow('two', hello)\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["rnus"], 2, "Error: No such command 'rnus'. Did you mean 'runs'?"),
        (["run"], 2, "Error: Missing argument 'FILE[:WORKFLOW]'."),
        (
            ["run", "one.py", "-p", "alpha"],
            2,
            "Error: Invalid value for '-p' / '--param': 'alpha' is not of the form NAME=VALUE",
        ),
        (
            ["run", "onw.py"],
            4,
            "error[not-found]: onw.py: there is no such file\n  hint: did you mean 'one.py'?",
        ),
        (
            ["validate", "nothing-like-it.txt"],
            4,
            (
                "error[not-found]: nothing-like-it.txt: there is no such file\n"
                "  hint: give a workflow as FILE or FILE:workflow, with FILE in Python, YAML or JSON"
            ),
        ),
        (["validate", "."], 4, "error[not-found]: .: is a folder\n  hint: give a workflow as FILE or FILE:workflow"),
        (
            ["validate", "two.py"],
            3,
            (
                "error[spec-invalid]: two.py: there are several workflows in this file: wf, other\n"
                "  hint: say which: two.py:wf"
            ),
        ),
        (
            ["validate", "two.py:othr"],
            4,
            "error[unknown-name]: two.py: there is no workflow 'othr' in this file\n  hint: did you mean 'other'?",
        ),
        (
            ["validate", "broken.py"],
            3,
            "error[spec-invalid]: broken.py:2: the file is not Python: invalid syntax",
        ),
        (
            ["validate", "raises.py"],
            3,
            "error[spec-invalid]: raises.py:2: importing raises.py raised ZeroDivisionError: division by zero",
        ),
        (
            ["validate", "leaves.py"],
            3,
            "error[spec-invalid]: leaves.py:2: importing leaves.py raised SystemExit: 3",
        ),
        (
            ["validate", "imports.py"],
            3,
            (
                "error[spec-invalid]: imports.py:1: importing imports.py raised ModuleNotFoundError: "
                "No module named 'no_such_library'\n"
                "  hint: install it into this environment, or correct the name"
            ),
        ),
        (
            ["validate", "empty.py"],
            3,
            (
                "error[spec-invalid]: empty.py: there is no workflow in this file\n"
                "  hint: give one a name of the module: wf = workflow('name', a >> b)"
            ),
        ),
        (
            ["validate", "latin.yaml"],
            3,
            "error[spec-invalid]: latin.yaml: the file is not UTF-8 text: byte 6 is 0xe9\n  hint: save it as UTF-8",
        ),
        (
            ["validate", "flow.yaml:other"],
            4,
            "error[unknown-name]: flow.yaml: there is no workflow 'other' in this file\n  hint: there are: plain",
        ),
        (
            ["validate", "kinds.yaml"],
            3,
            (
                "error[plugin-missing]: kinds.yaml:3: step 'a': no step kind 'shel' is installed\n"
                "  hint: did you mean 'shell'?"
            ),
        ),
        (
            ["validate", "one.py", "-p", "alpha=1"],
            3,
            "error[parameter-invalid]: the parameters of 'one' have a problem: there is no parameter 'alpha'",
        ),
        (
            ["runs"],
            4,
            (
                "error[not-found]: there is no store at {folder}/.meson/store.db\n"
                "  hint: nothing has been run there yet; name the folder of your project, or run a workflow first"
            ),
        ),
        (["--project", "nowhere", "runs"], 4, "error[not-found]: --project nowhere: there is no such folder"),
        (["graph", "one.py", "--format", "png"], 2, "Error: Invalid value for '--format': 'png' is not one of"),
        (
            ["plugins", "disable", "shel"],
            4,
            "error[not-found]: there is no plugin 'shel'\n  hint: did you mean 'shell'?",
        ),
        (
            ["plugins", "disable", "local"],
            5,
            (
                "error[conflict]: plugin 'local' declares the resource scheduler local, which the settings choose\n"
                "  hint: choose another one first: `scheduler` in the settings"
            ),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_words_that_help(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    exit_code = run_command_line(arguments)
    said = capsys.readouterr()

    assert told.format(folder=folder) in said.err
    assert exit_code == code
    assert said.out == ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with sound and unsound workflows. Nothing is run in it, so this process can be `mesonctl`."""
    project = Project(tmp_path)
    project.write("meson.toml", "")
    project.write("one.py", ONE)
    project.write("two.py", TWO)
    project.write("broken.py", "\nworkflow = = 3\n")
    project.write("raises.py", "def f():\n    return 1 / 0\n\nf()\n")
    project.write("leaves.py", "import sys\nsys.exit(3)\n")
    project.write("imports.py", "import no_such_library\n")
    project.write("empty.py", "")
    project.write("flow.yaml", "name: plain\nbody: {a: {kind: shell, script: 'true'}}\n")
    project.write("kinds.yaml", "name: kinds\nbody:\n  a: {kind: shel, script: 'true'}\n")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.slow
def test_all_problems_are_told_at_once(project: Project) -> None:
    project.write(
        "flow.yaml",
        "name: two_mistakes\n"
        "body:\n"
        "  a: {kind: shell, script: 'true', outputs: {rows: int}}\n"
        "  b: {kind: shell, script: 'true', inputs: {x: '${a.row}'}}\n"
        "  c: {kind: shell, script: 'true', inputs: {y: '${alpha}'}}\n",
    )
    done = project.mesonctl("validate", "flow.yaml")

    assert done.code == 3
    assert "flow.yaml:4: " in done.err
    assert "did you mean 'rows'?" in done.err
    assert "flow.yaml:5: " in done.err
    assert done.err.endswith("2 problems; nothing was run\n")


@pytest.mark.slow
def test_places_are_told_as_they_can_be_opened_from_here(project: Project) -> None:
    """The definition's places are relative to the project, the reader may be in one of its folders."""
    project.write("flows/bad.yaml", "name: bad\nbody: {a: {kind: nope}}\n")
    below = project.mesonctl("validate", "bad.yaml", cwd="flows")
    above = project.mesonctl("validate", "flows/bad.yaml")

    assert "]: bad.yaml:2: " in below.err
    assert "]: flows/bad.yaml:2: " in above.err


@pytest.mark.slow
def test_programs_get_mistakes_as_json(project: Project) -> None:
    project.write("flow.yaml", "name: bad\nbody: {a: {kind: shel}, b: {kind: shell, scrip: x}}\n")
    invalid = project.mesonctl("run", "flow.yaml", "--json")
    missing = project.mesonctl("show", "last", "--json")
    misuse = project.mesonctl("runs", "--json", "--limit", "many")

    error = invalid.json["error"]
    assert (invalid.code, error["code"]) == (3, "workflow-invalid")
    assert next((each["code"], each["file"], each["line"]) for each in error["problems"]) == (
        "plugin-missing",
        "flow.yaml",
        2,
    )
    assert (missing.code, missing.json["error"]["code"]) == (4, "not-found")
    assert (misuse.code, json.loads(misuse.out)["error"]["code"]) == (2, "usage")
    assert invalid.err == missing.err == misuse.err == ""


@pytest.mark.slow
def test_what_a_workflow_file_prints_does_not_get_into_answers(project: Project) -> None:
    project.write("flow.py", "print('hello from the file')\n" + ONE)
    done = project.mesonctl("validate", "flow.py", "--json")

    assert done.json["workflow"] == "one"
    assert done.err == "hello from the file\n"


@pytest.mark.slow
def test_a_bug_is_told_without_our_frames(project: Project) -> None:
    """Whatever goes wrong inside: a person reads one line, and how to report it."""
    project.write("flow.py", ONE)
    code = (
        "import meson_core.spec, meson_core.cli\n"
        "def boom(*_, **__): raise RuntimeError('the wheels came off')\n"
        "meson_core.spec.check = boom\n"
        "meson_core.cli.main()\n"
    )
    done = _python(project, code, "validate", "flow.py")
    traced = _python(project, code, "validate", "flow.py", "--traceback")

    assert done == (
        70,
        (
            "error[bug]: RuntimeError: the wheels came off\n"
            "  hint: this is a bug in Meson; please report it with what the same command prints with --traceback\n"
        ),
    )
    assert traced[1].startswith("Traceback (most recent call last):")


def _python(project: Project, code: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=project.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stderr
