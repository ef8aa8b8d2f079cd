"""Owns step nodes: step functions and steps of any kind, with data bound to their arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from meson_core.dsl import signatures
from meson_core.dsl.compose import Composable, Node
from meson_core.dsl.names import checked_name, expect, shown
from meson_core.dsl.places import here
from meson_core.dsl.values import Reference, Value, as_value, is_symbolic
from meson_core.dsl.words import STEP_POLICIES, check_words
from meson_core.errors import SpecError, UnknownNameError, Where, WrongTypeError

if TYPE_CHECKING:
    from meson_runtime.declare import StepFunction

PYTHON = "python"


class Outputs:
    """The outputs of a node: `train.output["model"]` is a reference to one."""

    __slots__ = ("_made", "_names", "_node", "_node_name")

    def __init__(self, node: Node, node_name: str, names: tuple[str, ...]) -> None:
        self._made = node.where
        self._node = node
        self._node_name = node_name
        self._names = names

    def __getitem__(self, name: str) -> Reference:
        if name not in self._names:
            msg = f"{self._node_name} has no output {name!r}"
            raise UnknownNameError(msg, name=str(name), known=self._names, where=here())
        return Reference(self._node, self._node_name, name, self._made)

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def only(self) -> Reference:
        """The reference to the only output.

        Raises:
            SpecError: there are several, or none.
        """
        if len(self._names) == 1:
            return self[self._names[0]]
        if not self._names:
            msg = f"{self._node_name} has no outputs"
            hint = "declare them: by a return annotation, or outputs={...}"
        else:
            msg = f"{self._node_name} has several outputs: {', '.join(self._names)}"
            hint = f'say which: {self._node_name}.output["{self._names[0]}"]'
        raise SpecError(msg, where=here(), hint=hint)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # notebooks and debuggers ask for these, and take no for an answer
            raise AttributeError(name)
        msg = f"outputs are looked up by key, not as the attribute {name!r}"
        raise SpecError(msg, where=here(), hint=f'write {self._node_name}.output["{name}"]')

    def __repr__(self) -> str:
        return f"<outputs of {self._node_name}: {', '.join(self._names) or 'none'}>"


@dataclass(frozen=True, eq=False)
class StepNode(Node):
    """A step in a workflow, with what is bound to its arguments.

    Calling it binds more, and gives a new node; the old one stays as it is.

    Args:
        name: unique in the workflow.
        kind: of which step kind.
        options: of that kind; empty for a function, whose options the builder finds.
        bound: argument → literal or value.
        outputs: name → type of the spec.
        policies: what was said about resources, retries and so on, unchecked.
        takes: the arguments of the function; None for other kinds, which take any.
        function: the step function, for kind "python".
        doc: first sentence of the function's docstring.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    bound: Mapping[str, Any]
    outputs: Mapping[str, str]
    policies: Mapping[str, Any]
    takes: tuple[signatures.Argument, ...] | None = None
    function: StepFunction[Any] | None = None
    doc: str = field(default="", kw_only=True)

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    @property
    def output(self) -> Outputs:
        """References to its outputs: `train.output["model"]`."""
        return Outputs(self, self.name, tuple(self.outputs))

    def named(self, name: str) -> StepNode:
        """The same step as a node of another name; needed where a workflow has it twice."""
        return replace(self, name=checked_name(name, "step"), where=here())

    def with_options(self, **options: Any) -> StepNode:
        """The same step as a node with other resources or policies: `train.with_options(cpus=8)`.

        Raises:
            UnknownNameError: there is no such option.
        """
        where = here()
        check_words(options, STEP_POLICIES, f"step {self.name!r}", where)
        return replace(self, policies={**self.policies, **options}, where=where)

    def __call__(self, *args: Any, **kwargs: Any) -> StepNode:
        """A node with these arguments bound: literals, references, parameters, loop variables, or lists and dicts of these.

        A step with a single output may itself stand for that output.

        Raises:
            UnknownNameError: there is no such argument.
            WrongTypeError: a value that is not JSON.
        """
        where = here()
        given = self._by_name(args, kwargs, where)
        bound = {
            name: bindable(value, f"step {self.name!r}: argument {name!r}", where) for name, value in given.items()
        }
        return replace(self, bound={**self.bound, **bound}, where=where)

    def _by_name(self, args: tuple[Any, ...], kwargs: dict[str, Any], where: Where | None) -> dict[str, Any]:
        known = tuple(argument.name for argument in self.takes) if self.takes is not None else ()
        if len(args) > len(known):
            if self.takes is None:
                msg = f"step {self.name!r} takes its inputs by name, got {shown(args[0])} without one"
            else:
                msg = f"step {self.name!r} takes {len(known)} argument{'s' * (len(known) != 1)}, got {len(args)}"
            raise SpecError(msg, where=where)
        given = dict(zip(known, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                msg = f"step {self.name!r}: argument {name!r} is given twice"
                raise SpecError(msg, where=where)
            if self.takes is not None and name not in known and not self._open_ended():
                msg = f"step {self.name!r} has no argument {name!r}"
                raise UnknownNameError(msg, name=name, known=known, where=where)
            given[checked_name(name, "argument", where)] = value
        return given

    def _open_ended(self) -> bool:
        kinds = inspect.signature(self.function.fn).parameters.values() if self.function is not None else ()
        return any(parameter.kind is parameter.VAR_KEYWORD for parameter in kinds)

    def __repr__(self) -> str:
        return f"<{self.kind} step {self.name}>"


def only_output(value: object) -> Reference | None:
    """The only output of a part of a workflow, which it stands for where data is wanted; None for what is no part.

    Raises:
        SpecError: it has several outputs, or none.
    """
    if isinstance(value, Outputs):
        return value.only()
    if isinstance(value, Composable) or hasattr(type(value), "__meson_node__"):
        outputs = getattr(value, "output", None)
        return outputs.only() if isinstance(outputs, Outputs) else None
    return None


def bindable(value: Any, owner: str, where: Where | None) -> Any:
    """A value that can be bound: JSON, a symbolic value, or a list or dict of these.

    Args:
        value: what the author gave.
        owner: begins the message.
        where: the author's line.

    Raises:
        WrongTypeError: it is neither.
    """
    if isinstance(value, Value) or value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"{owner} is {value!r}, and JSON has only finite numbers"
            raise WrongTypeError(msg, where=where)
        return value
    if isinstance(value, list | tuple | range):
        return [bindable(item, owner, where) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            msg = f"{owner} is a mapping whose keys are not all texts: {shown(value)}"
            raise WrongTypeError(msg, where=where)
        return {key: bindable(item, owner, where) for key, item in value.items()}
    output = only_output(value)
    if output is not None:
        return output
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(type(value), "dtype") and hasattr(type(value), "tolist"):  # scalars and arrays of numpy and its like
        return bindable(value.tolist(), owner, where)
    msg = f"{owner} is {shown(value)} ({type(value).__name__}), which is not JSON"
    raise WrongTypeError(
        msg,
        where=where,
        hint="bind numbers, texts, lists and dicts; write large data to a file in a step and pass the Artifact that ctx.put gives",
    )


def expression(value: object) -> Value | str:
    """A value where an expression stands: text as it is, a step or its outputs for the only one, literals written out.

    Raises:
        WrongTypeError: a value that cannot be written in an expression.
    """
    if isinstance(value, str | Value):
        return value
    output = only_output(value)
    return as_value(value) if output is None else output


def kind(
    step_kind: str,
    /,
    *,
    name: str,
    outputs: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    doc: str = "",
    **more: Any,
) -> StepNode:
    """A step of any kind: `kind("shell", name="get_users", script="...", outputs={"rows": int})`.

    Args:
        step_kind: name of the step kind.
        name: of the node.
        outputs: name → type.
        inputs: name → what is bound to it; calling the node binds as well.
        options: of the step kind, for those whose name is also the name of a policy.
        doc: one sentence for people.
        **more: resources and policies, as for `step`; all others are options of the step kind.

    Raises:
        WrongTypeError: an option that is not JSON, or is known only during the run.
    """
    where = here()
    node_name = checked_name(name, "step", where)
    owner = f"step {node_name!r}"
    expect(step_kind, str, f"{owner}: the step kind must be a text", where)
    policies = {word: value for word, value in more.items() if word in STEP_POLICIES}
    own = {word: value for word, value in more.items() if word not in STEP_POLICIES} | dict(options or {})
    for word, value in own.items():
        if is_symbolic(value):
            msg = f"{owner}: option {word!r} is known only during the run ({shown(value)}), and options are fixed"
            raise WrongTypeError(
                msg, where=where, hint='bind it as an input: kind(...)(x=value), and use the input "x"'
            )
    node = StepNode(
        name=node_name,
        kind=step_kind,
        options={word: bindable(value, f"{owner}: option {word!r}", where) for word, value in own.items()},
        bound={},
        outputs=signatures.output_types(outputs or {}, owner, where),
        policies=policies,
        doc=doc,
        where=where,
    )
    return node(**inputs) if inputs else node


class FunctionSteps:
    """What `meson_runtime` gets to make nodes out of step functions."""

    def node(self, function: StepFunction[Any]) -> StepNode:
        """The unbound node of a step function; always the same one, so that naming it twice means one node."""
        if function.node is None:
            function.node = _unbound(function)
        node: StepNode = function.node
        return node


def _unbound(function: StepFunction[Any]) -> StepNode:
    fn = function.fn
    where = Where(function.file, function.line)
    options = dict(function.options)
    name = checked_name(options.pop("name", None) or fn.__name__, "step", where)
    declared = options.pop("outputs", None)
    check_words(options, (*STEP_POLICIES, "name", "outputs"), f"step {name!r}", where)
    if inspect.iscoroutinefunction(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        msg = f"step {name!r} is not a plain function: it is {'a generator' if 'gen' in _sort(fn) else 'async'}"
        raise SpecError(
            msg, where=where, hint="return the outputs; for async work, write a step kind with async run(...)"
        )
    takes, _ = signatures.arguments(fn, where)
    return StepNode(
        name=name,
        kind=PYTHON,
        options={},
        bound={},
        outputs=signatures.outputs(fn, where)
        if declared is None
        else signatures.output_types(declared, f"step {name!r}", where),
        policies=options,
        takes=takes,
        function=function,
        doc=(inspect.getdoc(fn) or "").partition("\n\n")[0].replace("\n", " "),
        where=where,
    )


def _sort(fn: Any) -> str:
    return "generator" if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn) else "coroutine"


def authoring() -> FunctionSteps:
    """What is registered with `meson_runtime`."""
    return FunctionSteps()
