"""Owns the way from the table to the code: per stimulus a tuple of functions, indexable by state."""

from __future__ import annotations

from typing import Final

from meson_core.engine.attempts import ACTIONS, Action, ignore
from meson_core.engine.table import STEP_TABLE
from meson_core.errors import InvalidTransitionError
from meson_core.spec.states import State


def _refuse(m: object, step: object, event: object) -> None:
    message = "the transition table does not have this"
    raise InvalidTransitionError(message)


def _row(stimulus: str) -> tuple[Action, ...]:
    """States in which no step is under way never come here; their cells are read elsewhere."""
    row = STEP_TABLE[stimulus]
    return tuple(
        _refuse if row[state].action == "refuse" else ACTIONS.get(row[state].action, ignore) for state in State
    )


STOP: Final = _row("stop")
SKIP: Final = _row("InstancesSkipped")
HOLD: Final = _row("StepHeld")
RELEASE: Final = _row("StepReleased")
#: Events of one step instance, by class name.
BY_EVENT: Final = {stimulus: _row(stimulus) for stimulus in STEP_TABLE if stimulus[0].isupper()}
