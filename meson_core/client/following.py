"""Owns waiting for news of a run: woken through the store's subscription, never by asking again and again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from meson_core.store.records import LogRow
    from meson_core.store.store import Store

#: Events that are read at a time.
_PAGE = 1000


def follow(store: Store, run_id: str, after_seq: int) -> Iterator[LogRow]:
    """Every event of a run with a higher sequence number, as it comes; ends when the run has ended.

    A run that is reopened while it is followed goes on.
    """
    subscription = store.subscribe("log")
    try:
        while True:
            # Asked before the log is read: what came after it is still news then.
            position = store.position(run_id)
            while rows := store.log(run_id, after_seq, _PAGE):
                yield from rows
                after_seq = rows[-1].seq
            if position is not None and position[1].ended and after_seq >= position[0]:
                return
            subscription.wait(subscription.look_s)
    finally:
        subscription.close()


async def follow_async(store: Store, run_id: str, after_seq: int) -> AsyncIterator[LogRow]:
    """The same in an event loop, which the reads do not block."""
    loop = asyncio.get_running_loop()
    subscription = store.subscribe("log")
    news = asyncio.Event()
    file = subscription.fileno()
    if file >= 0:
        loop.add_reader(file, news.set)
    try:
        while True:
            subscription.drain()
            news.clear()
            position = await asyncio.to_thread(store.position, run_id)
            while rows := await asyncio.to_thread(store.log, run_id, after_seq, _PAGE):
                for row in rows:
                    yield row
                after_seq = rows[-1].seq
            if position is not None and position[1].ended and after_seq >= position[0]:
                return
            try:
                async with asyncio.timeout(subscription.look_s):
                    await news.wait()
            except TimeoutError:
                continue
    finally:
        if file >= 0:
            loop.remove_reader(file)
        subscription.close()


def wait_until_ended(store: Store, run_id: str, timeout_s: float | None) -> bool:
    """Wait until a run has ended; whether it has.

    Args:
        store: where it is.
        run_id: the run.
        timeout_s: at most so many seconds; None for as long as it takes.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    subscription = store.subscribe("log")
    try:
        while True:
            subscription.drain()
            position = store.position(run_id)
            if position is not None and position[1].ended:
                return True
            left = subscription.look_s if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return False
            subscription.wait(left)
    finally:
        subscription.close()
