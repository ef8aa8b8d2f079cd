"""Owns the fixtures of the tests of `mesonctl`: projects in folders of their own, and the command as people start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; nothing that was started in it is left behind."""
    with Project.made(tmp_path / "project") as made:
        yield made


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with a run that has failed; for commands that look."""
    with Project.made(tmp_path_factory.mktemp("ended") / "project") as made:
        made.write("flow.py", FLOW)
        done = made.mesonctl("run", "flow.py")
        assert done.code == 1, done
        yield made


#: Four items, of which the third always fails; a step before, and one that waits for all of them.
FLOW = '''
"""A workflow with a failure."""

from meson_core import ctx, for_each, kind, param, step, workflow

rows = param("rows", int, default=4, ge=1)


@step
def regions(rows: int) -> list:
    return [f"region {number}" for number in range(rows)]


@step
def train(region: str) -> float:
    print("training", region)
    if region == "region 2":
        raise ValueError(f"no ratings in {region}")
    return 0.5


@step
def select(scores: list) -> float:
    return max(scores)


found = regions(rows=rows)
each = for_each(region=found.output)
trained = train(region=each.region)
best = select(scores=trained.output)
wf = workflow("recommend", found >> each(trained) >> best, outputs={"best": best.output})
'''
