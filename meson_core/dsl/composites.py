"""Owns loops and choices: for_each, repeat and choose around any graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from meson_core.dsl.compose import Graph, Node, as_graph, in_parallel, in_sequence
from meson_core.dsl.names import checked_name, expect, shown
from meson_core.dsl.places import here
from meson_core.dsl.steps import Outputs, bindable, expression, only_output
from meson_core.dsl.values import LoopVariable, Value
from meson_core.errors import SpecError, UnknownNameError, Where, WrongTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What may be said where a condition stands: an expression, as value or text, a step's only output, or plain truth.
Condition: TypeAlias = Value | str | bool | Outputs

_MODES = ("crossed", "zipped")
_EXHAUSTED = ("continue", "fail")


@dataclass(frozen=True, eq=False)
class Composite(Node):
    """A node with graphs inside.

    Args:
        name: None takes a default when the workflow is built.
        policies: what was said about join and failure mode, unchecked.
    """

    name: str | None
    policies: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Its name, or the one that it will most likely get."""
        return self.name or self.default_name

    @property
    def default_name(self) -> str:
        """What it is called when the author does not say and no other node has that name."""
        raise NotImplementedError

    @property
    def output(self) -> NoReturn:
        """A composite has none of its own: refer to the outputs of the steps in it."""
        msg = f"{self.label} has no outputs of its own"
        raise SpecError(msg, where=here(), hint='refer to a step inside: step.output["name"]')


@dataclass(frozen=True, eq=False)
class ForEachNode(Composite):
    """A graph, once per item."""

    variables: Mapping[str, Any]
    mode: str
    max_parallel: int | None
    max_failed: int
    body: Graph
    loop: ForEachLoop

    @property
    def default_name(self) -> str:
        """`each_` and the names of its variables."""
        return "_".join(("each", *self.variables))


@dataclass(frozen=True, eq=False)
class RepeatNode(Composite):
    """A graph, until a condition over it holds."""

    until: Value | str
    max_iterations: int
    on_exhausted: str
    carry: Mapping[str, Any]
    body: Graph

    @property
    def default_name(self) -> str:
        """`repeat`."""
        return "repeat"


@dataclass(frozen=True, eq=False, slots=True)
class When:
    """A condition and what it leads to; only `choose` takes it.

    Args:
        condition: an expression.
        body: the graph.
        where: the line that made it.
    """

    condition: Value | str
    body: Graph
    where: Where | None = field(default=None)


@dataclass(frozen=True, eq=False)
class ChooseNode(Composite):
    """The first graph whose condition holds."""

    branches: tuple[When, ...]
    otherwise: Graph

    @property
    def default_name(self) -> str:
        """`choose`."""
        return "choose"


class ForEachLoop:
    """The header of a for_each: its variables are attributes; a call with the body makes the node.

    `each.region` is the present item. A variable that is called like a method is at `each["sequence"]`.
    """

    def __init__(
        self, fields: Mapping[str, Any], name: str | None, policies: Mapping[str, Any], where: Where | None
    ) -> None:
        self._fields = fields
        self._name = name
        self._policies = policies
        self._where = where
        self._variables = {variable: LoopVariable(self, variable, where) for variable in fields["variables"]}

    @property
    def where(self) -> Where | None:
        """The line that made it."""
        return self._where

    @property
    def names(self) -> tuple[str, ...]:
        """Its variables."""
        return tuple(self._variables)

    def __getitem__(self, variable: str) -> LoopVariable:
        if variable not in self._variables:
            msg = f"this for_each has no variable {variable!r}"
            raise UnknownNameError(msg, name=str(variable), known=self._variables, where=here())
        return self._variables[variable]

    def __getattr__(self, variable: str) -> LoopVariable:
        if variable.startswith("_"):  # notebooks and debuggers ask for these, and take no for an answer
            raise AttributeError(variable)
        return self[variable]

    def __iter__(self) -> NoReturn:
        msg = "the items of a for_each are known only during the run"
        raise SpecError(msg, where=here(), hint="give it a body: for_each(item=...)(body)")

    def __call__(self, body: object, /) -> ForEachNode:
        """The node: `body` (a step, a graph, a list of parallel parts), once per item."""
        return ForEachNode(
            name=self._name,
            policies=self._policies,
            body=_body(body, "for_each", here()),
            loop=self,
            where=self._where,
            **self._fields,
        )

    def sequence(self, *parts: object) -> ForEachNode:
        """The node whose body is the parts one after the other."""
        return self(in_sequence(parts))

    def parallel(self, *parts: object) -> ForEachNode:
        """The node whose body is the parts side by side."""
        return self(in_parallel(parts))

    def __repr__(self) -> str:
        return f"<for_each over {', '.join(self._variables)}>"


def for_each(
    variables: Mapping[str, Any] | None = None,
    /,
    *,
    mode: Literal["crossed", "zipped"] = "crossed",
    max_parallel: int | None = None,
    max_failed: int = 0,
    on_failure: str | None = None,
    join: str | None = None,
    name: str | None = None,
    **more: Any,
) -> ForEachLoop:
    """The header of a loop: `for_each(region=wrangle.output["regions"])(train >> validate)`.

    Args:
        variables: name → items, for names that are also words of this function.
        mode: with several variables, "crossed" takes every combination (the last variable changes fastest),
            "zipped" takes them in step.
        max_parallel: how many items are at work at a time; None: as many as the machines take.
        max_failed: how many items may fail before the loop fails.
        on_failure: what the loop's failure does to the rest: "finish", "fail_at_once" or "ignore".
        join: "all", "any" or "none_failed" of its predecessors.
        name: of the node; default: `each_` and the names of the variables.
        **more: name → items: a reference, a parameter, a list or a range.

    Raises:
        WrongTypeError: items that are no list.
    """
    where = here()
    found: dict[str, Any] = {}
    for variable, items in {**(variables or {}), **more}.items():
        found[checked_name(variable, "loop variable", where)] = _items(variable, items, where)
    if not found:
        msg = "a for_each needs at least one variable"
        raise SpecError(msg, where=where, hint='write for_each(region=wrangle.output["regions"])')
    if mode not in _MODES:
        msg = f"for_each: mode cannot be {mode!r}"
        raise UnknownNameError(msg, name=str(mode), known=_MODES, where=where)
    lengths = {len(items) for items in found.values() if isinstance(items, list)}
    if mode == "zipped" and len(lengths) > 1:
        counts = ", ".join(f"{variable}: {len(items)}" for variable, items in found.items() if isinstance(items, list))
        msg = f"for_each: zipped variables need equally many items ({counts})"
        raise SpecError(msg, where=where)
    fields = {
        "variables": found,
        "mode": mode,
        "max_parallel": _count("for_each: max_parallel", max_parallel, 1, where, optional=True),
        "max_failed": _count("for_each: max_failed", max_failed, 0, where),
    }
    return ForEachLoop(fields, _name(name), {"join": join, "on_failure": on_failure}, where)


def repeat(
    body: object,
    /,
    *,
    until: Condition,
    max_iterations: int,
    carry: Mapping[str, Any] | None = None,
    on_exhausted: Literal["continue", "fail"] = "continue",
    on_failure: str | None = None,
    join: str | None = None,
    name: str | None = None,
) -> RepeatNode:
    """A graph again and again: `repeat(train >> validate, until=validate.output["stable"], max_iterations=5)`.

    Args:
        body: a step, a graph, or a list of parallel parts.
        until: an expression over the outputs of the body, looked at after each iteration.
        max_iterations: at least 1.
        carry: name of a parameter or loop variable → its value in the next iteration, as an expression (a text is an
            expression, too). In the first iteration the name has its usual value.
        on_exhausted: what happens when `until` does not hold after the last allowed iteration.
        on_failure: "finish", "fail_at_once" or "ignore".
        join: "all", "any" or "none_failed" of its predecessors.
        name: of the node; default `repeat`.
    """
    where = here()
    if on_exhausted not in _EXHAUSTED:
        msg = f"repeat: on_exhausted cannot be {on_exhausted!r}"
        raise UnknownNameError(msg, name=str(on_exhausted), known=_EXHAUSTED, where=where)
    return RepeatNode(
        name=_name(name),
        policies={"join": join, "on_failure": on_failure},
        until=_condition(until, "repeat: until", where),
        max_iterations=_count("repeat: max_iterations", max_iterations, 1, where),
        on_exhausted=on_exhausted,
        carry={checked_name(key, "carried name", where): expression(value) for key, value in (carry or {}).items()},
        body=_body(body, "repeat", where),
        where=where,
    )


def when(condition: Condition, body: object, /) -> When:
    """One way of a choose: `when(score.output["auc"] > 0.8, publish)`.

    Args:
        condition: an expression.
        body: what to do when it holds.
    """
    where = here()
    return When(_condition(condition, "when: the condition", where), _body(body, "when", where), where)


def choose(
    *branches: When,
    otherwise: object = None,
    on_failure: str | None = None,
    join: str | None = None,
    name: str | None = None,
) -> ChooseNode:
    """The first branch whose condition holds: `choose(when(better, publish), otherwise=report)`.

    Args:
        *branches: made by `when`, looked at in this order.
        otherwise: what to do when no condition holds; default: nothing.
        on_failure: "finish", "fail_at_once" or "ignore".
        join: "all", "any" or "none_failed" of its predecessors.
        name: of the node; default `choose`.
    """
    where = here()
    if not branches:
        msg = "a choose needs at least one when(condition, body)"
        raise SpecError(msg, where=where)
    for branch in branches:
        hint = "what no condition leads to is given as otherwise=..."
        expect(branch, When, "a choose takes when(condition, body)", where, hint)
    return ChooseNode(
        name=_name(name),
        policies={"join": join, "on_failure": on_failure},
        branches=branches,
        otherwise=Graph() if otherwise is None else as_graph(otherwise),
        where=where,
    )


def _name(name: str | None) -> str | None:
    return None if name is None else checked_name(name, "node")


def _body(body: object, owner: str, where: Where | None) -> Graph:
    graph = as_graph(body)
    if not graph.nodes:
        msg = f"{owner}: its body is empty"
        raise SpecError(msg, where=where, hint="a body needs at least one step")
    return graph


def _count(what: str, value: Any, least: int, where: Where | None, *, optional: bool = False) -> Any:
    if value is None and optional:
        return None
    if type(value) is not int or value < least:
        msg = f"{what} must be a whole number, {least} or more, got {shown(value)}"
        raise WrongTypeError(msg, where=where)
    return value


def _condition(condition: Any, what: str, where: Where | None) -> Value | str:
    output = only_output(condition)
    if output is not None:
        return output
    if isinstance(condition, bool):
        return str(condition)
    expect(
        condition, (Value, str), f"{what} must be an expression", where, 'compare outputs: step.output["score"] > 0.8'
    )
    return condition  # type: ignore[no-any-return]


def _items(variable: str, items: Any, where: Where | None) -> Any:
    subject = f"for_each: the items of {variable!r}"
    output = items if isinstance(items, Value) else only_output(items)
    if output is not None:
        return output
    if isinstance(items, list | tuple | range) or hasattr(type(items), "tolist"):
        found = bindable(items, subject, where)
        if isinstance(found, list):
            return found
    msg = f"{subject} must be a list, a range or a reference to one, got {shown(items)}"
    raise WrongTypeError(msg, where=where)
