"""Owns the tests of `mesonctl explain` and `--fresh`: the page of the documentation has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.command import Project

pytestmark = pytest.mark.slow

FLOW = """
from meson_core import kind, param, step, workflow

n = param("n", int, default=1)
first = kind("shell", name="first", script="echo '{\\"x\\": 1}' > $MESON_OUTPUTS", outputs={"x": int}, cache=True)

@step(cache="inputs")
def second(x: int, n: int) -> int:
    return x + n

wf = workflow("flow", first >> second(x=first.output, n=n))
"""


def test_it_says_what_differs(project: Project) -> None:
    project.write("flow.py", FLOW)
    project.write("notes.txt", "one")
    assert project.mesonctl("run", "flow.py").code == 0
    project.write("flow.py", FLOW.replace(": 1}", ": 2}"))
    project.write("notes.txt", "two")
    project.write("more.txt", "new")
    assert project.mesonctl("run", "flow.py", "-p", "n=5").code == 0

    found = {each["step"]: each for each in project.mesonctl("explain", "last", "--json").json}
    told = project.mesonctl("explain", "last", "first").out

    differences = {
        step: {
            each["what"]: (each["before"], each["now"]) for each in explained["answers"][0]["nearest"]["differences"]
        }
        for step, explained in found.items()
    }
    assert set(differences["first"]) == {"option script", "code flow.py", "code notes.txt", "code more.txt"}
    assert differences["second"] == {"input x": ("1", "2"), "input n": ("1", "5")}
    for line in ("notes.txt has changed", "more.txt is new", "flow.py has changed", "option script was"):
        assert line in told


def test_fresh_makes_everything_anew_and_a_retry_by_name_that_step(project: Project) -> None:
    project.write("flow.py", FLOW)
    assert project.mesonctl("run", "flow.py").code == 0

    anew = project.mesonctl("run", "flow.py", "--fresh", "--json").json
    again = project.mesonctl("run", "flow.py", "--json").json
    retried = project.mesonctl("retry", "last", "--step", "first", "--json").json
    fresh = project.mesonctl("retry", "last", "--step", "first", "--fresh-step", "second", "--json").json

    assert anew["steps"] == {"first": {"succeeded": 1}, "second": {"succeeded": 1}}
    assert again["steps"] == {"first": {"skipped": 1}, "second": {"skipped": 1}}
    assert retried["steps"] == {"first": {"succeeded": 1}, "second": {"skipped": 1}}
    assert fresh["steps"] == {"first": {"succeeded": 1}, "second": {"succeeded": 1}}


def test_a_run_of_what_never_asks_says_so(ended: Project) -> None:
    assert "no step of this run asks for earlier results" in ended.mesonctl("explain", "last").out
    assert "train  is always made" in ended.mesonctl("explain", "last", "train").out
    assert ended.mesonctl("explain", "last", "nobody").code != 0


def test_a_step_that_is_not_there_cannot_be_fresh(project: Project) -> None:
    project.write("flow.py", FLOW)

    done = project.mesonctl("run", "flow.py", "--fresh-step", "secnd")

    assert done.code != 0
    assert "has no step 'secnd'" in done.err
    assert "second" in done.err
