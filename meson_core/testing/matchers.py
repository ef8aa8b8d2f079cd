"""Owns the kit for resource matchers: what every one of them must do, however it judges.

    class TestNotOnMondays(ResourceMatcherKit):
        matcher = my_plugin.NotOnMondays()
        request = Request((("gpus", 1.0),))

The request is one that the matcher has an opinion on. What it must accept and what it must refuse are its author's to say.
"""

from __future__ import annotations

import contextlib
import copy
import math
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

from meson_core.plugins.conformance import ConformanceError, checked_answer
from meson_core.resources import CPUS, MEMORY, Offer, Refusal, Request, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meson_core.ports import ResourceMatcher
    from meson_core.resources import Verdict

#: Offers of every shape that resource schedulers make.
OFFERS = (
    Offer("1", "idle", {CPUS: 8.0, MEMORY: 32e9, "gpus": 2.0}, {CPUS: 8.0, MEMORY: 32e9, "gpus": 2.0}, {"zone": "a"}),
    Offer("2", "busy", {CPUS: 0.0, MEMORY: 0.0}, {CPUS: 8.0, MEMORY: 32e9}, {"zone": "b", "day": "monday"}),
    Offer("3", "overcommitted", {CPUS: -1.5}, {CPUS: 4.0}, {"spot": True, "spark_version": 3.5, "rack": 7}),
    Offer("4", "bare", {}, {}),
    Offer("5", "größe-数据", {CPUS: 0.3}, {CPUS: 0.3}, {"zone": ""}),
)
REQUESTS = (
    Request(),
    Request(quantities=()),
    Request(((CPUS, 0.0),)),
    Request(((CPUS, 1e6), ("gpus", 8.0), ("licences", 1.0))),
    Request(((CPUS, 1.0), ("gpus", 1.0)), ('zone == "a"', "gpus >= 1")),
)
#: What asks the world outside: a verdict that depends on it would be another one on the next replay.
_OUTSIDE = (
    "open",
    "os.listdir",
    "os.scandir",
    "os.system",
    "os.posix_spawn",
    "socket.",
    "sqlite3.",
    "subprocess.",
    "urllib.",
)
_heard: list[str] | None = None


class ResourceMatcherKit:
    """The checks; a subclass whose name begins with `Test` sets `matcher` and `request`."""

    matcher: ClassVar[ResourceMatcher]
    """The resource matcher."""
    request: ClassVar[Request]
    """A request that it has an opinion on."""
    accepted: ClassVar[Sequence[Offer]] = ()
    """Offers that it must not refuse for that request."""
    refused: ClassVar[Sequence[Offer]] = ()
    """Offers that it must refuse for it."""
    per_offer_s: ClassVar[float] = 50e-6
    """Seconds that it may take for an offer: a cell of ten thousand machines asks often."""

    def _compiled(self, request: Request | None = None) -> Callable[[Sequence[Offer]], Sequence[Verdict]]:
        match = self.matcher.compile(self.request if request is None else request)
        assert match is not None, "compile(request) is None, so it has no opinion on the request of its test"
        return match

    def _offers(self) -> list[Offer]:
        # Fresh ones: a matcher that changes them must not change them for the next check.
        return copy.deepcopy([*OFFERS, *self.accepted, *self.refused])

    def test_it_is_what_its_hook_declares(self) -> None:
        try:
            checked_answer("meson_resource_matchers", [self.matcher])
        except ConformanceError as error:
            raise AssertionError(str(error)) from None

    def test_it_answers_for_each_offer_in_order(self) -> None:
        """Nobody tells it how many it will be asked about."""
        match, offers = self._compiled(), self._offers()
        alone = [list(match([offer])) for offer in offers]
        assert [len(verdicts) for verdicts in alone] == [1] * len(offers)
        assert list(match([])) == []
        assert list(match(offers)) == [verdict for (verdict,) in alone]
        assert list(match(offers[::-1])) == [verdict for (verdict,) in alone[::-1]]

    def test_its_verdicts_are_refusals_or_scores(self) -> None:
        for verdict in self._compiled()(self._offers()):
            assert isinstance(verdict, Refusal | Score)
            assert not isinstance(verdict, Score) or math.isfinite(verdict.value)

    def test_its_refusals_can_be_read(self) -> None:
        """They are what `mesonctl why` shows: who refuses, what was asked, what is there instead."""
        refusals = [verdict for verdict in self._compiled()(self._offers()) if isinstance(verdict, Refusal)]
        for refusal in refusals:
            assert refusal.matcher == self.matcher.name
            assert refusal.constraint.strip()
            assert refusal.found.strip()
            assert refusal.kind in ("busy", "never")

    def test_it_accepts_what_it_should(self) -> None:
        verdicts = self._compiled()(list(self.accepted))
        assert [verdict for verdict in verdicts if isinstance(verdict, Refusal)] == []

    def test_it_refuses_what_it_should(self) -> None:
        verdicts = self._compiled()(list(self.refused))
        assert [verdict for verdict in verdicts if not isinstance(verdict, Refusal)] == []

    def test_equal_requests_get_equal_verdicts(self) -> None:
        """Placement asks once for all requests that are equal, and again whenever it likes."""
        offers = self._offers()
        first, second = self._compiled(), self._compiled(copy.deepcopy(self.request))
        verdicts = list(first(offers))
        assert list(second(offers)) == verdicts
        assert list(first(offers)) == verdicts

    def test_it_changes_nothing(self) -> None:
        """All matchers are given the same offers."""
        request, offers = copy.deepcopy(self.request), self._offers()
        self._compiled(request)(offers)
        assert request == self.request
        assert offers == self._offers()

    def test_it_asks_nobody(self) -> None:
        """It is pure: no file, no service, so that the same round can be judged again."""
        match, offers = self._compiled(), self._offers()
        match(offers)  # what it imports when it is first used does not count
        with _listening() as heard:
            self._compiled()(offers)
            match(offers)
        assert heard == []

    def test_any_request_is_answered(self) -> None:
        """What it does not know is no error: it has no opinion, or refuses."""
        for request in (*REQUESTS, self.request):
            match = self.matcher.compile(request)
            if match is not None:
                verdicts = _judged(match, request, self._offers())
                assert len(verdicts) == len(self._offers())

    def test_it_is_quick(self) -> None:
        match = self._compiled()
        offers = (self._offers() * 1000)[:1000]
        best = min(_timed(match, offers) for _ in range(5))
        assert best / len(offers) <= self.per_offer_s


def _judged(match: Callable[[Sequence[Offer]], Sequence[Any]], request: Request, offers: list[Offer]) -> Sequence[Any]:
    try:
        return match(offers)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} for {request}: {error}") from error


def _timed(match: Callable[[Sequence[Offer]], object], offers: list[Offer]) -> float:
    began = time.perf_counter()
    match(offers)
    return time.perf_counter() - began


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """What is asked of the world outside meanwhile; the interpreter tells hooks, and never forgets one."""
    global _heard  # noqa: PLW0603 (a hook of the interpreter has no other way)
    if _heard is None:
        sys.addaudithook(_hear)
    heard: list[str] = []
    _heard = heard
    try:
        yield heard
    finally:
        _heard = []


def _hear(event: str, _details: object) -> None:
    if _heard is not None and event.startswith(_OUTSIDE):
        _heard.append(event)
