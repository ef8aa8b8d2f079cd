"""Owns the declaration of a Python step: `step` and what it makes of a function.

Standard library only, and nothing of the core: a module of steps is imported on the machines where its steps run, which
need not have meson-core. So a `StepFunction` only remembers what the author wrote. When meson-core is there, it registers
itself here, and calling a step or composing steps with `>>` and `|` is handed to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from typing import Protocol

    class Authoring(Protocol):
        """What the core registers."""

        def node(self, function: StepFunction[Any]) -> Any:
            """The node of a workflow that an unbound step function stands for; the same one on every call."""


F = TypeVar("F", bound=Callable[..., Any])

#: Where the core offers itself; a list, so that whoever imports this module first shares it with who comes later.
_offered: list[Callable[[], Authoring]] = []


def register(load: Callable[[], Authoring]) -> None:
    """Offer what makes nodes out of step functions.

    Args:
        load: called when a step function is first used in a workflow, so that offering costs no import.
    """
    _offered[:] = [load]


class StepFunction(Generic[F]):
    """A Python function that can be a step.

    `.fn(...)` runs it as the plain function it is. Calling the step itself, or composing it with `>>` and `|`,
    describes a workflow and runs nothing; that needs meson-core.

    Attributes:
        fn: the function as it was written.
        options: what was said in `@step(...)`, unchecked.
    """

    __name__: str
    __qualname__: str

    def __init__(self, fn: F, options: Mapping[str, Any]) -> None:
        self.fn = fn
        self.options: dict[str, Any] = dict(options)
        #: The node that this function stands for, kept here by the core.
        self.node: Any | None = None
        functools.update_wrapper(self, fn, updated=())

    @property
    def file(self) -> str:
        """The file in which the function was written, as the interpreter calls it."""
        return str(self.fn.__code__.co_filename)

    @property
    def line(self) -> int:
        """The line on which the function starts (its first decorator), 1-based."""
        return int(self.fn.__code__.co_firstlineno)

    def __meson_node__(self) -> Any:
        if not _offered:
            name = getattr(self.fn, "__name__", "step")
            msg = (
                f"{name!r} is a step: calling it describes a workflow, which needs meson-core, and it is not imported here.\n"
                f"  hint: {name}.fn(...) runs it as a plain function"
            )
            raise TypeError(msg)
        return _offered[0]().node(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A node with these arguments bound: literals, references, parameters or loop variables."""
        return self.__meson_node__()(*args, **kwargs)

    @property
    def output(self) -> Any:
        """References to its outputs: `train.output["model"]`."""
        return self.__meson_node__().output

    def named(self, name: str) -> Any:
        """The same step as a node of another name."""
        return self.__meson_node__().named(name)

    def with_options(self, **options: Any) -> Any:
        """The same step as a node with other resources or policies: `train.with_options(cpus=8)`."""
        return self.__meson_node__().with_options(**options)

    def __rshift__(self, other: Any) -> Any:
        return self.__meson_node__() >> other

    def __rrshift__(self, other: Any) -> Any:
        return other >> self.__meson_node__()

    def __or__(self, other: Any) -> Any:
        return self.__meson_node__() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.__meson_node__()

    def __repr__(self) -> str:
        return f"<step {self.fn.__qualname__} at {self.file}:{self.line}>"


@overload
def step(function: F, /) -> StepFunction[F]: ...


@overload
def step(
    *,
    name: str | None = None,
    cpus: float = 1,
    memory: str | int = 0,
    disk: str | int = 0,
    gpus: float = 0,
    resources: Mapping[str, float] | None = None,
    where: str | list[str] | tuple[str, ...] = (),
    retries: Any = 0,
    timeout: str | float | None = None,
    grace: str | float = 10,
    join: str = "all",
    on_failure: str = "finish",
    priority: int = 0,
    isolate: bool = False,
    artifact: str | None = None,
    cache: bool | str = False,
    outputs: Mapping[str, Any] | None = None,
) -> Callable[[F], StepFunction[F]]: ...


def step(function: F | None = None, /, **options: Any) -> Any:
    """Make a plain function usable as a step of a workflow.

    Args:
        function: given when written without parentheses, `@step`.
        **options: all optional.

            - name: of the node; default: the function's name.
            - cpus: cores per attempt.
            - memory: bytes or a size like `"2 GB"`; a limit as well as a request.
            - disk: bytes or a size.
            - gpus: how many.
            - resources: further quantities by name, `{"licences": 1}`.
            - where: constraints on the machine, `'zone == "a"'` or a list of such.
            - retries: how often it is tried again, whatever the cause; or by cause, `{"user": 2, "platform": 5}`.
            - timeout: seconds, or a text like `"10 min"`, that one attempt may take.
            - grace: seconds, or a text, between the request to stop and the kill.
            - join: "all", "any" or "none_failed" of its predecessors.
            - on_failure: "finish", "fail_at_once" or "ignore".
            - priority: higher goes first among the ready.
            - isolate: a process of its own for every attempt.
            - artifact: id of its result, `"importance/${date}"`: where a result of this id is there, the step is skipped.
            - cache: True: skipped where there is a result of the same inputs, options and code; "inputs": of any code.
            - outputs: name → type; default: by the return annotation. A TypedDict or a dataclass gives an output per
              field, any other annotation gives one output called `result`.

    The options are checked when the workflow is built, with the file and line of the function.
    """
    if function is not None:
        if not hasattr(function, "__code__"):
            msg = f"@step takes a function, got {function!r}; options are given by name, like @step(cpus=2)"
            raise TypeError(msg)
        return StepFunction(function, options)
    return functools.partial(StepFunction, options=options)


def outputs_of(value: Any, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Split what a step function returned into its declared outputs.

    A step whose only output is called `result` returns it as it is; any other returns a mapping or a dataclass with
    the outputs as keys or fields.

    Args:
        value: what the function returned.
        declared: output name → type; nothing declared means that the value is dropped.

    Raises:
        TypeError: the value has no such outputs, with what is missing or too much.
    """
    if not declared:
        return {}
    if len(declared) == 1 and "result" in declared:
        return {"result": value}
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        found = {name: getattr(value, name) for name in fields}
    elif isinstance(value, Mapping):
        found = dict(value)
    else:
        msg = f"the step returned {_shown(value)}, expected a mapping or a dataclass with the outputs {', '.join(declared)}"
        raise TypeError(msg)
    missing = [name for name in declared if name not in found]
    unknown = [str(name) for name in found if name not in declared]
    if missing:
        msg = f"the step returned {_shown(value)} without the declared output{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise TypeError(msg)
    if unknown:
        msg = f"the step returned {_shown(value)} with {', '.join(unknown)}, which it does not declare as output"
        raise TypeError(msg)
    return found


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"
