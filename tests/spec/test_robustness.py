"""Owns the tests that no definition, however broken, brings out anything but our own errors."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meson_core.errors import EvaluationError, InvalidWorkflowError
from meson_core.spec import Workflow, check, compile_plan, load, resolve
from meson_core.spec.digest import plain
from tests.spec.interpreters import ByReferences
from tests.spec.test_kinds import KINDS
from tests.strategies import Style, random_workflow

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from meson_core.errors import MesonError
    from meson_core.spec import Kinds

SCRAPS: list[Any] = [
    None, True, 0, -1, 2.5, "", "s1", "s2", "f1", "r1", "p0", "s1.i0 > 3", "s2.i0", "a.b +", "x y", "step", "any",
    "choose", "list[int]", "sha", [], [1, "s1"], {}, {"expr": "s1.i0"}, {"value": []}, {"node": "step"}, {"s1": "int"},
    {"node": "step", "name": "s1", "kind": "shell"}, {"when": "true", "body": []},
]  # fmt: skip


def mutate(rng: random.Random, data: Any) -> None:
    """Break something, somewhere in plain data."""
    spots: list[tuple[Any, Any]] = []
    stack = [data]
    while stack:
        value = stack.pop()
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        spots += [(value, key) for key in keys]
        stack += [value[key] for key in keys if isinstance(value[key], dict | list)]
    if not spots:
        return
    holder, key = rng.choice(spots)
    what = rng.randrange(4)
    if what == 0:
        del holder[key]
    elif what == 1:
        other, where = rng.choice(spots)
        holder[key] = json.loads(json.dumps(other[where])) if where in other or isinstance(other, list) else None
    elif what == 2 and isinstance(holder, dict):
        holder[str(rng.choice(["", "s1", "p0", "x y", "if", key, f"{key}s"]))] = holder.pop(key)
    else:
        holder[key] = json.loads(json.dumps(rng.choice(SCRAPS)))


@pytest.mark.slow
@given(st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_broken_definitions(rng: random.Random, count: int) -> None:
    """A definition with random damage is refused with problems that can be read, or it can really be run."""
    data = plain(random_workflow(rng, Style(size=8)))
    for _ in range(count):
        mutate(rng, data)
    for kinds in (None, KINDS):
        done, problems = outcome(data, kinds)
        if done is None:
            assert problems
            assert all(problem.message and "Traceback" not in str(problem) for problem in problems)
        else:
            assert check(done, kinds) == done
            resolve(compile_plan(done))


def outcome(data: Any, kinds: Kinds | None) -> tuple[Workflow | None, Sequence[MesonError]]:
    try:
        return check(load(data), kinds), ()
    except InvalidWorkflowError as error:
        return None, error.problems


@pytest.mark.slow
@given(st.recursive(st.sampled_from(SCRAPS), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@settings(max_examples=200)
def test_any_data(data: Any) -> None:
    """Anything at all is a workflow or is refused."""
    try:
        workflow = load(data)
    except InvalidWorkflowError:
        return
    assert isinstance(workflow, Workflow)


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_what_passes_the_check_runs(rng: random.Random) -> None:
    """An expression swapped for another of the same workflow passes only if it means something where it now stands."""
    workflow = random_workflow(rng, Style(size=8))
    text = json.dumps(plain(workflow))
    texts = sorted({part.partition('"')[0] for part in text.split('"expr": "')[1:]})
    if len(texts) < 2:
        return
    first, second = rng.sample(texts, 2)
    done, _ = outcome(json.loads(text.replace(f'"{first}"', f'"{second}"', 1)), None)
    if done is None:
        return
    plan = compile_plan(done)
    # A null where a value is needed fails the evaluation, lists of unequal length the zip. Anything else, a KeyError
    # above all, is a reference that led nowhere.
    with contextlib.suppress(EvaluationError, ValueError):
        ByReferences(plan, resolve(plan), {}).run()
