"""Owns revision 0002: the catalogue of artifacts, with what earlier runs have put out.

What is not in the catalogue may be deleted, so the artifacts in the outputs that are recorded become its first rows. Their loop
variables and inputs are not known any more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    _catalogue_outputs(op.get_bind())


def _catalogue_outputs(connection: sa.Connection) -> None:
    found = connection.execute(
        sa.text(
            "SELECT i.run, i.node, i.indexes, i.attempt, i.outputs, i.ended_at, r.created_at, r.code, d.outline"
            " FROM instances i JOIN runs r ON r.number = i.run JOIN definitions d ON d.digest = r.version"
            " WHERE i.outputs IS NOT NULL ORDER BY i.run, i.ended_at, i.node, i.indexes"
        )
    )
    rows = []
    for row in found:
        if b'"$artifact"' not in row.outputs:
            continue
        step = json.loads(row.outline)[row.node][0]
        for name, value in _artifacts(json.loads(row.outputs), step, 64):
            size, meta = value.get("size"), value.get("meta")
            rows.append(
                {
                    "run": row.run,
                    "node": row.node,
                    "indexes": row.indexes,
                    "attempt": row.attempt,
                    "name": name,
                    "type": str(value.get("type") or ""),
                    "digest": value["$artifact"],
                    "size": size if isinstance(size, int) else 0,
                    "media": str(value.get("media") or ""),
                    "file": str(value.get("name") or ""),
                    "meta": json.dumps(meta if isinstance(meta, dict) else {}).encode(),
                    "at": row.created_at if row.ended_at is None else row.ended_at,
                    "code": row.code,
                    "items": b"{}",
                }
            )
    if rows:
        table = sa.table("artifacts", *(sa.column(name) for name in rows[0]))
        connection.execute(sa.insert(table), rows)


def _artifacts(value: Any, place: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if not depth:
        return
    if isinstance(value, dict):
        digest = value.get("$artifact")
        if isinstance(digest, str):
            if len(digest) == len("sha256:") + 64:
                yield place, value
            return
        for key, part in value.items():
            yield from _artifacts(part, f"{place}.{key}", depth - 1)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _artifacts(part, f"{place}[{index}]", depth - 1)
