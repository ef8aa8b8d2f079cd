"""Owns the rules for hooks: documented in full, used by a real plugin, tested, and the reference page is current."""

from __future__ import annotations

import ast
import inspect

import pluggy
import pytest

from meson_core import hookspecs
from meson_core.plugins import load_plugins
from meson_core.plugins.conformance import CAPABILITIES, DOCTOR
from meson_core.plugins.reference import HookDoc, hook_docs, render
from tests.repo.tracked import ROOT

HOOKS = hook_docs()
BUILT_IN = {"artifacts", "files", "local", "matchers", "python", "shell"}


def specifications() -> dict[str, pluggy.HookCaller]:
    """The hooks as pluggy sees them."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return {name: caller for name, caller in vars(manager.hook).items() if not name.startswith("_")}


def test_the_reference_has_every_hook() -> None:
    assert sorted(specifications()) == sorted(hook.name for hook in HOOKS)


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")

    assert render() == page, "run: python -m meson_core.plugins.reference > docs/hooks.md"


@pytest.mark.parametrize("hook", HOOKS, ids=[hook.name for hook in HOOKS])
def test_a_hook_says_all_that_its_implementers_must_know(hook: HookDoc) -> None:
    assert hook.summary.endswith(".")
    arguments = ["Args"] if inspect.signature(getattr(hookspecs, hook.name)).parameters else []
    assert list(hook.sections) == ["When", *arguments, "Returns", "Errors", "Example", "Since"]
    assert all(hook.sections.values())


@pytest.mark.parametrize("hook", HOOKS, ids=[hook.name for hook in HOOKS])
def test_the_documented_signature_is_the_real_one(hook: HookDoc) -> None:
    spec = specifications()[hook.name].spec
    assert spec is not None
    (statement,) = ast.parse(f"def {hook.signature}: ...").body
    assert isinstance(statement, ast.FunctionDef)

    assert tuple(argument.arg for argument in statement.args.args) == tuple(spec.argnames)


def test_what_a_hook_declares_is_checked() -> None:
    assert sorted([*CAPABILITIES, DOCTOR]) == sorted(specifications())


def test_a_hook_ships_only_with_a_plugin_that_uses_it() -> None:
    used = {hook for info in load_plugins(only=BUILT_IN).listing if info.name in BUILT_IN for hook in info.hooks}

    assert set(specifications()) - used == set()


def test_every_hook_has_a_test() -> None:
    tree = ast.parse((ROOT / "tests" / "plugins" / "test_hooks.py").read_text(encoding="utf-8"))
    tests = {node.name.removeprefix("test_") for node in tree.body if isinstance(node, ast.FunctionDef)}

    assert set(specifications()) - tests == set()


def test_a_built_in_is_an_ordinary_plugin() -> None:
    """They come through the same discovery, and nothing is wrong with any of them."""
    states = {info.name: (info.state.value, info.error) for info in load_plugins().listing if info.name in BUILT_IN}

    assert states == dict.fromkeys(BUILT_IN, ("loaded", None))
