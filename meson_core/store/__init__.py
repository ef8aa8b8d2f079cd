"""Owns all SQL: the log, snapshots, samples, projections, the inbox. Importing it is cheap; opening a store is not."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meson_core.store.checking import examine
    from meson_core.store.lease import Holder, Lease
    from meson_core.store.store import Store, open_store
    from meson_core.store.upgrading import upgrade
    from meson_core.store.wake import Subscription, Topic

__all__ = ["Holder", "Lease", "Store", "Subscription", "Topic", "examine", "open_store", "upgrade"]

_HOME = {
    "Holder": "lease",
    "Lease": "lease",
    "Store": "store",
    "Subscription": "wake",
    "Topic": "wake",
    "examine": "checking",
    "open_store": "store",
    "upgrade": "upgrading",
}


def __getattr__(name: str) -> Any:
    # SQLAlchemy takes longer to import than `mesonctl --help` may take as a whole.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
