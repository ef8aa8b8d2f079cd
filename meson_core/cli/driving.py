"""Owns driving a run from a command: being the orchestrator while it lasts, or following the one that is there already.

The first Ctrl-C drains: nothing new starts, what runs finishes, and the run can be resumed. The second cancels the run.
The third leaves at once; what runs goes on without us, and is found again. SIGTERM and a hang-up count as the first.

Where another process drives the cell, it gets the wish, and this one only watches. Should that one leave, this one
takes the cell over.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Literal, TypeAlias

from meson_core.errors import ConflictError, MesonError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.cli.project import Project
    from meson_core.cli.viewing import View
    from meson_core.client import Client
    from meson_core.orchestrator import Orchestrator

#: How a command left its run: it has ended, it was drained, or it goes on without us.
Left: TypeAlias = Literal["ended", "drained", "running"]

#: Seconds after which a follower looks whether there still is somebody to follow.
_LOOK_S = 0.5

_DRAINS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def drive(project: Project, client: Client, view: View, begin: Callable[[], str]) -> tuple[str, Left]:
    """Have a run driven to its end, by this process or by the one that drives its cell.

    Args:
        project: whose cell it is.
        client: to its store.
        view: what a person sees meanwhile.
        begin: makes the wish with which it begins, waits until that is granted, and returns the id of the run.

    Returns:
        The id of the run, and how it was left.

    Raises:
        MesonError: the wish was refused, or the orchestrator had to stop.
    """
    try:
        return asyncio.run(_Driver(project, client, view, begin).drive())
    except BaseExceptionGroup as group:
        raise only_one(group) from None


def only_one(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of ours in a group, or else the group."""
    ours, others = group.split(MesonError)
    while ours is not None and others is None and len(ours.exceptions) == 1:
        inner = ours.exceptions[0]
        if not isinstance(inner, BaseExceptionGroup):
            return inner
        ours = inner
    return group


class _Driver:
    """One command's way with one run."""

    def __init__(self, project: Project, client: Client, view: View, begin: Callable[[], str]) -> None:
        self._project = project
        self._client = client
        self._view = view
        self._begin = begin
        self._run_id: str | None = None
        self._signals: asyncio.Queue[int] = asyncio.Queue()
        self._told_holder = False

    async def drive(self) -> tuple[str, Left]:
        loop = asyncio.get_running_loop()
        for number in _DRAINS:
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        try:
            while True:
                try:
                    left: Left | None = await self._be_orchestrator()
                except StoreLockedError as locked:
                    left = await self._follow(locked)
                if left is not None:
                    assert self._run_id is not None
                    return self._run_id, left
        finally:
            for number in _DRAINS:
                loop.remove_signal_handler(number)

    async def _started(self) -> str:
        if self._run_id is None:
            self._run_id = await asyncio.to_thread(self._begin)
            self._view.watch(self._client, self._run_id)
        return self._run_id

    # --- as the orchestrator ------------------------------------------------------------------------------------------

    async def _be_orchestrator(self) -> Left:
        from meson_core.orchestrator import Orchestrator

        project = self._project
        holder = f"mesonctl {self._view.command}"
        async with Orchestrator(self._client.store, project.settings, project.plugins, holder=holder) as orchestrator:
            async with asyncio.TaskGroup() as tasks:
                # An orchestrator that cannot go on says so at once, and not by never granting the wish.
                served = tasks.create_task(orchestrator.serve())
                run_id = await self._started()
                served.cancel()
            async with asyncio.TaskGroup() as tasks:
                return await self._until_left(orchestrator, run_id, tasks)

    async def _until_left(self, orchestrator: Orchestrator, run_id: str, tasks: asyncio.TaskGroup) -> Left:
        ended = tasks.create_task(orchestrator.run_until_ended(run_id))
        drained: asyncio.Task[None] | None = None
        signalled = tasks.create_task(self._signals.get())
        times = 0
        try:
            while True:
                watched = {ended, signalled} if drained is None or times > 1 else {ended, signalled, drained}
                await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return "ended"
                if drained is not None and drained.done() and times == 1:
                    return "drained"
                if not signalled.done():
                    continue
                signalled = tasks.create_task(self._signals.get())
                times += 1
                if times == 1:
                    drained = tasks.create_task(orchestrator.drain())
                    self._view.say("nothing new starts, what runs finishes; Ctrl-C again cancels the run")
                elif times == 2:
                    await asyncio.to_thread(self._client.cancel, run_id, wait_s=None)
                    self._view.say("the run is being cancelled; Ctrl-C again leaves at once")
                else:
                    return "running"
        finally:
            for task in (ended, signalled, drained):
                if task is not None:
                    task.cancel()

    # --- behind another one -------------------------------------------------------------------------------------------

    async def _follow(self, locked: StoreLockedError) -> Left | None:
        """Watch a run that another process drives; None when that one has left and the cell is free."""
        store, cell = self._client.store, self._client.cell
        if not self._told_holder:
            self._told_holder = True
            self._view.say(f"{locked.message}; it gets the run, and Ctrl-C leaves it there")
        try:
            run_id = await self._started()
        except ConflictError:
            if store.holder(cell) is None:
                return None
            raise
        async with asyncio.TaskGroup() as tasks:
            signalled = tasks.create_task(self._signals.get())
            try:
                while True:
                    row = await asyncio.to_thread(self._client.wait, run_id, timeout_s=_LOOK_S)
                    if row.state.ended:
                        return "ended"
                    if signalled.done():
                        return "running"
                    if store.holder(cell) is None:
                        return None
            finally:
                signalled.cancel()
