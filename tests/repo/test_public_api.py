"""Owns the promise of the front door: which names authors import, and that importing it is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import meson_core

NAMES = {
    "Artifact": "meson_runtime.artifacts",
    "MesonError": "meson_core.errors",
    "Retry": "meson_core.spec.model",
    "best": "meson_core.dsl.sweeps",
    "bootstrap": "meson_core.dsl.sweeps",
    "build": "meson_core.dsl.build",
    "choose": "meson_core.dsl.composites",
    "connect": "meson_core.notebook.project",
    "cross_validate": "meson_core.dsl.sweeps",
    "ctx": "meson_runtime.context",
    "dump_yaml": "meson_core.dsl.documents",
    "draw": "meson_core.dsl",
    "end": "meson_core.dsl.compose",
    "expr": "meson_core.dsl.values",
    "for_each": "meson_core.dsl.composites",
    "kind": "meson_core.dsl.steps",
    "load_json": "meson_core.dsl.documents",
    "load_yaml": "meson_core.dsl.documents",
    "parallel": "meson_core.dsl.compose",
    "param": "meson_core.dsl.params",
    "repeat": "meson_core.dsl.composites",
    "sequence": "meson_core.dsl.compose",
    "start": "meson_core.dsl.compose",
    "step": "meson_runtime.declare",
    "subworkflow": "meson_core.dsl.workflows",
    "sweep": "meson_core.dsl.sweeps",
    "when": "meson_core.dsl.composites",
    "workflow": "meson_core.dsl.workflows",
}


_WORKFLOW = """
from meson_core import step, kind, param, for_each, repeat, choose, when, workflow, start
@step
def f(x: int) -> int: ...
wf = workflow('w', start >> f(x=param('x', int)))
"""


def test_the_front_door_has_these_names_and_no_others() -> None:
    """A name that appears here is one that we keep."""
    assert sorted(NAMES) == meson_core.__all__
    assert set(NAMES) <= set(dir(meson_core))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_is_what_it_was_made_as(name: str) -> None:
    value = getattr(meson_core, name)
    home = sys.modules[NAMES[name]]

    assert value is getattr(home, name)
    assert getattr(meson_core, name) is value


def test_type_checkers_read_the_same_names() -> None:
    """They read the stub; a name that is missing there would be an error in every author's editor."""
    stub = ast.parse(Path(meson_core.__file__).with_name("__init__.pyi").read_text(encoding="utf-8"))
    imported = {
        alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }

    assert imported.keys() == NAMES.keys()
    for name, module in imported.items():
        assert module is not None
        assert NAMES[name].startswith(module)


def test_an_unknown_name_is_an_ordinary_mistake() -> None:
    with pytest.raises(AttributeError, match="module 'meson_core' has no attribute 'stepp'"):
        meson_core.stepp  # type: ignore[attr-defined] # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'stepp'"):
        from meson_core import stepp  # type: ignore[attr-defined] # noqa: F401


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import meson_core", {"meson_core.dsl", "meson_core.errors", "pydantic", "msgspec", "yaml"}),
        ("from meson_core import step, ctx, Artifact", {"meson_core.dsl", "pydantic", "yaml"}),
        # A module of steps with its workflow is imported in every worker.
        (_WORKFLOW, {"pydantic", "msgspec", "yaml", "meson_core.spec"}),
    ],
    ids=["door", "steps", "workflow"],
)
def test_importing_brings_nothing_that_is_not_needed_yet(code: str, heavy: set[str]) -> None:
    script = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert set() == heavy & set(done.stdout.split())
