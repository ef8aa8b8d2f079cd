"""Owns what pictures say about a node, beside its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.spec.model import Choose, Expression, ForEach, Parameter, Repeat, Step
from meson_core.spec.states import ENDED, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.spec.model import Binding, Node, Workflow

_MANY = 4
#: What counts are told of in words, the most urgent first; the rest is in the bar.
_TOLD = (
    State.failed,
    State.outcome_unknown,
    State.lost,
    State.upstream_failed,
    State.cancelled,
    State.retrying,
    State.running,
)


def one_line(text: str) -> str:
    """The text without line ends and other characters that steer a terminal."""
    return "".join(char if char.isprintable() else "·" for char in text)


def detail_of(node: Node) -> str:
    """What it does, in a few words: the kind of a step, the variables of a loop, the condition of a repeat."""
    return one_line(_detail(node))


def _detail(node: Node) -> str:
    match node:
        case Step():
            return node.kind
        case ForEach():
            return " · ".join((_variables(node), *_limits(node)))
        case Repeat():
            return f"until {node.until} · at most {node.max_iterations} times"
        case Choose():
            return "the first that holds"
        case _:
            return f"workflow {node.workflow.name}" if node.workflow.name != node.name else "workflow"


def _variables(loop: ForEach) -> str:
    parts = [f"{name} in {_items(binding)}" for name, binding in loop.variables.items()]
    return f"for {(' by ' if loop.mode == 'crossed' else ' and ').join(parts)}"


def _items(binding: Binding) -> str:
    if isinstance(binding, Expression):
        return binding.expr
    items = binding.value if isinstance(binding.value, list) else [binding.value]
    shown = ", ".join(str(item) for item in items[:_MANY])
    return f"{shown}, … ({len(items)})" if len(items) > _MANY else shown


def _limits(loop: ForEach) -> list[str]:
    return [f"at most {loop.max_parallel} at a time"] if loop.max_parallel else []


def signature_of(workflow: Workflow) -> str:
    """Its parameters: `alpha: float = 0.1, region: str`."""
    return one_line(", ".join(_parameter(name, declared) for name, declared in workflow.params.items()))


def _parameter(name: str, declared: Parameter) -> str:
    return f"{name}: {declared.type}" + ("" if declared.required else f" = {declared.default!r}")


def tally_of(counts: Mapping[State, int], most: int = len(_TOLD)) -> str:
    """Counts of instances in a few words: `183/200 · 3 failed · 8 running`.

    Args:
        counts: how many are in which state.
        most: how many states are told of, the most urgent first.
    """
    ended = sum(count for state, count in counts.items() if ENDED[state])
    parts = [f"{ended:,}/{sum(counts.values()):,}"]
    told = [f"{counts[state]:,} {state.label}" for state in _TOLD if counts.get(state)]
    return " · ".join(parts + told[:most])
