"""Owns the tests of loops, choices, workflows in workflows, and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from meson_core import (
    choose,
    end,
    expr,
    for_each,
    kind,
    load_yaml,
    param,
    repeat,
    start,
    step,
    subworkflow,
    when,
    workflow,
)
from meson_core.dsl.build import build
from meson_core.errors import (
    DuplicateNameError,
    InvalidWorkflowError,
    OutOfScopeError,
    SpecError,
    UnknownNameError,
    WrongTypeError,
)
from meson_core.spec.check import check
from meson_core.spec.model import Choose, Constant, Expression, ForEach, Repeat, Subworkflow
from tests.dsl.made import line_of, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable

users = kind("shell", name="users", script="x", outputs={"rows": int, "regions": "list[str]"})
train = kind("shell", name="train", script="x", outputs={"score": float, "stable": bool})
alpha = param("alpha", float, default=0.1)
# What type checkers would refuse, and authors may write.
_NUMBER: Any = 3
_LIST: Any = ["a"]
_STEP: Any = train
_ZIP: Any = "zip"
_STOP: Any = "stop"


def _only(part: Any) -> Any:
    return build(workflow("w", part)).body[-1]


# --- for_each -----------------------------------------------------------------------------------------------------------


def test_a_loop_says_what_it_is_over_and_how() -> None:
    loop = for_each(region=users.output["regions"], n=range(3), mode="zipped", max_parallel=4, max_failed=1, join="any")
    node = _only(users >> loop(train(region=loop.region, n=loop["n"])))

    assert isinstance(node, ForEach)
    assert (node.name, node.mode, node.max_parallel, node.max_failed) == ("each_region_n", "zipped", 4, 1)
    assert node.variables == {"region": Expression(expr="users.regions"), "n": Constant(value=[0, 1, 2])}
    assert node.body[0].inputs == {"region": Expression(expr="region"), "n": Expression(expr="n")}  # type: ignore[union-attr]
    assert node.join.value == "any"


def test_items_may_be_a_step_with_one_output() -> None:
    one = kind("shell", name="one", outputs={"xs": list})

    assert _only(one >> for_each(x=one)(train)).variables == {"x": Expression(expr="one.xs")}
    assert _only(one >> for_each(x=one.output)(train)).variables == {"x": Expression(expr="one.xs")}


def test_a_variable_may_be_called_like_a_word_or_a_method() -> None:
    loop = for_each({"mode": [1], "sequence": [2]})
    node = _only(loop(train(a=loop["mode"], b=loop["sequence"])))

    assert list(node.variables) == ["mode", "sequence"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (for_each, SpecError, "a for_each needs at least one variable"),
        (lambda: for_each(x="abc"), WrongTypeError, "the items of 'x' must be a list, a range or a reference to one"),
        (lambda: for_each(x=3), WrongTypeError, "got 3"),
        (lambda: for_each(x=for_each(y=[1])), WrongTypeError, "got <for_each over y>"),
        (lambda: for_each(x=[{1}]), WrongTypeError, "the items of 'x' is {1} (set), which is not JSON"),
        (
            lambda: repeat(train, until="a", max_iterations=1, carry={"a": {1}}),
            WrongTypeError,
            "{1} (set) cannot be written in an expression",
        ),
        (lambda: workflow("w", train, outputs={"y": {1}}), WrongTypeError, "{1} (set) cannot be written"),
        (lambda: workflow("w", train, outputs={"y": train}), SpecError, "train has several outputs: score, stable"),
        (lambda: for_each(x=[1], mode=_ZIP), UnknownNameError, "for_each: mode cannot be 'zip'"),
        (lambda: for_each(x=[1], y=[1, 2], mode="zipped"), SpecError, "need equally many items (x: 1, y: 2)"),
        (
            lambda: for_each(x=[1], max_parallel=0),
            WrongTypeError,
            "max_parallel must be a whole number, 1 or more, got 0",
        ),
        (lambda: for_each(x=[1], max_failed=True), WrongTypeError, "max_failed must be a whole number"),
        (lambda: for_each(x=[1]).y, UnknownNameError, "this for_each has no variable 'y'"),
        (lambda: list(for_each(x=[1])), SpecError, "the items of a for_each are known only during the run"),
        (lambda: for_each(x=[1])(start), SpecError, "for_each: its body is empty"),
        (lambda: for_each(x=[1])(train).output, SpecError, "each_x has no outputs of its own"),
        (lambda: repeat(end, until="a", max_iterations=1), SpecError, "repeat: its body is empty"),
        (lambda: repeat(train, until="a", max_iterations=0), WrongTypeError, "max_iterations must be a whole number"),
        (
            lambda: repeat(train, until=_NUMBER, max_iterations=1),
            WrongTypeError,
            "repeat: until must be an expression, got 3",
        ),
        (
            lambda: repeat(train, until="a", max_iterations=1, on_exhausted=_STOP),
            UnknownNameError,
            "repeat: on_exhausted cannot be 'stop'",
        ),
        (choose, SpecError, "a choose needs at least one when(condition, body)"),
        (lambda: choose(_STEP), WrongTypeError, "a choose takes when(condition, body), got <shell step train>"),
        (lambda: when("a", end), SpecError, "when: its body is empty"),
        (lambda: when("a", train) >> users, WrongTypeError, "is not a part of a workflow"),
        (lambda: subworkflow(_NUMBER), WrongTypeError, "3 is not a workflow"),
        (lambda: workflow("w", train, outputs=_LIST), WrongTypeError, "outputs must be a mapping of names"),
        (lambda: workflow("w", train, params=_LIST), WrongTypeError, "params must be a list of param(...), got 'a'"),
        (lambda: param("a", set), WrongTypeError, "parameter 'a': set is not a type that a workflow can carry"),
        (lambda: param("a b"), SpecError, "'a b' cannot be the name of a parameter"),
    ],
)
def test_a_mistake_is_told_where_it_is_written(make: Callable[[], Any], error: type[SpecError], message: str) -> None:
    with pytest.raises(error) as caught:
        make()

    assert message in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_a_loop_variable_is_seen_only_inside_its_loop() -> None:
    loop = for_each(x=[1])  # the loop
    problem = problem_of(workflow("w", loop(train) >> users(x=loop.x)))

    line = line_of("the loop", test_a_loop_variable_is_seen_only_inside_its_loop)
    assert isinstance(problem, OutOfScopeError)
    assert f"'x' is a loop variable of the for_each at {__file__}:{line} and is seen only inside it" in problem.message


def test_a_loop_variable_that_an_inner_one_hides_is_refused() -> None:
    """By name alone it would silently be the inner one."""
    outer, inner = for_each(x=[1]), for_each(x=[2])
    problem = problem_of(workflow("w", outer(inner(train(x=outer.x)))))

    assert "an inner for_each has a loop variable 'x', too" in problem.message
    build(workflow("w", outer(inner(train(x=inner.x)))))


# --- repeat, choose -----------------------------------------------------------------------------------------------------


def test_a_repeat_carries_expressions_and_texts() -> None:
    tried = train(alpha=alpha)
    carry = {"alpha": alpha * 2, "beta": "beta + 1", "fixed": 0.5}
    until = tried.output["stable"]
    node = _only(repeat(tried, until=until, max_iterations=5, carry=carry, on_exhausted="fail", name="tune"))

    assert isinstance(node, Repeat)
    assert (node.name, node.until, node.max_iterations, node.on_exhausted) == ("tune", "train.stable", 5, "fail")
    assert node.carry == {"alpha": "alpha * 2", "beta": "beta + 1", "fixed": "0.5"}


def test_a_condition_may_be_a_value_a_text_or_a_truth() -> None:
    assert _only(repeat(train, until=True, max_iterations=1)).until == "True"
    assert _only(repeat(train, until="train.stable", max_iterations=1)).until == "train.stable"
    one = kind("shell", name="one", outputs={"ok": bool})
    assert _only(repeat(one, until=one.output, max_iterations=1)).until == "one.ok"


def test_a_choose_has_branches_and_perhaps_otherwise() -> None:
    node = _only(users >> choose(when(users.output["rows"] > 9, train), otherwise=kind("shell", name="rest")))

    assert isinstance(node, Choose)
    assert [branch.when for branch in node.branches] == ["users.rows > 9"]
    assert [step.name for step in (*node.branches[0].body, *node.otherwise)] == ["train", "rest"]
    assert _only(users >> choose(when("users.rows > 9", train))).otherwise == ()


# --- names --------------------------------------------------------------------------------------------------------------


def test_composites_get_names_by_what_they_are_in_document_order() -> None:
    def loop(*names: str, **options: Any) -> Any:
        body = [kind("shell", name=name) for name in names]
        return for_each(x=[1], **options)(body)

    taken = kind("shell", name="each_x_2")
    spec = build(workflow("w", loop("a") >> repeat(loop("b"), until="True", max_iterations=1) >> taken >> loop("c")))

    assert [node.name for node in spec.body] == ["each_x", "repeat", "each_x_2", "each_x_4"]
    assert [node.name for node in spec.body[1].body] == ["each_x_3"]  # type: ignore[union-attr]


def test_given_names_are_kept() -> None:
    node = _only(for_each(x=[1], name="loop")(choose(when("True", train), name="way")))

    assert (node.name, node.body[0].name) == ("loop", "way")


# --- workflows in workflows -----------------------------------------------------------------------------------------------


def _inner() -> Any:
    tried = train(alpha=alpha)
    return workflow("inner", tried, outputs={"best": tried.output["score"]}, timeout="1 h", doc="Inner.")


def test_a_workflow_in_another_binds_its_parameters_and_shows_its_outputs() -> None:
    inner = _inner()
    beta = param("beta", float)
    tuned = inner(alpha=beta / 2)
    spec = check(build(workflow("w", tuned >> users(x=tuned.output["best"]))))
    node = spec.body[0]

    assert isinstance(node, Subworkflow)
    assert list(spec.params) == ["beta"]
    assert node.inputs == {"alpha": Expression(expr="beta / 2")}
    assert (node.workflow.name, node.workflow.timeout_s, node.workflow.doc) == ("inner", 3600, "Inner.")
    assert list(node.workflow.params) == ["alpha"]
    assert spec.body[1].inputs == {"x": Expression(expr="inner.best")}  # type: ignore[union-attr]


def test_a_workflow_that_was_read_stands_in_an_authored_one() -> None:
    inner = load_yaml("{name: inner, params: {x: int}, body: {a: {kind: shell, outputs: {y: int}}}, outputs: {y: a.y}}")
    node = subworkflow(inner, x=3, join="any", name="sub")
    spec = check(build(workflow("w", node >> users(x=node.output["y"]))))

    assert spec.body[0].workflow.params["x"].type == "int"  # type: ignore[union-attr]
    assert spec.body[0].join.value == "any"


def test_mistakes_with_a_workflow_in_another_are_told() -> None:
    inner = _inner()

    with pytest.raises(UnknownNameError, match="subworkflow 'inner' has no parameter 'alfa'") as caught:
        inner(alfa=1)
    assert caught.value.hint == "did you mean 'alpha'?"
    with pytest.raises(UnknownNameError, match="inner has no output 'bst'"):
        _ = inner.output["bst"]
    assert "a" in repr(inner.named("a"))


def test_mistakes_inside_are_told_with_those_outside() -> None:
    inner = workflow("inner", kind("shell", name="x", cpus=-1))
    with pytest.raises(InvalidWorkflowError) as caught:
        build(workflow("w", inner >> kind("shell", name="y", cpus=-2)))

    assert [problem.message[-2:] for problem in caught.value.problems] == ["-1", "-2"]


def test_names_inside_are_not_names_outside() -> None:
    """A subworkflow is a namespace: the same step may stand in both, and a reference means the nearest."""
    inner = workflow("inner", users)
    spec = check(build(workflow("w", inner >> users >> train(x=users.output["rows"]))))

    assert [node.name for node in spec.body] == ["inner", "users", "train"]
    with pytest.raises(InvalidWorkflowError, match="which is not in workflow 'w'"):
        build(workflow("w", inner >> train(x=users.output["rows"])))


# --- parameters ---------------------------------------------------------------------------------------------------------


def test_a_workflow_has_the_parameters_that_are_used_anywhere_in_it() -> None:
    a, b, c, d, e, f = (param(name, int, default=1) for name in "abcdef")
    loop = for_each(x=expr("range({n})", n=a))
    tried = train(x=[{"k": b}])
    inner = loop(repeat(tried, until=tried.output["score"] > c, max_iterations=2, carry={"b": d}))
    spec = build(
        workflow("w", inner >> choose(when(e > 1, users)), outputs={"y": tried.output["score"]}, params=[f, a])
    )

    assert list(spec.params) == ["a", "c", "d", "b", "e", "f"]  # what a node says comes before its body


def test_a_parameter_says_all_that_can_be_said() -> None:
    p = param("p", Literal["x", "y"], default="x", doc="Which.", pattern="[xy]", min_length=1, max_length=1)
    q = param("q", int, ge=1, le=9, gt=0, lt=10)
    r = param("r", "list[float]", default=None)
    spec = build(workflow("w", train(p=p, q=q, r=r))).params

    assert spec["p"].model_dump(exclude_defaults=True) == {
        "type": "str", "default": "x", "required": False, "choices": ("x", "y"), "doc": "Which.",
        "pattern": "[xy]", "min_length": 1, "max_length": 1,
    }  # fmt: skip
    assert spec["q"].model_dump(exclude_defaults=True) == {"type": "int", "ge": 1, "le": 9, "gt": 0, "lt": 10}
    assert (spec["r"].required, spec["r"].default, spec["r"].type) == (False, None, "list[float]")


def test_two_parameters_of_one_name_must_be_the_same() -> None:
    other = param("alpha", float, default=0.2)

    build(workflow("w", train(x=alpha, y=param("alpha", float, default=0.1))))
    with pytest.raises(DuplicateNameError, match="workflow 'w' has two different parameters 'alpha'") as caught:
        workflow("w", train(x=alpha, y=other))
    assert caught.value.where == other.where


def test_a_workflow_timeout_must_be_one() -> None:
    assert "workflow 'w': timeout: 'soon' is not a duration" in problem_of(workflow("w", train, timeout="soon")).message


# --- places -------------------------------------------------------------------------------------------------------------


def test_every_node_knows_its_line() -> None:
    @step
    def f() -> None: ...

    made = kind("shell", name="made")  # made
    loop = for_each(x=[1])  # loop
    again = repeat(made, until="True", max_iterations=1)  # again
    way = choose(when("True", f))  # way
    spec = build(workflow("w", loop(again) >> way))  # whole

    def line(marker: str) -> int:
        return line_of(marker, test_every_node_knows_its_line)

    each, chosen = spec.body
    assert [each.source and each.source.line, chosen.source and chosen.source.line] == [line("loop"), line("way")]
    assert each.body[0].source.line == line("again")  # type: ignore[union-attr]
    assert each.body[0].body[0].source.line == line("made")  # type: ignore[union-attr]
    assert chosen.branches[0].body[0].source.line == f.line  # type: ignore[union-attr]
    assert spec.source is not None
    assert (spec.source.file, spec.source.line) == (__file__, line("whole"))


def test_places_are_told_relative_to_the_project() -> None:
    root, _, name = __file__.rpartition("/")
    spec = build(workflow("w", train), root=root)

    assert spec.source is not None
    assert spec.source.file == name
