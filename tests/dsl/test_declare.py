"""Owns the tests of the declaration of steps, which must work where meson-core is not installed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import meson_core
import meson_runtime
from meson_core import step
from meson_runtime.declare import StepFunction, outputs_of

_EXECUTOR = Path(meson_runtime.__file__).parent.parent


def _alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where only the executor's side is installed."""
    script = f"import sys; sys.path.insert(0, {str(_EXECUTOR)!r})\n{textwrap.dedent(code)}"
    return subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)


def test_the_front_door_gives_the_same_step() -> None:
    assert meson_core.step is meson_runtime.step


def test_a_module_of_steps_needs_no_core() -> None:
    done = _alone(
        """
        from meson_runtime import step

        @step(cpus=2, memory="1 GB")
        def f(x): return x + 1

        @step
        def g(): return 3

        print(f.fn(1), g.fn(), f.options, f.line, "meson_core" in sys.modules, "pydantic" in sys.modules)
        """
    )

    assert done.stdout == "2 3 {'cpus': 2, 'memory': '1 GB'} 5 False False\n", done.stderr


@pytest.mark.parametrize("use", ["f(1)", "f >> f", "f | f", "[f] >> f", "f.output['x']", "f.named('g')"])
def test_without_the_core_a_call_explains_itself(use: str) -> None:
    done = _alone(f"from meson_runtime import step\n@step\ndef f(x): ...\n{use}")

    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-2:]
    assert last[0].endswith(
        "'f' is a step: calling it describes a workflow, which needs meson-core, and it is not imported here."
    )
    assert last[1] == "  hint: f.fn(...) runs it as a plain function"


@pytest.mark.parametrize("given", ["train", 3])
def test_only_functions_are_decorated(given: Any) -> None:
    with pytest.raises(TypeError, match="@step takes a function, got"):
        step(given)


def test_a_step_function_shows_itself() -> None:
    @step
    def f() -> None: ...

    assert isinstance(f, StepFunction)
    assert repr(f) == f"<step {f.fn.__qualname__} at {__file__}:{f.line}>"


# --- what a step returns --------------------------------------------------------------------------------------------------


@dataclass
class Pair:
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "declared", "found"),
    [
        (3, {}, {}),
        (3, {"result": "int"}, {"result": 3}),
        ({"result": 3}, {"result": "any"}, {"result": {"result": 3}}),
        (None, {"result": "any"}, {"result": None}),
        ({"x": 1, "y": 2}, {"x": "int", "y": "int"}, {"x": 1, "y": 2}),
        (Pair(1, 2), {"x": "int", "y": "int"}, {"x": 1, "y": 2}),
    ],
)
def test_what_a_step_returns_becomes_its_outputs(value: Any, declared: dict[str, str], found: dict[str, Any]) -> None:
    assert found == outputs_of(value, declared)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the step returned nothing, expected a mapping or a dataclass with the outputs x, y"),
        (3, "the step returned a int, expected"),
        ({"x": 1}, "the step returned a dict without the declared output y"),
        ({}, "the step returned a dict without the declared outputs x, y"),
        ({"x": 1, "y": 2, "z": 3}, "the step returned a dict with z, which it does not declare as output"),
    ],
)
def test_what_a_step_returns_must_be_its_outputs(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        outputs_of(value, {"x": "int", "y": "int"})

    assert str(caught.value).startswith(message)
