"""Owns the promises to matchers: asked per request class, only about what changed, and never trusted blindly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.builtin.matchers import Quantities
from meson_core.placement import Admission, Ticket
from meson_core.placement.stock import Machine, Need
from meson_core.resources import Refusal, Request, Score
from tests.placement.cells import cell, end, enqueue, offer, request, ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.resources import Offer, Verdict


class Listening:
    """A matcher that notes what it is asked."""

    name = "listening"

    def __init__(self, answer: Callable[[Offer], Verdict] = lambda offer: Score()) -> None:
        self.compiled: list[Request] = []
        self.asked: list[list[str]] = []
        self.answer = answer

    def compile(self, request: Request) -> Callable[[Sequence[Offer]], Sequence[Verdict]] | None:
        self.compiled.append(request)

        def match(offers: Sequence[Offer]) -> Sequence[Verdict]:
            self.asked.append([one.machine for one in offers])
            return [self.answer(one) for one in offers]

        return match


def test_a_matcher_is_compiled_once_for_a_class_whoever_asks() -> None:
    matcher = Listening()
    admission = Admission([matcher])
    admission.offers([offer(cpus=4)])
    enqueue(admission, [ticket(n, run=run, node=node) for n in range(5) for run in "ab" for node in range(3)])
    enqueue(admission, [ticket(0, run="c", asks=request(cpus=2))])
    while len(admission):
        end(admission, admission.assign(0.0))

    assert matcher.compiled == [request(), request(cpus=2)]


def test_a_fan_out_asks_a_matcher_about_what_changed_only() -> None:
    """The cost of a round is that of what is placed, not that of what waits or of what is there."""
    matcher = Listening()
    admission = Admission([matcher])
    admission.offers([offer(f"m{n}", cpus=1) for n in range(100)])
    enqueue(admission, [ticket(n) for n in range(10_000)])
    running = admission.assign(0.0)
    matcher.asked.clear()
    for _ in range(10):
        end(admission, running[:3])
        running = running[3:] + admission.assign(0.0)

    asked = [machine for machines in matcher.asked for machine in machines]
    # In each round about the three whose attempts ended, and about each again once it was assigned one; in the first
    # round, about the hundred that the round before had filled.
    assert len(asked) <= 100 + 10 * (3 + 3 + 3)


def test_a_round_in_which_nothing_changed_asks_nothing() -> None:
    matcher = Listening()
    admission = Admission([Quantities(), matcher])
    admission.offers([offer(cpus=1)])
    enqueue(admission, [ticket(n) for n in range(1000)])
    admission.assign(0.0)
    admission.assign(0.0)
    matcher.asked.clear()
    for _ in range(10):
        admission.assign(0.0)

    assert matcher.asked == []


def test_a_matcher_without_an_opinion_is_left_out() -> None:
    class Silent:
        name = "silent"

        def compile(self, request: Request) -> None:
            return None

    admission = Admission([Silent()])
    admission.offers([offer(cpus=1)])
    enqueue(admission, [ticket(0)])

    assert len(admission.assign(0.0)) == 1


def test_one_refusal_refuses_and_scores_add_up() -> None:
    scores = {"a": 3.0, "b": 2.0, "c": 9.0}
    first = Listening(lambda one: Score(scores[one.machine]))
    second = Listening(lambda one: Refusal("r", "no c", "c") if one.machine == "c" else Score(-scores[one.machine] * 2))
    admission = Admission([first, second])
    admission.offers([offer(name, cpus=1) for name in "abc"])
    enqueue(admission, [ticket(n) for n in range(3)])

    assert [one.machine for one in admission.assign(0.0)] == ["b", "a"]


def test_a_matcher_sees_what_is_left_of_an_offer() -> None:
    seen: list[tuple[str, float]] = []

    def look(one: Offer) -> Verdict:
        seen.append((one.machine, one.free["cpus"]))
        return Score()

    admission = Admission([Listening(look)])
    admission.offers([offer("a", cpus=2), offer("b", cpus=2)])
    enqueue(admission, [ticket(0, asks=request(cpus=0.5))])
    admission.assign(0.0)

    assert seen == [("a", 2.0), ("b", 2.0), ("a", 1.5)]


WRONG = {
    "raises while compiling": (
        type("M", (), {"name": "odd", "compile": lambda self, request: 1 / 0}),
        "ZeroDivisionError: division by zero",
    ),
    "raises while matching": (
        type("M", (), {"name": "odd", "compile": lambda self, request: lambda offers: offers[0].oops}),
        "AttributeError: 'Offer' object has no attribute 'oops'",
    ),
    "answers too little": (
        type("M", (), {"name": "odd", "compile": lambda self, request: lambda offers: []}),
        "0 answers for 1 offers",
    ),
    "answers rubbish": (
        type("M", (), {"name": "odd", "compile": lambda self, request: lambda offers: [True for _ in offers]}),
        "1 answers for 1 offers",
    ),
}


@pytest.mark.parametrize(("matcher", "found"), WRONG.values(), ids=WRONG)
def test_a_matcher_that_fails_refuses_and_why_tells_it(matcher: type, found: str) -> None:
    admission = Admission([matcher()])
    admission.offers([offer(cpus=1)])
    enqueue(admission, [ticket(0)])

    assert admission.assign(0.0) == []
    wait = next(iter(admission.waits()))
    assert wait.nearest is not None
    (refusal,) = wait.nearest.refusals
    assert (refusal.matcher, refusal.kind) == ("odd", "never")
    assert refusal.found == found


def test_what_nobody_needs_any_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that has run a million workflows must not remember the request classes of all of them."""
    monkeypatch.setattr("meson_core.placement.admission._MAX_KNOWN", 3)
    matcher = Listening()
    admission = Admission([matcher])
    for number in range(10):
        run = f"run{number}"
        admission.enqueue(Ticket((run, (0,), 1), request(cpus=number + 1), run), 0.0)
        admission.took(run, 1.0)
        admission.forget(run)
    enqueue(admission, [ticket(0, asks=request(cpus=1))])

    assert matcher.compiled.count(request(cpus=1)) == 2


def test_old_judgements_do_not_pile_up() -> None:
    """A machine that changes a thousand times has one judgement, the latest."""
    scores = {"a": 0.0, "b": 1.0}
    admission = Admission([Listening(lambda one: Score(scores[one.machine]))])
    enqueue(admission, [ticket(0, asks=request(cpus=9))])
    for change in range(1000):
        scores["a"] = float(change % 7)
        admission.offers([offer("a", cpus=1), offer("b", cpus=1)])
        assert len(list(admission.waits())) == 1
    scores["a"] = 0.5
    admission.offers([offer("a", cpus=9), offer("b", cpus=9)])

    assert [one.machine for one in admission.assign(0.0)] == ["b"]


def test_a_class_that_is_stuck_looks_at_no_machine_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of classes wait while one is served; that must not cost a look at every machine for each of them."""
    admission = cell(*(offer(f"m{n}", cpus=2) for n in range(200)))
    enqueue(admission, [ticket(n, run="stuck", node=n, asks=request(cpus=1 + n / 100)) for n in range(100, 150)])
    enqueue(admission, [ticket(n, run="served") for n in range(1000)])
    running = admission.assign(0.0)
    looks: list[Machine] = []
    could_fit = Machine.could_fit

    def counted(machine: Machine, need: Need) -> bool:
        looks.append(machine)
        return could_fit(machine, need)

    monkeypatch.setattr(Machine, "could_fit", counted)
    for _ in range(20):
        end(admission, running[:1])
        running = running[1:] + admission.assign(1.0)

    assert looks == []
