"""Owns what one database system does differently from another; everything else in the store is the same for all.

A dialect opens connections and begins transactions as the store needs them, has the insert with a conflict clause, tells
damage from misuse in the driver's errors, and brings the lease and the wake-up, which have no common SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from meson_core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine, Table

    from meson_core.store.lease import LeaseLock
    from meson_core.store.wake import WakeUp


class Dialect(Protocol):
    """One database system, for one store."""

    #: What an error message calls the store.
    place: str

    def prepare(self, *, create: bool, read_only: bool) -> None:
        """See that the database is there and whole, or create it with all its tables.

        Raises:
            NotFoundError: not there, and not to be created.
            StoreCorruptError: damaged.
            StoreError: it cannot be reached or read.
        """

    def engine(self, *, read_only: bool) -> Engine:
        """An engine whose transactions are durable when they are committed."""

    def check(self, connection: Connection, *, thorough: bool) -> None:
        """See that an opened database is whole, as far as that takes milliseconds.

        Args:
            connection: to it.
            thorough: also what is needed only by those who write.

        Raises:
            StoreCorruptError: it is not.
        """

    def examine(self, connection: Connection) -> None:
        """See that all of an opened database is whole, as long as that may take.

        Raises:
            StoreCorruptError: it is not.
        """

    def make_room(self) -> None:
        """Somebody is about to write a lot; what makes that quicker is done here, and may fail in silence."""

    def relax(self, connection: Connection, relaxed: bool) -> None:
        """Whether the next transactions of this connection may be lost in a crash of the machine."""

    def insert(self, table: Table) -> Any:
        """An insert that has `on_conflict_do_update` and `on_conflict_do_nothing`."""

    def explain(self, error: Exception) -> StoreError:
        """What a driver's error means for the person who runs this."""

    def lock(self, cell: str) -> LeaseLock:
        """The lock that makes one process the driver of a cell."""

    def wake_up(self) -> WakeUp:
        """How processes tell each other that there is something to read."""


def dialect_for(where: str | Path) -> Dialect:
    """The dialect of a store.

    Args:
        where: a database URL, the path of a SQLite file, or the folder that holds it.

    Raises:
        StoreError: a URL of a system that this version does not know.
    """
    from meson_core.store.dialect_sqlite import SqliteDialect  # noqa: PLC0415  only the chosen one is imported

    text = str(where)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return SqliteDialect.at(text)
    if scheme in ("sqlite", "sqlite+pysqlite"):
        # As SQLAlchemy has it: three slashes before a relative path, four before an absolute one.
        return SqliteDialect.at(rest.removeprefix("/"))
    raise StoreError(
        f"the store {scheme}://… is of a kind that this version does not know",
        hint="give the path of a .meson folder, or sqlite:///path",
    )
