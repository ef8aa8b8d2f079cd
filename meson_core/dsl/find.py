"""Owns which workflow is meant: the workflows of a module, and `FILE[:workflow]` as people type it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from meson_core.dsl.workflows import AuthoredWorkflow, SubworkflowNode, walk
from meson_core.errors import NotFoundError, SpecError, UnknownNameError, Where
from meson_core.spec.model import Subworkflow, Workflow, graphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.spec.model import Node

Found: TypeAlias = AuthoredWorkflow | Workflow


class Target(NamedTuple):
    """What was typed as `FILE[:workflow]`.

    Args:
        file: path of the file.
        workflow: name of a variable or of a workflow; None when none was typed.
    """

    file: str
    workflow: str | None


def parse_target(text: str) -> Target:
    """Split `FILE[:workflow]`.

    Raises:
        NotFoundError: no file is named.
    """
    file, colon, name = text.rpartition(":")
    if not colon:
        file, name = text, ""
    if not file or (colon and not name):
        msg = f"{text!r} does not say what to run"
        raise NotFoundError(msg, hint="write FILE or FILE:WORKFLOW, like flow.py:training")
    return Target(file, name or None)


def workflows_in(namespace: Mapping[str, object]) -> dict[str, Found]:
    """The workflows of a module, by variable; one that has several names has its first one here.

    Args:
        namespace: the module's names, as `vars(module)` gives them.
    """
    found: dict[str, Found] = {}
    seen: set[int] = set()
    for name, value in namespace.items():
        if isinstance(value, AuthoredWorkflow | Workflow) and not name.startswith("_") and id(value) not in seen:
            seen.add(id(value))
            found[name] = value
    return found


def choose_workflow(found: Mapping[str, Found], target: Target) -> Found:
    """The workflow that is meant.

    Without a name it is the only one that is not a part of another one.

    Args:
        found: variable → workflow.
        target: what was typed.

    Raises:
        UnknownNameError: there is none of that name.
        SpecError: there is none at all, or several could be meant.
    """
    where = Where(target.file)
    if not found:
        msg = "there is no workflow in this file"
        raise SpecError(msg, where=where, hint="give one a name of the module: wf = workflow('name', a >> b)")
    if target.workflow is not None:
        return _by_name(found, target.workflow, where)
    inside = {id(part) for workflow in found.values() for part in _parts(workflow)}
    whole = {name: workflow for name, workflow in found.items() if id(workflow) not in inside} or found
    if len(whole) > 1:
        msg = f"there are several workflows in this file: {', '.join(whole)}"
        raise SpecError(msg, where=where, hint=f"say which: {target.file}:{next(iter(whole))}")
    return next(iter(whole.values()))


def _by_name(found: Mapping[str, Found], wanted: str, where: Where) -> Found:
    if wanted in found:
        return found[wanted]
    named = [workflow for workflow in found.values() if workflow.name == wanted]
    if len(named) == 1:
        return named[0]
    if named:
        variables = [name for name, workflow in found.items() if workflow.name == wanted]
        msg = f"several workflows in this file are called {wanted!r}"
        raise SpecError(msg, where=where, hint=f"use the name of a variable: {', '.join(variables)}")
    msg = f"there is no workflow {wanted!r} in this file"
    raise UnknownNameError(
        msg, name=wanted, known={*found, *(workflow.name for workflow in found.values())}, where=where
    )


def _parts(workflow: Found) -> Iterator[object]:
    """The workflows that stand in another one, directly or further in."""
    if isinstance(workflow, Workflow):
        yield from _parts_of_graph(workflow.body)
        return
    for node in walk(workflow.graph):
        if isinstance(node, SubworkflowNode):
            yield node.workflow
            if isinstance(node.workflow, AuthoredWorkflow | Workflow):
                yield from _parts(node.workflow)


def _parts_of_graph(graph: tuple[Node, ...]) -> Iterator[object]:
    for node in graph:
        if isinstance(node, Subworkflow):
            yield node.workflow
        for _, body in graphs(node):
            yield from _parts_of_graph(body)
