"""Owns the scenarios of admission: who is served, where, and what an offer still has."""

from __future__ import annotations

from meson_core.placement.admission import PATIENCE_S
from meson_core.resources import Offer
from tests.placement.cells import cell, end, enqueue, numbers, offer, request, ticket, who

# --- what fits ----------------------------------------------------------------------------------------------------


def test_nothing_is_placed_without_offers_or_tickets() -> None:
    admission = cell()
    assert admission.assign(0.0) == []

    enqueue(admission, [ticket(0)])
    assert admission.assign(0.0) == []
    assert len(admission) == 1

    admission.offers([offer(cpus=1)])
    assert numbers(admission.assign(0.0)) == [0]
    assert len(admission) == 0


def test_as_many_are_placed_as_fit_and_the_next_when_one_ends() -> None:
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(n) for n in range(4)])

    first = admission.assign(0.0)
    assert numbers(first) == [0, 1]
    assert admission.assign(0.0) == []

    end(admission, first[:1])
    assert numbers(admission.assign(0.0)) == [2]


def test_an_assignment_names_offer_and_machine() -> None:
    admission = cell(offer("m7", cpus=1))
    enqueue(admission, [ticket(3, run="r")])

    assert [tuple(one) for one in admission.assign(0.0)] == [(("r", (0, 3), 1), "offer-m7", "m7", False)]


def test_tenths_of_cores_come_out_even() -> None:
    admission = cell(offer(cpus=1))

    for _ in range(50):
        enqueue(admission, [ticket(n, asks=request(cpus=0.1)) for n in range(11)])
        placed = admission.assign(0.0)
        assert len(placed) == 10
        admission.withdraw(("run", (0, 10), 1))
        end(admission, placed)


def test_every_quantity_must_fit() -> None:
    admission = cell(offer(cpus=8, memory=4e9))
    enqueue(admission, [ticket(n, asks=request(cpus=1, memory=1.5e9)) for n in range(8)])

    assert len(admission.assign(0.0)) == 2


def test_what_asks_for_nothing_always_fits() -> None:
    admission = cell(offer(cpus=0))
    enqueue(admission, [ticket(n, asks=request(cpus=0.0)) for n in range(100)])

    assert len(admission.assign(0.0)) == 100


def test_a_class_that_is_stuck_does_not_stop_another() -> None:
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(0, asks=request(cpus=4)), ticket(1), ticket(2, node=1, asks=request(gpus=1)), ticket(3)])

    assert numbers(admission.assign(0.0)) == [1, 3]


def test_constraints_choose_the_machine() -> None:
    admission = cell(offer("a", cpus=4, attributes={"zone": "a"}), offer("b", cpus=4, attributes={"zone": "b"}))
    enqueue(admission, [ticket(n, asks=request('zone == "b"', cpus=1)) for n in range(5)])

    assert [one.machine for one in admission.assign(0.0)] == ["b"] * 4


def test_packing_fills_one_machine_after_the_other() -> None:
    admission = cell(*(offer(name, cpus=2) for name in "abc"))
    enqueue(admission, [ticket(n) for n in range(3)])

    assert [one.machine for one in admission.assign(0.0)] == ["a", "a", "b"]


def test_spreading_fills_machines_evenly_within_one_round() -> None:
    admission = cell(*(offer(name, cpus=2) for name in "abc"), spread=True)
    enqueue(admission, [ticket(n) for n in range(5)])

    assert [one.machine for one in admission.assign(0.0)] == ["a", "b", "c", "a", "b"]


# --- the life of tickets and offers -------------------------------------------------------------------------------


def test_one_attempt_is_never_placed_twice() -> None:
    """A replayed command must not start a second attempt beside the first."""
    admission = cell(offer(cpus=4))
    enqueue(admission, [ticket(0), ticket(0)])
    first = admission.assign(0.0)
    enqueue(admission, [ticket(0)])

    assert numbers(first) == [0]
    assert admission.assign(0.0) == []
    end(admission, first)
    enqueue(admission, [ticket(0)])
    assert numbers(admission.assign(0.0)) == [0]


def test_what_is_withdrawn_is_not_placed() -> None:
    admission = cell(offer(cpus=1))
    enqueue(admission, [ticket(n) for n in range(3)])
    admission.withdraw(("run", (0, 0), 1))
    admission.withdraw(("run", (0, 0), 1))
    admission.withdraw(("run", (9, 9), 1))

    assert len(admission) == 2
    assert numbers(admission.assign(0.0)) == [1]


def test_a_lane_that_was_emptied_is_used_again() -> None:
    admission = cell(offer(cpus=1))
    enqueue(admission, [ticket(0)])
    admission.withdraw(("run", (0, 0), 1))
    assert admission.assign(0.0) == []

    enqueue(admission, [ticket(1)])
    assert numbers(admission.assign(0.0)) == [1]


def test_a_newer_offer_is_the_truth() -> None:
    admission = cell(offer(cpus=4))
    enqueue(admission, [ticket(n) for n in range(4)])
    placed = admission.assign(0.0)
    for one in placed:
        admission.sent(one.key)

    # The scheduler counts the four; two have ended there, and it says so before their ends are told.
    admission.offers([Offer("offer-m1", "m1", {"cpus": 2.0}, {"cpus": 4.0})])
    end(admission, placed[:2])
    enqueue(admission, [ticket(n) for n in range(4, 9)])

    assert numbers(admission.assign(0.0)) == [4, 5]


def test_what_the_scheduler_has_not_got_yet_is_taken_off_a_newer_offer() -> None:
    admission = cell(offer(cpus=4))
    enqueue(admission, [ticket(n) for n in range(9)])
    placed = admission.assign(0.0)
    admission.sent(placed[0].key)

    # Made after one launch of four: three are on their way.
    admission.offers([Offer("offer-m1", "m1", {"cpus": 3.0}, {"cpus": 4.0})])
    assert admission.assign(0.0) == []

    admission.ended(placed[1].key)
    assert numbers(admission.assign(0.0)) == [4]


def test_an_offer_that_is_gone_takes_nothing() -> None:
    admission = cell(offer("a", cpus=1), offer("b", cpus=1))
    enqueue(admission, [ticket(n) for n in range(4)])
    first = admission.assign(0.0)
    admission.offers([offer("b", cpus=1), offer("c", cpus=1)])
    end(admission, first)

    # `a` is gone with what ended on it; what ended on `b` had been taken off the newer offer, too.
    assert [one.machine for one in admission.assign(0.0)] == ["b", "c"]


def test_the_end_of_a_strangers_attempt_is_fine() -> None:
    admission = cell(offer(cpus=1))
    admission.sent(("other", (1,), 1))
    admission.ended(("other", (1,), 1))
    enqueue(admission, [ticket(0), ticket(1)])

    assert numbers(admission.assign(0.0)) == [0]


def test_a_finished_run_leaves_nothing_behind() -> None:
    admission = cell(offer(cpus=1))
    enqueue(admission, [ticket(n, run="a") for n in range(3)] + [ticket(0, run="b", owner="bob")])
    admission.pause("a")
    admission.forget("a")
    admission.forget("a")

    assert len(admission) == 1
    assert who(admission.assign(0.0)) == ["b"]
    enqueue(admission, [ticket(7, run="a")])
    admission.offers([offer(cpus=2)])
    assert numbers(admission.assign(0.0)) == [7]


# --- order --------------------------------------------------------------------------------------------------------


def test_the_higher_priority_goes_first() -> None:
    admission = cell(offer(cpus=2))
    enqueue(
        admission,
        [ticket(0), ticket(1, node=1, priority=5), ticket(2, node=2, priority=-1), ticket(3, node=1, priority=5)],
    )

    assert numbers(admission.assign(0.0)) == [1, 3]


def test_a_lower_priority_uses_what_a_higher_one_cannot() -> None:
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(0, priority=5, asks=request(cpus=3)), ticket(1)])

    assert numbers(admission.assign(0.0)) == [1]


def test_owners_take_turns_and_so_do_their_runs() -> None:
    admission = cell(offer(cpus=9))
    enqueue(admission, [ticket(n, run="a1") for n in range(9)])
    enqueue(admission, [ticket(n, run="a2") for n in range(9)])
    enqueue(admission, [ticket(n, run="b1", owner="bob") for n in range(3)])

    assert who(admission.assign(0.0)) == ["a1", "b1", "a2", "b1", "a1", "b1", "a2", "a1", "a2"]


def test_turns_go_on_over_rounds_and_classes() -> None:
    """A sweep of fifty thousand delays another owner by one slot, whatever either asks for."""
    admission = cell(offer(cpus=1, memory=1e9))
    enqueue(admission, [ticket(n, run="sweep") for n in range(100)])
    served = []
    for turn in range(6):
        placed = admission.assign(0.0)
        served += who(placed)
        end(admission, placed)
        if turn == 1:
            enqueue(
                admission, [ticket(n, run="small", owner="bob", asks=request(cpus=1, memory=5e8)) for n in range(2)]
            )

    assert served == ["sweep", "sweep", "sweep", "small", "sweep", "small"]


def test_within_a_run_it_is_first_come_first_served_over_all_its_steps() -> None:
    admission = cell(offer(cpus=9))
    enqueue(admission, [ticket(0, node=1), ticket(1, node=2), ticket(2, node=1), ticket(3, node=3), ticket(4, node=2)])

    assert numbers(admission.assign(0.0)) == [0, 1, 2, 3, 4]


def test_steps_of_one_node_may_ask_for_different_things() -> None:
    admission = cell(offer(cpus=3))
    enqueue(admission, [ticket(0), ticket(1, asks=request(cpus=2)), ticket(2)])

    assert numbers(admission.assign(0.0)) == [0, 1]


def test_a_paused_run_keeps_its_place() -> None:
    admission = cell(offer(cpus=1))
    enqueue(admission, [ticket(n, run="a") for n in range(2)] + [ticket(n, run="b") for n in range(2)])
    admission.pause("a")
    first = admission.assign(0.0)
    enqueue(admission, [ticket(5, run="a")])
    end(admission, first)
    second = admission.assign(0.0)
    admission.resume("a")
    end(admission, second)
    third = admission.assign(0.0)

    assert who([*first, *second, *third]) == ["b", "b", "a"]
    assert numbers(third) == [0]


def test_a_run_can_be_paused_before_anything_of_it_waits() -> None:
    admission = cell(offer(cpus=1))
    admission.pause("a")
    enqueue(admission, [ticket(0, run="a")])
    assert admission.assign(0.0) == []

    admission.resume("a")
    admission.resume("a")
    admission.resume("never heard of")
    assert numbers(admission.assign(0.0)) == [0]


def test_a_scheduler_that_places_by_itself_gets_them_in_the_same_order() -> None:
    admission = cell()
    enqueue(
        admission,
        [ticket(n, run="a") for n in range(2)] + [ticket(9, run="b", owner="bob"), ticket(5, run="a", priority=1)],
    )
    popped = [admission.pop() for _ in range(5)]

    assert [one and one.key[:2] for one in popped] == [("a", (0, 5)), ("b", (0, 9)), ("a", (0, 0)), ("a", (0, 1)), None]
    assert len(admission) == 0


# --- nobody starves -----------------------------------------------------------------------------------------------


def test_a_large_request_gets_a_machine_kept_free() -> None:
    """Small ones that fit into every gap would overtake it for ever."""
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(n, run="small") for n in range(100)])
    running = admission.assign(0.0)
    enqueue(admission, [ticket(0, run="large", owner="bob", asks=request(cpus=2))], now=1.0)

    overtaken = 0
    for second in range(2, 200):
        end(admission, running[:1])
        placed = admission.assign(float(second))
        running = running[1:] + placed
        if who(placed) == ["large"]:
            break
        overtaken += len(placed)

    assert PATIENCE_S - 1 <= overtaken <= PATIENCE_S + 1
    end(admission, running)
    assert who(admission.assign(300.0)) == ["small", "small"]


def test_a_kept_machine_still_serves_higher_priorities_and_other_machines_serve_all() -> None:
    admission = cell(offer("a", cpus=2), offer("b", cpus=1))
    enqueue(admission, [ticket(n, run="small") for n in range(3)])
    running = {one.machine: one for one in admission.assign(0.0)}
    enqueue(admission, [ticket(0, run="large", owner="bob", asks=request(cpus=2))])
    admission.assign(1.0)
    assert admission.assign(1.0 + PATIENCE_S) == []

    end(admission, running.values())
    enqueue(admission, [ticket(n, run="small") for n in range(3, 6)], now=50.0)
    enqueue(admission, [ticket(0, run="urgent", priority=1)], now=50.0)

    placed = admission.assign(50.0)
    assert sorted((one.key[0], one.machine) for one in placed) == [("small", "b"), ("urgent", "a")]


def test_a_machine_is_kept_only_as_long_as_it_is_wanted() -> None:
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(0, run="small")])
    admission.assign(0.0)
    enqueue(admission, [ticket(0, run="large", asks=request(cpus=2))])
    admission.assign(0.0)
    admission.assign(PATIENCE_S)
    enqueue(admission, [ticket(1, run="small")], now=PATIENCE_S)
    assert admission.assign(PATIENCE_S) == []

    admission.withdraw(("large", (0, 0), 1))
    assert numbers(admission.assign(PATIENCE_S)) == [1]


def test_a_request_that_no_machine_can_satisfy_keeps_none_free() -> None:
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(0, run="huge", asks=request(cpus=64))])
    admission.assign(0.0)
    admission.assign(PATIENCE_S * 2)
    enqueue(admission, [ticket(n, run="small") for n in range(2)], now=100.0)

    assert len(admission.assign(100.0)) == 2


def test_at_most_one_machine_in_eight_is_kept_free() -> None:
    admission = cell(*(offer(f"m{n}", cpus=4) for n in range(16)))
    enqueue(admission, [ticket(n, run="small") for n in range(16 * 4)])
    running = admission.assign(0.0)
    enqueue(admission, [ticket(n, run="large", asks=request(cpus=2 + n)) for n in range(3)])
    admission.assign(0.0)
    admission.assign(PATIENCE_S)
    # One core of each machine gets free: of no use to the large ones.
    end(admission, {one.machine: one for one in running}.values())
    enqueue(admission, [ticket(n, run="small") for n in range(1000, 1100)], now=PATIENCE_S)

    assert len(admission.assign(PATIENCE_S)) == 14


def test_a_machine_that_is_gone_is_kept_for_nobody() -> None:
    admission = cell(offer("a", cpus=2))
    enqueue(admission, [ticket(0, run="small")])
    admission.assign(0.0)
    enqueue(admission, [ticket(0, run="large", asks=request(cpus=2))])
    admission.assign(0.0)
    admission.assign(PATIENCE_S)
    admission.offers([offer("b", cpus=2)])

    assert [one.machine for one in admission.assign(PATIENCE_S)] == ["b"]
