"""Owns the proof that the built-in resource matchers pass the kit, and that each check can fail: by a matcher wrong in just that."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from meson_core.builtin.matchers import Constraints, Pack, Quantities, Spread
from meson_core.resources import Offer, Refusal, Request, Score
from meson_core.testing.matchers import ResourceMatcherKit
from tests.testing.judging import checks_of, found_out_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meson_core.resources import Verdict

BIG = Offer("big", "big", {"cpus": 8.0, "gpus": 1.0}, {"cpus": 8.0, "gpus": 1.0}, {"zone": "a"})
SMALL = Offer("small", "small", {"cpus": 1.0}, {"cpus": 1.0}, {"zone": "b"})


class TestQuantities(ResourceMatcherKit):
    matcher = Quantities()
    request = Request((("cpus", 4.0), ("gpus", 1.0)))
    accepted = (BIG,)
    refused = (SMALL,)


class TestConstraints(ResourceMatcherKit):
    matcher = Constraints()
    request = Request(constraints=('zone == "a"', "cpus >= 2"))
    accepted = (BIG,)
    refused = (SMALL,)


class TestPack(ResourceMatcherKit):
    matcher = Pack()
    request = Request()
    accepted = (BIG, SMALL)


class TestSpread(TestPack):
    matcher = Spread()


# --- matchers that are wrong --------------------------------------------------------------------------------------


class Right:
    """Wants a GPU; subclasses do one thing wrong."""

    name = "right"

    def compile(self, request: Request) -> Callable[[Sequence[Offer]], Sequence[Verdict]] | None:
        return None if request.amount("gpus") == 0 else lambda offers: [self.judge(request, offer) for offer in offers]

    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Score() if offer.total.get("gpus") else Refusal("right", "gpus >= 1", "no gpus")


class WithoutName(Right):
    name = ""

    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Score() if offer.total.get("gpus") else Refusal("", "gpus >= 1", "no gpus")


class AnswersForOthers(Right):
    """It leaves out what it refuses, as a filter would."""

    def compile(self, request: Request) -> Any:
        return lambda offers: [Score() for _ in offers[:1]]


class LooksAtTheOthers(Right):
    """Its score of an offer depends on how many it is asked about."""

    def compile(self, request: Request) -> Any:
        judge = super().compile(request)
        return judge and (lambda offers: [_plus(verdict, len(offers)) for verdict in judge(offers)])


class SaysYesAndNo(Right):
    def judge(self, request: Request, offer: Offer) -> Any:
        return bool(offer.total.get("gpus")) if offer.machine == "big" else super().judge(request, offer)


class SaysInfinitely(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Score(float("inf")) if offer.machine == "big" else super().judge(request, offer)


class SaysNothing(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Score() if offer.total.get("gpus") else Refusal("right", "gpus >= 1", "")


class SaysItWasSomebodyElse(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Score() if offer.total.get("gpus") else Refusal("quantities", "gpus >= 1", "no gpus")


class RefusesAll(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Refusal("right", "gpus >= 1", "I do not feel like it")


class AcceptsAll(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        return Score()


class ChangesItsMind(Right):
    count = itertools.count()

    def compile(self, request: Request) -> Any:
        judge, luck = super().compile(request), next(self.count)
        return judge and (lambda offers: [_plus(verdict, luck) for verdict in judge(offers)])


class TakesWhatItLikes(Right):
    def compile(self, request: Request) -> Any:
        judge = super().compile(request)

        def match(offers: Sequence[Offer]) -> Sequence[Verdict]:
            verdicts = judge(offers) if judge else ()
            for offer in offers:
                if offer.machine == "idle" and sum(offer.free.values()) > 0:
                    offer.free["cpus"] = 7.0
            return verdicts

        return judge and match


class AsksAround(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        with Path("/proc/self/stat").open():
            return super().judge(request, offer)


class KnowsOnlyItsOwn(Right):
    def compile(self, request: Request) -> Any:
        judge = super().compile(request)
        if judge is not None and request.constraints:
            return lambda offers: [offer.attributes["zone"] for offer in offers]
        return judge


class TakesItsTime(Right):
    def judge(self, request: Request, offer: Offer) -> Verdict:
        sum(range(20_000))
        return super().judge(request, offer)


FOUND_OUT_BY: dict[type[Right], str] = {
    WithoutName: "it_is_what_its_hook_declares",
    AnswersForOthers: "it_answers_for_each_offer_in_order",
    LooksAtTheOthers: "it_answers_for_each_offer_in_order",
    SaysYesAndNo: "its_verdicts_are_refusals_or_scores",
    SaysInfinitely: "its_verdicts_are_refusals_or_scores",
    SaysNothing: "its_refusals_can_be_read",
    SaysItWasSomebodyElse: "its_refusals_can_be_read",
    RefusesAll: "it_accepts_what_it_should",
    AcceptsAll: "it_refuses_what_it_should",
    ChangesItsMind: "equal_requests_get_equal_verdicts",
    TakesWhatItLikes: "it_changes_nothing",
    AsksAround: "it_asks_nobody",
    KnowsOnlyItsOwn: "any_request_is_answered",
    TakesItsTime: "it_is_quick",
}
#: What cannot be wrong by itself: without the right number of verdicts, others fail as well.
ALSO: dict[type[Right], set[str]] = {
    AnswersForOthers: {"any_request_is_answered", "it_refuses_what_it_should"},
    AsksAround: {"it_is_quick"},
}


class Kit(ResourceMatcherKit):
    request = Request((("gpus", 1.0),))
    accepted = (BIG,)
    refused: ClassVar[Sequence[Offer]] = (SMALL,)


def test_what_is_right_passes(tmp_path: Path) -> None:
    kit = Kit()
    kit.matcher = Right()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) == set()


@pytest.mark.parametrize("matcher", FOUND_OUT_BY, ids=[one.__name__ for one in FOUND_OUT_BY])
def test_what_is_wrong_is_found_out_by_its_check(matcher: type[Right], tmp_path: Path) -> None:
    kit = Kit()
    kit.matcher = matcher()  # type: ignore[misc]

    assert found_out_by(lambda: kit, tmp_path) - ALSO.get(matcher, set()) == {FOUND_OUT_BY[matcher]}


def test_every_check_can_fail() -> None:
    assert checks_of(ResourceMatcherKit) == set(FOUND_OUT_BY.values())


def _plus(verdict: Verdict, value: float) -> Verdict:
    return Score(verdict.value + value) if isinstance(verdict, Score) else verdict
