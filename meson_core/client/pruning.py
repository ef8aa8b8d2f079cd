"""Owns prune: deleting the bytes that nothing names, and no others, whatever goes on or dies beside it.

The order matters: first what lies in the store is listed, then the catalogue is read, in one transaction. An attempt that
has put something before the listing is in flight at the reading, or has told by then what it put. One that puts after
the listing renews the time of change, at which the deletion looks once more, under the lock that putting takes too. Who
puts something by hand claims it within the transaction that names it, and the reading waits for such transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meson_core.ports import ArtifactStore
    from meson_core.store.store import Store

#: Seconds for which bytes stay that nothing names.
GRACE_S = 86400.0
#: Seconds by which clocks of machines and file systems may differ; nothing that is younger is ever deleted.
SKEW_S = 60.0


class Pruned(msgspec.Struct, frozen=True):
    """What a prune did, or would do.

    Args:
        forgotten: versions whose bytes were given up because of their age.
        deleted: digests whose bytes went.
        freed: their bytes.
        leftovers: interrupted uploads and unpacked folders that went.
        kept: digests that stay.
        held: digests that nothing names and that stay for now: they are young, or an attempt in flight may be about to name
            them.
    """

    forgotten: int
    deleted: int
    freed: int
    leftovers: int
    kept: int
    held: int


def prune(
    store: Store,
    artifacts: ArtifactStore,
    *,
    now: float,
    grace_s: float,
    older_than_s: float | None = None,
    dry_run: bool = False,
    skew_s: float = SKEW_S,
) -> Pruned:
    """Delete bytes that nothing names and nobody has touched for the grace period.

    Args:
        store: what names them.
        artifacts: where they are; no other project may keep its own there.
        now: s since the epoch.
        grace_s: seconds for which what nothing names stays.
        older_than_s: forget versions that are older, but the latest of each; None forgets none.
        dry_run: only say what would be done; nothing is forgotten, so what that would free is not counted.
        skew_s: by how much clocks may differ.
    """
    forgotten = 0
    if older_than_s is not None and not dry_run:
        forgotten = store.forget_artifacts(now - older_than_s, now)
    listed = list(artifacts.contents())
    needed = store.needed_artifacts()
    before = now - grace_s
    if needed.busy_since is not None:
        before = min(before, needed.busy_since)
    before -= skew_s
    deleted = freed = held = 0
    for each in listed:
        if each.digest in needed.digests:
            continue
        if each.touched < before and (dry_run or artifacts.delete(each.digest, untouched_since=before)):
            deleted += 1
            freed += each.size
        else:
            held += 1
    leftovers = 0 if dry_run else artifacts.tidy(before)
    return Pruned(forgotten, deleted, freed, leftovers, len(listed) - deleted, held)
