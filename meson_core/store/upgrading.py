"""Owns the upgrade of a store to the tables of this version; nothing else imports Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from alembic import command
from alembic.config import Config
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from meson_core.errors import StoreLockedError
from meson_core.store import schema
from meson_core.store.dialect import dialect_for
from meson_core.store.lease import this_process
from meson_core.store.versions import HEAD, found_version, refuse_unknown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from meson_core.store.lease import LeaseLock

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Run all revisions that a database has not seen yet, in the transaction that is open."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


class Upgraded(NamedTuple):
    """What an upgrade did; nothing when the two are equal."""

    before: str
    after: str


def upgrade(where: str | Path) -> Upgraded:
    """Bring a store's tables to the version of this program, all at once or not at all; its data is kept.

    Args:
        where: as for `open_store`.

    Raises:
        NotFoundError: there is no store.
        StoreLockedError: an orchestrator is using it.
        StoreVersionError: it was made by a later version of Meson.
        StoreError: it cannot be read or written.
    """
    dialect = dialect_for(where)
    dialect.prepare(create=False, read_only=False)
    engine = dialect.engine(read_only=False)
    locks: list[LeaseLock] = []
    try:
        with engine.begin() as connection:
            before = found_version(connection)
            if before == HEAD:
                return Upgraded(HEAD, HEAD)
            refuse_unknown(before, dialect.place)
            # Whoever drives a cell knows the old tables.
            for cell in connection.execute(select(schema.cells.c.cell)).scalars().all():
                lock = dialect.lock(cell)
                try:
                    lock.take(this_process("mesonctl db upgrade"))
                except StoreLockedError as error:
                    raise StoreLockedError(error.message, hint="stop it, and upgrade then") from None
                locks.append(lock)
            migrate(connection)
            return Upgraded(before, HEAD)
    except DBAPIError as error:
        raise dialect.explain(error) from error
    finally:
        for lock in locks:
            lock.release()
        engine.dispose()
