"""Owns wishes: how they are put into the inbox, and how their answer is waited for."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from meson_core.errors import BackendError, ConflictError

if TYPE_CHECKING:
    from meson_core.store.store import Store
    from meson_core.store.wishes import WishBody, WishKind

#: Digits that cannot be taken for one another.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = _DIGITS[10:]
_LENGTH = 10
#: Seconds after which it is looked whether there still is somebody who could answer.
_LOOK_S = 0.5


def new_run_id() -> str:
    """An id that no other run has; it begins with a letter, and its first few characters usually say enough."""
    rest = "".join(secrets.choice(_DIGITS) for _ in range(_LENGTH - 1))
    return secrets.choice(_LETTERS) + rest


def ask(store: Store, cell: str, by: str, what: WishKind, run_id: str, body: WishBody, *, wait_s: float | None) -> Any:
    """Put a wish into the inbox of a cell, and wait for what becomes of it.

    Args:
        store: where the inbox is.
        cell: whose orchestrator is asked.
        by: who asks.
        what: which sort of wish.
        run_id: the run that it is about.
        body: what it says.
        wait_s: seconds to wait for the answer; None to leave it in the inbox, for whoever comes.

    Returns:
        The orchestrator's answer; None when it was not waited for.

    Raises:
        ConflictError: it was refused, with the reason; or there is nobody to ask, or nobody any more: it is taken back.
        BackendError: no answer in time; the wish stays in the inbox.
    """
    if wait_s is None:
        store.put_wish(what, run_id, body, by=by, cell=cell)
        return None
    epoch = store.epoch(cell)
    if store.holder(cell) is None:
        asked = "no run can be started" if what == "start" else f"nobody can {what} run {run_id}"
        raise ConflictError(
            f"nobody drives cell {cell!r}, so {asked}",
            hint="start an orchestrator: `mesonctl serve`, or `mesonctl run` with a workflow",
        )
    subscription = store.subscribe("log")
    try:
        wish_id = store.put_wish(what, run_id, body, by=by, cell=cell)
        deadline = time.monotonic() + wait_s
        while True:
            subscription.drain()
            receipt = store.receipt(wish_id)
            if receipt is not None:
                if receipt.refusal:
                    raise ConflictError(receipt.refusal)
                return receipt.answer
            left = deadline - time.monotonic()
            if left <= 0:
                holder = store.holder(cell)
                raise BackendError(
                    f"the orchestrator of cell {cell!r} has not answered within {wait_s:g} s",
                    retryable=True,
                    hint=f"the wish (number {wish_id}) stays in the inbox; "
                    + (f"it is driven by {holder}" if holder else "nobody drives the cell any more"),
                )
            if store.holder(cell) is None and store.withdraw_wish(wish_id, cell, epoch):
                raise ConflictError(
                    f"the orchestrator of cell {cell!r} has left without an answer",
                    hint="nothing was changed; ask again once there is one",
                )
            subscription.wait(min(left, _LOOK_S))
    finally:
        subscription.close()
