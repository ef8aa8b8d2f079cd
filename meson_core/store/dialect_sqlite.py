"""Owns what is particular about SQLite: the file and its damages, pragmas, transactions, lock files and sockets."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import NullPool, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError

from meson_core.errors import NotFoundError, StoreError
from meson_core.store import sqlite_file
from meson_core.store.lease import FileLock
from meson_core.store.versions import create_schema
from meson_core.store.wake import SocketWakeUp

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

#: Name of the database in its folder.
FILE = "store.db"
#: Seconds that a writer waits for another one; a turn of the loop holds the database for milliseconds.
BUSY_S = 20.0

# Half as large as the default would be needlessly small: a commit rewrites the same few pages, and each checkpoint
# writes them to the file once. 16 MiB of log between checkpoints.
_CHECKPOINT_PAGES = 4096
_WRITER = (
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
    f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
    "PRAGMA journal_size_limit = 67108864",
)
#: Bytes that the log is made long from the start.
_ROOM = 8 * 1024 * 1024
#: Free bytes on the disk below which nothing is taken in advance.
_SPARE = 64 * _ROOM
_FILLER = (
    "PRAGMA synchronous = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = 8",
    "PRAGMA wal_autocheckpoint = 0",
)
_READER = ("PRAGMA query_only = ON", "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -8192")


class SqliteDialect:
    """One SQLite file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = f"the store {path}"
        # Readers of a store that is open for writing as well tidy up behind themselves; others leave no trace.
        self._mode = "mode=rw"

    @classmethod
    def at(cls, where: str) -> SqliteDialect:
        """The dialect for a path: of the file, or of the folder that holds it."""
        path = Path(where).absolute()
        return cls(path if path.suffix == ".db" else path / FILE)

    def prepare(self, *, create: bool, read_only: bool) -> None:
        if not self.path.exists():
            if not create or read_only:
                raise NotFoundError(
                    f"there is no store at {self.path}",
                    hint="nothing has been run there yet; name the folder of your project, or run a workflow first",
                )
            try:
                sqlite_file.create(self.path, self._create_tables)
            except OSError as error:
                taken = isinstance(error, FileExistsError | NotADirectoryError)
                why = f"{self.path.parent} is not a folder" if taken else error.strerror
                raise StoreError(
                    f"{self.place} cannot be created: {why}",
                    hint=f"make {self.path.parent} a folder that you can write to, or choose another project folder",
                ) from None
            except sqlite3.Error as error:
                raise self.explain(error) from error
            return
        sqlite_file.inspect(self.path)
        if read_only:
            self._mode = "mode=ro"
        if not os.access(self.path, os.W_OK) or not os.access(self.path.parent, os.W_OK):
            if not read_only:
                raise StoreError(
                    f"{self.place} cannot be written to by this user",
                    hint="what has been run can be looked at; to run anything, make the file and its folder writable",
                )
            # Without its side files and without leave to make them, SQLite reads only what is sure not to change.
            if not sqlite_file.wal(self.path).exists():
                self._mode = "immutable=1"

    def _create_tables(self, path: Path) -> None:
        engine = create_engine(
            "sqlite://", creator=lambda: self._connect(path, ("PRAGMA synchronous = OFF",)), poolclass=NullPool
        )
        try:
            with engine.begin() as connection:
                create_schema(connection)
        except DBAPIError as error:
            raise self.explain(error) from error
        finally:
            engine.dispose()

    def engine(self, *, read_only: bool) -> Engine:
        pragmas = _READER if read_only else _WRITER
        engine = create_engine(
            "sqlite://",
            creator=lambda: self._connect(self.path, pragmas),
            poolclass=QueuePool if read_only else NullPool,
        )
        # A transaction that begins by reading cannot become a writing one once another has written in between.
        begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

        def on_begin(connection: Connection) -> None:
            # The driver's cursor: this is done once per commit, and has nothing to compile.
            connection.connection.cursor().execute(begin)

        event.listen(engine, "begin", on_begin)
        return engine

    def _connect(self, path: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?{self._mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_S,
        )
        try:
            for pragma in pragmas:
                connection.execute(pragma)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def check(self, connection: Connection, *, thorough: bool) -> None:
        if thorough and self.path.stat().st_size <= sqlite_file.CHECKED_BYTES:
            sqlite_file.judge(self.path, connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())

    def examine(self, connection: Connection) -> None:
        sqlite_file.judge(self.path, connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())

    def make_room(self) -> None:
        # A commit that makes the log's file longer waits for the file system's journal too, and takes nearly twice as
        # long as one that overwrites. So the file gets its length first, by a transaction that is larger than its cache
        # and is rolled back: its pages stay behind as dead space, which later commits overwrite.
        # A disk that is nearly full has no room to spare, and what goes wrong here is no reason to stop.
        with contextlib.suppress(sqlite3.Error, OSError):
            log = sqlite_file.wal(self.path)
            if (log.exists() and log.stat().st_size >= _ROOM) or shutil.disk_usage(self.path.parent).free < _SPARE:
                return
            with contextlib.closing(self._connect(self.path, _FILLER)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("CREATE TABLE room (filler)")
                connection.execute("INSERT INTO room VALUES (zeroblob(?))", (_ROOM,))
                connection.execute("ROLLBACK")

    def relax(self, connection: Connection, relaxed: bool) -> None:
        # In WAL mode a transaction that was not synchronised is still whole, and never before an earlier one.
        # The driver's cursor: SQLAlchemy would begin a transaction for it, in which it has no effect.
        connection.connection.cursor().execute(f"PRAGMA synchronous = {'NORMAL' if relaxed else 'FULL'}")

    def insert(self, table: Table) -> Any:
        return sqlite_insert(table)

    def explain(self, error: Exception) -> StoreError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        return sqlite_file.explain(self.path, cause if isinstance(cause, sqlite3.Error) else None)

    def lock(self, cell: str) -> FileLock:
        return FileLock(self.path.parent / "cells" / f"{cell}.lock", cell)

    def wake_up(self) -> SocketWakeUp:
        return SocketWakeUp(self.path.parent / "wake")
