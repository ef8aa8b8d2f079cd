"""Owns results that are there already: how the answers to questions after them become rows, and how they are found.

An answer leaves the key of what is made now, and what went into it (`lookups`). When that succeeds, its outputs move to
`results` under that key, in the same transaction as the event. Both tables follow from the log alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from sqlalchemy import func, select

from meson_core.events import ResultFound
from meson_core.store import schema
from meson_core.store.instance_key import after_prefix, pack, unpack
from meson_core.store.records import LookupRow, ResultRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

    from meson_core.events import AttemptSucceeded, ResultMissing

#: Positional parameters of one statement of `statements.py`.
Row: TypeAlias = tuple[Any, ...]

#: Keys in one statement; databases limit its parameters.
_CHUNK = 500
_decode_facts = msgspec.json.Decoder(dict[str, Any]).decode


def lookup_row(run: int, event: ResultFound | ResultMissing) -> Row:
    """The row of an answer."""
    source, why = (event.run_id, "") if isinstance(event, ResultFound) else (None, event.why)
    return (
        run,
        event.instance[0],
        pack(event.instance[1:]),
        event.attempt,
        event.at,
        event.key,
        source,
        why,
        bytes(event.facts),
    )


def result_row(run: int, event: AttemptSucceeded, step: str) -> Row:
    """What a success adds to the answer that was given before it."""
    instance = event.instance
    return (event.attempt, event.at, step, bytes(event.outputs), run, instance[0], pack(instance[1:]))


# --- reading ----------------------------------------------------------------------------------------------------------


def _results() -> Any:
    table, runs = schema.results, schema.runs
    columns = [column for column in table.c if column.name != "run"]
    return select(*columns, runs.c.run_id).select_from(table.join(runs, runs.c.number == table.c.run))


_RESULT = _results()


def _rows(connection: Connection, statement: Any) -> list[ResultRow]:
    return [
        ResultRow(
            key=row.key,
            run_id=row.run_id,
            instance=(row.node, *unpack(row.indexes)),
            attempt=row.attempt,
            at=row.at,
            outputs=bytes(row.outputs),
            facts=_decode_facts(row.facts),
        )
        for row in connection.execute(statement)
    ]


def results(connection: Connection, keys: Iterable[str]) -> dict[str, ResultRow]:
    """The results under these keys; those that are not there are left out."""
    wanted = sorted(keys)
    found: dict[str, ResultRow] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        found.update((row.key, row) for row in _rows(connection, _RESULT.where(schema.results.c.key.in_(chunk))))
    return found


def results_of_step(connection: Connection, workflow: str, step: str, before: float, limit: int) -> list[ResultRow]:
    """The latest results of a step, in any run of workflows of this name, made before then."""
    table = schema.results.c
    statement = _RESULT.where(table.workflow == workflow, table.step == step, table.at < before)
    return _rows(connection, statement.order_by(table.at.desc()).limit(limit))


def lookups(
    connection: Connection,
    number: int,
    nodes: Collection[int],
    *,
    prefix: tuple[int, ...] = (),
    found: bool | None = None,
    limit: int,
) -> list[LookupRow]:
    """The answers that instances of these nodes got, in the order of node and indexes; `found` wants only such."""
    table = schema.lookups.c
    statement = select(schema.lookups).where(table.run == number, table.node.in_(nodes))
    if found is not None:
        statement = statement.where(table.source.is_not(None) if found else table.source.is_(None))
    if prefix:
        key = pack(prefix)
        statement = statement.where(table.indexes >= key, table.indexes < after_prefix(key))
    return [
        LookupRow(
            instance=(row.node, *unpack(row.indexes)),
            attempt=row.attempt,
            at=row.at,
            key=row.key,
            source=row.source,
            why=row.why,
            facts=_decode_facts(row.facts),
        )
        for row in connection.execute(statement.order_by(table.node, table.indexes).limit(limit))
    ]


def lookup_counts(connection: Connection, number: int) -> dict[int, tuple[int, int]]:
    """Node → how many of its instances were looked up, and of how many the result was there."""
    table = schema.lookups.c
    counted = select(table.node, func.count(), func.count(table.source)).where(table.run == number).group_by(table.node)
    return {node: (asked, found) for node, asked, found in connection.execute(counted)}
