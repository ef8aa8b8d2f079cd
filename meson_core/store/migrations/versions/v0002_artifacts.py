"""Owns revision 0002: the catalogue of artifacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, primary_key=True),
        sa.Column("run", sa.Integer),
        sa.Column("node", sa.Integer),
        sa.Column("indexes", sa.LargeBinary),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("media", sa.String, nullable=False),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("meta", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("items", sa.LargeBinary, nullable=False),
        sa.Column("forgotten_at", sa.Float),
    )
    op.create_index("artifacts_by_name", "artifacts", ["name", "number"])
    op.create_index("artifacts_by_digest", "artifacts", ["digest", "number"])
    op.create_index("artifacts_of_run", "artifacts", ["run", "node", "indexes"])
    op.create_index("artifacts_by_key", "artifacts", ["key", "number"], sqlite_where=sa.text("key IS NOT NULL"))
    op.create_table(
        "uses",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("place", sa.String, nullable=False, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("uses_of_digest", "uses", ["digest"])
