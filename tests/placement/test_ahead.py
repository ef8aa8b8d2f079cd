"""Owns the scenarios of sending work ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.placement.ahead import AHEAD_S, MAX_AHEAD, Pace
from meson_core.resources import Offer
from tests.placement.cells import cell, end, enqueue, numbers, offer, request, ticket, who

if TYPE_CHECKING:
    from meson_core.placement import Admission, Assignment

STEP = ("run", 0)


def fanout(admission: Admission, seconds: float | None) -> list[Assignment]:
    """The first round of a wide for_each of whose step one attempt was seen."""
    if seconds is not None:
        admission.took(STEP, seconds)
    enqueue(admission, [ticket(n) for n in range(5000)])
    return admission.assign(0.0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, 2),
        (10.0, 2),
        (AHEAD_S * 1.01, 2),
        (AHEAD_S, 4),
        (0.010, 12),
        (0.001, 102),
        (0.0, 2 * (MAX_AHEAD + 1)),
        (-1.0, 2 * (MAX_AHEAD + 1)),
    ],
)
def test_short_work_fills_fifty_milliseconds(seconds: float | None, expected: int) -> None:
    """On two cores: two at work, and for each as many as it ends in that time."""
    placed = fanout(cell(offer(cpus=2), ahead=True), seconds)

    assert len(placed) == expected
    assert [one.ahead for one in placed] == [False] * 2 + [True] * (expected - 2)


def test_nothing_is_sent_ahead_where_executors_do_not_queue() -> None:
    assert len(fanout(cell(offer(cpus=2)), 0.001)) == 2


def test_what_ends_is_made_up_for() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    placed = fanout(admission, 0.010)
    end(admission, placed[:5])

    assert len(admission.assign(0.0)) == 5


def test_a_step_becomes_short_when_its_first_attempt_ends() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    first = fanout(admission, None)
    end(admission, first[:1])
    admission.took(STEP, 0.010)

    # The other first one may be a long one yet: only the core that has ended one counts.
    assert len(admission.assign(0.0)) == 6


def test_a_step_that_becomes_long_is_not_sent_ahead_any_more() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    placed = fanout(admission, 0.010)
    admission.took(STEP, 60.0)
    end(admission, placed[:-1])

    assert len(admission.assign(0.0)) == 1


def test_nobody_is_sent_to_wait_behind_long_work() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    enqueue(admission, [ticket(0, run="long"), ticket(1, run="long")])
    assert len(admission.assign(0.0)) == 2

    assert fanout(admission, 0.001) == []


def test_only_what_short_work_turns_over_counts() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    enqueue(admission, [ticket(0, run="long")])
    admission.assign(0.0)

    assert len(fanout(admission, 0.010)) == 6


def test_an_offer_that_does_not_go_below_zero_does_not_let_more_through() -> None:
    """A scheduler says that nothing is free; how much is queued there it need not say."""
    admission = cell(offer(cpus=2), ahead=True)
    placed = fanout(admission, 0.010)
    for one in placed:
        admission.sent(one.key)
    admission.offers([Offer("offer-m1", "m1", {"cpus": 0.0}, {"cpus": 2.0})])

    assert admission.assign(0.0) == []


def test_somebody_elses_turn_stops_sending_ahead() -> None:
    """A stream of short work would otherwise never leave a core to one that is not known to be short."""
    admission = cell(offer(cpus=2), ahead=True)
    running = fanout(admission, 0.010)
    assert len(running) == 12
    enqueue(admission, [ticket(0, run="other", owner="bob")])

    waited = 0
    while True:
        end(admission, running[:1])
        placed = admission.assign(0.0)
        running = running[1:] + placed
        if "other" in who(placed):
            break
        waited += 1

    assert waited <= 11


def test_somebody_who_can_never_be_placed_there_does_not() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    enqueue(
        admission,
        [ticket(0, run="other", asks=request(gpus=1)), ticket(1, run="another", asks=request('zone == "a"', cpus=1))],
    )

    assert len(fanout(admission, 0.010)) == 12


def test_every_machine_gets_its_share() -> None:
    admission = cell(offer("a", cpus=2), offer("b", cpus=1), offer("c", cpus=1, attributes={"old": True}), ahead=True)
    admission.took(STEP, 0.025)
    enqueue(admission, [ticket(n, asks=request("cpus >= 1", cpus=1)) for n in range(100)])
    machines = [one.machine for one in admission.assign(0.0)]

    assert {name: machines.count(name) for name in "abc"} == {"a": 6, "b": 3, "c": 3}


def test_several_quantities_must_all_be_turned_over() -> None:
    admission = cell(offer(cpus=4, memory=2e9), ahead=True)
    admission.took(STEP, 0.025)
    enqueue(admission, [ticket(n, asks=request(cpus=1, memory=1e9)) for n in range(100)])

    assert len(admission.assign(0.0)) == 6


def test_paces_are_shared_by_runs_of_one_workflow() -> None:
    admission = cell(offer(cpus=2), ahead=True)
    admission.took("flow:3", 0.010)
    first = ticket(0, run="a")
    tickets = [type(first)(("b", (3, n), 1), first.request, "flow:3") for n in range(50)]
    enqueue(admission, tickets)

    assert numbers(admission.assign(0.0)) == list(range(12))


def test_the_mean_follows_what_is_seen() -> None:
    pace = Pace()
    pace.learn(0.010)
    assert pace.depth == 5
    for _ in range(40):
        pace.learn(0.001)

    assert pace.mean_s == pytest.approx(0.001, rel=0.01)
    assert pace.depth in (49, 50)
    pace.learn(10.0)
    assert pace.depth == 0
