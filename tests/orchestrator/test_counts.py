"""Owns the tests of the counts that the store gets: nodes change with what is around them, also without a change of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.events import Selection
from meson_core.spec.model import Expression, ForEach
from meson_core.spec.states import State
from meson_core.store.wishes import Retry
from tests.orchestrator.flows import flow, step

if TYPE_CHECKING:
    from tests.orchestrator.cells import Cell


def counted(cell: Cell, run_id: str, node: int) -> dict[str, int]:
    (row,) = (row for row in cell.store.nodes(run_id) if row.node == node)
    return {state.name: row.counts[state] for state in State if row.counts[state]}


async def test_nodes_are_counted_when_what_is_around_them_changes(cell: Cell) -> None:
    """Items come into being with all their steps; a loop that is done again takes its items with it."""
    body = (step("work", i="i"), step("check", v="work.x"))
    each = ForEach(name="each", variables={"i": Expression(expr="begin.x")}, body=body)
    run_id = cell.submit(flow(step("begin"), each))

    async with cell.driven() as orchestrator:
        (begin,) = await cell.launched(0)
        cell.scheduler.succeed(begin, x=[1, 2, 3])
        works = await cell.launched(2, 3)
        assert counted(cell, run_id, 3) == {"waiting": 3}

        cell.scheduler.succeed(*works, x=1)
        checks = await cell.launched(3, 3)
        cell.scheduler.succeed(*checks, x=1)
        await orchestrator.run_until_ended(run_id)
        assert counted(cell, run_id, 3) == {"succeeded": 3}

        await cell.answered(cell.wish("retry", run_id, Retry(Selection(nodes=(0,)))))
        await cell.launched(0, 2)
        assert [row.node for row in cell.store.instances(run_id)] == [0]
        assert counted(cell, run_id, 1) == {"waiting": 1}
        assert [counted(cell, run_id, node) for node in (2, 3)] == [{}, {}]
