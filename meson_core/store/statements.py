"""Owns the statements of a commit: written as expressions, compiled once per store, run with plain tuples.

The parameters of each are positional, in the order that its docstring gives; `projection.py` makes such tuples. That
saves most of what SQLAlchemy costs per row, and none of what it is good for.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, case, delete, func, insert, literal_column, or_, select, update

from meson_core.store import schema

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Engine, Table
    from sqlalchemy.sql.elements import CompilerElement

    from meson_core.store.dialect import Dialect

_ZERO = literal_column("0", Integer)
_ONE = literal_column("1", Integer)
_INSTANCE_KEY = ("run", "node", "indexes")
_ATTEMPT_KEY = (*_INSTANCE_KEY, "attempt")


class Statements:
    """The statements in the words of one database.

    Args:
        dialect: for inserts with a conflict clause.
        engine: for how parameters are written.
    """

    def __init__(self, dialect: Dialect, engine: Engine) -> None:
        self._dialect = dialect
        self._engine = engine

    @cached_property
    def epoch(self) -> str:
        """Cell"""
        return self._compile(select(schema.cells.c.epoch).where(schema.cells.c.cell == bindparam("cell")), "cell")

    @cached_property
    def seq(self) -> str:
        """Run"""
        return self._compile(select(schema.runs.c.seq).where(schema.runs.c.number == bindparam("run")), "run")

    @cached_property
    def sampled(self) -> str:
        """No parameters: the keys of all samples"""
        return self._compile(select(*(schema.samples.c[name] for name in _INSTANCE_KEY)))

    @cached_property
    def advance_run(self) -> str:
        """state, code or None, ended_at, seq, generation or None, results; run, expected seq"""
        runs = schema.runs.c
        statement = (
            update(schema.runs)
            .where(runs.number == bindparam("p_run"), runs.seq == bindparam("p_expected"))
            .values(
                state=bindparam("p_state"),
                code=func.coalesce(bindparam("p_code"), runs.code),
                ended_at=bindparam("p_ended_at"),
                seq=bindparam("p_seq"),
                generation=func.coalesce(bindparam("p_generation"), runs.generation),
                results=bindparam("p_results"),
            )
        )
        return self._compile(
            statement, "p_state", "p_code", "p_ended_at", "p_seq", "p_generation", "p_results", "p_run", "p_expected"
        )

    @cached_property
    def append_frame(self) -> str:
        """run, first_seq, last_seq, body"""
        names = ("run", "first_seq", "last_seq", "body")
        return self._compile(insert(schema.frames).values({name: bindparam(name) for name in names}), *names)

    @cached_property
    def put_instance(self) -> str:
        """run, node, indexes, state, attempt, why, machine, started_at, ended_at, outputs, failure; fresh, fresh"""
        table = schema.instances.c

        def changes(new: Any) -> dict[str, Any]:
            def renewed(name: str) -> ColumnElement[Any]:
                fresh = or_(bindparam("p_fresh", type_=Integer) == _ONE, new.attempt > table.attempt)
                return case((fresh, new[name]), else_=func.coalesce(new[name], table[name]))

            return {
                "state": new.state,
                "attempt": case((new.attempt > _ZERO, new.attempt), else_=table.attempt),
                "why": new.why,
                "machine": renewed("machine"),
                "started_at": renewed("started_at"),
                "ended_at": new.ended_at,
                "outputs": new.outputs,
                "failure": new.failure,
            }

        return self._upsert(schema.instances, _INSTANCE_KEY, changes, "p_fresh", "p_fresh")

    @cached_property
    def drop_instances(self) -> str:
        """run, node, first indexes, indexes behind the last"""
        return self._drop_range(schema.instances)

    @cached_property
    def drop_notables(self) -> str:
        """run, node, first indexes, indexes behind the last"""
        return self._drop_range(schema.notable)

    @cached_property
    def put_notable(self) -> str:
        """run, node, indexes, state"""
        return self._upsert(schema.notable, _INSTANCE_KEY, lambda new: {"state": new.state})

    @cached_property
    def drop_notable(self) -> str:
        """run, node, indexes"""
        return self._drop(schema.notable)

    @cached_property
    def put_node(self) -> str:
        """run, node, counts or None, succeeded, total_s, first_started, last_ended: what the frame adds"""
        table = schema.nodes.c

        def sooner(new: ColumnElement[Any], old: ColumnElement[Any]) -> ColumnElement[Any]:
            return case((old.is_(None), new), (new < old, new), else_=old)

        def changes(new: Any) -> dict[str, Any]:
            return {
                "counts": func.coalesce(new.counts, table.counts),
                "succeeded": table.succeeded + new.succeeded,
                "total_s": table.total_s + new.total_s,
                "first_started": sooner(new.first_started, table.first_started),
                "last_ended": func.coalesce(new.last_ended, table.last_ended),
            }

        return self._upsert(schema.nodes, ("run", "node"), changes)

    @cached_property
    def put_attempt(self) -> str:
        """run, node, indexes, attempt, began, the key, ended, cause, failure, machine, the key

        Where the frame does not tell when or where the attempt began, the instance's row still does; so this comes
        before `put_instance`. Of two ends of one attempt the first is kept.
        """
        stored = schema.instances.c

        def known(column: str) -> ColumnElement[Any]:
            key = [stored[name] == bindparam(f"p_{column}_{name}") for name in _ATTEMPT_KEY]
            held = select(stored[column]).where(*key).scalar_subquery()
            return func.coalesce(bindparam(f"p_{column}"), held)

        names = ("ended", "cause", "failure")
        values: dict[str, Any] = {name: bindparam(name) for name in (*_ATTEMPT_KEY, *names)}
        values |= {"began": known("started_at"), "machine": known("machine")}
        statement = self._dialect.insert(schema.attempts).values(values).on_conflict_do_nothing()
        parameters = {
            column: (f"p_{column}", *(f"p_{column}_{name}" for name in _ATTEMPT_KEY))
            for column in ("started_at", "machine")
        }
        return self._compile(statement, *_ATTEMPT_KEY, *parameters["started_at"], *names, *parameters["machine"])

    @cached_property
    def put_job(self) -> str:
        """run, node, indexes, attempt, external_id"""
        return self._upsert(schema.jobs, _ATTEMPT_KEY, lambda new: {"external_id": new.external_id})

    @cached_property
    def put_link(self) -> str:
        """run, node, indexes, attempt, name, url"""
        return self._upsert(schema.links, (*_ATTEMPT_KEY, "name"), lambda new: {"url": new.url})

    @cached_property
    def add_emitted(self) -> str:
        """run, node, indexes, attempt, at, name, value"""
        names = (*_ATTEMPT_KEY, "at", "name", "value")
        return self._compile(insert(schema.emitted).values({name: bindparam(name) for name in names}), *names)

    @cached_property
    def add_artifact(self) -> str:
        """run, node, indexes, attempt, name, key, type, digest, size, media, file, meta, at, run, items"""
        runs = schema.runs.c
        names = (*_ATTEMPT_KEY, "name", "key", "type", "digest", "size", "media", "file", "meta", "at")
        values: dict[str, Any] = {name: bindparam(name) for name in (*names, "items")}
        # After `advance_run`: the code that the run has now.
        values["code"] = select(runs.code).where(runs.number == bindparam("p_run")).scalar_subquery()
        return self._compile(insert(schema.artifacts).values(values), *names, "p_run", "items")

    @cached_property
    def add_use(self) -> str:
        """run, node, indexes, attempt, place, digest"""
        names = (*_ATTEMPT_KEY, "place", "digest")
        return self._compile(insert(schema.uses).values({name: bindparam(name) for name in names}), *names)

    @cached_property
    def put_lookup(self) -> str:
        """run, node, indexes, attempt, at, key, source or None, why, facts"""
        names = ("attempt", "at", "key", "source", "why", "facts")
        return self._upsert(schema.lookups, _INSTANCE_KEY, lambda new: {name: new[name] for name in names})

    @cached_property
    def drop_lookups(self) -> str:
        """run, node, first indexes, indexes behind the last"""
        return self._drop_range(schema.lookups)

    @cached_property
    def put_result(self) -> str:
        """attempt, at, step, outputs; run, node, indexes: under the key of its lookup, if that left one"""
        asked, runs = schema.lookups.c, schema.runs.c
        names = ("key", "run", "node", "indexes", "attempt", "at", "workflow", "step", "outputs", "facts")
        told: dict[str, ColumnElement[Any]] = {
            name: bindparam(f"p_{name}") for name in ("attempt", "at", "step", "outputs")
        }
        told["workflow"] = runs.workflow
        source = select(*(told[name] if name in told else asked[name] for name in names)).where(
            runs.number == asked.run,
            *(asked[name] == bindparam(f"p_{name}") for name in _INSTANCE_KEY),
            asked.source.is_(None),
            asked.key != literal_column("''"),
        )
        insertion = self._dialect.insert(schema.results).from_select(names, source)
        changes = {name: insertion.excluded[name] for name in names[1:]}
        statement = insertion.on_conflict_do_update(index_elements=["key"], set_=changes)
        return self._compile(
            statement, "p_attempt", "p_at", "p_step", "p_outputs", *(f"p_{name}" for name in _INSTANCE_KEY)
        )

    @cached_property
    def put_snapshot(self) -> str:
        """run, seq, body"""
        return self._upsert(schema.snapshots, ("run",), lambda new: {"seq": new.seq, "body": new.body})

    @cached_property
    def put_cursor(self) -> str:
        """cell, executor, seq"""
        return self._upsert(schema.cursors, ("cell", "executor"), lambda new: {"seq": new.seq})

    @cached_property
    def handle_wish(self) -> str:
        """handled_at, refusal, answer; wish_id"""
        inbox = schema.inbox.c
        statement = (
            update(schema.inbox)
            .where(inbox.wish_id == bindparam("p_wish_id"), inbox.handled_at.is_(None))
            .values({name: bindparam(f"p_{name}") for name in ("handled_at", "refusal", "answer")})
        )
        return self._compile(statement, "p_handled_at", "p_refusal", "p_answer", "p_wish_id")

    @cached_property
    def put_sample(self) -> str:
        """run, node, indexes, attempt, at, fraction, message; a fraction or message of None is no news"""
        table = schema.samples.c

        def changes(new: Any) -> dict[str, Any]:
            # What an earlier attempt said is no longer true.
            same = new.attempt == table.attempt
            return {
                "attempt": new.attempt,
                "at": new.at,
                "fraction": case((same, func.coalesce(new.fraction, table.fraction)), else_=new.fraction),
                "message": case((same, func.coalesce(new.message, table.message)), else_=new.message),
            }

        return self._upsert(schema.samples, _INSTANCE_KEY, changes)

    @cached_property
    def drop_sample(self) -> str:
        """run, node, indexes"""
        return self._drop(schema.samples)

    @cached_property
    def put_wait(self) -> str:
        """run, node, at, waiting, reason, detail"""
        names = ("at", "waiting", "reason", "detail")
        return self._upsert(schema.waits, ("run", "node"), lambda new: {name: new[name] for name in names})

    def _upsert(self, table: Table, key: tuple[str, ...], changes: Any, *further: str) -> str:
        insertion = self._dialect.insert(table)
        statement = insertion.on_conflict_do_update(index_elements=list(key), set_=changes(insertion.excluded))
        return self._compile(statement, *(column.name for column in table.c), *further)

    def _drop(self, table: Table) -> str:
        key = [table.c[name] == bindparam(f"p_{name}") for name in _INSTANCE_KEY]
        return self._compile(delete(table).where(*key), *(f"p_{name}" for name in _INSTANCE_KEY))

    def _drop_range(self, table: Table) -> str:
        key = table.c
        statement = delete(table).where(
            key.run == bindparam("p_run"),
            key.node == bindparam("p_node"),
            key.indexes >= bindparam("p_first"),
            key.indexes < bindparam("p_behind"),
        )
        return self._compile(statement, "p_run", "p_node", "p_first", "p_behind")

    def _compile(self, statement: CompilerElement, *parameters: str) -> str:
        compiled = statement.compile(dialect=self._engine.dialect)
        found = tuple(getattr(compiled, "positiontup", None) or ())
        if found != parameters:
            raise AssertionError(f"parameters in another order: {found} instead of {parameters}")
        return str(compiled)
