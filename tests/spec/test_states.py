"""Owns the tests of the table of states: complete, and as the product promises."""

from __future__ import annotations

import pytest

from meson_core.spec import ENDED, STATES, FailureMode, Join, RunState, State, satisfies


def test_every_state_has_a_row() -> None:
    assert list(STATES) == list(State)
    assert [State(number) for number in range(len(State))] == list(State)
    assert State.outcome_unknown.label == "outcome unknown"


@pytest.mark.parametrize("state", State)
def test_only_what_has_ended_satisfies(state: State) -> None:
    facts = STATES[state]

    assert ENDED[state] is facts.ended
    assert facts.ended or not facts.satisfies
    assert facts.look in ("fill", "outline", "hatched", "barred")


@pytest.mark.parametrize(
    ("state", "mode", "joins"),
    [
        (State.succeeded, FailureMode.finish, "all any none_failed"),
        (State.skipped, FailureMode.finish, "all any none_failed"),
        (State.not_chosen, FailureMode.finish, "none_failed"),
        (State.failed, FailureMode.finish, ""),
        (State.failed, FailureMode.fail_at_once, ""),
        (State.failed, FailureMode.ignore, "all any none_failed"),
        (State.upstream_failed, FailureMode.ignore, ""),
        (State.cancelled, FailureMode.ignore, ""),
        (State.running, FailureMode.ignore, ""),
    ],
)
def test_joins(state: State, mode: FailureMode, joins: str) -> None:
    assert [join.value for join in Join if satisfies(state, join, mode)] == joins.split()


def test_runs_end_in_three_ways() -> None:
    assert [state.value for state in RunState if state.ended] == ["succeeded", "failed", "cancelled"]
