"""Owns the connections: one that writes, guarded by a lock, and a pool of those that read."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy.exc import DBAPIError

from meson_core.errors import StoreCorruptError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from meson_core.store.dialect import Dialect


class Database:
    """The open database.

    Args:
        dialect: what is particular about it.
        writer: engine for the writing connection; None when the store is opened read-only.
        reader: engine for all others.
    """

    def __init__(self, dialect: Dialect, writer: Engine | None, reader: Engine) -> None:
        self.dialect = dialect
        self.writer = writer
        self.reader = reader
        self._driver_error = reader.dialect.loaded_dbapi.Error
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def writing_engine(self) -> Engine:
        """The engine for writing.

        Raises:
            StoreError: the store is opened for reading only.
        """
        if self.writer is None:
            raise StoreError(f"{self.dialect.place} is opened for reading only")
        return self.writer

    @contextmanager
    def write(self, *, relaxed: bool = False) -> Iterator[Connection]:
        """A transaction on the writing connection, committed at the end or rolled back by an exception.

        Args:
            relaxed: a crash of the machine (not of the process) may lose it; samples are worth no more.

        Raises:
            StoreError: the database refused; nothing was written.
        """
        writer = self.writing_engine()
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = writer.connect()
                connection = self._connection
                if relaxed:
                    self.dialect.relax(connection, True)
                try:
                    with connection.begin():
                        yield connection
                finally:
                    if relaxed:
                        self.dialect.relax(connection, False)
            except (DBAPIError, self._driver_error) as error:
                raise self.dialect.explain(error) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database; keep it short.

        Raises:
            StoreError: the database could not be read, or what it holds could not.
        """
        try:
            with self.reader.connect() as connection:
                yield connection
        except (DBAPIError, self._driver_error) as error:  # the driver's own comes from what is said on connecting
            raise self.dialect.explain(error) from error
        except msgspec.DecodeError as error:
            # The database keeps pages together; it does not know that a text in one of them has changed.
            raise StoreCorruptError(f"{self.dialect.place} has a row that cannot be read: {error}") from error

    def close(self) -> None:
        """Close all connections; further use opens new ones."""
        # The writer last: what SQLite keeps in its log goes into the file when the last connection that may write ends.
        self.reader.dispose()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        if self.writer is not None:
            self.writer.dispose()
