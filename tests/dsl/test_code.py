"""Owns the tests of finding step functions again: the worker's own loader runs what authoring has located."""

from __future__ import annotations

import importlib
import linecache
import runpy
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from meson_core import kind, step, workflow
from meson_core.dsl.build import build
from meson_core.dsl.code import locate
from meson_core.errors import SpecError
from meson_runtime.functions import find
from tests.dsl.made import problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meson_runtime.declare import StepFunction

_STEPS = """
from meson_runtime import step

@step(cpus=2)
def double(x: int) -> int:
    return 2 * x

class Tools:
    @staticmethod
    @step
    def triple(x: int) -> int:
        return 3 * x
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which modules are imported; none of them is left behind."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def _run(options: dict[str, str], project: Path, *args: Any) -> Any:
    """Call the function as a worker in another process would find it."""
    for name in list(sys.modules):
        if str(project) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    return find({"w": "python", **options}, str(project))(*args)


# --- modules and files ----------------------------------------------------------------------------------------------------


def test_a_function_of_a_package_is_found_by_its_module(project: Path) -> None:
    (project / "made").mkdir()
    (project / "made" / "__init__.py").write_text("")
    (project / "made" / "steps.py").write_text(_STEPS)
    module = importlib.import_module("made.steps")

    assert locate(module.double, str(project)) == {"function": "double", "module": "made.steps"}
    assert locate(module.Tools.triple, str(project)) == {"function": "Tools.triple", "module": "made.steps"}
    assert _run(locate(module.Tools.triple, str(project)), project, 4) == 12


def test_a_function_of_a_package_itself_is_found_by_its_module(project: Path) -> None:
    (project / "made").mkdir()
    (project / "made" / "__init__.py").write_text(_STEPS)

    assert locate(importlib.import_module("made").double, str(project)) == {"function": "double", "module": "made"}


def test_a_function_of_an_installed_package_is_found_by_its_module(project: Path) -> None:
    (project / "made_elsewhere.py").write_text(_STEPS)
    module = importlib.import_module("made_elsewhere")

    assert locate(module.double, "/some/other/project") == {"function": "double", "module": "made_elsewhere"}
    assert locate(module.double, None) == {"function": "double", "module": "made_elsewhere"}


def test_a_module_that_is_imported_from_a_folder_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A src layout, or a module beside the file of the workflow."""
    (project / "src" / "made").mkdir(parents=True)
    (project / "src" / "made" / "steps.py").write_text(_STEPS)
    with monkeypatch.context() as patched:
        patched.syspath_prepend(str(project / "src"))
        options = locate(importlib.import_module("made.steps").double, str(project))

    assert options == {"function": "double", "module": "made.steps", "path": "src"}
    assert _run(options, project, 4) == 8


def test_what_is_installed_in_the_project_is_no_part_of_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment may lie in the project; its packages are not in the code bundle."""
    folder = project / ".venv" / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "made_installed.py").write_text(_STEPS)
    monkeypatch.syspath_prepend(str(folder))

    options = locate(importlib.import_module("made_installed").double, str(project))

    assert options == {"function": "double", "module": "made_installed"}


@pytest.mark.parametrize("name", ["__main__", "another_name"])
def test_a_function_of_a_script_is_found_by_its_file(project: Path, name: str) -> None:
    (project / "flows").mkdir()
    script = project / "flows" / "made-flow.py"
    script.write_text(_STEPS)
    double = runpy.run_path(str(script), run_name=name)["double"]

    options = locate(double, str(project))

    assert options == {"function": "double", "file": "flows/made-flow.py"}
    assert _run(options, project, 4) == 8
    if name == "__main__":
        assert locate(double, None)["file"] == "made-flow.py"


def test_a_script_outside_of_the_project_is_refused(project: Path) -> None:
    script = project / "made.py"
    script.write_text(_STEPS)
    double = runpy.run_path(str(script), run_name="__main__")["double"]

    with pytest.raises(
        SpecError, match=r"step function 'double' is in .*made.py, outside of the project at /elsewhere"
    ):
        locate(double, "/elsewhere")


# --- source ---------------------------------------------------------------------------------------------------------------

_cells = iter(range(1000))


def _cell(source: str, session: dict[str, Any]) -> dict[str, Any]:
    """Execute a cell as a notebook does: nothing of it is in a file, and its lines are in the line cache."""
    text = textwrap.dedent(source)
    file = f"/tmp/ipykernel_1/{next(_cells)}.py"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    session.setdefault("__name__", "__main__")
    exec(compile(text, file, "exec", dont_inherit=True), session)
    return session


def test_a_notebook_function_brings_what_it_uses(tmp_path: Path) -> None:
    session: dict[str, Any] = {}
    _cell(
        """
        import math as m
        import os.path
        from collections import Counter as Counts
        from dataclasses import dataclass
        from typing import Optional
        from functools import wraps
        from meson_core import ctx, step
        import meson_runtime as runtime

        @dataclass
        class Found:
            # What was found.
            counts: dict[str, int]
            root: Optional[float]

        def shout(text):
            return text.upper() if text else shout(None)
        """,
        session,
    )
    _cell(
        """
        def traced(function):
            @wraps(function)
            def inner(*args, **kwargs):
                return {**function(*args, **kwargs), "traced": True}
            return inner

        @runtime.step
        def other(x: int) -> int:
            return x + 1

        @step(
            cpus=2,
        )
        @traced
        def count(words: list[str], x: float, aliased=len) -> Found:
            \"\"\"Count.\"\"\"
            # a comment that stays
            numbers = [math for math in range(2)]
            found = Found(Counts(shout(word) for word in words), m.sqrt(x))
            ctx.progress(0.5)
            assert os.path.join("a", "b") == "a/b" and numbers and aliased
            assert isinstance(other, runtime.StepFunction) if hasattr(runtime, "StepFunction") else True
            return {"counts": dict(found.counts), "root": found.root, "next": other.fn(1)}
        """,
        session,
    )

    options = locate(session["count"], None)

    assert set(options) == {"function", "source"}
    assert "# a comment that stays" in options["source"]
    assert "@step(" not in options["source"]
    result = _run(options, tmp_path, ["a", "b", "a"], 16.0)
    assert result == {"counts": {"A": 2, "B": 1}, "root": 4.0, "next": 2, "traced": True}


def test_the_text_of_a_function_depends_on_nothing_but_what_it_uses() -> None:
    """It is a part of the workflow's version."""

    def made(more: str) -> str:
        session: dict[str, Any] = {}
        _cell("from meson_core import step\nimport math\n" + more, session)
        _cell("@step\ndef f(x: int) -> float:\n    return math.sqrt(x)\n", session)
        return locate(session["f"], None)["source"]

    assert made("") == made("import json\nunused = 3\ndef g(): ...")
    assert made("") == (
        "from __future__ import annotations\nimport math\n\n\ndef f(x: int) -> float:\n    return math.sqrt(x)\n"
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "THRESHOLD = 3\n@step\ndef f():\n    return THRESHOLD",
            "step 'f' uses 'THRESHOLD', which is data around it: 3",
        ),
        (
            "xs = [1]\ndef g():\n    return xs\n@step\ndef f():\n    return g()",
            "step 'f' uses 'xs', which is data around it",
        ),
        ("@step\ndef f():\n    return missing", "step 'f' uses 'missing', which is not defined"),
        ("n = 3\n@step\ndef f(x=n):\n    return x", "step 'f' uses 'n', which is data around it: 3"),
        (
            "g = eval('lambda: 3')\n@step\ndef f():\n    return g()",
            "step 'f': the source text of '<lambda>' is not there",
        ),
    ],
)
def test_data_around_a_notebook_function_is_refused_by_its_name(cell: str, message: str) -> None:
    session = _cell("from meson_core import step\n" + cell, {})
    problem = problem_of(workflow("w", session["f"]))

    assert message in problem.message
    assert problem.where is not None
    assert (problem.where.file, problem.where.line) == (session["f"].file, session["f"].line)
    assert problem.hint


def test_a_function_inside_a_function_goes_as_text(tmp_path: Path) -> None:
    def factory(data: Any) -> StepFunction[Callable[..., Any]]:
        @step
        def inner(x: int) -> int:
            return x + (data or 1)

        return inner

    with pytest.raises(SpecError, match="step 'inner' uses 'data', which is data around it: 5") as caught:
        locate(factory(5), str(tmp_path))
    assert caught.value.hint == ("make it an argument, bound like inner(data=data); or move the function into a module")

    @step
    def free(x: int) -> int:
        return x + 1

    assert _run(locate(free, str(tmp_path)), tmp_path, 1) == 2


def test_a_lambda_is_no_step() -> None:
    f = step(lambda: 3)

    with pytest.raises(SpecError, match="cannot be the name of a step"):
        f()


def test_a_class_of_a_cell_is_found_though_python_does_not_know_where_it_is(tmp_path: Path) -> None:
    session = _cell("from meson_core import step\nclass Old:\n    x = 1", {})
    _cell("class Pair(dict):\n    kind = 'pair'\n@step\ndef f():\n    return Pair.kind", session)

    assert _run(locate(session["f"], None), tmp_path) == "pair"


def test_what_ipython_wraps_around_open_is_still_open(tmp_path: Path) -> None:
    session = _cell(
        """
        import builtins, functools
        from meson_core import step

        @functools.wraps(builtins.open)
        def open(*args, **more):
            return builtins.open(*args, **more)

        @step
        def f(path: str) -> str:
            with open(path) as opened:
                return opened.read()
        """,
        {},
    )
    (tmp_path / "text").write_text("told")
    located = locate(session["f"], None)

    assert "wraps" not in located["source"]
    assert _run(located, tmp_path, str(tmp_path / "text")) == "told"


def test_other_names_of_things_are_kept(tmp_path: Path) -> None:
    session = _cell(
        """
        from __future__ import annotations
        import collections.abc as abc
        import meson_core
        from typing import Optional, cast
        from math import sqrt

        def plain(x):
            return x + 1

        class Base:
            y = 10

        class Derived(Base):
            def __init__(self):
                self.z = plain(self.y)

        renamed, Alias, root = plain, Derived, sqrt

        @meson_core.step
        def first(x: int) -> int:
            return x

        second = first

        @meson_core.step(cpus=1)
        def f(x: int) -> list[float]:
            try:
                import json as js
                assert Optional[int] and cast(int, x) == x and abc.Mapping and print
                return [renamed(x), Alias().z, root(16), second.fn(x), len(js.dumps([x]))]
            except KeyError as error:
                raise error
        """,
        {},
    )

    assert _run(locate(session["f"], None), tmp_path, 1) == [2, 11, 4.0, 1, 3]


def test_other_kinds_keep_their_options() -> None:
    assert build(workflow("w", kind("r", name="x", script="a.R"))).body[0].options == {"script": "a.R"}  # type: ignore[union-attr]
