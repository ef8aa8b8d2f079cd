"""Owns the two steps that end a sweep, as every notation makes them: what they are called, what they take and give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: A value as a notation has it: of the DSL, or a binding of the spec.
Given = TypeVar("Given")

_MODULE = "meson_runtime.gathering"
#: The function of kind "python" that gathers, and the one that chooses.
GATHER: Mapping[str, str] = {"function": "gather", "module": _MODULE}
BEST: Mapping[str, str] = {"function": "best", "module": _MODULE}
GATHERED: Mapping[str, str] = {
    "table": "artifact",
    "count": "int",
    "failed": "int",
    "mean": "dict[float]",
    "sd": "dict[float]",
    "low": "dict[float]",
    "high": "dict[float]",
}
CHOSEN: Mapping[str, str] = {"item": "int", "point": "dict[any]", "value": "float", "outputs": "dict[any]"}
GATHER_DOC = "The results of every item as a table."
BEST_DOC = "The item that is best."
#: Columns of the table that are always there.
_OWN = ("item", "state")


def results_name(loop: str) -> str:
    """The step that gathers what a for_each has found."""
    return f"{loop}_results"


def best_name(loop: str) -> str:
    """The step that chooses the best of it, when it is not called otherwise."""
    return f"{loop}_best"


def gathered(
    variables: Mapping[str, Given],
    mode: str,
    outputs: Iterable[tuple[str, str]],
    refer: Callable[[str, str], Given],
    literal: Callable[[Any], Given],
) -> dict[str, Given]:
    """The inputs that both steps have.

    Args:
        variables: of the loop, with their items.
        mode: of the loop.
        outputs: step and output, of what is gathered.
        refer: makes the reference to one.
        literal: makes a fixed value.
    """
    found = list(outputs)
    columns = columns_of(variables, found)
    inputs = {"mode": literal(mode), "variables": literal({f"in_{name}": name for name in variables})}
    inputs["outputs"] = literal({f"out_{at}": column for at, column in enumerate(columns)})
    inputs |= {f"in_{name}": items for name, items in variables.items()}
    return inputs | {f"out_{at}": refer(step, output) for at, (step, output) in enumerate(found)}


def columns_of(variables: Iterable[str], outputs: Iterable[tuple[str, str]]) -> list[str]:
    """What the columns of the outputs are called: just as the output, where that is clear, else with the step."""
    found = list(outputs)
    taken = [*_OWN, *variables, *(output for _, output in found)]
    return [output if taken.count(output) == 1 else f"{step}.{output}" for step, output in found]
