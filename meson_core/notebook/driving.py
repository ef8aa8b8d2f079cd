"""Owns the orchestrator of a notebook: in a thread of its own, so that a cell that is at work holds nobody up."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from meson_core.errors import MesonError, StoreLockedError
from meson_core.orchestrator import Orchestrator

if TYPE_CHECKING:
    from meson_core.plugins import Plugins
    from meson_core.settings import Settings
    from meson_core.store.store import Store

#: What others are told who find the cell taken.
HOLDER = "a notebook"


class Driving:
    """Drives the cell of a project, unless another process does already.

    Args:
        store: of the project, open for writing; it stays the caller's.
        settings: of the project.
        plugins: loaded.
    """

    def __init__(self, store: Store, settings: Settings, plugins: Plugins) -> None:
        self._store = store
        self._settings = settings
        self._plugins = plugins
        self._thread: threading.Thread | None = None
        self._present: tuple[asyncio.AbstractEventLoop, Orchestrator] | None = None
        self._failure: MesonError | None = None

    def ensure(self) -> None:
        """See that somebody drives the cell: this notebook, where nobody else does.

        Raises:
            MesonError: the orchestrator cannot begin, or could not go on.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._store.holder(self._settings.cell) is not None:
            return  # that one gets what this notebook starts
        begun: Future[None] = Future()
        self._thread = threading.Thread(target=self._drive, args=(begun,), name="meson-orchestrator", daemon=True)
        self._thread.start()
        try:
            begun.result()
        except StoreLockedError:
            # Somebody else was faster.
            self._thread.join()
            self._thread = None

    def stop(self) -> None:
        """Write what is decided, and let go of the cell; attempts go on, and whoever drives it next finds them."""
        if self._thread is None:
            return
        if self._present is not None and self._thread.is_alive():
            loop, orchestrator = self._present
            asyncio.run_coroutine_threadsafe(orchestrator.stop(), loop)
        self._thread.join()
        self._thread = self._present = None

    def _drive(self, begun: Future[None]) -> None:
        try:
            asyncio.run(self._serve(begun))
        except MesonError as error:
            if begun.done():
                self._failure = error
            else:
                begun.set_exception(error)
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    async def _serve(self, begun: Future[None]) -> None:
        async with Orchestrator(self._store, self._settings, self._plugins, holder=HOLDER) as orchestrator:
            self._present = (asyncio.get_running_loop(), orchestrator)
            begun.set_result(None)
            await orchestrator.serve()
