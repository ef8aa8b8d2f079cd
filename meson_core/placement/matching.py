"""Owns the resource matchers of a cell: compiled once per request class, asked for many machines at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from meson_core.resources import Refusal, Score

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.resources import Offer, Request, Verdict

Match: TypeAlias = Callable[["Sequence[Offer]"], "Sequence[Verdict]"]
#: A sum of scores, or everything that is refused.
Judgement: TypeAlias = "float | tuple[Refusal, ...]"


class Matcher(Protocol):
    """A resource matcher, as `meson_core.ports.ResourceMatcher` describes it to plugins."""

    @property
    def name(self) -> str: ...

    def compile(self, request: Request) -> Match | None: ...


class Judge:
    """All matchers that have an opinion on one request class.

    A matcher that raises or does not answer refuses, with that as its reason: `why` tells it, and nobody is placed where a
    matcher would not have it.

    Args:
        matchers: of the cell.
        request: the request class.
    """

    def __init__(self, matchers: Iterable[Matcher], request: Request) -> None:
        self._matches: list[tuple[str, Match]] = []
        for matcher in matchers:
            try:
                match = matcher.compile(request)
            except Exception as error:  # noqa: BLE001 (a stranger's code: its failure is a refusal)
                match = _always(_failed(matcher.name, error))
            if match is not None:
                self._matches.append((matcher.name, match))

    def judge(self, offers: Sequence[Offer]) -> list[Judgement]:
        """The judgement on each offer."""
        scores = [0.0] * len(offers)
        refusals: dict[int, list[Refusal]] = {}
        for name, match in self._matches:
            for at, verdict in enumerate(_ask(name, match, offers)):
                if isinstance(verdict, Refusal):
                    refusals.setdefault(at, []).append(verdict)
                else:
                    scores[at] += verdict.value
        if not refusals:
            return list(scores)
        return [tuple(refusals[at]) if at in refusals else score for at, score in enumerate(scores)]


def _ask(name: str, match: Match, offers: Sequence[Offer]) -> Sequence[Verdict]:
    try:
        verdicts = match(offers)
        if len(verdicts) == len(offers) and all(isinstance(verdict, Score | Refusal) for verdict in verdicts):
            return verdicts
        refusal = Refusal(name, "an answer for each offer", f"{len(verdicts)} answers for {len(offers)} offers")
    except Exception as error:  # noqa: BLE001 (a stranger's code: its failure is a refusal)
        refusal = _failed(name, error)
    return [refusal] * len(offers)


def _failed(name: str, error: Exception) -> Refusal:
    return Refusal(name, f"an answer of the matcher {name!r}", f"{type(error).__name__}: {error}")


def _always(refusal: Refusal) -> Match:
    return lambda offers: [refusal] * len(offers)
