"""Owns the local resource scheduler: this machine's cpus and memory, offered like those of any other machine."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from meson_core.hookspecs import hookimpl
from meson_core.ports import SchedulerCapabilities, SchedulerDefinition
from meson_core.resources import parse_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from meson_core.ports import ResourceScheduler, SchedulerSetting


class Options(BaseModel):
    """Options of the local resource scheduler: `[schedulers.local]` in the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cpus: float | None = Field(default=None, gt=0)
    """Cores to offer; by default all that this process may use."""
    memory: int | None = Field(default=None, gt=0)
    """Bytes to offer, as a number or like "8 GB"; by default all that this process may use."""
    other: dict[str, float] = Field(default_factory=dict)
    """Further quantities to offer: `gpus = 1`."""
    attributes: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Labels of this machine, for constraints: `zone = "a"`."""
    name: str = ""
    """Name of this machine; by default its host name."""
    python: Path | None = None
    """Interpreter that runs the executor and Python steps; by default the one that runs the orchestrator."""
    directory: Path | None = None
    """Folder of the executor; by default `.meson/executor`."""
    secrets: Path | None = None
    """A folder with a file per secret, or a file of `name=value` lines."""
    idle_exit_s: float = Field(default=60.0, ge=0)
    """Seconds without work and without an orchestrator after which the executor leaves; 0: never."""
    replace_after_s: float = Field(default=60.0, ge=3.0)
    """Seconds of silence after which a silent executor is killed and replaced, which fences what is lost."""

    @field_validator("memory", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        return parse_size(value) if isinstance(value, str) else value


@asynccontextmanager
async def open_scheduler(options: Options, setting: SchedulerSetting) -> AsyncIterator[ResourceScheduler]:
    """Offer this machine, with the executor of its directory."""
    from meson_core.builtin.local.scheduler import LocalScheduler  # noqa: PLC0415  asyncio and all, when it is chosen

    async with LocalScheduler(options, setting) as scheduler:
        yield scheduler


def prepare(options: Options, setting: SchedulerSetting) -> None:
    """Start the executor while the rest is still being imported."""
    from meson_core.builtin.local.daemon import start_early  # noqa: PLC0415  see above

    start_early(options, setting)


@hookimpl
def meson_resource_schedulers() -> Sequence[SchedulerDefinition]:
    capabilities = SchedulerCapabilities(offers=True, ahead=True, outlives=True)
    return [SchedulerDefinition("local", Options, capabilities, open_scheduler, prepare)]
