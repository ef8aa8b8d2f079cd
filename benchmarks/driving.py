"""Owns the orchestrator process that is measured: what `mesonctl run` does, without its view, telling what it costs.

    python -m benchmarks.driving PROJECT WORKFLOW [-p NAME=VALUE] [--warm-up WORKFLOW] [--resume]

The warm-up (a run of its own) has the executor and its workers started, so that the figures are those of a machine at work.
With `--resume` nothing is started: what a former orchestrator left is driven to its end. One JSON object per line:

* `started`: the run's id;
* `ended`: the state; wall and CPU seconds from the wish to the recorded end; the largest resident size in bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meson_core.cli.project import Project
from meson_core.orchestrator.serve import Orchestrator

if TYPE_CHECKING:
    from meson_core.client import Client
    from meson_core.spec import Workflow


def _tell(what: str, **more: Any) -> None:
    sys.stdout.write(json.dumps({"what": what} | more) + "\n")
    sys.stdout.flush()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _drive(project: Project, client: Client, given: argparse.Namespace, code: str) -> None:
    def start(name: str, texts: dict[str, str]) -> str:
        return client.start(workflows[name], texts=texts, code=code, wait_s=None)

    workflows = {name: _checked(project, name) for name in (given.workflow, given.warm_up) if name}
    settings, plugins = project.settings, project.plugins
    async with Orchestrator(client.store, settings, plugins, holder="a benchmark") as orchestrator:
        if given.warm_up:
            await orchestrator.run_until_ended(start(given.warm_up, {}))
        cpu_s, begin = _cpu_s(), time.perf_counter()
        if given.resume:
            run_id = client.run("last").run_id
        else:
            run_id = start(given.workflow, dict(text.split("=", 1) for text in given.param))
        _tell("started", run_id=run_id)
        state = await orchestrator.run_until_ended(run_id)
        took_s, cpu_s = time.perf_counter() - begin, _cpu_s() - cpu_s
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _tell("ended", run_id=run_id, state=state.value, took_s=took_s, cpu_s=cpu_s, max_rss=rss)


def _checked(project: Project, name: str) -> Workflow:
    return project.check(project.load(f"{project.root / 'workflows.py'}:{name}"))


def main() -> None:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("workflow", nargs="?")
    parser.add_argument("-p", "--param", action="append", default=[])
    parser.add_argument("--warm-up")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    project = Project(str(given.project))
    try:
        client = project.client(create=True)
        asyncio.run(_drive(project, client, given, client.bundle().digest))
    finally:
        project.close()


if __name__ == "__main__":
    main()
