"""Owns the examination of a whole store: the file, the logs of all runs, and the definitions that they are pinned to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from meson_core.errors import StoreCorruptError
from meson_core.events import decode_frame
from meson_core.store import schema
from meson_core.store.dialect import dialect_for
from meson_core.store.versions import HEAD, check_version

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


class Examined(NamedTuple):
    """What was found to be whole.

    Args:
        version: of the tables.
        runs: how many there are.
        events: in the logs of all of them.
        definitions: workflow versions.
    """

    version: str
    runs: int
    events: int
    definitions: int


def examine(where: str | Path) -> Examined:
    """Read all that must never be lost, and see that it is whole. Takes as long as reading the file does.

    Args:
        where: as for `open_store`.

    Raises:
        NotFoundError: there is no store.
        StoreVersionError: it was made by another version of Meson.
        StoreCorruptError: it is damaged; the message says where.
    """
    dialect = dialect_for(where)
    dialect.prepare(create=False, read_only=True)
    engine = dialect.engine(read_only=True)
    try:
        with engine.connect() as connection:
            check_version(connection, dialect.place)
            dialect.examine(connection)
            return Examined(HEAD, *_runs(connection, dialect.place), _definitions(connection, dialect.place))
    except DBAPIError as error:
        raise dialect.explain(error) from error
    finally:
        engine.dispose()


def _runs(connection: Connection, place: str) -> tuple[int, int]:
    """Runs and events, after seeing that every log is without gaps and can be read."""
    runs, frames = schema.runs.c, schema.frames.c
    logs = connection.execute(
        select(runs.run_id, runs.seq, frames.first_seq, frames.last_seq, frames.body)
        .select_from(schema.runs.outerjoin(schema.frames, frames.run == runs.number))
        .order_by(runs.number, frames.last_seq)
        .execution_options(yield_per=100)
    )
    reached: dict[str, int] = {}
    expected: dict[str, int] = {}
    for run_id, seq, first, last, body in logs:
        expected[run_id] = seq
        at = reached.setdefault(run_id, 0)
        if first is None:
            continue
        try:
            number = len(decode_frame(body))
        except (msgspec.DecodeError, ValueError) as error:
            raise _damaged(place, run_id, f"its events {first} to {last} cannot be read: {error}") from None
        if first != at + 1 or number != last - first + 1:
            raise _damaged(place, run_id, f"after event {at} come events {first} to {last}, {number} of them")
        reached[run_id] = last
    for run_id, seq in expected.items():
        if reached[run_id] != seq:
            raise _damaged(place, run_id, f"its log ends with event {reached[run_id]}, and should with {seq}")
    return len(expected), sum(reached.values())


def _damaged(place: str, run_id: str, told: str) -> StoreCorruptError:
    return StoreCorruptError(f"{place}: the log of run {run_id} is damaged: {told}", hint="restore it from a backup")


def _definitions(connection: Connection, place: str) -> int:
    definitions, runs = schema.definitions.c, schema.runs.c
    missing = connection.execute(
        select(runs.run_id).where(runs.version.not_in(select(definitions.digest))).limit(1)
    ).scalar()
    if missing is not None:
        raise _damaged(place, missing, "the workflow version that it is pinned to is not there")
    return int(connection.execute(select(func.count()).select_from(schema.definitions)).scalar_one())
