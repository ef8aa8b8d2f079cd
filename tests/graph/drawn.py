"""Owns plans for tests of pictures, and random graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from meson_core import choose, for_each, kind, param, repeat, subworkflow, when, workflow
from meson_core.dsl.build import build
from meson_core.spec.check import check
from meson_core.spec.plan import Plan, compile_plan

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn


def step(name: str) -> Any:
    """A shell step with the output `y`."""
    return kind("shell", name=name, outputs={"y": "any"})


def planned(part: Any, name: str = "w") -> Plan:
    """The plan of a workflow of this graph."""
    return compile_plan(check(build(workflow(name, part))))


def everything() -> Plan:
    """A plan with a node of every sort."""
    users, train, judge, publish, tidy = (step(name) for name in ("users", "train", "judge", "publish", "tidy"))
    each = for_each(region=users.output["y"], max_parallel=9)
    alpha = param("alpha", float, default=0.5)
    again = repeat(
        train(alpha=alpha, region=each.region) >> judge,
        until=judge.output["y"] > 3,
        max_iterations=4,
        carry={"alpha": alpha},
    )
    ways = choose(when(users.output["y"] > 1, publish), otherwise=subworkflow(workflow("tidying", tidy)))
    return planned(users >> each(again) >> ways, "everything")


def mesh() -> Plan:
    """A graph that is neither sequence nor parallel."""
    a, b, c, d = (step(name) for name in "abcd")
    return planned((a >> c) | (b >> c) | (b >> d))


@st.composite
def graphs(draw: DrawFn, most: int = 12) -> list[list[int]]:
    """An acyclic graph: the predecessors of each node."""
    count = draw(st.integers(1, most))
    order = draw(st.permutations(range(count)))
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for at in range(1, count):
        chosen = draw(st.lists(st.integers(0, at - 1), max_size=3, unique=True))
        predecessors[order[at]] = sorted(order[other] for other in chosen)
    return predecessors


def closure(predecessors: list[list[int]]) -> set[tuple[int, int]]:
    """All pairs of nodes of which one comes before the other."""
    known: set[tuple[int, int]] = {(other, node) for node, before in enumerate(predecessors) for other in before}
    while True:
        more = {(a, d) for a, b in known for c, d in known if b == c} - known
        if not more:
            return known
        known |= more
