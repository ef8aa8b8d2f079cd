"""Owns revision 0003: results that are there already, and the questions after them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "lookups",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("source", sa.String),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("facts", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "results",
        sa.Column("key", sa.String, nullable=False, primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("node", sa.Integer, nullable=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("workflow", sa.String, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("outputs", sa.LargeBinary, nullable=False),
        sa.Column("facts", sa.LargeBinary, nullable=False),
    )
    op.create_index("results_of_step", "results", ["workflow", "step", "at"])
