"""Owns the catalogue of artifacts: reading its versions, what used them, and the rows that do not come from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import func, insert, null, select

from meson_core.artifacts import ArtifactRecord
from meson_core.store import schema
from meson_core.store.artifacts import facts_of
from meson_core.store.instance_key import pack, unpack
from meson_core.store.log import outline
from meson_core.store.records import UseRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection, Select

    from meson_core.store.outline import Outline

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ArtifactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions are meant; None does not ask.

    Args:
        name: as in the catalogue.
        key: the declared artifact id.
        workflow: name of the workflow.
        run_id: the run that made it.
        types: the types that artifacts may say they are; "" for those that do not say.
        digest: of the bytes.
        since: not older than this, in s since the epoch.
        before: only those with a smaller number.
    """

    name: str | None = None
    key: str | None = None
    workflow: str | None = None
    run_id: str | None = None
    types: tuple[str, ...] | None = None
    digest: str | None = None
    since: float | None = None
    before: int | None = None


class Found(NamedTuple):
    """A version, and what a record of it does not say.

    Args:
        record: its type is "" where the artifact does not say one.
        code: digest of the code bundle that made it.
        forgotten_at: when its bytes were given up; None while they are kept.
    """

    record: ArtifactRecord
    code: str
    forgotten_at: float | None


def _versions() -> Select[Any]:
    kept, runs = schema.artifacts.c, schema.runs.c
    return select(schema.artifacts, runs.run_id, runs.workflow, runs.version, runs.params).select_from(
        schema.artifacts.outerjoin(schema.runs, runs.number == kept.run)
    )


_VERSION = _versions()


def versions(connection: Connection, query: ArtifactQuery, limit: int) -> list[Found]:
    """Versions of artifacts, the latest first."""
    kept, runs = schema.artifacts.c, schema.runs.c
    equal = {
        kept.name: query.name,
        kept.key: query.key,
        kept.digest: query.digest,
        runs.workflow: query.workflow,
        runs.run_id: query.run_id,
    }
    chosen: list[ColumnElement[bool]] = [column == asked for column, asked in equal.items() if asked is not None]
    if query.types is not None:
        chosen.append(kept.type.in_(query.types))
    if query.since is not None:
        chosen.append(kept.at >= query.since)
    if query.before is not None:
        chosen.append(kept.number < query.before)
    return _found(connection, _VERSION.where(*chosen).order_by(kept.number.desc()).limit(limit))


def version(connection: Connection, number: int) -> Found | None:
    """One version."""
    found = _found(connection, _VERSION.where(schema.artifacts.c.number == number))
    return found[0] if found else None


def by_digest_prefix(connection: Connection, prefix: str, limit: int) -> list[Found]:
    """The latest version of each digest that begins so."""
    kept = schema.artifacts.c
    latest = (
        select(func.max(kept.number))
        .where(kept.digest >= prefix, kept.digest < prefix + "\U0010ffff")
        .group_by(kept.digest)
        .limit(limit)
    )
    return _found(connection, _VERSION.where(kept.number.in_(latest)).order_by(kept.number.desc()))


def made_by(connection: Connection, digests: Iterable[str], before: int) -> dict[str, Found]:
    """The version that each digest most likely means for what came into the catalogue as `before`: the latest before it."""
    found: dict[str, Found] = {}
    for digest in digests:
        rows = versions(connection, ArtifactQuery(digest=digest, before=before), 1)
        if rows:
            found[digest] = rows[0]
    return found


def _found(connection: Connection, statement: Select[Any]) -> list[Found]:
    outlines: dict[str, Outline] = {}
    found = []
    for row in connection.execute(statement):
        made: dict[str, Any] = {}
        if row.run_id is not None:
            known = outlines.get(row.version)
            if known is None:
                known = outlines[row.version] = outline(connection, row.version)
            made = {
                "run_id": row.run_id,
                "workflow": row.workflow,
                "version": row.version,
                "step": known.entries[row.node].name,
                "instance": (row.node, *unpack(row.indexes)),
                "attempt": row.attempt,
                "items": _decode(row.items),
                "params": _decode(row.params),
            }
        record = ArtifactRecord(
            number=row.number,
            name=row.name,
            key=row.key,
            type=row.type,
            digest=row.digest,
            size=row.size,
            media=row.media,
            file=row.file,
            meta=_decode(row.meta),
            at=row.at,
            **made,
        )
        found.append(Found(record, row.code, row.forgotten_at))
    return found


# --- lineage --------------------------------------------------------------------------------------------------------


def inputs_of(connection: Connection, record: ArtifactRecord) -> list[tuple[str, str]]:
    """The artifacts that the attempt was given which made this version: place and digest."""
    if not record.run_id:
        return []
    table, runs = schema.uses.c, schema.runs.c
    number = select(runs.number).where(runs.run_id == record.run_id).scalar_subquery()
    statement = (
        select(table.place, table.digest)
        .where(
            table.run == number,
            table.node == record.instance[0],
            table.indexes == pack(record.instance[1:]),
            table.attempt == record.attempt,
        )
        .order_by(table.place)
    )
    return [(place, digest) for place, digest in connection.execute(statement)]


def uses_of(connection: Connection, digest: str, limit: int) -> list[UseRow]:
    """Who had these bytes among the inputs, the earliest run first."""
    table, runs = schema.uses.c, schema.runs.c
    statement = (
        select(schema.uses, runs.run_id, runs.workflow, runs.version)
        .join_from(schema.uses, schema.runs, runs.number == table.run)
        .where(table.digest == digest)
        .order_by(table.run, table.node, table.indexes, table.attempt, table.place)
        .limit(limit)
    )
    outlines: dict[str, Outline] = {}
    found = []
    for row in connection.execute(statement):
        known = outlines.get(row.version)
        if known is None:
            known = outlines[row.version] = outline(connection, row.version)
        instance = (row.node, *unpack(row.indexes))
        step = known.entries[row.node].name
        found.append(UseRow(row.run_id, row.workflow, step, instance, row.attempt, row.place, row.digest))
    return found


# --- what does not come from the log --------------------------------------------------------------------------------


def add(connection: Connection, name: str, value: dict[str, Any], at: float) -> int:
    """Catalogue an artifact that a person put; its number."""
    kind, digest, size, media, file, meta = facts_of(value)
    statement = insert(schema.artifacts).values(
        run=null(),
        attempt=0,
        name=name,
        type=kind,
        digest=digest,
        size=size,
        media=media,
        file=file,
        meta=meta,
        at=at,
        code="",
        items=b"{}",
    )
    return int(connection.execute(statement.returning(schema.artifacts.c.number)).scalar_one())
