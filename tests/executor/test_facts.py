"""Owns the tests of how facts are gathered: while a lot is under way, and never before they are in the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from meson_executor.spool import Spool
from tests.executor.lines import Line, fact_text, open_facts

if TYPE_CHECKING:
    from pathlib import Path

    from meson_executor.facts import Facts


def _facts(path: Path, line: Line) -> Facts:
    facts = open_facts(path / "spool", line, [])
    facts.restore()
    return facts


def _add(facts: Facts, *, urgent: bool = False) -> None:
    facts.add(fact_text(facts.last + 1), urgent=urgent)
    facts.flush()


def test_a_single_fact_leaves_at_once(tmp_path: Path) -> None:
    """Whoever waits for one step must not wait for others."""
    line = Line()
    facts = _facts(tmp_path, line)
    _add(facts)

    assert [[1]] == line.numbers()
    facts.close()


def test_many_facts_leave_together(tmp_path: Path) -> None:
    """Each message costs a commit."""
    line = Line()
    line.busy = True
    facts = _facts(tmp_path, line)
    for _ in range(3):
        _add(facts)
    assert [] == line.sent
    line.pass_time()

    assert [[1, 2, 3]] == line.numbers()
    facts.close()


def test_an_urgent_fact_takes_the_others_along(tmp_path: Path) -> None:
    """A step waits for the acknowledgement of what it intends."""
    line = Line()
    line.busy = True
    facts = _facts(tmp_path, line)
    _add(facts)
    _add(facts, urgent=True)
    _add(facts)

    assert [[1, 2]] == line.numbers()
    facts.close()


def test_gathered_facts_survive_the_end_of_the_session(tmp_path: Path) -> None:
    """Without anybody to listen they go to disk in the same turn."""
    line = Line()
    line.busy = True
    facts = _facts(tmp_path, line)
    _add(facts)
    line.open = False
    facts.flush()

    again = open_facts(tmp_path / "spool", Line(), [])
    again.restore()
    assert 1 == again.unacknowledged
    again.close()
    facts.close()


_MOVES = st.sampled_from(("fact", "urgent", "time", "busy", "calm", "pump", "ack", "leave", "return"))


@settings(deadline=None)
@given(moves=st.lists(_MOVES, max_size=40))
def test_whatever_happens_each_fact_is_told_in_order_and_kept_before(
    tmp_path_factory: object, moves: list[str]
) -> None:
    """Nothing is told before it is kept, nothing is left out, nothing is told twice in one session."""
    folder = tmp_path_factory.mktemp("facts")  # type: ignore[attr-defined]
    line = Line()
    facts = _facts(folder, line)
    acked = 0
    for move in moves:
        if move in ("fact", "urgent"):
            _add(facts, urgent=move == "urgent")
        elif move == "time":
            line.pass_time()
        elif move in ("busy", "calm"):
            line.busy = move == "busy"
        elif move == "pump":
            facts.pump()
        elif move == "ack":
            acked = max((number for message in line.numbers() for number in message), default=acked)
            facts.ack(acked)
            facts.pump()
        elif move == "leave":
            line.open = False
            facts.flush()
        elif not line.open:
            line.open = True
            line.sent.clear()
            facts.resend(acked)
            facts.pump()
        told = [number for message in line.numbers() for number in message]
        assert told == list(range(told[0], told[0] + len(told))) if told else True
        assert Spool(str(folder / "spool")).load().last >= max(told, default=0)
    line.open = True
    line.sent.clear()
    facts.resend(acked)
    facts.pump()
    line.pass_time()
    facts.close()
    assert list(range(acked + 1, facts.last + 1)) == [number for message in line.numbers() for number in message]
