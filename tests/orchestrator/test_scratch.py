"""Owns the tests of the folder that the steps of a run share: there while it runs, gone when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meson_core.spec.states import RunState
from tests.orchestrator.flows import flow, step
from tests.orchestrator.projects import Project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from meson_core.spec.model import Step


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    made = Project(tmp_path)
    yield made
    made.close()


def function(name: str, body: str, **fields: Any) -> Step:
    source = f"from meson_runtime import ctx\ndef f(**inputs):\n    {body}\n"
    return step(name, options={"function": "f", "source": source}, **fields)


def shared() -> Any:
    write = function("write", "(ctx.scratch / 'a').write_text('1'); return {'x': 1}")
    read = function("read", "return {'x': (ctx.scratch / 'a').read_text() * inputs['n']}", n="write.x")
    return flow(write, read, outputs={"x": "read.x"})


async def test_steps_share_it_and_it_goes_with_the_run(project: Project) -> None:
    run_id = project.submit(shared())

    async with project.orchestrator() as orchestrator:
        assert await orchestrator.run_until_ended(run_id) is RunState.succeeded

    assert project.results(run_id) == {"x": "1"}
    assert list((project.settings.directory / "scratch").iterdir()) == []


async def test_the_next_orchestrator_removes_what_one_that_died_has_left(project: Project) -> None:
    """Of one that was killed between the end of the run and the removal, only the folder tells."""
    scratch = project.settings.directory / "scratch"
    ended = project.submit(shared())
    async with project.orchestrator() as orchestrator:
        await orchestrator.run_until_ended(ended)
    (scratch / ended / "deep").mkdir(parents=True)
    (scratch / "nobodys").mkdir()

    async with project.orchestrator():
        pass

    assert [path.name for path in scratch.iterdir()] == ["nobodys"]
