"""Owns the commit: one turn of the orchestrator's loop in one transaction, and what else is written."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from meson_core.errors import SequenceConflictError, StoreError, StoreLockedError
from meson_core.events import RunCreated, encode_frame
from meson_core.spec.states import RunState, State
from meson_core.store import schema
from meson_core.store.instance_key import pack
from meson_core.store.log import outline_of_run
from meson_core.store.projection import project
from meson_core.store.queries import number_of
from meson_core.store.records import WHOLE_RUN
from meson_core.store.statements import Statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPICursor

    from meson_core.store.database import Database
    from meson_core.store.dialect import Dialect
    from meson_core.store.lease import Lease
    from meson_core.store.outline import Outline
    from meson_core.store.projection import Projection, Row
    from meson_core.store.records import Commit, RunCommit, SampleRecord, WaitRecord

#: States in which an attempt may still send samples.
_AT_WORK = frozenset((int(State.starting), int(State.running), int(State.lost), int(State.cancelling)))
#: What was known of a step's duration before a run ended counts this much beside what that run has shown.
_REMEMBER = 0.5
#: Outlines that are kept; runs under way at a time are fewer, as a rule.
_OUTLINES = 64
_InstanceKey: TypeAlias = tuple[int, int, bytes]
_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes what the orchestrator decides, for the holder of a lease.

    Args:
        database: the open database.

    Raises:
        StoreError: it is opened for reading only.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = Statements(database.dialect, database.writing_engine())
        #: Numbers of runs by id; they never change.
        self._numbers: dict[str, int] = {}
        #: Instances that have a row of samples; filled by `write_samples` of this writer, or from the table at first.
        self._sampled: set[_InstanceKey] | None = None
        #: By the id of the run: its number may be given again after a commit that failed.
        self._outlines: dict[str, Outline] = {}

    def commit(self, commit: Commit, lease: Lease) -> None:
        """Write everything or nothing.

        Raises:
            StoreLockedError: the cell has a later epoch.
            SequenceConflictError: the log of a run has other events than expected.
            StoreError: the database refused.
        """
        created: dict[str, int] = {}
        with self._database.write() as connection:
            # The driver's own cursor, in the same transaction: SQLAlchemy's costs 15 µs a statement.
            cursor = connection.connection.cursor()
            self._check_epoch(cursor, lease.cell, commit.epoch)
            dropped: list[_InstanceKey] = []
            if commit.runs:
                rows = []
                for run in commit.runs:
                    number = self._number_of(connection, run, lease.cell, created)
                    rows.append(project(run, number, partial(self._outline, connection, run.run_id, number)))
                self._advance(cursor, commit.runs, rows)
                self._append(cursor, commit.runs, rows)
                dropped = self._project(cursor, rows)
                for run, projection in zip(commit.runs, rows, strict=True):
                    if run.state.ended:
                        _learn(connection, self._database.dialect, projection.run)
            self._note(cursor, commit, lease.cell)
        # Only now: a number that was given in a transaction that failed is given again.
        self._numbers.update(created)
        if self._sampled is not None:
            self._sampled.difference_update(dropped)

    def _check_epoch(self, cursor: DBAPICursor, cell: str, epoch: int) -> None:
        cursor.execute(self._statements.epoch, (cell,))
        (found,) = cursor.fetchone() or (None,)
        if found != epoch:
            raise StoreLockedError(
                f"cell {cell!r} was taken over: its epoch is {found}, this orchestrator's {epoch}",
                hint="this orchestrator stops; the other one goes on with all runs",
            )

    def _number_of(self, connection: Connection, run: RunCommit, cell: str, created: dict[str, int]) -> int:
        number = self._numbers.get(run.run_id) or created.get(run.run_id)
        if number is None:
            first = run.events[0]
            if isinstance(first, RunCreated) and run.expected_seq == 0:
                number = _create_run(connection, first, cell)
            else:
                number = number_of(connection, run.run_id)
            created[run.run_id] = number
        return number

    def _outline(self, connection: Connection, run_id: str, number: int) -> Outline:
        """Of the workflow version of a run: it never changes, and frames with artifacts ask for it one after another."""
        outline = self._outlines.get(run_id)
        if outline is None:
            if len(self._outlines) >= _OUTLINES:
                self._outlines.clear()
            outline = self._outlines[run_id] = outline_of_run(connection, number)
        return outline

    def _advance(self, cursor: DBAPICursor, runs: Sequence[RunCommit], rows: Sequence[Projection]) -> None:
        """Move the runs to their new state, each from the sequence number where it is expected to stand."""
        parameters = [
            (
                run.state.value,
                projection.code,
                run.events[-1].at if run.state.ended else None,
                run.expected_seq + len(run.events),
                projection.generation,
                run.results,
                projection.run,
                run.expected_seq,
            )
            for run, projection in zip(runs, rows, strict=True)
        ]
        cursor.executemany(self._statements.advance_run, parameters)
        if cursor.rowcount == len(runs):
            return
        # Those that moved stand at their new number now; a log that is at another one is at fault, else the first.
        found = []
        for row in parameters:
            cursor.execute(self._statements.seq, (row[6],))
            found.append((cursor.fetchone() or (0,))[0])
        at_fault = next((at for at, row in enumerate(parameters) if found[at] != row[3]), 0)
        run = runs[at_fault]
        raise SequenceConflictError(run.run_id, expected=run.expected_seq, found=found[at_fault])

    def _append(self, cursor: DBAPICursor, runs: Sequence[RunCommit], rows: Sequence[Projection]) -> None:
        frames = [
            (projection.run, run.expected_seq + 1, run.expected_seq + len(run.events), encode_frame(run.events))
            for run, projection in zip(runs, rows, strict=True)
        ]
        _run_many(cursor, self._statements.append_frame, frames)
        snapshots = [
            (frame[0], frame[2], run.snapshot)
            for run, frame in zip(runs, frames, strict=True)
            if run.snapshot is not None
        ]
        _run_many(cursor, self._statements.put_snapshot, snapshots)

    def _project(self, cursor: DBAPICursor, rows: Sequence[Projection]) -> list[_InstanceKey]:
        """Write the projections; returns the keys of the samples that are gone."""
        statements = self._statements
        for each in rows:
            _run_many(cursor, statements.put_attempt, each.attempts)
            _run_many(cursor, statements.put_job, each.jobs)
            _run_many(cursor, statements.put_link, each.links)
            _run_many(cursor, statements.add_emitted, each.emitted)
            _run_many(cursor, statements.add_artifact, each.artifacts)
            _run_many(cursor, statements.add_use, each.uses)
            _run_many(cursor, statements.drop_lookups, each.forgotten)
            _run_many(cursor, statements.put_lookup, each.lookups)
            _run_many(cursor, statements.put_result, each.results)
            _run_many(cursor, statements.drop_instances, each.dropped)
            _run_many(cursor, statements.drop_notables, each.dropped)
            _run_many(cursor, statements.drop_notable, each.left)
            _run_many(cursor, statements.put_notable, each.notable)
        instances = rows[0].instances if len(rows) == 1 else [row for each in rows for row in each.instances]
        nodes = rows[0].nodes if len(rows) == 1 else [row for each in rows for row in each.nodes]
        _run_many(cursor, statements.put_instance, instances)
        _run_many(cursor, statements.put_node, nodes)
        sampled = self._known_samples(cursor)
        if not sampled:
            return []
        dropped = [row[:3] for row in instances if row[3] not in _AT_WORK and row[:3] in sampled]
        _run_many(cursor, statements.drop_sample, dropped)
        return dropped

    def _note(self, cursor: DBAPICursor, commit: Commit, cell: str) -> None:
        """Receipts and cursors."""
        statements = self._statements
        if commit.receipts:
            now = time.time()
            receipts = [(now, receipt.refusal, _encode(receipt.answer), receipt.wish_id) for receipt in commit.receipts]
            cursor.executemany(statements.handle_wish, receipts)
            if cursor.rowcount != len(receipts):
                wishes = ", ".join(str(receipt.wish_id) for receipt in commit.receipts)
                raise StoreError(f"one of the wishes {wishes} was answered before, or was never made")
        if commit.cursors:
            cursors = [(cell, executor, seq) for executor, seq in commit.cursors.items()]
            cursor.executemany(statements.put_cursor, cursors)

    def _known_samples(self, cursor: DBAPICursor) -> set[_InstanceKey]:
        if self._sampled is None:
            cursor.execute(self._statements.sampled)
            self._sampled = {(run, node, bytes(indexes)) for run, node, indexes in cursor.fetchall()}
        return self._sampled

    def write_samples(self, records: Sequence[SampleRecord]) -> None:
        """Keep the latest sample of these attempts."""
        if not records:
            return
        with self._database.write(relaxed=True) as connection:
            rows = [
                (*self._key(connection, each), each.attempt, each.at, each.fraction, each.message) for each in records
            ]
            cursor = connection.connection.cursor()
            sampled = self._known_samples(cursor)
            _run_many(cursor, self._statements.put_sample, rows)
        sampled.update(row[:3] for row in rows)

    def write_waits(self, records: Sequence[WaitRecord]) -> None:
        """Keep why the instances of these nodes wait; `waiting` of 0 forgets it."""
        if not records:
            return
        with self._database.write(relaxed=True) as connection:
            rows = [
                (
                    self._number(connection, each.run_id),
                    each.node,
                    each.at,
                    each.waiting,
                    each.reason,
                    _encode(each.detail),
                )
                for each in records
            ]
            cursor = connection.connection.cursor()
            _run_many(cursor, self._statements.put_wait, rows)

    def _key(self, connection: Connection, record: SampleRecord) -> _InstanceKey:
        instance = record.instance
        return (self._number(connection, record.run_id), instance[0], pack(instance[1:]))

    def _number(self, connection: Connection, run_id: str) -> int:
        number = self._numbers.get(run_id)
        if number is None:
            number = self._numbers[run_id] = number_of(connection, run_id)
        return number


def _run_many(cursor: DBAPICursor, statement: str, rows: Sequence[Row]) -> None:
    if rows:
        cursor.executemany(statement, rows)


def _create_run(connection: Connection, event: RunCreated, cell: str) -> int:
    definitions = schema.definitions.c
    name = connection.execute(select(definitions.name).where(definitions.digest == event.workflow)).scalar()
    if name is None:
        raise StoreError(f"run {event.run_id}: its definition {event.workflow} is not in the store")
    values = {
        "run_id": event.run_id,
        "cell": cell,
        "workflow": name,
        "version": event.workflow,
        "state": RunState.running.value,
        "owner": event.owner,
        "code": event.code,
        "params": bytes(event.params),
        "created_at": event.at,
        "seq": 0,
        "generation": 0,
    }
    try:
        created = connection.execute(insert(schema.runs).values(values).returning(schema.runs.c.number))
        return int(created.scalar_one())
    except IntegrityError:
        seq = connection.execute(select(schema.runs.c.seq).where(schema.runs.c.run_id == event.run_id)).scalar()
        raise SequenceConflictError(event.run_id, expected=0, found=seq or 0) from None


def _learn(connection: Connection, dialect: Dialect, run: int) -> None:
    """Let a run that has ended teach how long its steps take; and if it went through in one go, the whole as well."""
    runs, nodes = schema.runs.c, schema.nodes.c
    columns = (runs.workflow, runs.state, runs.generation, runs.created_at, runs.ended_at)
    ended = connection.execute(select(*columns).where(runs.number == run)).one()
    entries = outline_of_run(connection, run).entries
    composites = {entry.owner for entry in entries}
    smooth = ended.state == RunState.succeeded and not ended.generation
    shown: list[tuple[str, float, float]] = []
    if smooth:
        shown.append((WHOLE_RUN, 1, ended.ended_at - ended.created_at))
    for row in connection.execute(select(schema.nodes).where(nodes.run == run)):
        entry = entries[row.node]
        if row.succeeded:
            shown.append((entry.name, row.succeeded, row.total_s))
        elif smooth and row.node in composites and not entry.depth and row.first_started is not None:
            shown.append((entry.name, 1, (row.last_ended or ended.ended_at) - row.first_started))
    if not shown:
        return
    table = schema.durations.c
    new = dialect.insert(schema.durations)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[table.workflow, table.step],
            set_={
                "weight": table.weight * _REMEMBER + new.excluded.weight,
                "total_s": table.total_s * _REMEMBER + new.excluded.total_s,
            },
        ),
        [
            {"workflow": ended.workflow, "step": step, "weight": weight, "total_s": total}
            for step, weight, total in shown
        ],
    )
