"""Owns the reads of the log: recovery, followers, and the workflow versions that runs are pinned to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from meson_core.errors import NotFoundError, StoreCorruptError
from meson_core.events import decode_frame
from meson_core.store import schema
from meson_core.store.outline import Outline
from meson_core.store.records import LogRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from meson_core.events import AnyEvent

_EXAMINE = "`mesonctl db check` examines the whole store; what is missing can only come from a backup"


def events_after(connection: Connection, number: int, seq: int, limit: int | None = None) -> list[LogRow]:
    """The events of a run with a higher sequence number than `seq`, oldest first, at most `limit` of them."""
    table = schema.frames.c
    statement = (
        select(table.first_seq, table.body)
        .where(table.run == number, table.last_seq > seq)
        .order_by(table.last_seq)
        # Each frame has an event at least; the first may begin before those that are asked for.
        .limit(limit)
    )
    found: list[LogRow] = []
    for first_seq, body in connection.execute(statement):
        rows = [LogRow(at, event) for at, event in enumerate(decode_frame(body), start=first_seq) if at > seq]
        found.extend(rows)
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found


def load(connection: Connection, number: int) -> tuple[bytes | None, int, list[AnyEvent]]:
    """What a run's engine is restored from: its latest snapshot, where that stands, and the events since.

    Raises:
        StoreCorruptError: some of these events are missing; a run that went on without them would be another one.
    """
    snapshots, frames = schema.snapshots.c, schema.frames.c
    row = connection.execute(select(snapshots.seq, snapshots.body).where(snapshots.run == number)).first()
    seq, snapshot = (0, None) if row is None else (row.seq, row.body)
    columns = select(frames.first_seq, frames.last_seq, frames.body)
    statement = columns.where(frames.run == number, frames.last_seq > seq).order_by(frames.last_seq)
    events: list[AnyEvent] = []
    reached = seq
    # A snapshot is written with its frame, so no frame lies across it.
    for first, last, body in connection.execute(statement):
        found = decode_frame(body)
        if first != reached + 1 or len(found) != last - first + 1:
            raise _incomplete(f"after event {reached} come events {first} to {last}, {len(found)} of them")
        events += found
        reached = last
    recorded = connection.execute(select(schema.runs.c.seq).where(schema.runs.c.number == number)).scalar_one()
    if reached != recorded:
        raise _incomplete(f"it ends with event {reached}, and should with {recorded}")
    return snapshot, seq, events


def _incomplete(told: str) -> StoreCorruptError:
    return StoreCorruptError(f"the log of the run is not whole: {told}", hint=_EXAMINE)


def unfinished(connection: Connection, cell: str) -> list[str]:
    """Ids of the runs of a cell that have not ended, oldest first."""
    runs = schema.runs.c
    statement = select(runs.run_id).where(runs.cell == cell, runs.ended_at.is_(None)).order_by(runs.number)
    return [run_id for (run_id,) in connection.execute(statement)]


def cursors(connection: Connection, cell: str | None) -> dict[str, int]:
    """Executor → its highest fact that is in the log."""
    table = schema.cursors.c
    statement = select(table.executor, table.seq)
    if cell is not None:
        statement = statement.where(table.cell == cell)
    return {row.executor: row.seq for row in connection.execute(statement)}


def definition(connection: Connection, digest: str) -> bytes:
    """The JSON of a workflow version.

    Raises:
        NotFoundError: it was never put.
    """
    table = schema.definitions.c
    body: bytes | None = connection.execute(select(table.body).where(table.digest == digest)).scalar()
    if body is None:
        raise NotFoundError(f"there is no workflow version {digest} in this store", hint=_EXAMINE)
    return body


def outline(connection: Connection, digest: str) -> Outline:
    """The nodes of a workflow version.

    Raises:
        NotFoundError: it was never put.
    """
    table = schema.definitions.c
    found = connection.execute(select(table.outline).where(table.digest == digest)).scalar()
    if found is None:
        raise NotFoundError(f"there is no workflow version {digest} in this store", hint=_EXAMINE)
    return Outline.from_json(found)


def outline_of_run(connection: Connection, number: int) -> Outline:
    """The nodes of the workflow version that a run is pinned to."""
    version = select(schema.runs.c.version).where(schema.runs.c.number == number)
    return outline(connection, connection.execute(version).scalar_one())
