"""Owns the judgement of whole runs: any workflow, in any order, interrupted or reopened, ends as the reference says."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meson_core import events as ev
from meson_core.spec.check import check
from meson_core.spec.states import RunState, State
from tests.driving import Driver
from tests.reference import Behaviour, Failed, Indexes, Names, Path, Result, Shelf, interpret, nothing
from tests.strategies import Style, compute, workflows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meson_core.spec.model import Workflow

FAILING = Style(failures=True, size=14, copies=12)
WORKING = Style(size=14, copies=12)
RESTORABLE = Style(failures=True, size=14, copies=12, restorable=True)
SEEDS = st.integers(0, 2**32)


def as_written(path: Path, indexes: Indexes, inputs: Mapping[str, Any], attempt: int) -> Names | Failed:
    """A step fails as often as its inputs say."""
    return Failed() if attempt <= inputs.get("fails", 0) else compute(inputs)


def repaired(path: Path, indexes: Indexes, inputs: Mapping[str, Any], attempt: int) -> Names | Failed:
    """Its author has found the mistake."""
    return compute(inputs)


def defaults(workflow: Workflow) -> Names:
    return {name: parameter.default for name, parameter in workflow.params.items()}


def half_of_all(artifact: str | None, path: Path, inputs: Mapping[str, Any]) -> Names | None:
    """About every second result is there, and tells by its values that it was not made now."""
    told = repr((artifact, path, sorted(inputs.items())))
    if hashlib.sha256(told.encode()).digest()[0] % 2:
        return None
    return compute({**inputs, "seed": -1, "artifact": artifact})


def drive(workflow: Workflow, behaviour: Behaviour, seed: int, shelf: Shelf = nothing) -> Driver:
    rng = random.Random(seed)
    return Driver(workflow, defaults(workflow), behaviour, rng, window=rng.randrange(1, 5), shelf=shelf)


def agree(driver: Driver, expected: Result) -> None:
    found = driver.result()
    assert found.state == expected.state
    assert found.states == expected.states
    assert found.outputs == expected.outputs
    assert found.results == expected.results
    for node in driver.plan.nodes:
        mine = [state for (path, _), state in expected.states.items() if path == node.path]
        assert driver.machine.counts(node.id) == [mine.count(state) for state in State]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(workflow=workflows(WORKING), seed=SEEDS)
def test_what_works_gives_what_it_should(workflow: Workflow, seed: int) -> None:
    workflow = check(workflow)
    driver = drive(workflow, as_written, seed)
    assert driver.run() is RunState.succeeded
    agree(driver, interpret(workflow, defaults(workflow), as_written))


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(workflow=workflows(FAILING), seed=SEEDS)
def test_what_fails_ends_as_it_should(workflow: Workflow, seed: int) -> None:
    workflow = check(workflow)
    driver = drive(workflow, as_written, seed)
    driver.run()
    agree(driver, interpret(workflow, defaults(workflow), as_written))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(workflow=workflows(FAILING), seed=SEEDS)
def test_an_interrupted_run_ends_as_the_uninterrupted_one(workflow: Workflow, seed: int) -> None:
    workflow = check(workflow)
    driver = drive(workflow, as_written, seed)
    driver.run(crashes=25)
    agree(driver, interpret(workflow, defaults(workflow), as_written))
    assert len(driver.executed) == len(set(driver.executed)), "an attempt was executed twice"


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(workflow=workflows(FAILING), seed=SEEDS)
def test_a_repaired_run_ends_as_if_it_had_never_failed(workflow: Workflow, seed: int) -> None:
    workflow = check(workflow)
    driver = drive(workflow, as_written, seed)
    driver.run()
    driver.behaviour = repaired
    driver.reopen(ev.Selection(failed=True))
    driver.run(crashes=5)
    agree(driver, interpret(workflow, defaults(workflow), repaired))
    assert len(driver.executed) == len(set(driver.executed)), "an attempt number was used twice"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(workflow=workflows(WORKING), seed=SEEDS, which=st.lists(st.integers(0, 1000), min_size=1, max_size=4))
def test_doing_a_part_again_changes_nothing(workflow: Workflow, seed: int, which: list[int]) -> None:
    workflow = check(workflow)
    driver = drive(workflow, as_written, seed)
    driver.run()
    instances = sorted(driver.states)
    chosen = [instances[number % len(instances)] for number in which]
    nodes = tuple(instance[0] for instance in chosen[1::2])
    driver.reopen(ev.Selection(instances=tuple(chosen[::2]), nodes=nodes))
    driver.run(crashes=5)
    agree(driver, interpret(workflow, defaults(workflow), as_written))
    assert len(driver.executed) == len(set(driver.executed)), "an attempt number was used twice"


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(workflow=workflows(RESTORABLE), seed=SEEDS)
def test_what_is_there_already_is_not_made_again(workflow: Workflow, seed: int) -> None:
    workflow = check(workflow)
    driver = drive(workflow, as_written, seed, half_of_all)
    driver.run(crashes=10)
    expected = interpret(workflow, defaults(workflow), as_written, half_of_all)
    agree(driver, expected)
    assert not {driver._key(instance) for instance, _ in driver.executed} & {
        key for key, state in expected.states.items() if state is State.skipped
    }


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(workflow=workflows(RESTORABLE), seed=SEEDS, which=st.lists(st.integers(0, 1000), min_size=1, max_size=3))
def test_a_fresh_retry_makes_all_that_it_does_anew(workflow: Workflow, seed: int, which: list[int]) -> None:
    """What is done again asks for nothing; what is not keeps what it was given."""
    workflow = check(workflow)
    driver = drive(workflow, repaired, seed, half_of_all)
    driver.run()
    instances = sorted(driver.states)
    everything = tuple(node.id for node in driver.plan.nodes)
    driver.reopen(ev.Selection(instances=tuple(instances[number % len(instances)] for number in which)), everything)
    mark = len(driver.log)
    driver.run(crashes=5)
    assert not any(isinstance(event, ev.ResultFound) for event in driver.log[mark:])
    driver.machine.validate()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(workflow=workflows(RESTORABLE), seed=SEEDS)
def test_a_run_whose_beginning_is_done_again_is_as_a_run_from_the_beginning(workflow: Workflow, seed: int) -> None:
    """Restored results are no person's word: they are asked for again, and are there or not as in a new run."""
    workflow = check(workflow)
    driver = drive(workflow, repaired, seed, half_of_all)
    driver.run()
    composites = [node for node in driver.plan.nodes if node.scope == 0]
    named = tuple(node.id for node in composites if not node.predecessors and not node.spec.after)
    driver.reopen(ev.Selection(nodes=named))
    driver.run(crashes=5)

    def unless_named(artifact: str | None, path: Path, inputs: Mapping[str, Any]) -> Names | None:
        anew = any(path[: len(driver.plan.nodes[node].path)] == driver.plan.nodes[node].path for node in named)
        around = {driver.plan.nodes[inner].path for node in named for inner in driver.inside[node]}
        return None if anew or path in around else half_of_all(artifact, path, inputs)

    agree(driver, interpret(workflow, defaults(workflow), repaired, unless_named))
