"""Owns the step kind `python`: a function, found on the machine where it runs, in a warm worker.

`@step` writes its options; in YAML or JSON they are written by hand: `{function: train, file: flows/train.py}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from meson_core.hookspecs import hookimpl
from meson_core.ports import PythonCall, StepCapabilities

if TYPE_CHECKING:
    from meson_core.ports import StepKind

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class PythonOptions(BaseModel):
    """Options of a Python step: a function, and one of `module` (with its `path`), `file` and `source`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: str = Field(description="Name of the function; with dots, when it is in a class.")
    module: str | None = Field(default=None, description="Dotted name of its module, importable from the project.")
    path: str | None = Field(
        default=None,
        min_length=1,
        description="Folder that the module is imported from, relative to the project's root; default: the root.",
    )
    file: str | None = Field(default=None, min_length=1, description="Its file, relative to the project's root.")
    source: str | None = Field(default=None, min_length=1, description="Python text that defines it.")

    @field_validator("function", "module")
    @classmethod
    def _dotted(cls, name: str | None) -> str | None:
        if name is not None and not _DOTTED.fullmatch(name):
            raise ValueError(f"{name!r} is not a dotted name")
        return name

    @field_validator("file", "path")
    @classmethod
    def _inside(cls, file: str | None) -> str | None:
        if file is not None and (file.startswith("/") or ".." in file.split("/")):
            raise ValueError(f"{file!r} is not inside the project: give a path relative to its root")
        return file

    @model_validator(mode="after")
    def _one_of_three(self) -> PythonOptions:
        given = [name for name in ("module", "file", "source") if getattr(self, name) is not None]
        if len(given) != 1:
            there = f"{' and '.join(given)} are" if given else "none is"
            raise ValueError(f"give one of `module`, `file` and `source`: {there} there")
        if self.path is not None and self.module is None:
            raise ValueError("`path` says where a `module` is imported from: there is none here")
        return self


class Python:
    """The step kind."""

    name = "python"
    Options = PythonOptions
    capabilities = StepCapabilities(progress=True)

    def work(self, options: PythonOptions) -> PythonCall:
        """The call of a step."""
        return PythonCall(
            options.function, module=options.module, file=options.file, source=options.source, path=options.path
        )


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """The step kind `python`."""
    return [Python()]
