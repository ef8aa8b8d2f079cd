"""Owns the page of states in the documentation: the legend, the diagram and the transition tables, as Markdown.

    python -m meson_core.engine.drawing > docs/states.md

A test compares the page with what this makes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from meson_core.engine.table import COMPOSITE_TABLE, RUN_TABLE, STEP_TABLE, Cell, Table
from meson_core.spec.states import STATES, Join, RunState, State

if TYPE_CHECKING:
    from collections.abc import Iterator

#: These lead from almost every state to one; drawn, they would hide all others.
_NOT_DRAWN: Final = ("reopen", "InstancesSkipped", "EvaluationFailed", "OutcomeSettled")

_ACTIONS: Final = {
    "ignore": "nothing",
    "late": "nothing, if that attempt was made once; otherwise refused",
    "refuse": "refused: a bug in Meson",
}

_INTRODUCTION: Final = """\
<!-- Made by `python -m meson_core.engine.drawing`; change the tables in `meson_core/engine/table.py` instead. -->

# States

Everything that can happen to a step instance, to a composite node (for_each, repeat, choose, subworkflow) and to a run
is decided in one table. The engine dispatches by it, the tests drive it pair by pair, and this page is drawn from it.
A stimulus is an event of the log, or something that the engine itself brings about (in small letters).
"""

_DIAGRAM: Final = """\
## A step instance

Not drawn, because they lead from almost everywhere: what does not run is skipped on a person's word, inputs that cannot
be evaluated fail the instance, a person settles an unknown outcome, and reopening a run leads from every end back to
`waiting`.
"""


def page() -> str:
    """The whole page."""
    return (
        "\n".join(
            [
                _INTRODUCTION,
                *_legend(),
                "",
                _DIAGRAM,
                *_diagram(),
                "",
                "An event of an attempt that is not the present one is ignored when it is older, and refused when it was never made.",
                "",
                *_tables(STEP_TABLE),
                "## A composite node",
                "",
                *_tables(COMPOSITE_TABLE),
                "## A run",
                "",
                *_tables(RUN_TABLE),
            ]
        ).rstrip()
        + "\n"
    )


def _legend() -> Iterator[str]:
    yield "| State | Colour | Ended | Satisfies | Meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for state, facts in STATES.items():
        joins = ", ".join(join.value.replace("_", " ") for join in Join if join in facts.satisfies)
        ended = "yes" if facts.ended else ""
        yield f"| {state.label} | `{facts.colour}` {facts.look} | {ended} | {joins} | {facts.meaning} |"


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in State:
        yield f'    state "{state.label}" as {state.name}'
    yield "    [*] --> waiting"
    arrows: dict[tuple[str, str], list[str]] = {}
    for stimulus, row in STEP_TABLE.items():
        if stimulus not in _NOT_DRAWN:
            for state, cell in row.items():
                for after in cell.to:
                    arrows.setdefault((state.name, after.name), []).append(_words(stimulus))
    for (left, entered), stimuli in arrows.items():
        yield f"    {left} --> {entered}: {', '.join(stimuli)}"
    for state, facts in STATES.items():
        if facts.ended:
            yield f"    {state.name} --> [*]"
    yield "```"


def _words(stimulus: str) -> str:
    return stimulus.removeprefix("Attempt").lower() if stimulus.startswith("Attempt") else stimulus


def _tables(table: Table[State] | Table[RunState]) -> Iterator[str]:
    for stimulus, row in table.items():
        yield f"### {stimulus if stimulus[0].islower() else f'`{stimulus}`'}"
        yield ""
        yield "| In state | What is done | Leads to | Why |"
        yield "| --- | --- | --- | --- |"
        groups: dict[Cell, list[str]] = {}
        for decided_state, cell in row.items():
            groups.setdefault(cell, []).append(_label(decided_state))
        for cell, states in groups.items():
            action = _ACTIONS.get(cell.action, cell.action.replace("_", " "))
            yield f"| {', '.join(states)} | {action} | {', '.join(map(_label, cell.to))} | {cell.why} |"
        yield ""


def _label(state: State | RunState) -> str:
    return state.label if isinstance(state, State) else state.value


if __name__ == "__main__":
    sys.stdout.write(page())
