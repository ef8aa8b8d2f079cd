"""Owns the inbox: wishes come in here, and each is answered in the transaction that carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select

from meson_core.store import schema
from meson_core.store.records import WishReceipt
from meson_core.store.wishes import BODIES, Wish

if TYPE_CHECKING:
    from sqlalchemy import Connection

_encode = msgspec.json.Encoder().encode


def put(connection: Connection, wish: Wish, cell: str) -> int:
    """Add a wish (its `wish_id` is not looked at); returns the number that it gets."""
    values = {
        "cell": cell,
        "at": wish.at,
        "by": wish.by,
        "what": wish.what,
        "run_id": wish.run_id,
        "body": _encode(wish.body),
    }
    return int(connection.execute(insert(schema.inbox).values(values).returning(schema.inbox.c.wish_id)).scalar_one())


def unhandled(connection: Connection, after: int, cell: str | None) -> list[Wish]:
    """Wishes that have no receipt, oldest first."""
    table = schema.inbox.c
    statement = (
        select(table.wish_id, table.at, table.by, table.what, table.run_id, table.body)
        .where(table.handled_at.is_(None), table.wish_id > after)
        .order_by(table.wish_id)
    )
    if cell is not None:
        statement = statement.where(table.cell == cell)
    return [
        Wish(
            wish_id=row.wish_id,
            at=row.at,
            by=row.by,
            what=row.what,
            run_id=row.run_id,
            body=msgspec.json.decode(row.body, type=BODIES[row.what]),
        )
        for row in connection.execute(statement)
    ]


def withdraw(connection: Connection, wish_id: int, cell: str, epoch: int) -> bool:
    """Take a wish back that nobody has dealt with, if nobody has taken the cell since `epoch` either."""
    cells, table = schema.cells.c, schema.inbox.c
    if connection.execute(select(cells.epoch).where(cells.cell == cell)).scalar() != epoch:
        return False
    statement = delete(schema.inbox).where(table.wish_id == wish_id, table.handled_at.is_(None))
    return connection.execute(statement).rowcount == 1


def receipt(connection: Connection, wish_id: int) -> WishReceipt | None:
    """What became of a wish; None while nothing has."""
    table = schema.inbox.c
    statement = select(table.refusal, table.answer).where(table.wish_id == wish_id, table.handled_at.is_not(None))
    row: Any = connection.execute(statement).first()
    return None if row is None else WishReceipt(wish_id, row.refusal, msgspec.json.decode(row.answer))
