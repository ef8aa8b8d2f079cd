"""Owns what the rows of the store still need of the artifact store: the digests that they name, and what is under way.

An artifact is named by its row in the catalogue, until that is forgotten; and wherever else a value may stand that a run
works on: parameters, also of runs that are only wished for, definitions, what steps have emitted, restored outputs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select, update

from meson_core.spec.states import State
from meson_core.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_MARK = b'"$artifact"'
#: States in which an attempt may have put what it has not told yet.
_IN_FLIGHT = (State.starting, State.running, State.lost, State.cancelling, State.outcome_unknown)
_ROWS = 1000


class Needed(NamedTuple):
    """What must stay, as of one moment.

    Args:
        digests: of the bytes that are named.
        busy_since: when the oldest attempt in flight began, or earlier; None when nothing is in flight.
    """

    digests: frozenset[str]
    busy_since: float | None


def needed(connection: Connection) -> Needed:
    """What must stay, read in one transaction."""
    kept = schema.artifacts.c
    digests = set(connection.execute(select(kept.digest).where(kept.forgotten_at.is_(None)).distinct()).scalars())
    inbox, instances = schema.inbox.c, schema.instances.c
    restored = instances.state == int(State.skipped)
    for statement in (
        select(schema.runs.c.params),
        select(inbox.body).where(inbox.handled_at.is_(None)),
        select(schema.definitions.c.body),
        select(schema.emitted.c.value),
        select(instances.outputs).where(restored, instances.outputs.is_not(None)),
    ):
        digests.update(_named_in(connection, statement))
    return Needed(frozenset(digests), _busy_since(connection))


def _named_in(connection: Connection, statement: Select[Any]) -> set[str]:
    found: set[str] = set()
    for value in connection.execute(statement.execution_options(yield_per=_ROWS)).scalars():
        if _MARK in value:
            found.update(digest.decode() for digest in _DIGEST.findall(value))
    return found


def _busy_since(connection: Connection) -> float | None:
    """An attempt that has been sent and not heard of may have begun at any time since its run was created."""
    runs, instances = schema.runs.c, schema.instances.c
    began = func.min(func.coalesce(instances.started_at, runs.created_at))
    statement = (
        select(began)
        .join_from(schema.instances, schema.runs, runs.number == instances.run)
        .where(runs.ended_at.is_(None), instances.state.in_([int(state) for state in _IN_FLIGHT]))
    )
    found: float | None = connection.execute(statement).scalar()
    return found


def forget(connection: Connection, before: float, now: float) -> int:
    """Give up the bytes of old versions; their rows stay. How many versions that were.

    Kept are the latest version of each (of one name, in one workflow, with the same loop variables and id), and all that a
    run has made which has not ended.

    Args:
        connection: to write with.
        before: versions that came to be before this, in s since the epoch.
        now: what is noted of them.
    """
    kept, runs = schema.artifacts.c, schema.runs.c
    later = schema.artifacts.alias("later")
    workflow_of = schema.runs.alias("workflow_of")
    workflow = select(runs.workflow).where(runs.number == kept.run).correlate(schema.artifacts).scalar_subquery()
    same = (
        select(later.c.number)
        .outerjoin(workflow_of, workflow_of.c.number == later.c.run)
        .where(
            later.c.name == kept.name,
            later.c.number > kept.number,
            later.c["items"] == kept["items"],
            func.coalesce(later.c.key, "") == func.coalesce(kept.key, ""),
            func.coalesce(workflow_of.c.workflow, "") == func.coalesce(workflow, ""),
        )
        .correlate(schema.artifacts)
    )
    unended = select(runs.number).where(runs.ended_at.is_(None))
    statement = (
        update(schema.artifacts)
        .where(kept.at < before, kept.forgotten_at.is_(None), same.exists())
        .where(kept.run.is_(None) | kept.run.not_in(unended))
        .values(forgotten_at=now)
    )
    return connection.execute(statement).rowcount
