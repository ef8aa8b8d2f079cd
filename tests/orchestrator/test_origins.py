"""Owns the tests of what the catalogue learns about artifacts from a real run: names, loop variables, inputs."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from meson_core.orchestrator.probe import Point
from meson_core.spec.model import Expression, ForEach, Repeat
from meson_core.spec.states import RunState
from meson_core.store.catalogue import ArtifactQuery
from tests.orchestrator.flows import flow, step
from tests.orchestrator.projects import Project, driver_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from meson_core.spec.model import Step, Workflow


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    made = Project(tmp_path)
    yield made
    made.close()


def function(name: str, body: str, **fields: Any) -> Step:
    source = f"from meson_runtime import ctx\ndef f(**inputs):\n    {body}\n"
    return step(name, options={"function": "f", "source": source}, **fields)


def put(text: str) -> str:
    return f"return {{'x': ctx.put({text}.encode(), name='model.txt')}}"


def regional() -> Workflow:
    """`train` puts an artifact per region and round, `choose` gathers those of the last rounds."""
    train = function("train", put("f'{inputs}'"), r="region", base="base.x")
    rounds = Repeat(name="rounds", max_iterations=2, until="false", body=(train,), on_exhausted="continue")
    each = ForEach(name="each", variables={"region": Expression(expr="['n', 's']")}, body=(rounds,))
    choose = function("choose", put("str(len(inputs['all']))"), all="train.x")
    return flow(function("base", put("'base'")), each, choose)


def told(project: Project) -> list[tuple[str, dict[str, Any], list[str]]]:
    """Name, loop variables and artifact inputs of every version, the earliest first."""
    found = [each.record for each in project.store.artifacts(ArtifactQuery())]
    return sorted(
        (
            (
                each.name,
                dict(sorted(each.items.items())),
                [f"{place} is {made.record.name}" for place, _, made in given if made],
            )
            for each in found
            for given in [project.store.inputs_of(each)]
        ),
        key=repr,
    )


def expected() -> list[tuple[str, dict[str, Any], list[str]]]:
    trained = [
        ("train.x", {"iteration": iteration, "region": region}, ["base is base.x"])
        for region in "ns"
        for iteration in (0, 1)
    ]
    chosen: tuple[str, dict[str, Any], list[str]] = ("choose.x", {}, ["all[0] is train.x", "all[1] is train.x"])
    return sorted([("base.x", {}, []), chosen, *trained], key=repr)


async def test_a_run_tells_what_its_artifacts_are(project: Project) -> None:
    run_id = project.submit(regional())

    async with project.orchestrator() as orchestrator:
        assert await orchestrator.run_until_ended(run_id) is RunState.succeeded

    assert told(project) == expected()
    base = project.store.artifacts(ArtifactQuery(name="base.x"))[0].record
    assert {use.instance for use in project.store.uses_of(base.digest)} == {
        (3, region, iteration) for region in (0, 1) for iteration in (0, 1)
    }


@pytest.mark.parametrize(
    ("point", "times"), [(Point.after_commit, 4), (Point.before_commit, 5), (Point.after_launch, 3)]
)
async def test_it_tells_the_same_after_a_crash(project: Project, point: Point, times: int) -> None:
    """What the orders of a dead orchestrator knew is evaluated again."""
    run_id = project.submit(regional())
    crashed = await asyncio.create_subprocess_exec(*driver_command(project, point, times, run_id))
    assert await asyncio.wait_for(crashed.wait(), 60) == -signal.SIGKILL

    async with project.orchestrator() as orchestrator:
        assert await orchestrator.run_until_ended(run_id) is RunState.succeeded

    assert told(project) == expected()


async def test_a_large_loop_variable_is_left_out(project: Project) -> None:
    items = json.dumps(["x" * 2000, "y"])
    work = function("work", put("inputs['i']"), i="i")
    each = ForEach(name="each", variables={"i": Expression(expr=items)}, body=(work,))
    run_id = project.submit(flow(each))

    async with project.orchestrator() as orchestrator:
        await orchestrator.run_until_ended(run_id)

    found = {each.record.instance: each.record.items for each in project.store.artifacts(ArtifactQuery())}
    assert found == {(1, 0): {}, (1, 1): {"i": "y"}}
