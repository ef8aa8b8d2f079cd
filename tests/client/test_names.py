"""Tests of what people type for runs, steps and instances, and of what they are told when they mistype it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meson_core.client import names
from meson_core.errors import MesonError, NotFoundError, UnknownNameError
from meson_core.spec.model import Constant, ForEach, Step, Subworkflow, Workflow
from meson_core.spec.plan import compile_plan
from tests.store.building import Log, put, sweep

if TYPE_CHECKING:
    from meson_core.spec.plan import Plan
    from meson_core.store.store import Store


def nested() -> Plan:
    """0 `a`, 1 `part`, 2 `part.a`, 3 `part.loop`, 4 `part.fit`, 5 `other`, 6 `other.fit`."""
    inner = ForEach(name="loop", variables={"i": Constant(value=[1])}, body=(Step(name="fit", kind="x"),))
    part = Workflow(name="part", body=(Step(name="a", kind="x"), inner))
    other = Workflow(name="other", body=(Step(name="fit", kind="x"),))
    body = (
        Step(name="a", kind="x"),
        Subworkflow(name="part", workflow=part),
        Subworkflow(name="other", workflow=other),
    )
    return compile_plan(Workflow(name="whole", body=body))


@pytest.fixture
def runs(store: Store) -> Store:
    lease = store.acquire("local", "a test")
    for run_id in ("abc1", "abd2", "xyz3"):
        Log(store, lease, run_id, put(store, sweep()))
    return store


@pytest.mark.parametrize(("ref", "expected"), [("abc1", "abc1"), ("abc", "abc1"), ("x", "xyz3"), ("last", "xyz3")])
def test_runs_are_found_by_id_beginning_or_last(runs: Store, ref: str, expected: str) -> None:
    assert names.find_run(runs, ref).run_id == expected


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("ab", "'ab' is the beginning of several runs: abc1, abd2\n  hint: type more of the id"),
        ("xyz4", "there is no run 'xyz4' in this store\n  hint: did you mean 'xyz3'?"),
        ("nonsense", "there is no run 'nonsense' in this store\n  hint: list them: mesonctl runs"),
        ("", "there is no run '' in this store\n  hint: list them: mesonctl runs"),
    ],
)
def test_a_run_that_is_not_there(runs: Store, ref: str, expected: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        names.find_run(runs, ref)

    assert str(caught.value) == expected


def test_there_is_no_run_at_all(store: Store) -> None:
    with pytest.raises(NotFoundError) as caught:
        names.find_run(store, "last")

    assert str(caught.value) == "there is no run in this store yet\n  hint: start one: mesonctl run FILE"


@pytest.mark.parametrize(
    ("name", "expected"), [("a", 0), ("part.a", 2), ("part.fit", 4), ("loop", 3), ("other.fit", 6)]
)
def test_steps_are_found_by_their_names(name: str, expected: int) -> None:
    """The dotted name, or its last part where only one node has it; a whole name wins over a part."""
    assert names.find_node(nested(), name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fit", "several steps of workflow 'whole' are called 'fit'\n  hint: there are: other.fit, part.fit"),
        ("part.fib", "workflow 'whole' has no step 'part.fib'\n  hint: did you mean 'part.fit'?"),
        (
            "zzz",
            (
                "workflow 'whole' has no step 'zzz'\n"
                "  hint: there are: a, other, other.fit, part, part.a, part.fit, part.loop"
            ),
        ),
    ],
)
def test_a_step_that_is_not_there(name: str, expected: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        names.find_node(nested(), name)

    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("a", (0,)), ("part.fit[3]", (4, 3)), (" part.fit [ 3 ] ", None), ("part.fit[12]", (4, 12))]
)
def test_instances_are_typed_as_they_are_shown(text: str, expected: tuple[int, ...] | None) -> None:
    plan = nested()
    if expected is None:
        with pytest.raises(MesonError):
            names.find_instance(plan, text)
        return

    assert names.find_instance(plan, text) == expected
    assert names.show_instance(plan, expected) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "part.fit",
            "'part.fit' has 0 indexes, and 'part.fit' is in one loop\n  hint: write part.fit[…]",
        ),
        ("a[0]", "'a[0]' has 1 index, and 'a' is in no loop\n  hint: write a"),
        ("a[-1]", "'a[-1]' does not name an instance\n  hint: write step, or step[3], or step[3][0]"),
        ("", "'' does not name an instance\n  hint: write step, or step[3], or step[3][0]"),
        ("part.fib[0]", "workflow 'whole' has no step 'part.fib'\n  hint: did you mean 'part.fit'?"),
    ],
)
def test_an_instance_that_cannot_be(text: str, expected: str) -> None:
    with pytest.raises(MesonError) as caught:
        names.find_instance(nested(), text)

    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (
            (),
            "[] does not name an instance of workflow 'whole'\n  hint: it begins with the number of a node, from 0 to 6",
        ),
        (
            (7,),
            "[7] does not name an instance of workflow 'whole'\n  hint: it begins with the number of a node, from 0 to 6",
        ),
        ((4,), "an instance of 'part.fit' has 1 indexes; [4] is none"),
    ],
)
def test_an_address_that_cannot_be(instance: tuple[int, ...], expected: str) -> None:
    names.check_instance(nested(), (4, 0))
    with pytest.raises(NotFoundError) as caught:
        names.check_instance(nested(), instance)

    assert str(caught.value) == expected
