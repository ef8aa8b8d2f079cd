"""Owns the step kind `r`: a script in R, run by Rscript on the machine of the step.

    train = kind("r", name="train", file="train.R", outputs={"model": Artifact, "rmse": float})
    rows = kind("r", name="rows", script='meson$output("rows", nrow(read.csv(meson$inputs$table)))', outputs={"rows": int})

`meson.R` says what a script sees. It goes to the machine together with the step, and so does `start.sh`, which finds
Rscript there: the machine needs R and jsonlite, and nothing of this plugin.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from meson_core.ports import InputOf, Program, SecretNamed, StepCapabilities

if TYPE_CHECKING:
    from meson_core.ports import Text

#: Folder of our own files in the attempt's folder, out of the way of what the script writes.
_OURS = "meson"
_SCRIPT = "script.R"


class Input(BaseModel):
    """An argument that is an input: `{"input": "region"}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str = Field(min_length=1)


class ROptions(BaseModel):
    """Options of a step in R: either `file` or `script`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = Field(default=None, min_length=1, description="A script of the project, by its path in it.")
    script: str | None = Field(default=None, min_length=1, description="Text of a script.")
    arguments: tuple[str | Input, ...] = Field(
        default=(),
        description='What commandArgs(trailingOnly = TRUE) gives; {"input": name} is the input of that name.',
    )
    rscript: str | None = Field(
        default=None,
        min_length=1,
        description="Rscript of this step, as a name or a path; by default MESON_RSCRIPT of the machine, else Rscript.",
    )
    cwd: Literal["work", "project"] = Field(
        default="work", description="Where it runs: in a fresh folder of the attempt, or among the project's files."
    )
    locale: str = Field(
        default="C.UTF-8",
        min_length=1,
        description="LC_ALL of R: one that all machines have, so that a sort() has one order on all of them.",
    )
    env: dict[str, str] = Field(default_factory=dict, description="Variables of the environment.")
    secrets: dict[str, str] = Field(
        default_factory=dict, description="Variables that hold a secret: name of the variable to name of the secret."
    )

    @field_validator("file")
    @classmethod
    def _in_project(cls, file: str | None) -> str | None:
        if file is not None:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{file!r} is not in the project: give its path from the project's folder on")
        return file

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
    def _one_of_two(self) -> ROptions:
        if (self.file is None) == (self.script is None):
            given = "neither is" if self.file is None else "both are"
            raise ValueError(f"give either `file` or `script`: {given} there")
        both = sorted(self.env.keys() & self.secrets.keys())
        if both:
            raise ValueError(f"{both[0]} is both a variable and a secret")
        return self


class R:
    """The step kind."""

    name = "r"
    Options = ROptions
    capabilities = StepCapabilities(progress=True)

    def work(self, options: ROptions) -> Program:
        """The process of a step."""
        arguments: tuple[Text, ...] = tuple(
            InputOf(part.input) if isinstance(part, Input) else part for part in options.arguments
        )
        script = {} if options.script is None else {_SCRIPT: options.script}
        secrets = {name: SecretNamed(of) for name, of in options.secrets.items()}
        return Program(
            ("sh", f"{_OURS}/start.sh", options.rscript or "", options.cwd, options.file or "", *arguments),
            # Messages in English: what they say is looked at, and searched for on the web.
            env={"LC_ALL": options.locale, "LANGUAGE": "en", **options.env, **secrets},
            files={**script, **{f"{_OURS}/{name}": _shipped(name) for name in ("meson.R", "start.sh")}},
        )


@cache
def _shipped(name: str) -> str:
    return files("meson_r").joinpath(name).read_text(encoding="utf-8")
