"""Owns short ways to write definitions as plain data in tests."""

from __future__ import annotations

from typing import Any

from meson_core.errors import InvalidWorkflowError
from meson_core.spec import Kinds, Workflow, check, load

Data = dict[str, Any]


def step(name: str, /, *, outputs: str = "", **more: Any) -> Data:
    """A step; `outputs` is like `"rows: int, regions: list[str]"`, and inputs that are texts are expressions."""
    declared = dict(part.strip().split(": ") for part in outputs.split(",")) if outputs else {}
    return {"node": "step", "name": name, "kind": "shell", "outputs": declared, **_bound(more)}


def for_each(name: str, variables: Data, *body: Data, **more: Any) -> Data:
    """A for_each; variables that are texts are expressions, others the items themselves."""
    return {"node": "for_each", "name": name, "variables": _bindings(variables), "body": list(body), **more}


def repeat(name: str, until: str, *body: Data, **more: Any) -> Data:
    """A repeat of at most five iterations."""
    return {"node": "repeat", "name": name, "until": until, "max_iterations": 5, "body": list(body), **more}


def choose(name: str, *ways: tuple[str, list[Data]], otherwise: list[Data] | None = None, **more: Any) -> Data:
    """A choose of (when, body) pairs."""
    branches = [{"when": when, "body": body} for when, body in ways]
    return {"node": "choose", "name": name, "branches": branches, "otherwise": otherwise or [], **more}


def subworkflow(name: str, inner: Data, **more: Any) -> Data:
    """A subworkflow."""
    return {"node": "subworkflow", "name": name, "workflow": inner, **_bound(more)}


def workflow(*body: Data, name: str = "wf", **more: Any) -> Data:
    """A workflow; parameters that are texts are just types."""
    params = {
        key: {"type": value} if isinstance(value, str) else value for key, value in more.pop("params", {}).items()
    }
    return {"name": name, "params": params, "body": list(body), **more}


def _bound(more: Data) -> Data:
    return {**more, "inputs": _bindings(more["inputs"])} if "inputs" in more else more


def _bindings(values: Data) -> Data:
    return {name: {"expr": value} if isinstance(value, str) else {"value": value} for name, value in values.items()}


def checked(*body: Data, kinds: Kinds | None = None, **more: Any) -> Workflow:
    """A workflow that has passed the check."""
    return check(load(workflow(*body, **more)), kinds)


def problems(data: Any, kinds: Kinds | None = None) -> list[str]:
    """What is wrong with plain data, as people read it."""
    try:
        check(load(data), kinds)
    except InvalidWorkflowError as error:
        return [str(problem) for problem in error.problems]
    return []
