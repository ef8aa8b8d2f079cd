"""Owns a real project for tests: settings, plugins and processes as a person has them, and nothing left behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from meson_core.orchestrator.running import put_run
from meson_core.orchestrator.serve import Orchestrator
from meson_core.plugins import load_plugins
from meson_core.settings import read_settings
from meson_core.store.store import open_store
from meson_executor import protocol, transport

if TYPE_CHECKING:
    from pathlib import Path

    from meson_core.orchestrator.probe import Probe
    from meson_core.spec.model import Workflow
    from meson_core.store.store import Store

SETTINGS = {
    "MESON_SCHEDULERS_LOCAL_CPUS": "4",
    "MESON_SCHEDULERS_LOCAL_IDLE_EXIT_S": "20",
    "MESON_SCHEDULERS_LOCAL_REPLACE_AFTER_S": "3",
    "MESON_LIVENESS_LOST_AFTER_S": "3",
}


class Project:
    """A folder with a store, and an executor that comes with the first orchestrator.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path, **settings: str) -> None:
        self.root = root
        self.settings = read_settings(root, {**SETTINGS, **settings})
        self.plugins = load_plugins()
        self.store: Store = open_store(self.settings.store_location)

    @property
    def executor(self) -> Path:
        """The executor's folder."""
        return self.settings.directory / "executor"

    def submit(self, workflow: Workflow, **params: Any) -> str:
        return put_run(self.store, self.settings.cell, workflow, params, owner="ada")

    def orchestrator(self, probe: Probe | None = None) -> Orchestrator:
        return Orchestrator(self.store, self.settings, self.plugins, probe=probe, holder="a test")

    def results(self, run_id: str) -> Any:
        row = self.store.run(run_id)
        assert row is not None
        return row.results

    def names(self, run_id: str) -> list[str]:
        return [type(row.event).__name__ for row in self.store.log(run_id)]

    def executor_pid(self) -> int:
        """The process of the executor, by who listens on its socket."""
        import socket
        import struct

        with transport.connect(str(self.executor)) as connection:
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid: int = struct.unpack("3i", found)[0]
        return pid

    def kill_executor(self, how: signal.Signals = signal.SIGKILL) -> int:
        pid = self.executor_pid()
        os.kill(pid, how)
        return pid

    def close(self) -> None:
        """End the executor with all that it started, and wait until it has."""
        self.store.close()
        try:
            connection = transport.connect(str(self.executor))
        except OSError:
            return
        with connection:
            connection.settimeout(20)
            hello = {"t": "hello", "v": protocol.VERSION, "cell": "local", "epoch": 1_000_000, "acked": 0}
            connection.sendall(protocol.encode(hello) + protocol.encode({"t": "stop", "grace_s": 0.0}))
            while connection.recv(65536):
                pass
        with (self.executor / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


#: Runs in a process of its own, which ends itself with SIGKILL at the n-th time that it comes to a point.
DRIVER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from tests.orchestrator.projects import Project

class Fall:
    def __init__(self, point, times):
        self.point, self.left = point, times
    def reach(self, point):
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

async def main(root, point, times, run_id):
    project = Project(Path(root))
    async with project.orchestrator(Fall(point, times)) as orchestrator:
        await orchestrator.run_until_ended(run_id)
    project.store.close()

asyncio.run(main(*json.loads(sys.argv[1])))
"""


def driver_command(project: Project, point: str, times: int, run_id: str) -> list[str]:
    """The command of an orchestrator that kills itself at a point."""
    return [sys.executable, "-c", textwrap.dedent(DRIVER), json.dumps([str(project.root), point, times, run_id])]
