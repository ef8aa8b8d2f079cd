"""Owns the plugin: a step kind for scripts in R, and what `mesonctl plugins doctor` looks at for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.hookspecs import hookimpl
from meson_r.kind import R, ROptions

if TYPE_CHECKING:
    from meson_core.ports import DoctorCheck, StepKind

__all__ = ["HELPER", "R", "ROptions"]

#: The file that gives a script its `meson`, for whoever wants to try one without a step around it.
HELPER = Path(__file__).with_name("meson.R")


@hookimpl
def meson_step_kinds() -> list[StepKind]:
    """The step kind `r`."""
    return [R()]


@hookimpl
def meson_doctor() -> list[DoctorCheck]:
    """Whether this machine has R, and the one package that the helper needs."""
    # Only the doctor starts processes; everyone else is spared the import.
    from meson_r.doctor import examine  # noqa: PLC0415

    return examine()
