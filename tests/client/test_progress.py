"""Tests of percent complete and time to go: never over one, never before its time, and unknown where it is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.client.progress import Estimate
from meson_core.spec.model import Branch, Choose, Constant, ForEach, Repeat, Step, Workflow
from meson_core.spec.plan import Plan, compile_plan
from meson_core.spec.states import State
from meson_core.store.records import NodeRow, SampleRecord
from tests.store.building import NOW, sweep

PREPARE, EACH, TRAIN, COLLECT = range(4)


def row(
    node: int, mean_s: float | None = None, first: float | None = None, last: float | None = None, **counts: int
) -> NodeRow:
    by_state = [0] * len(State)
    for name, count in counts.items():
        by_state[State[name]] = count
    return NodeRow(node, by_state, mean_s, first, last)


def estimate(
    *rows: NodeRow, plan: Plan | None = None, learnt: dict[str, float] | None = None, **others: Any
) -> Estimate:
    samples = [SampleRecord("r", instance, 1, NOW, fraction, None) for instance, fraction in others.get("told", ())]
    by_node = {each.node: each for each in rows}
    return Estimate(plan or compile_plan(sweep()), by_node, samples, learnt or {}, others.get("now", NOW), NOW - 100)


def test_nothing_is_known_at_first() -> None:
    """What is not expanded counts as one of each: a run that has not begun is not half done."""
    whole = estimate().run(None)

    assert (whole.fraction, whole.eta_s, whole.took_s) == (0.0, None, 100.0)


def test_instances_weigh_what_they_take() -> None:
    """Of 10 s, four times 100 s, and an unknown one (as the others on average), the first ten seconds are done."""
    found = estimate(row(PREPARE, 10.0, succeeded=1), row(TRAIN, 100.0, waiting=4))

    assert found.node(PREPARE).fraction == 1.0
    assert found.run(None).fraction == pytest.approx(10 / (10 + 400 + 55))


def test_running_attempts_count_as_far_as_they_say() -> None:
    found = estimate(row(TRAIN, succeeded=1, running=2, waiting=1), told=[((TRAIN, 1), 0.5), ((TRAIN, 2), 0.25)])

    assert found.node(TRAIN).fraction == pytest.approx(1.75 / 4)
    assert found.node(EACH).fraction == pytest.approx(1.75 / 4)


def test_a_run_that_has_ended_is_done() -> None:
    """Whatever was cancelled or skipped in it."""
    found = estimate(row(TRAIN, cancelled=3, waiting=1), now=NOW + 7)

    assert (found.run(NOW).fraction, found.run(NOW).eta_s, found.run(NOW).took_s) == (1.0, 0.0, 100.0)


def test_a_composite_that_has_ended_is_done() -> None:
    """A loop without items, or a choose that took no branch, has nothing inside that could be."""
    found = estimate(row(EACH, succeeded=1))

    assert found.node(EACH).fraction == 1.0
    assert found.node(EACH).eta_s == 0.0


def test_time_to_go_of_a_step_is_what_remains() -> None:
    at_work = estimate(row(TRAIN, 10.0, succeeded=2, running=2, waiting=4), told=[((TRAIN, 2), 0.5)])
    assert at_work.node(TRAIN).eta_s == pytest.approx(5.5 * 10 / 2)

    learnt = estimate(row(TRAIN, None, running=1, waiting=1), learnt={"train": 3.0})
    assert learnt.node(TRAIN).eta_s == pytest.approx(6.0)
    assert learnt.node(TRAIN).mean_s == 3.0

    unknown = estimate(row(TRAIN, None, running=1, waiting=1))
    assert unknown.node(TRAIN).eta_s is None


def test_a_single_attempt_is_judged_by_its_own_pace() -> None:
    pace = estimate(row(PREPARE, None, NOW - 30, running=1), told=[((PREPARE,), 0.25)])
    assert pace.node(PREPARE).eta_s == pytest.approx(90.0)
    assert pace.node(PREPARE).took_s == 30.0

    early = estimate(row(PREPARE, None, NOW - 30, running=1), told=[((PREPARE,), 0.001)])
    assert early.node(PREPARE).eta_s is None


def test_a_loop_under_way_is_judged_by_its_pace() -> None:
    """That has the parallelism and the overhead in it, which the durations of its steps have not."""
    found = estimate(row(EACH, None, NOW - 60, running=1), row(TRAIN, 1.0, NOW - 60, succeeded=30, waiting=70))

    assert found.node(EACH).eta_s == pytest.approx(60 * 0.7 / 0.3)


def test_a_loop_that_has_not_begun_takes_what_it_took() -> None:
    found = estimate(row(PREPARE, 5.0, running=1), learnt={"each": 100.0, "collect": 2.0})

    assert found.node(EACH).eta_s == 100.0
    assert found.run(None).eta_s == pytest.approx(5 + 100 + 2)


def test_the_whole_takes_what_it_took_where_a_part_is_unknown() -> None:
    assert estimate(learnt={"": 130.0}).run(None).eta_s == pytest.approx(30.0)
    assert estimate(learnt={"": 30.0}).run(None).eta_s == 0.0


def test_the_longest_way_counts() -> None:
    steps = [Step(name="a", kind="x"), Step(name="b", kind="x", after=("a",)), Step(name="c", kind="x", after=("a",))]
    plan = compile_plan(Workflow(name="w", body=(*steps, Step(name="d", kind="x", after=("b", "c")))))
    learnt = {"a": 1.0, "b": 10.0, "c": 3.0, "d": 5.0}

    assert estimate(plan=plan, learnt=learnt).run(None).eta_s == 16.0
    assert (
        estimate(row(0, 1.0, succeeded=1), row(1, 10.0, succeeded=1), plan=plan, learnt=learnt).run(None).eta_s == 8.0
    )


def test_of_the_ways_of_a_choose_the_longest_counts() -> None:
    choose = Choose(
        name="way",
        branches=(Branch(when="True", body=(Step(name="slow", kind="x"),)),),
        otherwise=(Step(name="fast", kind="x"),),
    )
    plan = compile_plan(Workflow(name="w", body=(choose,)))

    assert estimate(plan=plan, learnt={"slow": 9.0, "fast": 1.0}).run(None).eta_s == 9.0
    assert estimate(plan=plan, learnt={"slow": 9.0}).run(None).eta_s is None


def plans() -> list[Plan]:
    each = ForEach(
        name="each",
        variables={"i": Constant(value=1)},
        body=(
            Repeat(name="again", until="True", max_iterations=3, body=(Step(name="fit", kind="x"),)),
            Step(name="test", kind="x", after=("again",)),
        ),
    )
    return [
        compile_plan(sweep()),
        compile_plan(Workflow(name="w", body=(each, Step(name="end", kind="x", after=("each",))))),
    ]


@given(st.data())
def test_it_always_makes_sense(data: st.DataObject) -> None:
    """Whatever is known: fractions lie between 0 and 1, nothing takes less than no time."""
    plan = data.draw(st.sampled_from(plans()))
    seconds = st.none() | st.floats(0, 1e6)
    rows = {}
    for node in plan.nodes:
        if data.draw(st.booleans()):
            counts = [data.draw(st.integers(0, 5)) for _ in State]
            first = data.draw(seconds)
            rows[node.id] = NodeRow(node.id, counts, data.draw(seconds), None if first is None else NOW - first, NOW)
    told = [
        SampleRecord("r", (node.id,), 1, NOW, data.draw(st.none() | st.floats(-1, 2)), None)
        for node in plan.nodes
        if data.draw(st.booleans())
    ]
    names = [node.name for node in plan.nodes] + [""]
    learnt = data.draw(st.dictionaries(st.sampled_from(names), st.floats(0, 1e6)))
    found = Estimate(plan, rows, told, learnt, NOW, NOW - 5)

    for progress in (*(found.node(node.id) for node in plan.nodes), found.run(None)):
        assert progress.fraction is None or 0 <= progress.fraction <= 1 + 1e-9
        assert progress.eta_s is None or progress.eta_s >= -1e-6
        assert progress.took_s is None or progress.took_s >= 0
