"""Owns the store as the rest of Meson sees it: one object with everything that can be written and read."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from meson_core.errors import StoreError
from meson_core.store import catalogue, inbox, log, queries, results, retention, schema
from meson_core.store.database import Database
from meson_core.store.dialect import dialect_for
from meson_core.store.lease import Holder, Lease, this_process
from meson_core.store.outline import Outline
from meson_core.store.versions import check_version
from meson_core.store.wishes import Plain, Wish
from meson_core.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from meson_core.artifacts import ArtifactRecord
    from meson_core.events import AnyEvent
    from meson_core.spec.plan import Instance
    from meson_core.spec.states import RunState, State
    from meson_core.store.catalogue import ArtifactQuery, Found
    from meson_core.store.records import (
        AttemptRow,
        Commit,
        EmittedRow,
        InstanceRow,
        LinkRow,
        LogRow,
        LookupRow,
        NodeRow,
        OutputRow,
        ResultRow,
        RunRow,
        SampleRecord,
        UseRow,
        WaitRecord,
        WishReceipt,
    )
    from meson_core.store.retention import Needed
    from meson_core.store.wake import Subscription, Topic, WakeUp
    from meson_core.store.wishes import WishBody, WishKind

_PLAIN = Plain()


def open_store(where: str | Path, *, create: bool = True, read_only: bool = False) -> Store:
    """Open the store of a project or service.

    Args:
        where: a database URL, the path of a SQLite file (`….db`), or the folder that holds it (`.meson`).
        create: make an empty store where there is none.
        read_only: for looking only; works without leave to write.

    Raises:
        NotFoundError: there is none, and it is not to be created.
        StoreVersionError: it was made by an older or newer version of Meson.
        StoreCorruptError: it is damaged.
        StoreError: it cannot be reached, read or written.
    """
    dialect = dialect_for(where)
    dialect.prepare(create=create, read_only=read_only)
    writer = None if read_only else dialect.engine(read_only=False)
    database = Database(dialect, writer, dialect.engine(read_only=True))
    try:
        with database.read() as connection:
            check_version(connection, dialect.place)
            dialect.check(connection, thorough=not read_only)
    except BaseException:
        database.close()
        raise
    return Store(database, dialect.wake_up())


class Store:
    """An open store. Reads may come from any thread; writes take turns.

    Args:
        database: its connections.
        wake_up: how its processes tell each other of news.
    """

    def __init__(self, database: Database, wake_up: WakeUp) -> None:
        self._database = database
        self._wake_up = wake_up
        self._writer: Writer | None = None
        self._lease: Lease | None = None
        self._numbers: dict[str, int] = {}

    @property
    def place(self) -> str:
        """What error messages call this store."""
        return self._database.dialect.place

    def close(self) -> None:
        """Give back the lease and close all connections; twice is fine."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None
        self._wake_up.close()
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the lease --------------------------------------------------------------------------------------------------

    def acquire(self, cell: str, holder: str) -> Lease:
        """Become the one that drives a cell.

        Args:
            cell: which.
            holder: what this process calls itself, for those who find the cell taken.

        Raises:
            StoreLockedError: another process drives it, and which.
        """
        if self._lease is not None and self._lease.held:
            raise StoreError(f"this store already holds the lease of cell {self._lease.cell!r}")
        lock = self._database.dialect.lock(cell)
        told = this_process(holder)
        lock.take(told)
        try:
            with self._database.write() as connection:
                table = schema.cells
                connection.execute(
                    self._database.dialect.insert(table)
                    .values(cell=cell, epoch=0, holder="", acquired_at=0.0)
                    .on_conflict_do_nothing()
                )
                connection.execute(
                    update(table)
                    .where(table.c.cell == cell)
                    .values(epoch=table.c.epoch + 1, holder=holder, acquired_at=told.since)
                )
                epoch = connection.execute(select(table.c.epoch).where(table.c.cell == cell)).scalar_one()
        except BaseException:
            lock.release()
            raise
        self._lease = Lease(cell, epoch, lock)
        return self._lease

    def epoch(self, cell: str) -> int:
        """The number of the latest lease of a cell; 0 before the first."""
        with self._database.read() as connection:
            table = schema.cells.c
            return connection.execute(select(table.epoch).where(table.cell == cell)).scalar() or 0

    def holder(self, cell: str) -> Holder | None:
        """Who drives a cell now; None when nobody does."""
        return self._database.dialect.lock(cell).holder()

    # --- writing ----------------------------------------------------------------------------------------------------

    def make_room(self) -> None:
        """Get ready for many commits; for a moment in which there is nothing else to write."""
        self._database.dialect.make_room()

    def commit(self, commit: Commit) -> None:
        """Write everything that one turn of the loop decided, or nothing; needs the lease.

        Raises:
            StoreLockedError: another orchestrator has taken over the cell.
            SequenceConflictError: the log of a run has other events than the commit expects.
            StoreError: the database refused; nothing was written.
        """
        if self._lease is None or not self._lease.held:
            raise StoreError("only the holder of a cell's lease writes to the logs of its runs")
        self._writing().commit(commit, self._lease)
        self._wake_up.notify("log")

    def write_samples(self, records: Sequence[SampleRecord]) -> None:
        """Keep the latest of these attempts; a fraction or message of None leaves the one before."""
        self._writing().write_samples(records)

    def write_waits(self, records: Sequence[WaitRecord]) -> None:
        """Keep why the instances of these nodes wait; `waiting` of 0 forgets it."""
        self._writing().write_waits(records)

    def put_definition(self, digest: str, workflow_json: bytes | str, name: str) -> None:
        """Keep a workflow version; one that is there already stays.

        Args:
            digest: its version.
            workflow_json: the checked definition.
            name: of the workflow.
        """
        from meson_core.spec.model import Workflow  # noqa: PLC0415  pydantic is for those who submit
        from meson_core.spec.plan import compile_plan  # noqa: PLC0415

        body = workflow_json.encode() if isinstance(workflow_json, str) else workflow_json
        outline = Outline.of(compile_plan(Workflow.model_validate_json(body)))
        with self._database.write() as connection:
            connection.execute(
                self._database.dialect.insert(schema.definitions)
                .values(digest=digest, name=name, body=body, outline=outline.to_json())
                .on_conflict_do_nothing()
            )

    def _writing(self) -> Writer:
        if self._writer is None:
            self._writer = Writer(self._database)
        return self._writer

    # --- the inbox --------------------------------------------------------------------------------------------------

    def put_wish(self, what: WishKind, run_id: str, body: WishBody = _PLAIN, *, by: str, cell: str) -> int:
        """Leave a wish for the orchestrator of a cell, and wake it.

        Args:
            what: which sort of wish.
            run_id: the run it is about, or the id of the run to create.
            body: what it says, of the class that `wishes.BODIES` has for it.
            by: who wishes it.
            cell: whose orchestrator is to carry it out.

        Returns:
            The number by which its receipt is found.
        """
        wish = Wish(0, time.time(), by, what, run_id, body)
        with self._database.write() as connection:
            wish_id = inbox.put(connection, wish, cell)
        self._wake_up.notify("wishes")
        return wish_id

    def withdraw_wish(self, wish_id: int, cell: str, epoch: int) -> bool:
        """Take back a wish that nobody will answer.

        Args:
            wish_id: its number.
            cell: whose orchestrator was asked.
            epoch: the lease of the one that was asked; whoever took the cell after it may have read the wish already.

        Returns:
            False when it was answered, or somebody has taken the cell since.
        """
        with self._database.write() as connection:
            return inbox.withdraw(connection, wish_id, cell, epoch)

    def wishes(self, after: int = 0, *, cell: str | None = None) -> list[Wish]:
        """Wishes without a receipt, oldest first.

        Args:
            after: only those with a higher number.
            cell: only those for the orchestrator of this cell.
        """
        with self._database.read() as connection:
            return inbox.unhandled(connection, after, cell)

    def receipt(self, wish_id: int) -> WishReceipt | None:
        """What became of a wish; None while nothing has."""
        with self._database.read() as connection:
            return inbox.receipt(connection, wish_id)

    # --- news -------------------------------------------------------------------------------------------------------

    def notify(self, topic: Topic) -> None:
        """Tell those who wait that there is something to read; `commit` and `put_wish` do so by themselves."""
        self._wake_up.notify(topic)

    def subscribe(self, topic: Topic) -> Subscription:
        """Wait for news from now on: subscribe first, look then, wait after that."""
        return self._wake_up.subscribe(topic)

    # --- recovery and the log ---------------------------------------------------------------------------------------

    def unfinished_runs(self, cell: str) -> list[str]:
        """Ids of the runs of a cell that have not ended, oldest first."""
        with self._database.read() as connection:
            return log.unfinished(connection, cell)

    def load(self, run_id: str) -> tuple[bytes | None, int, list[AnyEvent]]:
        """The latest snapshot of a run's engine (or None), its sequence number (or 0), and the events since."""
        with self._reading(run_id) as (connection, number):
            return log.load(connection, number)

    def log(self, run_id: str, after_seq: int = 0, limit: int | None = None) -> list[LogRow]:
        """Events of a run with a higher sequence number, oldest first."""
        with self._reading(run_id) as (connection, number):
            return log.events_after(connection, number, after_seq, limit)

    def cursors(self, cell: str | None = None) -> dict[str, int]:
        """Executor → its highest fact that is in the log."""
        with self._database.read() as connection:
            return log.cursors(connection, cell)

    def definition(self, digest: str) -> bytes:
        """The JSON of a workflow version.

        Raises:
            NotFoundError: it was never put.
        """
        with self._database.read() as connection:
            return log.definition(connection, digest)

    def outline(self, digest: str) -> Outline:
        """The nodes of a workflow version: names, composites around them, numbers of indexes.

        Raises:
            NotFoundError: it was never put.
        """
        with self._database.read() as connection:
            return log.outline(connection, digest)

    # --- evaluation -------------------------------------------------------------------------------------------------

    def outputs_of(
        self,
        run_id: str,
        node: int,
        instances: Iterable[tuple[int, ...]] | None = None,
        *,
        prefix: tuple[int, ...] = (),
        limit: int | None = None,
    ) -> list[OutputRow]:
        """What instances of a node have put out, in the order of their indexes.

        Args:
            run_id: the run.
            node: the node.
            instances: the indexes (without the node) of just those that are meant; None for all below `prefix`.
            prefix: the outermost indexes that they share.
            limit: at most so many.
        """
        with self._reading(run_id) as (connection, number):
            if instances is not None:
                return queries.outputs_at(connection, number, node, instances)[:limit]
            return queries.outputs(connection, number, node, prefix, limit)

    def external_id(self, run_id: str, instance: Instance, since_attempt: int) -> str | None:
        """The external job that the instance remembered in `since_attempt` (the first of its job) or later."""
        with self._reading(run_id) as (connection, number):
            return queries.external_id(connection, number, instance, since_attempt)

    def results(self, keys: Collection[str]) -> dict[str, ResultRow]:
        """The results under these keys; those that are not there are left out."""
        with self._database.read() as connection:
            return results.results(connection, keys)

    def results_of_step(self, workflow: str, step: str, *, before: float, limit: int = 100) -> list[ResultRow]:
        """The latest results of a step in runs of workflows of this name, made before then."""
        with self._database.read() as connection:
            return results.results_of_step(connection, workflow, step, before, limit)

    def lookups(
        self,
        run_id: str,
        nodes: Collection[int],
        *,
        prefix: tuple[int, ...] = (),
        found: bool | None = None,
        limit: int = 100,
    ) -> list[LookupRow]:
        """What came of looking for results of these nodes, in the order of node and indexes."""
        with self._reading(run_id) as (connection, number):
            return results.lookups(connection, number, nodes, prefix=prefix, found=found, limit=limit)

    def lookup_counts(self, run_id: str) -> dict[int, tuple[int, int]]:
        """Node → how many of its instances were looked up, and of how many the result was there."""
        with self._reading(run_id) as (connection, number):
            return results.lookup_counts(connection, number)

    # --- projections ------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> RunRow | None:
        """A run by its full id."""
        with self._database.read() as connection:
            return queries.run(connection, run_id)

    def runs(
        self,
        *,
        states: Collection[RunState] = (),
        workflow: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[RunRow]:
        """Runs, the latest first; `after` is the id of the last one of the page before."""
        with self._database.read() as connection:
            return queries.runs(connection, states=states, workflow=workflow, after=after, limit=limit)

    def runs_by_prefix(self, prefix: str, limit: int = 10) -> list[RunRow]:
        """Runs whose id begins so."""
        with self._database.read() as connection:
            return queries.runs_by_prefix(connection, prefix, limit)

    def position(self, run_id: str) -> tuple[int, RunState] | None:
        """How far the log of a run has come, and its state; None when there is no such run (yet)."""
        with self._database.read() as connection:
            return queries.position(connection, run_id)

    def nodes(self, run_id: str) -> list[NodeRow]:
        """The nodes of a run of which anything is known, by number."""
        with self._reading(run_id) as (connection, number):
            return queries.nodes(connection, number)

    def instances(
        self,
        run_id: str,
        *,
        node: int | None = None,
        prefix: tuple[int, ...] = (),
        states: Collection[State] = (),
        after: Instance | None = None,
        limit: int = 100,
    ) -> list[InstanceRow]:
        """A page of instances in the order of node and indexes; `after` is the last one of the page before."""
        with self._reading(run_id) as (connection, number):
            return queries.instances(
                connection, number, node=node, prefix=prefix, states=states, after=after, limit=limit
            )

    def instance(self, run_id: str, instance: Instance) -> InstanceRow | None:
        """One instance; None while it waits, or when there is none."""
        with self._reading(run_id) as (connection, number):
            return queries.instance(connection, number, instance)

    def attempts(
        self,
        run_id: str,
        instance: Instance | None = None,
        *,
        after: tuple[Instance, int] | None = None,
        limit: int = 100,
    ) -> list[AttemptRow]:
        """A page of attempts that did not succeed; `after` is the last one's instance and number."""
        with self._reading(run_id) as (connection, number):
            return queries.attempts(connection, number, instance=instance, after=after, limit=limit)

    def links(self, run_id: str, instance: Instance | None = None, *, limit: int = 1000) -> list[LinkRow]:
        """What steps have shown to be clicked at."""
        with self._reading(run_id) as (connection, number):
            return queries.links(connection, number, instance, limit)

    def emitted(
        self, run_id: str, instance: Instance | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[EmittedRow]:
        """What steps have emitted, in the order of the log; `after` is the last one's position."""
        with self._reading(run_id) as (connection, number):
            return queries.emitted(connection, number, instance, after, limit)

    def samples(self, run_id: str) -> list[SampleRecord]:
        """What the attempts under way have last told of themselves, by instance."""
        with self._reading(run_id) as (connection, number):
            return queries.samples(connection, run_id, number)

    def waits(self, run_id: str) -> list[WaitRecord]:
        """Why instances wait, by node, as placement last wrote it."""
        with self._reading(run_id) as (connection, number):
            return queries.waits(connection, run_id, number)

    # --- the catalogue ----------------------------------------------------------------------------------------------

    def artifacts(self, query: ArtifactQuery, *, limit: int = 100) -> list[Found]:
        """Versions of artifacts, the latest first."""
        with self._database.read() as connection:
            return catalogue.versions(connection, query, limit)

    def artifact(self, number: int) -> Found | None:
        """The version of an artifact with this number."""
        with self._database.read() as connection:
            return catalogue.version(connection, number)

    def artifacts_by_digest(self, prefix: str, *, limit: int = 10) -> list[Found]:
        """The latest version of each digest that begins so."""
        with self._database.read() as connection:
            return catalogue.by_digest_prefix(connection, prefix, limit)

    def inputs_of(self, record: ArtifactRecord) -> list[tuple[str, str, Found | None]]:
        """The artifacts that went into one: their place among the inputs, their digest, and the version that it was."""
        with self._database.read() as connection:
            given = catalogue.inputs_of(connection, record)
            known = catalogue.made_by(connection, {digest for _, digest in given}, record.number)
            return [(place, digest, known.get(digest)) for place, digest in given]

    def uses_of(self, digest: str, *, limit: int = 1000) -> list[UseRow]:
        """Which attempts were given these bytes, those of the earliest run first."""
        with self._database.read() as connection:
            return catalogue.uses_of(connection, digest, limit)

    def add_artifact(self, name: str, value: dict[str, Any], at: float, claim: Callable[[], bool]) -> int | None:
        """Catalogue an artifact that comes from no run.

        Args:
            name: what to call it.
            value: the artifact value.
            at: s since the epoch.
            claim: claims its bytes in the artifact store, and says whether they are there; called within the transaction,
                for which `needed_artifacts` waits.

        Returns:
            Its number; None when its bytes are not there.
        """
        with self._database.write() as connection:
            return catalogue.add(connection, name, value, at) if claim() else None

    def needed_artifacts(self) -> Needed:
        """Which bytes the rows of this store name, and since when attempts are in flight that may name more.

        What was claimed in a transaction that had begun before this call is named in the answer, if it is to be.
        """
        with self._database.write():
            pass  # one writes at a time: whoever was at it has finished now
        with self._database.read() as connection:
            return retention.needed(connection)

    def forget_artifacts(self, before: float, now: float) -> int:
        """Give up the bytes of versions that came to be before this, but the latest of each; how many that were."""
        with self._database.write() as connection:
            return retention.forget(connection, before, now)

    def durations(self, workflow: str) -> dict[str, float]:
        """Step → mean seconds of its successful attempts, learnt over the runs of workflows of this name."""
        with self._database.read() as connection:
            return queries.durations(connection, workflow)

    @contextmanager
    def _reading(self, run_id: str) -> Iterator[tuple[Connection, int]]:
        with self._database.read() as connection:
            number = self._numbers.get(run_id)
            if number is None:
                number = self._numbers[run_id] = queries.number_of(connection, run_id)
            yield connection, number
