"""Owns the translation of what executors say into events of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meson_core import agents
from meson_core import events as ev
from meson_core.ports import Gone, Present, Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from meson_core.events import AnyEvent

_BY_FACT: dict[type, Callable[[Any], AnyEvent]] = {
    agents.Started: lambda f: ev.AttemptStarted(f.at, f.k[1], f.k[2]),
    agents.Succeeded: lambda f: ev.AttemptSucceeded(f.at, f.k[1], f.k[2], f.began, f.outputs),
    agents.Failed: lambda f: ev.AttemptFailed(f.at, f.k[1], f.k[2], f.began, f.cause, f.failure, f.final, f.after_s),
    agents.Killed: lambda f: ev.AttemptKilled(f.at, f.k[1], f.k[2], f.began),
    agents.Fenced: lambda f: ev.AttemptFenced(f.at, f.k[1], f.k[2], f.reason),
    agents.Returned: lambda f: ev.AttemptReturned(f.at, f.k[1], f.k[2], f.reason),
    agents.Submitting: lambda f: ev.SubmissionIntended(f.at, f.k[1], f.k[2], f.job, f.recoverable),
    agents.Remembered: lambda f: ev.JobRemembered(f.at, f.k[1], f.k[2], f.id),
    agents.Emitted: lambda f: ev.ValueEmitted(f.at, f.k[1], f.k[2], f.name, f.value),
    agents.Link: lambda f: ev.LinkShown(f.at, f.k[1], f.k[2], f.name, f.url),
}


def event_of_fact(fact: agents.Fact) -> AnyEvent:
    """The event that a fact is, in its run `fact.k[0]`."""
    return _BY_FACT[type(fact)](fact)


def event_of_verdict(verdict: Gone | Silent | Present, at: float) -> AnyEvent:
    """The event that a verdict on the liveness of an attempt is, in its run."""
    _, instance, attempt = verdict.key
    if isinstance(verdict, Gone):
        return ev.AttemptFenced(at, instance, attempt, verdict.reason)
    if isinstance(verdict, Silent):
        return ev.AttemptLost(at, instance, attempt, verdict.reason)
    return ev.AttemptFound(at, instance, attempt)
