"""Owns revision 0001: the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("began", sa.Float),
        sa.Column("ended", sa.Float, nullable=False),
        sa.Column("cause", sa.String),
        sa.Column("failure", sa.LargeBinary, nullable=False),
        sa.Column("machine", sa.String),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cells",
        sa.Column("cell", sa.String, nullable=False, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("acquired_at", sa.Float, nullable=False),
    )
    op.create_table(
        "cursors",
        sa.Column("cell", sa.String, nullable=False, primary_key=True),
        sa.Column("executor", sa.String, nullable=False, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "definitions",
        sa.Column("digest", sa.String, nullable=False, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("outline", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "durations",
        sa.Column("workflow", sa.String, nullable=False, primary_key=True),
        sa.Column("step", sa.String, nullable=False, primary_key=True),
        sa.Column("weight", sa.Float, nullable=False),
        sa.Column("total_s", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "emitted",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("node", sa.Integer, nullable=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_index("emitted_of_instance", "emitted", ["run", "node", "indexes"])
    op.create_table(
        "frames",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("first_seq", sa.Integer, nullable=False),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("frames_of_run", "frames", ["run", "last_seq"], unique=True)
    op.create_table(
        "inbox",
        sa.Column("wish_id", sa.Integer, nullable=False, primary_key=True),
        sa.Column("cell", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("handled_at", sa.Float),
        sa.Column("refusal", sa.String),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index(
        "inbox_unhandled",
        "inbox",
        ["cell", "wish_id"],
        sqlite_where=sa.text("handled_at IS NULL"),
    )
    op.create_table(
        "instances",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("machine", sa.String),
        sa.Column("started_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.Column("outputs", sa.LargeBinary),
        sa.Column("failure", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "jobs",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("external_id", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "links",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False, primary_key=True),
        sa.Column("url", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "nodes",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("counts", sa.LargeBinary),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("total_s", sa.Float, nullable=False),
        sa.Column("first_started", sa.Float),
        sa.Column("last_ended", sa.Float),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notable",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("state", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer, nullable=False, primary_key=True),
        sa.Column("run_id", sa.String, nullable=False, unique=True),
        sa.Column("cell", sa.String, nullable=False),
        sa.Column("workflow", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("params", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("results", sa.LargeBinary),
    )
    op.create_index(
        "runs_unfinished",
        "runs",
        ["cell", "number"],
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "samples",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("indexes", sa.LargeBinary, nullable=False, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("fraction", sa.Float),
        sa.Column("message", sa.String),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snapshots",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "waits",
        sa.Column("run", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("waiting", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("detail", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
