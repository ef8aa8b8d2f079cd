"""Owns how Alembic runs the revisions: on the connection and in the transaction of `meson_core.store.upgrading`."""

from __future__ import annotations

from alembic import context

from meson_core.store.schema import metadata

# SQLite cannot change a column in place; in batches Alembic makes the table anew.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
