"""Owns the step kind `shell`: a script, or a command without a shell.

    get_users = kind("shell", name="get_users", outputs={"rows": int},
                     script='duckdb users.db -json "SELECT …" > "$MESON_OUTPUTS"')
    count = kind("shell", name="count", command=["wc", "-l", {"input": "users"}])

What the process finds in its environment, as every program does that an executor starts:

    MESON_INPUTS          a JSON file of all inputs; an artifact is the path of a local file in it
    MESON_INPUT_<name>    one input as text: an artifact as a path, null as nothing, lists and dicts in the file only
    MESON_OUTPUTS         the file to write the outputs to, as a JSON object by name
    MESON_OUTPUT_TYPES    the declared outputs, as a JSON object of name and type
    MESON_PROGRESS        the file to append lines of progress to: `0.4 half of it`
    MESON_SCRATCH         a folder that all steps of the run share
    MESON_PROJECT         the folder of the project's files, as they were when the run was submitted
    MESON_WORK            the folder of this attempt, where it runs

The step succeeds when the process exits with 0. Everything that it prints goes into the attempt's log.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from meson_core.hookspecs import hookimpl
from meson_core.ports import DoctorCheck, InputOf, PathTo, Program, SecretNamed, StepCapabilities

if TYPE_CHECKING:
    from meson_core.ports import StepKind, Text

_SCRIPT = "script.sh"


class Input(BaseModel):
    """An argument that is an input: `{"input": "users"}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str = Field(min_length=1)


class ShellOptions(BaseModel):
    """Options of a shell step: either `script` or `command`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    script: str | None = Field(default=None, min_length=1, description="Text of a script.")
    command: tuple[str | Input, ...] | None = Field(
        default=None,
        min_length=1,
        description='A program and its arguments, run without a shell; {"input": name} is the input of that name.',
    )
    shell: Literal["bash", "sh"] = Field(default="bash", description="What runs the script.")
    strict: bool = Field(
        default=True,
        description="The script ends at the first command that fails, also within a pipe (in bash), and at a "
        "variable that is not set.",
    )
    cwd: Literal["work", "project"] = Field(
        default="work", description="Where it runs: in a fresh folder of the attempt, or among the project's files."
    )
    env: dict[str, str] = Field(default_factory=dict, description="Variables of the environment.")
    secrets: dict[str, str] = Field(
        default_factory=dict, description="Variables that hold a secret: name of the variable to name of the secret."
    )

    @field_validator("env", "secrets")
    @classmethod
    def _named(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"{name!r} cannot be the name of a variable")
            if name.startswith("MESON_"):
                raise ValueError(f"{name} is one of Meson's own variables")
        return variables

    @model_validator(mode="after")
    def _one_of_two(self) -> ShellOptions:
        if (self.script is None) == (self.command is None):
            given = "neither is" if self.script is None else "both are"
            raise ValueError(f"give either `script` or `command`: {given} there")
        both = sorted(self.env.keys() & self.secrets.keys())
        if both:
            raise ValueError(f"{both[0]} is both a variable and a secret")
        return self


class Shell:
    """The step kind."""

    name = "shell"
    Options = ShellOptions
    capabilities = StepCapabilities(progress=True)

    def work(self, options: ShellOptions) -> Program:
        """The process of a step."""
        env: dict[str, Text] = {**options.env, **{name: SecretNamed(of) for name, of in options.secrets.items()}}
        if options.script is None:
            return Program(_command(options), env=env, cwd=options.cwd)
        return Program(_interpreter(options), env=env, files={_SCRIPT: options.script}, cwd=options.cwd)


def _command(options: ShellOptions) -> tuple[Text, ...]:
    return tuple(InputOf(part.input) if isinstance(part, Input) else part for part in options.command or ())


def _interpreter(options: ShellOptions) -> tuple[Text, ...]:
    """What runs the script.

    It is read from a file and not given as an argument: it may be long, other users of the machine can read arguments, and
    the shell then tells the right lines when something is wrong.
    """
    strict = {"bash": ("-euo", "pipefail"), "sh": ("-eu",)}[options.shell] if options.strict else ()
    if options.cwd == "project":
        return (options.shell, *strict, "-c", f'. "$0/{_SCRIPT}"', PathTo("work"))
    return (options.shell, *strict, _SCRIPT)


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """The step kind `shell`."""
    return [Shell()]


@hookimpl
def meson_doctor() -> list[DoctorCheck]:
    """Whether this machine has what runs scripts."""
    return [_shell_is_there(name) for name in ("bash", "sh")]


def _shell_is_there(name: str) -> DoctorCheck:
    found = shutil.which(name)
    missing = f"there is no {name} on the PATH: steps with `shell: {name}` fail on this machine"
    return DoctorCheck(name, found is not None, found or missing)
