"""Owns the version of the tables: new stores are made from the metadata and stamped, others must bear the stamp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, insert, select

from meson_core.errors import StoreVersionError
from meson_core.store.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: All revisions in `migrations/versions`, oldest first (a test compares them; Alembic is not imported to know them).
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]

#: Alembic's own table.
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True, nullable=False))


def create_schema(connection: Connection) -> None:
    """Make all tables in an empty database, in the newest version."""
    metadata.create_all(connection, checkfirst=False)
    _version.create(connection, checkfirst=False)
    connection.execute(insert(_version).values(version_num=HEAD))


def found_version(connection: Connection) -> str:
    """The revision of the tables that are there."""
    return str(connection.execute(select(_version.c.version_num)).scalar())


def check_version(connection: Connection, place: str) -> None:
    """See that the tables are of the version that this program knows.

    Args:
        connection: to a database that has tables.
        place: what to call the store.

    Raises:
        StoreVersionError: an older or newer one.
    """
    found = found_version(connection)
    if found == HEAD:
        return
    refuse_unknown(found, place)
    raise StoreVersionError(
        f"{place} has the tables of an earlier version of Meson ({found}; this one needs {HEAD})",
        hint="stop what uses it, and run `mesonctl db upgrade`; its data is kept",
    )


def refuse_unknown(found: str, place: str) -> None:
    """Refuse tables that only a later version of this program can have made.

    Raises:
        StoreVersionError: they are such.
    """
    if found not in REVISIONS:
        raise StoreVersionError(
            f"{place} has the tables of a later version of Meson ({found}; this one knows {HEAD})",
            hint="install the version of Meson that wrote it, or a later one",
        )
