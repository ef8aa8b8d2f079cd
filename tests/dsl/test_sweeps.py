"""Owns the tests of sweeps as authors write them: every notation gives the same loop and the same steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import pytest

from meson_core import (
    MesonError,
    best,
    bootstrap,
    build,
    choose,
    cross_validate,
    draw,
    dump_yaml,
    for_each,
    kind,
    load_yaml,
    param,
    repeat,
    sequence,
    subworkflow,
    sweep,
    when,
    workflow,
)
from meson_core.spec import check, compile_plan
from meson_core.spec.model import ForEach, Step

if TYPE_CHECKING:
    from meson_core.dsl.steps import StepNode
    from meson_core.dsl.sweeps import SweepLoop, Swept


def shell(name: str, outputs: dict[str, Any] | None = None, **inputs: Any) -> StepNode:
    return kind("shell", name=name, script="true", outputs=outputs or {}, inputs=inputs)


def spec(graph: Any, **more: Any) -> Any:
    return check(build(workflow("w", graph, **more)))


def text(graph: Any) -> str:
    return dump_yaml(build(workflow("w", graph)))


DOCUMENT = """
name: w
params: {seed: {type: int, default: 7}}
sequence:
  - rates:
      sweep: {random: {alpha: {log_uniform: [0.0001, 1]}, depth: {integers: [1, 5]}}, n: 20, seed: '${seed}'}
      max_failed: 2
      sequence:
        - train: {kind: shell, script: 'true', inputs: {alpha: '${alpha}', depth: '${depth}'}, outputs: {rmse: float}}
        - judge: {kind: shell, script: 'true', inputs: {rmse: '${train.rmse}'}, outputs: {fair: bool}}
  - winner: {best: {of: rates, by: rmse}}
  - publish: {kind: shell, script: 'true', inputs: {alpha: "${winner.point['alpha']}"}}
"""


def test_operators_verbs_and_yaml_give_the_same_workflow() -> None:
    def parts() -> tuple[SweepLoop, StepNode, StepNode]:
        each = sweep(
            random={"alpha": draw.log_uniform(0.0001, 1), "depth": draw.integers(1, 5)},
            n=20,
            seed=param("seed", int, default=7),
            max_failed=2,
            name="rates",
        )
        train = shell("train", {"rmse": float}, alpha=each.alpha, depth=each["depth"])
        return each, train, shell("judge", {"fair": bool}, rmse=train.output["rmse"])

    def end(tried: Swept) -> tuple[StepNode, StepNode]:
        winner = best(tried, by="rmse", lowest=True, name="winner")
        return winner, shell("publish", alpha=winner.output["point"]["alpha"])

    each, train, judge = parts()
    tried = each(train >> judge)
    winner, publish = end(tried)
    by_operators = text(tried >> winner >> publish)
    each, train, judge = parts()
    swept = each.sequence(train, judge)
    by_verbs = text(sequence(swept, *end(swept)))

    assert by_operators == by_verbs
    assert by_operators == dump_yaml(load_yaml(DOCUMENT))
    assert check(load_yaml(by_operators)) == check(load_yaml(by_operators))


def test_it_is_a_loop_and_a_step_behind_it() -> None:
    each = sweep(grid={"alpha": [0.1, 1.0], "depth": range(2)})
    found = spec(each(shell("train", {"rmse": float}, alpha=each.alpha, depth=each.depth)))
    loop, results = found.body

    assert isinstance(loop, ForEach)
    assert isinstance(results, Step)
    assert (loop.name, loop.mode, results.name, results.after) == ("sweep", "crossed", "sweep_results", ("sweep",))
    assert results.options == {"function": "gather", "module": "meson_runtime.gathering"}
    assert {name: each.model_dump() for name, each in results.inputs.items()} == {
        "loop": {"value": "sweep"},
        "mode": {"value": "crossed"},
        "variables": {"value": {"in_alpha": "alpha", "in_depth": "depth"}},
        "outputs": {"value": {"out_0": "rmse"}},
        "in_alpha": {"value": [0.1, 1.0]},
        "in_depth": {"value": [0, 1]},
        "out_0": {"expr": "train.rmse"},
    }


def test_the_seed_stands_in_the_definition() -> None:
    each = sweep(random={"alpha": draw.normal(0, 1)}, n=3, seed=42)
    (loop, _) = spec(each(shell("train", {"rmse": float}))).body
    (sampled, _) = spec(bootstrap(shell("estimate", {"mean": float}), n=100, seed=42)).body

    assert loop.variables["alpha"].expr == "draw_normal(3, 42, 'alpha', 0, 1)"
    assert sampled.variables["sample_seed"].expr == "draw_seeds(100, 42, 'bootstrap')"


def test_points_come_from_a_list_or_a_query() -> None:
    query = shell("query", {"points": list[dict[str, float]]})
    given = spec(sweep(points=[{"a": 1, "b": 2}, {"b": 4, "a": 3}])(shell("x", {"y": int})))
    queried = spec(query >> sweep(points=query.output["points"], names=["a", "b"])(shell("x", {"y": int})))
    whole = sweep(points=query)
    objects = spec(query >> whole(shell("x", {"y": int}, a=whole.point["a"])))

    assert {name: each.value for name, each in given.body[0].variables.items()} == {"a": [1, 3], "b": [2, 4]}
    assert queried.body[1].variables["b"].expr == "pluck(query.points, 'b')"
    assert objects.body[1].variables["point"].expr == "query.points"


def test_sweeps_nest_and_the_inner_one_shows_its_summary() -> None:
    each = sweep(grid={"alpha": [0.1, 1.0]})
    folds = cross_validate(shell("train", {"rmse": float}), k=3)
    found = spec(each(folds) >> shell("end"))
    tried = each(folds)
    chosen = best(tried, by="mean.rmse")

    assert folds.output["mean"].text == "cross_validate_results.mean"
    assert [node.name for node in found.body[0].body] == ["cross_validate", "cross_validate_results"]
    assert chosen.output["point"]["alpha"].text == "sweep_best.point['alpha']"


def test_what_is_gathered_is_what_the_body_gives_but_not_what_loops_in_it_give() -> None:
    inner = for_each(region=["n", "s"])
    again = repeat(shell("again", {"loss": float}), until="again.loss < 1", max_iterations=2)
    way = choose(when("again.loss > 0", shell("left", {"score": float})), otherwise=shell("right", {"score": float}))
    sub = subworkflow(workflow("part", shell("p", {"q": int}), outputs={"q": "p.q"}))
    swept = sweep(grid={"alpha": [1]})(inner(shell("local", {"z": int})) >> again >> way >> sub)

    assert swept.columns == ("loss", "left.score", "right.score", "q")
    spec(swept)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (sweep, "a sweep goes over one of grid, random and points, got none of them"),
        (lambda: sweep(grid={"a": [1]}, points=[{"a": 1}]), "got grid and points"),
        (lambda: sweep(grid={"a": [1]}, n=3), "n is the number of points that random draws, and here is grid"),
        (lambda: sweep(random={"a": draw.uniform(0, 1)}), "sweep: n must be a whole number, 1 or more, got None"),
        (lambda: sweep(random={"a": [0, 1]}, n=3), "sweep: 'a' must be drawn from a distribution, got [0, 1]"),  # type: ignore[dict-item]
        (lambda: sweep(points=[1, 2]), "points must be a list of objects"),
        (lambda: sweep(points=[{"a": 1}, {"b": 1}]), "point 1 has b, and others have a"),
        (lambda: sweep(grid={"a": 3}), "the items of 'a' must be a list"),
        (lambda: draw.uniform(2, 1), "draw.uniform: the lower bound comes first, got 2 and 1"),
        (lambda: draw.log_uniform(0, 1), "draw.log_uniform: the bounds must be above 0, got 0"),
        (lambda: draw.integers(0, 1.5), "draw.integers: the bounds must be whole numbers, got 1.5"),  # type: ignore[arg-type]
        (lambda: draw.normal(0, -1), "draw.normal: the standard deviation must be 0 or more, got -1"),
        (lambda: draw.one_of([]), "draw.one_of: takes a list with something in it, got []"),
        (lambda: draw.uniform("a", 1), "draw.uniform: takes numbers, got 'a'"),  # type: ignore[arg-type]
        (lambda: cross_validate(k=1), "cross_validate: k must be a whole number, 2 or more, got 1"),
        (lambda: bootstrap(n=0), "bootstrap: n must be a whole number, 1 or more, got 0"),
        (lambda: best(sweep(grid={"a": [1]}), by="x"), "best takes a sweep, got"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_told_where_it_was_made(write: Any, told: str) -> None:
    with pytest.raises(MesonError) as caught:
        write()

    assert told in str(caught.value)
    assert "test_sweeps.py" in str(caught.value)


def test_a_metric_that_is_misspelt_is_told_with_the_right_one() -> None:
    swept = sweep(grid={"a": [1]})(shell("train", {"rmse": float}))
    with pytest.raises(MesonError) as caught:
        best(swept, by="rsme")

    assert "no step in 'sweep' has an output 'rsme'" in str(caught.value)
    assert "did you mean 'rmse'?" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("rates: {sweep: {gird: {a: [1]}}, body: {x: {kind: shell}}}", "did you mean 'grid'?"),
        ("rates: {sweep: {random: {a: {unifrom: [0, 1]}}, n: 2}, body: {x: {kind: shell}}}", "did you mean 'uniform'?"),
        ("rates: {sweep: {random: {a: {uniform: 1}}, n: 2}, body: {x: {kind: shell}}}", "takes a list of two numbers"),
        ("rates: {sweep: {random: {a: {uniform: [1, 0]}}, n: 2}, body: {x: {kind: shell}}}", "lower bound comes first"),
        ("rates: {sweep: {}, body: {x: {kind: shell}}}", "got none of them"),
        ("rates: {cross_validate: {k: 1}, body: {x: {kind: shell}}}", "k must be a whole number, 2 or more, got 1"),
        ("rates: {bootstrap: {seed: 1}, body: {x: {kind: shell}}}", "n must be a whole number, 1 or more, got None"),
        ("w: {best: {of: rates, by: rmse}}", "there is no sweep 'rates' before it"),
        ("w: {best: {of: rates}}", "it needs of (a sweep) and by (an output)"),
    ],
)
def test_a_mistake_in_a_document_is_told_with_its_line(said: str, told: str) -> None:
    with pytest.raises(MesonError) as caught:
        load_yaml(f"name: w\nbody:\n  {said}\n", file="w.yaml")

    assert told in str(caught.value)
    assert "w.yaml:3" in str(caught.value)


def test_type_checkers_know_what_these_give() -> None:
    body = shell("train", {"rmse": float})
    each = sweep(grid={"a": [1]})
    assert_type(each, "SweepLoop")
    swept = each(body)
    assert_type(swept, "Swept")
    assert_type(cross_validate(k=3), "SweepLoop")
    assert_type(cross_validate(body, k=3), "Swept")
    assert_type(bootstrap(body, n=3, seed=1), "Swept")
    assert_type(best(swept, by="rmse"), "StepNode")
    assert_type(draw.uniform(0, 1), draw.Distribution)

    assert compile_plan(check(build(workflow("w", swept)))).nodes[0].name == "sweep"
