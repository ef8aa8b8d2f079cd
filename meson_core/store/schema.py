"""Owns the tables: what they are for, their keys, and why they are as they are.

Runs have a number, which stands for them in every other table: ids are for people. The order of the primary keys is
the order in which pages are read: instances lie in the file by (run, node, indexes), so a page, a gathered list of
outputs or the instances of one node are one stretch of it.

Indexes over a part of a table say so for SQLite only: naming another database system here would import it.

JSON is kept as bytes and passed through as it is; nothing in SQL looks into it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, text

from meson_core.spec.states import State

#: States that people look for among fifty thousand others.
NOTABLE = frozenset(
    (
        State.retrying,
        State.lost,
        State.cancelling,
        State.outcome_unknown,
        State.failed,
        State.upstream_failed,
        State.cancelled,
    )
)

metadata = MetaData()
#: A number that the database gives, never used again.
_POSITION = BigInteger().with_variant(Integer(), "sqlite")

# --- who drives -----------------------------------------------------------------------------------------------------

#: One row for each cell that was ever driven; the epoch counts its drivers and fences the earlier ones.
cells = Table(
    "cells",
    metadata,
    Column("cell", String, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("holder", String, nullable=False),
    Column("acquired_at", Float, nullable=False),
)

#: Highest fact of each executor that is in the log: what is acknowledged, and where a new session goes on.
cursors = Table(
    "cursors",
    metadata,
    Column("cell", String, primary_key=True),
    Column("executor", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: Wishes, and what became of them; rows stay, so the numbers are never used again.
inbox = Table(
    "inbox",
    metadata,
    Column("wish_id", Integer, primary_key=True),
    Column("cell", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("by", String, nullable=False),
    Column("what", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("handled_at", Float),
    Column("refusal", String),
    Column("answer", LargeBinary),
)
Index(
    "inbox_unhandled",
    inbox.c.cell,
    inbox.c.wish_id,
    sqlite_where=text("handled_at IS NULL"),
)

# --- what is run, and the log ---------------------------------------------------------------------------------------

#: Workflow versions. `outline` is a JSON array by node number: `outline.py`.
definitions = Table(
    "definitions",
    metadata,
    Column("digest", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("outline", LargeBinary, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run_id", String, nullable=False, unique=True),
    Column("cell", String, nullable=False),
    Column("workflow", String, nullable=False),
    Column("version", String, nullable=False),
    Column("state", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("code", String, nullable=False),
    Column("params", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("seq", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("results", LargeBinary),
)
Index(
    "runs_unfinished",
    runs.c.cell,
    runs.c.number,
    sqlite_where=text("ended_at IS NULL"),
)

#: The log: one row holds the events of one run in one commit. `position` orders the frames of all runs.
frames = Table(
    "frames",
    metadata,
    Column("position", _POSITION, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("first_seq", Integer, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("frames_of_run", frames.c.run, frames.c.last_seq, unique=True)

#: The latest snapshot of each run's engine.
snapshots = Table(
    "snapshots",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# --- projections of the log -----------------------------------------------------------------------------------------

nodes = Table(
    "nodes",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("counts", LargeBinary),
    Column("succeeded", Integer, nullable=False),
    Column("total_s", Float, nullable=False),
    Column("first_started", Float),
    Column("last_ended", Float),
    sqlite_with_rowid=False,
)

#: One row for each instance that has left `waiting`. What waits has none: an item that is not expanded yet, an
#: instance that is to be done again, and an iteration that was dropped. Nor have items that end without being opened.
instances = Table(
    "instances",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("state", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("why", String, nullable=False),
    Column("machine", String),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("outputs", LargeBinary),
    Column("failure", LargeBinary),
    sqlite_with_rowid=False,
)

#: The instances that are in a notable state. A partial index would say the same, and would make every upsert of an
#: instance twice as dear, for the many that are never in it.
notable = Table(
    "notable",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("state", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: Attempts that did not succeed; those that did are the instance's own row.
attempts = Table(
    "attempts",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("began", Float),
    Column("ended", Float, nullable=False),
    Column("cause", String),
    Column("failure", LargeBinary, nullable=False),
    Column("machine", String),
    sqlite_with_rowid=False,
)

#: External jobs, by the attempt that remembered them.
jobs = Table(
    "jobs",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("external_id", String, nullable=False),
    sqlite_with_rowid=False,
)

links = Table(
    "links",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("url", String, nullable=False),
    sqlite_with_rowid=False,
)

emitted = Table(
    "emitted",
    metadata,
    Column("position", _POSITION, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("node", Integer, nullable=False),
    Column("indexes", LargeBinary, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("name", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
)
Index("emitted_of_instance", emitted.c.run, emitted.c.node, emitted.c.indexes)

#: How long a step, a composite or a whole run takes, learnt over the runs of workflows of one name; recent runs weigh
#: more.
durations = Table(
    "durations",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("step", String, primary_key=True),
    Column("weight", Float, nullable=False),
    Column("total_s", Float, nullable=False),
    sqlite_with_rowid=False,
)

# --- the catalogue of artifacts -------------------------------------------------------------------------------------

#: Every version of every artifact, in the order of the log; also those that were put by hand, which have no run. `code`,
#: `items` (JSON) and `key` are those of the attempt that made it; `type` is "" where it follows from `file` and `media`.
#: Rows stay; `forgotten_at` says that its bytes may go.
artifacts = Table(
    "artifacts",
    metadata,
    Column("number", _POSITION, primary_key=True),
    Column("run", Integer),
    Column("node", Integer),
    Column("indexes", LargeBinary),
    Column("attempt", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("key", String),
    Column("type", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("media", String, nullable=False),
    Column("file", String, nullable=False),
    Column("meta", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("code", String, nullable=False),
    Column("items", LargeBinary, nullable=False),
    Column("forgotten_at", Float),
)
Index("artifacts_by_name", artifacts.c.name, artifacts.c.number)
Index("artifacts_by_digest", artifacts.c.digest, artifacts.c.number)
Index("artifacts_of_run", artifacts.c.run, artifacts.c.node, artifacts.c.indexes)
Index("artifacts_by_key", artifacts.c.key, artifacts.c.number, sqlite_where=text("key IS NOT NULL"))

#: The artifacts among the inputs of an attempt that has ended; `place` is where: "model", "models[3]".
uses = Table(
    "uses",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("place", String, primary_key=True),
    Column("digest", String, nullable=False),
    sqlite_with_rowid=False,
)
Index("uses_of_digest", uses.c.digest)

# --- results that are there already -----------------------------------------------------------------------------------

#: The last answer to the question whether a result of an instance is there: of which run it was (`source`), or why there
#: is none; the key under which it was looked for, and what went into that (JSON).
lookups = Table(
    "lookups",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("key", String, nullable=False),
    Column("source", String),
    Column("why", String, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

#: The newest result under each key. Its outputs are kept apart from the instance that made them, which may be done again.
results = Table(
    "results",
    metadata,
    Column("key", String, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("node", Integer, nullable=False),
    Column("indexes", LargeBinary, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("workflow", String, nullable=False),
    Column("step", String, nullable=False),
    Column("outputs", LargeBinary, nullable=False),
    Column("facts", LargeBinary, nullable=False),
)
Index("results_of_step", results.c.workflow, results.c.step, results.c.at)

# --- samples: the latest only, never part of the log ----------------------------------------------------------------

samples = Table(
    "samples",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("indexes", LargeBinary, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("fraction", Float),
    Column("message", String),
    sqlite_with_rowid=False,
)

waits = Table(
    "waits",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("reason", String, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
