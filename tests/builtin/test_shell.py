"""Owns the promises of the step kind `shell`: what its options mean, told by processes that really run."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from meson_core.builtin.shell import Shell
from meson_core.ports import InputOf, PathTo, ProgramKind, SecretNamed, StepKind

if TYPE_CHECKING:
    from pathlib import Path

    from meson_core.ports import Text

KIND = Shell()


def run(tmp_path: Path, inputs: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a step's program in a work folder, its placeholders filled in."""
    program = KIND.work(KIND.Options(**options))
    work, project = tmp_path / "work", tmp_path / "project"
    work.mkdir(exist_ok=True)
    project.mkdir(exist_ok=True)

    def filled(text: Text) -> str:
        if isinstance(text, PathTo):
            return str({"work": work, "project": project}[text.what])
        if isinstance(text, InputOf):
            return (inputs or {})[text.name]
        return f"secret {text.name}" if isinstance(text, SecretNamed) else text

    for name, text in program.files.items():
        (work / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [filled(text) for text in program.argv],
        env={"PATH": os.environ["PATH"], **{name: filled(text) for name, text in program.env.items()}},
        cwd={"work": work, "project": project}[program.cwd],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_a_program_kind() -> None:
    kind: StepKind = KIND

    assert isinstance(kind, ProgramKind)
    assert kind.name == "shell"


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("cwd", ["work", "project"])
def test_a_script_runs_where_it_should(tmp_path: Path, shell: str, cwd: str) -> None:
    done = run(tmp_path, script='pwd; echo "ä ö"; exit 7', shell=shell, cwd=cwd)

    assert (done.stdout, done.stderr, done.returncode) == (f"{tmp_path / cwd}\nä ö\n", "", 7)


@pytest.mark.parametrize("cwd", ["work", "project"])
def test_a_script_is_strict(tmp_path: Path, cwd: str) -> None:
    for script in ("false; echo on", "false | true; echo on", 'echo "$nowhere"; echo on'):
        done = run(tmp_path, script=script, cwd=cwd)

        assert done.returncode == 1
        assert done.stdout == ""


def test_a_script_need_not_be_strict(tmp_path: Path) -> None:
    done = run(tmp_path, script='false; echo "on$nowhere"', strict=False)

    assert (done.stdout, done.returncode) == ("on\n", 0)


def test_sh_is_as_strict_as_it_can(tmp_path: Path) -> None:
    assert run(tmp_path, script="false; echo on", shell="sh").stdout == ""


def test_an_error_names_the_line_of_the_script(tmp_path: Path) -> None:
    for cwd in ("work", "project"):
        assert "script.sh: line 3: nonsense" in run(tmp_path, script="\n\nnonsense here\n", cwd=cwd).stderr


def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    done = run(tmp_path, {"what": "two words; $HOME"}, command=["printf", "%s|", "a b", "*", {"input": "what"}])

    assert done.stdout == "a b|*|two words; $HOME|"


def test_variables_and_secrets_are_in_the_environment_only(tmp_path: Path) -> None:
    options: dict[str, Any] = {"script": 'echo "$LEVEL $TOKEN"', "env": {"LEVEL": "7"}, "secrets": {"TOKEN": "api"}}
    program = KIND.work(KIND.Options(**options))

    assert run(tmp_path, **options).stdout == "7 secret api\n"
    assert not any(isinstance(text, SecretNamed) for text in program.argv)
    assert program.env["TOKEN"] == SecretNamed("api")


WRONG = [
    ({}, "give either `script` or `command`: neither is there"),
    ({"script": "x", "command": ["x"]}, "give either `script` or `command`: both are there"),
    ({"script": ""}, "at least 1 character"),
    ({"command": []}, "at least 1 item"),
    ({"command": ["x", 5]}, "valid string"),
    ({"command": [{"inputs": "x"}]}, "Extra inputs are not permitted"),
    ({"script": "x", "shell": "zsh"}, "'bash' or 'sh'"),
    ({"script": "x", "cwd": "/tmp"}, "'work' or 'project'"),
    ({"script": "x", "env": {"A=B": "c"}}, "'A=B' cannot be the name of a variable"),
    ({"script": "x", "env": {"": "c"}}, "'' cannot be the name of a variable"),
    ({"script": "x", "env": {"MESON_OUTPUTS": "c"}}, "MESON_OUTPUTS is one of Meson's own variables"),
    ({"script": "x", "env": {"A": "c"}, "secrets": {"A": "s"}}, "A is both a variable and a secret"),
    ({"script": "x", "scipt": "y"}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_what_is_wrong_is_found_before_anything_runs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KIND.Options(**options)
