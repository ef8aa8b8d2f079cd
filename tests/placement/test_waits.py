"""Owns what `why` answers for attempts that wait."""

from __future__ import annotations

import pytest

from meson_core.placement import Admission, Wait
from meson_core.placement.admission import PATIENCE_S
from meson_core.resources import Offer, Request
from tests.placement.cells import cell, enqueue, offer, request, ticket


def why(admission: Admission, run: str = "run", node: int = 0) -> Wait:
    return next(wait for wait in admission.waits() if (wait.run_id, wait.node) == (run, node))


def zone(name: str, where: str, **total: float) -> Offer:
    return offer(name, attributes={"zone": where, "gpu_model": "a100"}, **total)


BUSY = Offer("b", "busy", {"cpus": 0.5, "memory": 1e9}, {"cpus": 4.0, "memory": 8e9}, {"zone": "a"})
SENTENCES = {
    "no offers": (
        [],
        request(),
        ("no machine is offered", ""),
    ),
    "busy": (
        [BUSY],
        request(cpus=1),
        ("1 machine could take it, and is busy: cpus >= 1 (busy: 0.5 free of 4)", ""),
    ),
    "one of several is busy": (
        [offer("small", cpus=1), BUSY],
        request(cpus=2, memory=2e9),
        ("1 machine could take it, and is busy: cpus >= 2 (busy: 0.5 free of 4)", ""),
    ),
    "memory is told as people write it": (
        [BUSY],
        request(memory=6.5e9),
        ("1 machine could take it, and is busy: memory >= 6.5 GB (busy: 1 GB free of 8 GB)", ""),
    ),
    "too large": (
        [offer("m1", cpus=4), offer("m2", cpus=8)],
        request(cpus=16),
        (
            "none of 2 machines can take it: cpus >= 16 (m1: 4 in all)",
            "without `cpus >= 16`, m1 would take it",
        ),
    ),
    "unheard of": (
        [offer("m1", cpus=4)],
        request(cpus=1, gpus=1),
        (
            "none of 1 machine can take it: gpus >= 1 (m1: no gpus)",
            "without `gpus >= 1`, m1 would take it",
        ),
    ),
    "a constraint": (
        [zone("m1", "b", cpus=4), zone("m2", "c", cpus=4)],
        request('zone == "a"'),
        (
            "none of 2 machines can take it: zone == \"a\" (m1: zone = 'b')",
            'without `zone == "a"`, m1 would take it',
        ),
    ),
    "an attribute that nobody has": (
        [offer("m1", cpus=4)],
        request('rack == "r7" and zone == "a"'),
        (
            'none of 1 machine can take it: rack == "r7" and zone == "a" (m1: no rack and no zone)',
            'without `rack == "r7" and zone == "a"`, m1 would take it',
        ),
    ),
    "a constraint, on a busy machine": (
        [BUSY],
        request('zone == "b"', cpus=4),
        (
            "none of 1 machine can take it: zone == \"b\" (busy: zone = 'a')",
            'without `zone == "b"`, busy would take it once it is idle',
        ),
    ),
    "a constraint that cannot be evaluated": (
        [zone("m1", "a", cpus=4)],
        request("zone >= 1"),
        (
            (
                "none of 1 machine can take it: zone >= 1 (m1: "
                "cannot evaluate `zone >= 1`: >= does not work on str 'a' and int 1 (with zone = 'a'))"
            ),
            "without `zone >= 1`, m1 would take it",
        ),
    ),
}


@pytest.mark.parametrize(("offers", "asks", "expected"), SENTENCES.values(), ids=SENTENCES)
def test_the_reason_and_the_change_that_would_help(
    offers: list[Offer], asks: Request, expected: tuple[str, str]
) -> None:
    admission = cell(*offers)
    enqueue(admission, [ticket(0, asks=asks)])
    admission.assign(0.0)

    wait = why(admission)
    assert (wait.reason, wait.change) == expected
    assert wait.offers == len(offers)


def test_refusals_are_counted_by_constraint() -> None:
    admission = cell(zone("m1", "a", cpus=1), zone("m2", "b", cpus=1), zone("m3", "b", cpus=4), zone("m4", "b", cpus=1))
    enqueue(admission, [ticket(0, asks=request('zone == "a"', cpus=2))])

    wait = why(admission)
    assert [(one.matcher, one.constraint, one.kind, one.offers) for one in wait.refused] == [
        ("quantities", "cpus >= 2", "never", 3),
        ("constraints", 'zone == "a"', "never", 3),
    ]
    assert wait.nearest is not None
    assert wait.nearest.machine == "m1"


def test_the_nearest_miss_has_the_fewest_reasons_and_busy_ones_count_less() -> None:
    far = zone("far", "b", cpus=1)
    near = zone("near", "b", cpus=4)
    admission = cell(far, near)
    enqueue(admission, [ticket(0, asks=request('zone == "a"', cpus=2))])
    assert why(admission).nearest == admission_nearest(admission, "near")

    admission.offers([far, near, Offer("x", "nearest", {"cpus": 0.0}, {"cpus": 4.0}, {"zone": "a"})])
    assert why(admission).nearest == admission_nearest(admission, "nearest")


def admission_nearest(admission: Admission, machine: str) -> object:
    nearest = why(admission).nearest
    assert nearest is not None
    assert nearest.machine == machine
    return nearest


def test_who_is_before_it_is_counted() -> None:
    admission = cell(offer(cpus=1))
    enqueue(admission, [ticket(n, run="first") for n in range(7)])
    enqueue(admission, [ticket(n, run="second", owner="bob") for n in range(5)])
    enqueue(admission, [ticket(0, run="urgent", priority=3)])

    assert (why(admission, "urgent").before, why(admission, "urgent").reason) == (0, "it is next")
    assert (why(admission, "first").before, why(admission, "first").waiting) == (1, 7)
    assert why(admission, "first").reason == "it waits for its turn: 1 attempt is before it"
    assert why(admission, "second").reason == "it waits for its turn: 8 attempts are before it"


def test_a_paused_run_waits_for_nothing_else() -> None:
    admission = cell(offer(cpus=1))
    enqueue(admission, [ticket(0)])
    admission.pause("run")

    assert (why(admission).reason, why(admission).change) == ("the run is paused", "resume the run")


def test_a_machine_that_is_kept_for_another_is_told() -> None:
    admission = cell(offer(cpus=2))
    enqueue(admission, [ticket(0)])
    admission.assign(0.0)
    enqueue(admission, [ticket(0, run="large", asks=request(cpus=2))])
    admission.assign(0.0)
    admission.assign(PATIENCE_S)
    enqueue(admission, [ticket(1, run="small")], now=PATIENCE_S)

    assert why(admission, "small").reason == (
        "1 machine could take it, and is busy: its turn (m1: kept free for an attempt that has waited for longer)"
    )


def test_quantities_are_told_even_where_no_matcher_looks_at_them() -> None:
    admission = Admission([])
    admission.offers([offer(cpus=2), Offer("l", "large", {"cpus": 1.0, "memory": 5e9}, {"cpus": 64.0, "memory": 5e10})])
    enqueue(admission, [ticket(0, asks=request(cpus=8)), ticket(1, node=1, asks=request(cpus=1, memory=6e10))])
    admission.assign(0.0)

    assert why(admission).reason == ("1 machine could take it, and is busy: cpus >= 8 (large: 1 free of 64)")
    assert why(admission, node=1).reason == (
        "none of 2 machines can take it: memory >= 60,000,000,000 (m1: 0 free of 0)"
    )


def test_an_outlook_is_made_once_for_all_steps_of_a_class() -> None:
    admission = cell(offer(cpus=0))
    enqueue(admission, [ticket(n, node=n) for n in range(50)])
    waits = list(admission.waits())

    assert [wait.node for wait in waits] == list(range(50))
    assert len({id(wait.refused) for wait in waits}) == 1
