"""Owns the tests of one conversation: opening, fact numbers, templates, acknowledgements, questions."""

from __future__ import annotations

import pytest

from meson_core.agents import Roster
from meson_core.errors import ProtocolError
from meson_core.ports import AttemptKey, Template
from tests.agents.talk import facts, key, kinds, line, opened, placement, said, session, started, succeeded, welcome


def test_a_session_opens_with_the_last_fact_of_the_log() -> None:
    """Everything after it is told again, nothing before it is."""
    (hello,) = said(session(Roster(acked=41)).hello())

    assert {"t": "hello", "v": 1, "cell": "local", "epoch": 7, "acked": 41} == hello


def test_nothing_but_the_hello_goes_out_before_the_welcome() -> None:
    """An executor must first say what it knows, or an order would be taken for one of its own."""
    talk = session()
    talk.hello()

    out = [talk.launch([placement(0)]), talk.kill(key(0), 5.0), talk.send(key(0), "stop", 1), talk.forget([key(0)])]

    assert [b"", b"", b"", b""] == out


def test_the_welcome_releases_what_waited_in_order() -> None:
    """Orders go before kills, and kills before messages."""
    talk = session()
    talk.hello()
    talk.launch([placement(0)])
    talk.kill(key(0), 5.0)
    talk.send(key(0), "alpha", {"b": 1})

    reply = talk.receive([welcome()], 0.0).reply

    assert ["steps", "launch", "send"] == kinds(reply)
    assert ["kill"] == kinds(talk.receive([welcome(key(0))], 0.0).reply)


def test_a_template_is_sent_once_in_a_session_and_before_its_first_order() -> None:
    """It may be large, and there may be a hundred thousand orders for it."""
    talk = opened()
    other = Template("t2", {"step": "other"})

    first = said(talk.launch([placement(0), placement(1)]))
    second = said(talk.launch([placement(2), placement(3, other)]))

    assert ["steps", "launch"] == [message["t"] for message in first]
    assert ["t1"] == list(first[0]["steps"])
    assert ["t2"] == list(second[0]["steps"])
    assert [["run", [3, 2], 1], ["run", [3, 3], 1]] == [order["key"] for order in second[1]["orders"]]
    assert [7, 7] == [first[1]["epoch"], second[1]["epoch"]]


def test_a_new_session_gets_its_templates_again() -> None:
    """The executor may have forgotten what no attempt of its uses."""
    roster = Roster()
    opened(roster).launch([placement(0)])

    talk = opened(roster, key(0))

    assert ["steps", "launch"] == kinds(talk.launch([placement(1)]))


def test_an_order_that_is_known_is_not_sent_twice() -> None:
    """Orders are idempotent here as well as there."""
    talk = opened()
    talk.launch([placement(0)])

    assert b"" == talk.launch([placement(0)])


def test_many_large_orders_are_cut_into_lines_that_the_other_side_accepts() -> None:
    """A line over the limit would end the session."""
    talk = opened()
    wide = [placement(item) for item in range(5)]
    for one in wide:
        one.order["inputs"] = {"text": "x" * 1_500_000}

    lines = talk.launch(wide).splitlines()

    assert [b'{"t":"steps"', b'{"t":"launch', b'{"t":"launch'] == [text[:12] for text in lines]
    assert max(map(len, lines)) < 6_000_000


def test_facts_come_in_order_and_once() -> None:
    """A repeated fact must not be recorded twice, and the executor is told that it may forget it."""
    talk = opened()

    found = talk.receive([facts(1, started(0), succeeded(0)), facts(1, started(0), succeeded(0))], 1.0)

    assert (2, 2) == (len(found.facts), found.seq)
    assert ["ack"] == kinds(found.reply)


def test_the_new_part_of_a_half_known_message_counts() -> None:
    """After a reconnection messages are cut differently."""
    talk = opened()
    talk.receive([facts(1, started(0), started(1))], 1.0)

    found = talk.receive([facts(2, started(1), started(2))], 1.0)

    assert [(3, 2)] == [fact.k[1] for fact in found.facts]
    assert 3 == found.seq


def test_a_gap_is_repaired_by_a_new_hello() -> None:
    """A transport may lose messages; nothing of what follows the gap is taken before it is closed."""
    talk = opened()
    talk.receive([facts(1, started(0))], 1.0)
    talk.acknowledge(1)

    gap = talk.receive([facts(3, started(2)), facts(4, started(3))], 2.0)

    assert [] == gap.facts
    assert [{"t": "hello", "v": 1, "cell": "local", "epoch": 7, "acked": 1}] == said(gap.reply)
    mended = talk.receive([welcome(seq=4), facts(2, started(1), started(2), started(3))], 3.0)
    assert [(3, 1), (3, 2), (3, 3)] == [fact.k[1] for fact in mended.facts]
    assert 4 == mended.seq
    assert [] == mended.notes


def test_a_gap_that_stays_is_passed_over_and_told() -> None:
    """A damaged spool must not keep a machine out for ever."""
    talk = opened()

    talk.receive([facts(5, started(0))], 1.0)
    found = talk.receive([welcome(seq=5), facts(5, started(0))], 2.0)

    assert 5 == found.seq
    assert 1 == len(found.facts)
    (note,) = found.notes
    assert "facts 1 to 4 are missing" in note


def test_an_executor_whose_spool_was_deleted_begins_again() -> None:
    """Its numbers are lower than the log's; they must not all be taken for repetitions."""
    talk = session(Roster(acked=900))
    talk.hello()

    found = talk.receive([welcome(seq=0), facts(1, started(0))], 1.0)

    assert 1 == found.seq
    assert 1 == len(found.facts)
    assert "the log has 900" in found.notes[0]


def test_a_heartbeat_may_carry_notes_for_people() -> None:
    talk = opened()
    told = "logs cannot be written and are dropped: no space"

    found = talk.receive([line(t="samples", at=1.0, items=[], notes=[told])], 1.0)

    assert [told] == found.notes


def test_facts_before_the_welcome_are_left_for_later() -> None:
    """They belong to an earlier hello, and come again."""
    talk = opened()
    talk.hello()

    found = talk.receive([facts(1, started(0))], 1.0)

    assert ([], b"") == (found.facts, found.reply)


def test_acknowledgements_only_grow() -> None:
    """They are cumulative: an older one would make the executor keep what is in the log."""
    talk = opened()
    talk.receive([facts(1, started(0), started(1), started(2))], 1.0)

    assert [{"t": "ack", "seq": 3}] == said(talk.acknowledge(3))
    assert b"" == talk.acknowledge(2)
    assert 3 == talk.roster.acked


def test_an_acknowledgement_without_a_session_counts_for_the_next_hello() -> None:
    """The commit went through while the connection was down."""
    talk = session()

    assert b"" == talk.acknowledge(9)
    assert 9 == said(talk.hello())[0]["acked"]


def test_samples_are_the_latest_of_each_attempt() -> None:
    """A fraction without a message, a message without a fraction, and an empty heartbeat are all fine."""
    talk = opened()

    found = talk.receive(
        [
            line("samples", at=5.0, items=[[list(key(0)), 0.5, None], [list(key(1)), None, "fitting"]]),
            line("samples", at=6.0, items=[]),
        ],
        6.0,
    )

    assert [(key(0), 5.0, 0.5, None), (key(1), 5.0, None, "fitting")] == found.samples
    assert isinstance(found.samples[0].key, AttemptKey)


def test_an_answer_is_found_by_its_question() -> None:
    """Two may be under way at a time."""
    talk = opened()
    first, out = talk.ask("status")
    second, _ = talk.ask("tail", key=key(0), offset=100)

    found = talk.receive([line("answer", id=second, text="…"), line("answer", id=first, error="no")], 1.0)

    assert [{"t": "ask", "id": first, "what": "status"}] == said(out)
    assert {"t": "answer", "id": first, "error": "no"} == found.answers[first]
    assert "…" == found.answers[second]["text"]


def test_a_refused_session_is_over() -> None:
    """Another orchestrator has the executor now; this one must not go on as if it had."""
    talk = opened()

    found = talk.receive([line("refused", reason="the hello is of epoch 7; this executor works for epoch 8")], 1.0)

    assert "epoch 8" in found.ended
    assert talk.over
    assert b"" == talk.launch([placement(5)])


def test_another_version_of_the_protocol_is_refused() -> None:
    """Half-understood messages are worse than none."""
    talk = session()
    talk.hello()

    with pytest.raises(ProtocolError) as error:
        talk.receive([welcome(v=2)], 1.0)

    assert "speaks protocol 2" in str(error.value)
    assert "one release" in str(error.value)
