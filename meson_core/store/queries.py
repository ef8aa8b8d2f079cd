"""Owns the reads of projections: pages for people, and the outputs that expressions are evaluated over.

Pages are keyed: the next one begins after the last key of this one, so a deep page costs what the first one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import and_, select, tuple_

from meson_core.errors import NotFoundError
from meson_core.events import Failure
from meson_core.spec.states import Cause, RunState, State
from meson_core.store import schema
from meson_core.store.instance_key import after_prefix, pack, unpack
from meson_core.store.records import (
    AttemptRow,
    EmittedRow,
    InstanceRow,
    LinkRow,
    NodeRow,
    OutputRow,
    RunRow,
    SampleRecord,
    WaitRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import ColumnElement, Connection, Select, Table

    from meson_core.spec.plan import Instance

_STATES = tuple(State)

_decode_counts = msgspec.json.Decoder(list[int]).decode
_decode_failure = msgspec.json.Decoder(Failure).decode
_decode_params = msgspec.json.Decoder(dict[str, Any]).decode

# --- runs -----------------------------------------------------------------------------------------------------------

_RUN = select(
    schema.runs.c.run_id,
    schema.runs.c.workflow,
    schema.runs.c.version,
    schema.runs.c.state,
    schema.runs.c.owner,
    schema.runs.c.code,
    schema.runs.c.created_at,
    schema.runs.c.ended_at,
    schema.runs.c.seq,
    schema.runs.c.params,
    schema.runs.c.generation,
    schema.runs.c.cell,
    schema.runs.c.results,
)


def _run_rows(connection: Connection, statement: Select[Any]) -> list[RunRow]:
    return [
        RunRow(
            run_id=row.run_id,
            workflow=row.workflow,
            version=row.version,
            state=RunState(row.state),
            owner=row.owner,
            code=row.code,
            created_at=row.created_at,
            ended_at=row.ended_at,
            seq=row.seq,
            params=_decode_params(row.params),
            generation=row.generation,
            cell=row.cell,
            results=None if row.results is None else _decode_params(row.results),
        )
        for row in connection.execute(statement)
    ]


def run(connection: Connection, run_id: str) -> RunRow | None:
    found = _run_rows(connection, _RUN.where(schema.runs.c.run_id == run_id))
    return found[0] if found else None


def runs(
    connection: Connection,
    *,
    states: Collection[RunState] = (),
    workflow: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[RunRow]:
    """Runs, the latest first.

    Args:
        connection: to read from.
        states: only those in one of these; empty for all.
        workflow: only those of workflows of this name.
        after: id of the last run of the page before.
        limit: of this page.
    """
    table = schema.runs.c
    statement = _RUN.order_by(table.number.desc()).limit(limit)
    if states:
        statement = statement.where(table.state.in_([state.value for state in states]))
    if workflow is not None:
        statement = statement.where(table.workflow == workflow)
    if after is not None:
        statement = statement.where(table.number < number_of(connection, after))
    return _run_rows(connection, statement)


def runs_by_prefix(connection: Connection, prefix: str, limit: int) -> list[RunRow]:
    """Runs whose id begins with `prefix`."""
    run_id = schema.runs.c.run_id
    return _run_rows(connection, _RUN.where(run_id >= prefix, run_id < prefix + "\U0010ffff").limit(limit))


def number_of(connection: Connection, run_id: str) -> int:
    """The number that stands for a run in all other tables.

    Raises:
        NotFoundError: there is no such run.
    """
    number = connection.execute(select(schema.runs.c.number).where(schema.runs.c.run_id == run_id)).scalar()
    if number is None:
        raise NotFoundError(f"there is no run {run_id!r} in this store")
    return int(number)


def position(connection: Connection, run_id: str) -> tuple[int, RunState] | None:
    """How far the log of a run has come, and its state: all that a follower asks when it is woken."""
    table = schema.runs.c
    row = connection.execute(select(table.seq, table.state).where(table.run_id == run_id)).first()
    return None if row is None else (row.seq, RunState(row.state))


# --- nodes and instances --------------------------------------------------------------------------------------------


def nodes(connection: Connection, number: int) -> list[NodeRow]:
    """The nodes of a run of which anything is known, by number."""
    table = schema.nodes.c
    found = connection.execute(
        select(table.node, table.counts, table.succeeded, table.total_s, table.first_started, table.last_ended)
        .where(table.run == number)
        .order_by(table.node)
    )
    return [
        NodeRow(
            node=row.node,
            counts=[0] * len(_STATES) if row.counts is None else _decode_counts(row.counts),
            mean_s=row.total_s / row.succeeded if row.succeeded else None,
            first_started=row.first_started,
            last_ended=row.last_ended,
        )
        for row in found
    ]


def _instance_rows() -> Select[Any]:
    stored, samples, jobs = schema.instances.c, schema.samples.c, schema.jobs.c
    key = and_(jobs.run == stored.run, jobs.node == stored.node, jobs.indexes == stored.indexes)
    external_id = (
        select(jobs.external_id).where(key).order_by(jobs.attempt.desc()).limit(1).correlate(schema.instances)
    ).scalar_subquery()
    sampled = schema.instances.outerjoin(
        schema.samples,
        and_(
            samples.run == stored.run,
            samples.node == stored.node,
            samples.indexes == stored.indexes,
            samples.attempt == stored.attempt,
        ),
    )
    columns = [column for column in stored if column.name != "run"]
    return select(*columns, external_id.label("external_id"), samples.fraction, samples.message).select_from(sampled)


_INSTANCE = _instance_rows()


def instances(
    connection: Connection,
    number: int,
    *,
    node: int | None = None,
    prefix: tuple[int, ...] = (),
    states: Collection[State] = (),
    after: Instance | None = None,
    limit: int = 100,
) -> list[InstanceRow]:
    """Instances in the order of their node and indexes.

    Args:
        connection: to read from.
        number: of the run.
        node: only those of this node.
        prefix: only those below these indexes; needs `node`.
        states: only those in one of these; empty for all.
        after: the last instance of the page before.
        limit: of this page.
    """
    # Few among many are found in a table of their own, which has the same key.
    chosen = schema.notable if states and schema.NOTABLE.issuperset(states) else schema.instances
    table = chosen.c
    statement = _INSTANCE.where(table.run == number, *_below(chosen, node, prefix))
    if chosen is schema.notable:
        stored = schema.instances.c
        statement = statement.where(*(stored[name] == table[name] for name in ("run", "node", "indexes")))
    if states:
        statement = statement.where(table.state.in_([int(state) for state in states]))
    if after is not None:
        key = pack(after[1:])
        behind = table.indexes > key if node is not None else tuple_(table.node, table.indexes) > tuple_(after[0], key)
        statement = statement.where(behind)
    statement = statement.order_by(table.node, table.indexes).limit(limit)
    return _instances(connection, statement)


def instance(connection: Connection, number: int, address: Instance) -> InstanceRow | None:
    """One instance; None when it has no row."""
    table = schema.instances.c
    key = (table.run == number, table.node == address[0], table.indexes == pack(address[1:]))
    found = _instances(connection, _INSTANCE.where(*key))
    return found[0] if found else None


def _instances(connection: Connection, statement: Select[Any]) -> list[InstanceRow]:
    return [
        InstanceRow(
            node=row.node,
            instance=(row.node, *unpack(row.indexes)),
            state=_STATES[row.state],
            attempt=row.attempt,
            why=row.why,
            machine=row.machine,
            started_at=row.started_at,
            ended_at=row.ended_at,
            outputs=None if row.outputs is None else msgspec.Raw(row.outputs),
            failure=None if row.failure is None else _decode_failure(row.failure),
            external_id=row.external_id,
            fraction=row.fraction,
            message=row.message,
        )
        for row in connection.execute(statement)
    ]


def _below(table: Table, node: int | None, prefix: tuple[int, ...]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if node is not None:
        found.append(table.c.node == node)
    if prefix:
        key = pack(prefix)
        found.append(table.c.indexes >= key)
        found.append(table.c.indexes < after_prefix(key))
    return found


def outputs(
    connection: Connection, number: int, node: int, prefix: tuple[int, ...], limit: int | None
) -> list[OutputRow]:
    """What the instances of a node below a prefix have put out, in the order of their indexes."""
    table = schema.instances.c
    statement = (
        select(table.indexes, table.state, table.outputs)
        .where(table.run == number, *_below(schema.instances, node, prefix))
        .order_by(table.indexes)
        .limit(limit)
    )
    return [
        OutputRow(unpack(indexes), _STATES[state], None if value is None else msgspec.Raw(value))
        for indexes, state, value in connection.execute(statement)
    ]


def outputs_at(connection: Connection, number: int, node: int, indexes: Iterable[tuple[int, ...]]) -> list[OutputRow]:
    """The same of just these instances; those that have no row are left out."""
    table = schema.instances.c
    keys = sorted(pack(each) for each in indexes)
    found: list[OutputRow] = []
    for start in range(0, len(keys), _CHUNK):
        statement = (
            select(table.indexes, table.state, table.outputs)
            .where(table.run == number, table.node == node, table.indexes.in_(keys[start : start + _CHUNK]))
            .order_by(table.indexes)
        )
        found.extend(
            OutputRow(unpack(key), _STATES[state], None if value is None else msgspec.Raw(value))
            for key, state, value in connection.execute(statement)
        )
    return found


#: Keys in one statement; databases limit its parameters.
_CHUNK = 500


def attempts(
    connection: Connection, number: int, *, instance: Instance | None, after: tuple[Instance, int] | None, limit: int
) -> list[AttemptRow]:
    """Attempts that did not succeed, by instance and attempt."""
    table = schema.attempts.c
    statement = select(*(column for column in table if column.name != "run")).where(table.run == number)
    if instance is not None:
        statement = statement.where(table.node == instance[0], table.indexes == pack(instance[1:]))
    if after is not None:
        (node, *indexes), attempt = after
        key = tuple_(table.node, table.indexes, table.attempt)
        statement = statement.where(key > tuple_(node, pack(tuple(indexes)), attempt))
    statement = statement.order_by(table.node, table.indexes, table.attempt).limit(limit)
    return [
        AttemptRow(
            instance=(row.node, *unpack(row.indexes)),
            attempt=row.attempt,
            began=row.began,
            ended=row.ended,
            cause=None if row.cause is None else Cause(row.cause),
            failure=_decode_failure(row.failure),
            machine=row.machine,
        )
        for row in connection.execute(statement)
    ]


def external_id(connection: Connection, number: int, instance: Instance, since_attempt: int) -> str | None:
    """The external job that this instance remembered in `since_attempt` or later, the latest one."""
    table = schema.jobs.c
    statement = (
        select(table.external_id)
        .where(
            table.run == number,
            table.node == instance[0],
            table.indexes == pack(instance[1:]),
            table.attempt >= since_attempt,
        )
        .order_by(table.attempt.desc())
        .limit(1)
    )
    found: str | None = connection.execute(statement).scalar()
    return found


def links(connection: Connection, number: int, instance: Instance | None, limit: int) -> list[LinkRow]:
    """What steps have shown to be clicked at."""
    table = schema.links.c
    statement = select(table.node, table.indexes, table.attempt, table.name, table.url).where(table.run == number)
    if instance is not None:
        statement = statement.where(table.node == instance[0], table.indexes == pack(instance[1:]))
    statement = statement.order_by(table.node, table.indexes, table.attempt, table.name).limit(limit)
    return [
        LinkRow((row.node, *unpack(row.indexes)), row.attempt, row.name, row.url)
        for row in connection.execute(statement)
    ]


def emitted(connection: Connection, number: int, instance: Instance | None, after: int, limit: int) -> list[EmittedRow]:
    """What steps have emitted, in the order of the log."""
    table = schema.emitted.c
    columns = (table.position, table.node, table.indexes, table.attempt, table.at, table.name, table.value)
    statement = select(*columns).where(table.run == number, table.position > after)
    if instance is not None:
        statement = statement.where(table.node == instance[0], table.indexes == pack(instance[1:]))
    return [
        EmittedRow(
            row.position, (row.node, *unpack(row.indexes)), row.attempt, row.at, row.name, msgspec.Raw(row.value)
        )
        for row in connection.execute(statement.order_by(table.position).limit(limit))
    ]


# --- progress, waits, durations -------------------------------------------------------------------------------------


def samples(connection: Connection, run_id: str, number: int) -> list[SampleRecord]:
    """What the attempts under way have last told of themselves."""
    table = schema.samples.c
    columns = (table.node, table.indexes, table.attempt, table.at, table.fraction, table.message)
    statement = select(*columns).where(table.run == number).order_by(table.node, table.indexes)
    return [
        SampleRecord(run_id, (node, *unpack(indexes)), attempt, at, fraction, message)
        for node, indexes, attempt, at, fraction, message in connection.execute(statement)
    ]


def waits(connection: Connection, run_id: str, number: int) -> list[WaitRecord]:
    """Why instances wait, by node, as placement last wrote it."""
    table = schema.waits.c
    statement = (
        select(table.node, table.at, table.waiting, table.reason, table.detail)
        .where(table.run == number, table.waiting > 0)
        .order_by(table.node)
    )
    return [
        WaitRecord(run_id, row.node, row.at, row.waiting, row.reason, msgspec.json.decode(row.detail))
        for row in connection.execute(statement)
    ]


def durations(connection: Connection, workflow: str) -> dict[str, float]:
    """Step → mean seconds of its successful attempts, learnt over the runs of workflows of this name."""
    table = schema.durations.c
    statement = select(table.step, table.total_s, table.weight).where(table.workflow == workflow)
    return {step: total_s / weight for step, total_s, weight in connection.execute(statement) if weight > 0}
