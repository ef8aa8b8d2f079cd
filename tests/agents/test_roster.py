"""Owns the tests of liveness: what is lost, found, gone, sent again or never was there."""

from __future__ import annotations

from meson_core.agents import Roster
from meson_core.ports import Gone, Present, Silent
from tests.agents.talk import facts, key, kinds, opened, placement, said, session, started, succeeded, welcome


def test_silence_past_the_lease_loses_every_attempt_once() -> None:
    """Lost is told once; and what has ended is not lost."""
    talk = opened()
    talk.launch([placement(0), placement(1), placement(2)])
    talk.receive([facts(1, succeeded(1))], 10.0)

    early = talk.expire(24.9)
    late = talk.expire(25.0)

    assert [] == early
    assert [Silent(key(item), "its executor has been silent for 15 s") for item in (0, 2)] == late
    assert [] == talk.expire(99.0)


def test_a_late_heartbeat_neither_revives_nor_kills() -> None:
    """Once the lease has run out only the welcome of a new session says what is there."""
    roster = Roster()
    talk = opened(roster)
    talk.launch([placement(0)])
    talk.expire(60.0)

    found = talk.receive([facts(1, started(0))], 61.0)

    assert ([], []) == (found.facts, found.liveness)
    assert talk.over


def test_an_executor_that_is_back_finds_its_attempts() -> None:
    """They were at work all the time."""
    roster = Roster()
    talk = opened(roster)
    talk.launch([placement(0)])
    talk.expire(60.0)

    again = session(roster, now=61.0)
    again.hello()
    found = again.receive([welcome(key(0))], 61.0)

    assert [Present(key(0))] == found.liveness
    assert b"" == found.reply


def test_a_reconnection_within_the_lease_is_no_news() -> None:
    """Nobody was lost, so nobody is found."""
    roster = Roster()
    opened(roster).launch([placement(0)])

    again = session(roster)
    again.hello()

    assert [] == again.receive([welcome(key(0))], 1.0).liveness


def test_a_successor_has_fenced_what_it_does_not_name() -> None:
    """It began under the earlier incarnation, and its successor has killed whatever that had started."""
    roster = Roster()
    talk = opened(roster)
    talk.launch([placement(0)])
    talk.receive([facts(1, started(0))], 1.0)

    found = opened_again(roster, incarnation=2)

    assert [Gone(key(0), "its executor was replaced, and nothing of it was left running")] == found.liveness
    assert {} == roster.entries


def test_an_order_that_may_have_got_to_an_earlier_incarnation_is_gone() -> None:
    """It may have begun, even though nothing was heard of it."""
    roster = Roster()
    opened(roster).launch([placement(0)])

    found = opened_again(roster, incarnation=2)

    assert [key(0)] == [verdict.key for verdict in found.liveness]


def test_an_order_that_got_lost_is_sent_again() -> None:
    """The connection broke before it arrived, and the executor is the same."""
    roster = Roster()
    opened(roster).launch([placement(0)])

    found = opened_again(roster, incarnation=1)

    assert [] == found.liveness
    assert ["steps", "launch"] == kinds(found.reply)


def test_an_attempt_whose_end_was_received_is_nobodys_business_any_more() -> None:
    """Its end may be on the way to the log when the executor is replaced."""
    roster = Roster()
    talk = opened(roster)
    talk.launch([placement(0)])
    talk.receive([facts(1, succeeded(0))], 1.0)

    assert [] == opened_again(roster, incarnation=2).liveness


def opened_again(roster: Roster, *, incarnation: int):  # type: ignore[no-untyped-def]
    again = session(roster)
    again.hello()
    return again.receive([welcome(incarnation=incarnation, seq=roster.received)], 1.0)


# --- after a restart of the orchestrator --------------------------------------------------------------------------


def test_a_restarted_orchestrator_gets_a_verdict_on_each_attempt() -> None:
    """One is there, one is not: the incarnation is another one than the last orchestrator spoke to."""
    roster = Roster(acked=3, incarnation=4)
    roster.expect([key(0), key(1)])
    talk = session(roster)
    talk.hello()

    found = talk.receive([welcome(key(0), incarnation=5, seq=3)], 1.0)

    assert [Present(key(0)), Gone(key(1), "its executor was replaced, and nothing of it was left running")] == (
        found.liveness
    )
    assert [] == found.returned


def test_what_never_got_to_the_executor_comes_back_at_no_cost() -> None:
    """The orchestrator ended between the commit and the order: no budget may pay for that."""
    roster = Roster(acked=3, incarnation=4)
    roster.expect([key(0)])
    talk = session(roster)
    talk.hello()

    found = talk.receive([welcome(incarnation=4, seq=3)], 1.0)

    assert ([], [key(0)]) == (found.liveness, found.returned)


def test_where_nobody_ever_spoke_to_an_executor_nothing_can_have_begun() -> None:
    """The very first orchestrator ended before its executor was up."""
    roster = Roster()
    roster.expect([key(0)])
    talk = session(roster)
    talk.hello()

    assert [key(0)] == talk.receive([welcome(incarnation=1)], 1.0).returned


def test_a_question_after_the_welcome_is_answered_at_once() -> None:
    """The executor may be quicker than recovery."""
    roster = Roster(acked=3, incarnation=4)
    opened(roster, key(0), incarnation=5)

    verdicts = roster.expect([key(0), key(1)])

    assert [Present(key(0)), Gone(key(1), "its executor was replaced, and nothing of it was left running")] == (
        verdicts.liveness
    )


def test_what_nobody_knows_is_killed_once_everybody_was_asked_after() -> None:
    """An attempt that its run has given up must not hold a machine; but not before recovery has asked."""
    roster = Roster()
    talk = opened(roster, key(0), key(1))
    roster.expect([key(0)])

    out = said(talk.settle())

    assert [{"t": "kill", "epoch": 7, "keys": [[["run", [3, 1], 1], 10.0]]}] == out


def test_a_kill_that_got_lost_is_repeated() -> None:
    """The connection broke after the order to kill."""
    roster = Roster()
    talk = opened(roster)
    talk.launch([placement(0)])
    assert ["kill"] == kinds(talk.kill(key(0), 2.5))

    again = session(roster)
    again.hello()
    found = again.receive([welcome(key(0))], 1.0)

    assert [{"t": "kill", "epoch": 7, "keys": [[["run", [3, 0], 1], 2.5]]}] == said(found.reply)


def test_what_is_not_there_cannot_be_killed() -> None:
    """The scheduler then says that it is gone."""
    assert opened().kill(key(9), 1.0) is None
