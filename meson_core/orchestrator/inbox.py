"""Owns the watch over the inbox: woken by whoever leaves a wish, and looking now and then in case nobody did."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.orchestrator.clock import Alarm, Clock
    from meson_core.store.wake import Subscription


class InboxWatch:
    """Tells when there may be wishes.

    Args:
        subscription: to the store's news of wishes.
        clock: where time comes from.
        look: called when there may be some.
    """

    def __init__(self, subscription: Subscription, clock: Clock, look: Callable[[], None]) -> None:
        self._subscription = subscription
        self._clock = clock
        self._look = look
        self._alarm: Alarm | None = None
        self._fd = subscription.fileno()

    def start(self) -> None:
        """Begin."""
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._on_news)
        self._arm()

    def close(self) -> None:
        """Watch no more."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
        if self._alarm is not None:
            self._alarm.cancel()
        self._subscription.close()

    def _on_news(self) -> None:
        self._subscription.drain()
        self._look()

    def _on_alarm(self) -> None:
        self._look()
        self._arm()

    def _arm(self) -> None:
        self._alarm = self._clock.call_at(self._clock.now() + self._subscription.look_s, self._on_alarm)
