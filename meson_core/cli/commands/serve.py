"""Owns `mesonctl serve`: the orchestrator as a service."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from meson_core.cli.exit_codes import ExitCode
from meson_core.cli.project import Project, pass_project

if TYPE_CHECKING:
    from meson_core.client import Client
    from meson_core.orchestrator import Orchestrator
    from meson_core.settings import Logging

logger = logging.getLogger("mesonctl")


@click.command()
@pass_project
def serve(project: Project) -> int:
    """Be the orchestrator of this project until told to stop: recover unfinished runs, and take new ones.

    SIGTERM or Ctrl-C: what runs finishes, nothing new starts, then it leaves. Once more: it leaves at once; what runs
    goes on without it, and is found again by the next one. What it says about itself goes to standard error, in the form
    that the settings choose.
    """
    from meson_core.cli.driving import only_one

    _set_up_logging(project.settings.logging)
    client = project.client(create=True)
    try:
        return asyncio.run(_serve(project, client))
    except BaseExceptionGroup as group:
        raise only_one(group) from None


async def _serve(project: Project, client: Client) -> int:
    from meson_core.orchestrator import Orchestrator

    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.put_nowait, number)
    unfinished = len(client.store.unfinished_runs(client.cell))
    async with Orchestrator(client.store, project.settings, project.plugins, holder="mesonctl serve") as orchestrator:
        logger.info("serving cell %s of %s, unfinished runs: %d", client.cell, project.root, unfinished)
        async with asyncio.TaskGroup() as tasks:
            left = await _until_told(orchestrator, signals, tasks)
    logger.info("stopped")
    return left


async def _until_told(orchestrator: Orchestrator, signals: asyncio.Queue[int], tasks: asyncio.TaskGroup) -> ExitCode:
    serving = tasks.create_task(orchestrator.serve())
    told = tasks.create_task(signals.get())
    drained: asyncio.Task[None] | None = None
    try:
        while True:
            watched: set[asyncio.Task[None] | asyncio.Task[int]] = {serving, told}
            if drained is not None:
                watched.add(drained)
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if serving.done() or (drained is not None and drained.done()):
                return ExitCode.ok
            if drained is not None:
                logger.info("leaving at once; what runs goes on and is found again")
                return ExitCode.ok
            logger.info("%s: nothing new starts, what runs finishes", signal.Signals(told.result()).name)
            drained = tasks.create_task(orchestrator.drain())
            told = tasks.create_task(signals.get())
    finally:
        for task in (serving, told, drained):
            if task is not None:
                task.cancel()


# --- what it says about itself ----------------------------------------------------------------------------------------


def _set_up_logging(settings: Logging) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # That it is there, and what becomes of runs, is told by a service in any case, but not by a step's library.
    for name in ("mesonctl", "meson_core"):
        if not logging.getLogger(name).isEnabledFor(logging.INFO):
            logging.getLogger(name).setLevel(logging.INFO)


class _Text(logging.Formatter):
    """Time, level, message; one line, but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{at} {record.levelname.lower():<7} {record.getMessage()}{trace}"


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)
