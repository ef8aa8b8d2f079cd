"""Owns looking at a run again and again in a thread of its own, and only where something can have changed.

What a look costs depends on the number of nodes, not of instances, and a fan-out does not wait for it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from meson_core.cli.news import News

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.client import Client, RunTree
    from meson_core.spec.plan import Plan

#: Seconds between two looks, where a look is quick.
LOOK_S = 0.25
_MAX_LOOK_S = 2.0
#: The part of a processor that looking may take: one of so many. It is taken from the orchestrator's, in this process.
_SHARE = 50
#: Seconds after which a look is worth it although the log has not grown: percents and messages are not in it.
_SAMPLES_S = 1.0


class Looks:
    """Looks again and again in a thread, until it is stopped; then one last time.

    Args:
        look: what is done, and told whether it is the last time; its failure ends the looking, and nothing else.
        failed: told of the failure.
    """

    def __init__(self, look: Callable[[bool], None], failed: Callable[[Exception], None]) -> None:
        self._look = look
        self._failed = failed
        self._broken = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meson-view", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._once(last=True)

    def _run(self) -> None:
        cost_s = 0.0
        while not self._stop.wait(max(LOOK_S, min(cost_s * _SHARE, _MAX_LOOK_S))):
            began = time.thread_time()
            self._once(last=False)
            cost_s = time.thread_time() - began

    def _once(self, *, last: bool) -> None:
        if self._broken:
            return
        try:
            self._look(last)
        except Exception as error:  # noqa: BLE001  who only watches must not stop the run
            self._broken = True
            self._failed(error)


class Watched:
    """A run that is watched: asked only when there may be news.

    Args:
        client: to its store.
        run_id: the run.
        plan: its workflow.
        steps: whether it is of interest that steps have begun and ended.
    """

    def __init__(self, client: Client, run_id: str, plan: Plan, *, steps: bool) -> None:
        self.run_id = run_id
        self.news = News(client, run_id, plan, steps=steps)
        self._client = client
        self._seq = -1
        self._looked = 0.0

    @classmethod
    def known(cls, client: Client, run_id: str, plan: Plan, *, steps: bool) -> Watched:
        """One of which everything so far is known."""
        watched = cls(client, run_id, plan, steps=steps)
        watched.news.take_as_known(client.tree(run_id))
        return watched

    def tree(self, *, last: bool) -> RunTree | None:
        """The run as it stands now; None when nothing can have changed since the last call."""
        now = time.monotonic()
        position = self._client.store.position(self.run_id)
        if position is None or (position[0] == self._seq and now - self._looked < _SAMPLES_S and not last):
            return None
        self._seq, self._looked = position[0], now
        return self._client.tree(self.run_id)


def broken(error: Exception) -> str:
    """What a person is told of a view that has failed."""
    return f"the view of the run has stopped, the run goes on: {type(error).__name__}: {error}"
