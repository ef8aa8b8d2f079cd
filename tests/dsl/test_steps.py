"""Owns the tests of steps: binding, outputs, options, and what is said about mistakes in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from meson_core import Artifact, Retry, for_each, kind, param, step, workflow
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
from meson_core.spec.model import Constant, Expression, Resources
from meson_core.spec.model import Retry as SpecRetry
from tests.dsl.made import line_of, problem_of, problems_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Trained(TypedDict):
    model: Artifact
    scores: list[float]


@dataclass
class Split:
    train: list[int]
    test: list[int]


users = kind("shell", name="users", script="x", outputs={"cohort": Artifact, "rows": int, "regions": "list[str]"})
alpha = param("alpha", float, default=0.1)
# What type checkers would refuse, and authors may write.
_NUMBER: Any = 3
_LIST: Any = ["y"]


@step
def train(users: Artifact, alpha: float, depth: int = 3) -> Trained:
    """Train a model.

    On everything.
    """
    return {"model": users, "scores": [alpha] * depth}


def _spec(node: Any, *before: Any) -> Any:
    """The spec of a node that stands at the end of a workflow."""
    found: Any = build(workflow("w", [*before, node], params=[alpha])).body[-1]
    return found


def test_a_step_function_is_still_a_function() -> None:
    stored: Any = "stored"

    assert train.fn(users=stored, alpha=0.5) == Trained(model=stored, scores=[0.5] * 3)
    assert train.__name__ == "train"
    assert (train.__doc__ or "").startswith("Train a model.")


def test_a_call_binds_by_position_and_by_name() -> None:
    spec = _spec(train(users.output["cohort"], depth=5, alpha=alpha * 2), users)

    assert spec.inputs == {
        "users": Expression(expr="users.cohort"),
        "depth": Constant(value=5),
        "alpha": Expression(expr="alpha * 2"),
    }
    assert spec.input_types == {"users": "artifact", "alpha": "float", "depth": "int"}
    assert spec.outputs == {"model": "artifact", "scores": "list[float]"}
    assert (spec.kind, spec.doc) == ("python", "Train a model.")


def test_binding_gives_a_new_node_and_leaves_the_old_one() -> None:
    first = train(users=users.output["cohort"])
    second = first(alpha=1.0)

    assert set(first.bound) == {"users"}
    assert set(second.bound) == {"users", "alpha"}
    assert second(alpha=2.0).bound["alpha"] == 2.0


def test_lists_and_dicts_may_hold_references() -> None:
    @step
    def f(x: Any) -> None: ...

    spec = _spec(f(x=[users.output["rows"], {"k": alpha, "l": (1, 2)}]), users)

    assert spec.inputs == {"x": Expression(expr="[users.rows, {'k': alpha, 'l': [1, 2]}]")}


def test_a_step_with_one_output_stands_for_it() -> None:
    @step
    def one() -> float:
        return 1.0

    @step
    def two(x: float) -> None: ...

    assert _spec(two(x=one), one).inputs == {"x": Expression(expr="one.result")}
    assert _spec(two(x=one.output), one).inputs == {"x": Expression(expr="one.result")}
    with pytest.raises(SpecError, match="users has several outputs: cohort, rows, regions") as caught:
        two(x=users)
    assert caught.value.hint == 'say which: users.output["cohort"]'


def test_numbers_of_numpy_and_paths_are_bound_as_json() -> None:
    @step
    def f(x: Any) -> None: ...

    class Array:
        dtype = "float64"

        def __init__(self, items: Any) -> None:
            self.items = items

        def tolist(self) -> Any:
            return self.items

    assert f(x={"a": Array(3), "b": Array([1, 2]), "c": Path("a") / "b"}).bound == {
        "x": {"a": 3, "b": [1, 2], "c": "a/b"}
    }
    assert _spec(for_each(y=Array([1, 2]))(f.named("g")(x=1))).variables == {"y": Constant(value=[1, 2])}


def test_a_step_without_outputs_stands_for_nothing() -> None:
    @step
    def f(x: Any) -> None: ...

    with pytest.raises(SpecError, match="f has no outputs") as caught:
        f(x=f)
    assert caught.value.hint == "declare them: by a return annotation, or outputs={...}"


def test_notebooks_may_ask_for_what_is_not_there() -> None:
    """They look for `_repr_html_` and the like, and an error of ours would be shown instead of the object."""
    for thing in (users, users.output, users.output["rows"], for_each(x=[1]), workflow("w", users), train):
        assert getattr(thing, "_repr_html_", None) is None


def test_a_node_stands_in_one_place_only() -> None:
    loop = for_each(x=[1])
    problem = problem_of(workflow("w", users >> loop(users)))

    assert problem.message == "'users' stands in two places, and a node has only one"
    assert isinstance(problem, DuplicateNameError)


def test_what_is_not_bound_is_looked_up_by_name_if_it_has_no_default() -> None:
    @step
    def f(region: str, alpha: float, depth: int = 3) -> None: ...

    wf = workflow("w", users >> for_each(region=users.output["regions"])(f), params=[alpha, param("depth", int)])
    loop = build(wf).body[1]

    assert loop.body[0].inputs == {"region": Expression(expr="region"), "alpha": Expression(expr="alpha")}  # type: ignore[union-attr]


def test_an_argument_without_a_value_is_told_with_its_line() -> None:
    node = train(alpha=1.0)  # bind
    problem = problem_of(workflow("w", node))

    assert problem.message == "step 'train': nothing is bound to its argument 'users'"
    assert problem.hint == "bind it: train(users=...); or have a loop variable or a parameter of that name"
    assert problem.where is not None
    expected = line_of("bind", test_an_argument_without_a_value_is_told_with_its_line)
    assert (problem.where.file, problem.where.line) == (__file__, expected)


@pytest.mark.parametrize(
    ("call", "error", "message", "hint"),
    [
        (lambda: train(user=1), UnknownNameError, "step 'train' has no argument 'user'", "did you mean 'users'?"),
        (lambda: train(1, 2, 3, 4), SpecError, "step 'train' takes 3 arguments, got 4", None),
        (lambda: train(1, users=2), SpecError, "step 'train': argument 'users' is given twice", None),
        (lambda: users(1), SpecError, "step 'users' takes its inputs by name, got 1 without one", None),
        (
            lambda: train(alpha={1, 2}),
            WrongTypeError,
            "argument 'alpha' is {1, 2} (set), which is not JSON",
            "Artifact",
        ),
        (lambda: train(alpha=float("nan")), WrongTypeError, "JSON has only finite numbers", None),
        (lambda: train(alpha={1: 2}), WrongTypeError, "is a mapping whose keys are not all texts", None),
        (lambda: users.output["row"], UnknownNameError, "users has no output 'row'", "did you mean 'rows'?"),
        (lambda: users.output.rows, SpecError, "outputs are looked up by key", 'write users.output["rows"]'),
        (lambda: train.named("a b"), SpecError, "'a b' cannot be the name of a step", "'a_b'"),
        (lambda: train.named("if"), SpecError, "'if' cannot be the name of a step", "'if_'"),
        (lambda: train.named("2x"), SpecError, "'2x' cannot be the name of a step", "'_2x'"),
        (lambda: train.named(_NUMBER), WrongTypeError, "the name of a step must be a text, got 3", None),
        (lambda: train.with_options(cpu=3), UnknownNameError, "there is no option 'cpu'", "did you mean 'cpus'?"),
        (
            lambda: kind("shell", name="x", env={"A": alpha}),
            WrongTypeError,
            "option 'env' is known only during",
            "input",
        ),
        (lambda: kind("shell", name="x", outputs={"y": set}), WrongTypeError, "its output 'y' is set", "use bool, int"),
        (lambda: kind("shell", name="x", outputs=_LIST), WrongTypeError, "outputs must be a mapping", '{"rows": int}'),
        (lambda: kind(_NUMBER, name="x"), WrongTypeError, "the step kind must be a text, got 3", None),
    ],
)
def test_a_mistake_is_told_where_it_is_written(
    call: Callable[[], object], error: type[SpecError], message: str, hint: str | None
) -> None:
    with pytest.raises(error) as caught:
        call()

    assert message in caught.value.message
    assert (hint or "") in (caught.value.hint or "")
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_a_type_that_there_is_not_is_found_by_the_check() -> None:
    with pytest.raises(InvalidWorkflowError, match="'flot' is not a type") as caught:
        check(build(workflow("w", kind("shell", name="x", outputs={"y": "flot"}))))

    assert caught.value.problems[0].hint == "did you mean 'float'?"


def test_a_type_that_does_not_fit_is_found_by_the_check() -> None:
    with pytest.raises(Exception, match="'alpha'") as caught:
        check(build(workflow("w", users >> train(users=users.output["cohort"], alpha="much"))))

    assert "expected float, got str 'much'" in str(caught.value)


def test_policies_become_fields_of_the_spec() -> None:
    @step(
        name="g",
        cpus=2,
        memory="2 GB",
        disk=10,
        gpus=1,
        resources={"licences": 2},
        where='zone == "a"',
        retries=2,
        timeout="10 min",
        grace=3,
        join="none_failed",
        on_failure="ignore",
        priority=7,
        isolate=True,
        artifact="y/${date}",
        cache="inputs",
        outputs={"y": int},
    )
    def f() -> Any: ...

    spec = _spec(f.named("g"))

    assert spec.resources == Resources(
        cpus=2, memory=2 * 10**9, disk=10, other={"gpus": 1, "licences": 2}, constraints=('zone == "a"',)
    )
    assert spec.retry == SpecRetry(user=2, timeout=2, platform=3)
    assert (spec.timeout_s, spec.grace_s, spec.priority, spec.isolate) == (600, 3, 7, True)
    assert (spec.artifact, spec.cache) == ("y/${date}", "inputs")
    assert (spec.join.value, spec.on_failure.value, spec.outputs) == ("none_failed", "ignore", {"y": "int"})


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        (0, SpecRetry()),
        (5, SpecRetry(user=5, timeout=5, platform=5)),
        (Retry(user=1, backoff_s=9), SpecRetry(user=1, backoff_s=9)),
        ({"platform": None}, SpecRetry(platform=None)),
    ],
)
def test_retries_are_a_number_or_by_cause(retries: Any, expected: SpecRetry) -> None:
    assert _spec(kind("shell", name="x", retries=retries)).retry == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpus": -1}, "step 'x': cpus must be a number, 0 or more, got -1"),
        ({"memory": "2 GG"}, "step 'x': memory is not understood ('2 GG' is not a size"),
        ({"timeout": "soon"}, "step 'x': timeout is not understood ('soon' is not a duration"),
        ({"timeout": 0}, "step 'x': timeout must be more than 0 seconds, got 0"),
        ({"timeout": "3 parsecs"}, "there is no unit 'parsecs'"),
        ({"retries": -1}, "step 'x': retries must be 0 or more, got -1"),
        ({"retries": "many"}, "step 'x': retries must be a number, or a Retry(...), got 'many'"),
        ({"retries": {"usr": 1}}, "there is no field 'usr'"),
        ({"join": "al"}, "step 'x': join cannot be 'al'"),
        ({"on_failure": "ignored"}, "step 'x': on_failure cannot be 'ignored'"),
        ({"priority": 1.5}, "step 'x': priority must be a whole number, got 1.5"),
        ({"isolate": "yes"}, "step 'x': isolate must be true or false, got 'yes'"),
        ({"artifact": 3}, "step 'x': artifact must be an id like 'importance/${date}', got 3"),
        ({"cache": "outputs"}, "step 'x': cache must be true, false or 'inputs', got 'outputs'"),
        ({"where": 3}, "step 'x': where must be a constraint"),
        ({"resources": {"cpus": 3}}, "step 'x': resources is for further quantities"),
        ({"resources": {"licences": "two"}}, "resources['licences'] must be a number"),
    ],
)
def test_a_policy_that_makes_no_sense_is_told_with_the_line_of_its_step(options: dict[str, Any], message: str) -> None:
    problem = problem_of(workflow("w", kind("shell", name="x", **options)))  # made

    assert message in problem.message
    assert problem.where is not None
    expected = line_of("made", test_a_policy_that_makes_no_sense_is_told_with_the_line_of_its_step)
    assert (problem.where.file, problem.where.line) == (__file__, expected)


def test_all_mistakes_are_told_at_once() -> None:
    problems = problems_of(
        workflow("w", kind("shell", name="x", cpus=-1) | kind("shell", name="y", join="al") | train, params=[alpha])
    )

    assert [problem.message.partition(":")[0] for problem in problems] == ["step 'x'", "step 'y'", "step 'train'"]


def test_an_unknown_option_of_a_step_function_is_told_with_the_line_of_the_function() -> None:
    misspelt: Any = {"cpu": 2}

    @step(**misspelt)
    def f() -> None: ...

    with pytest.raises(UnknownNameError, match="step 'f': there is no option 'cpu'") as caught:
        workflow("w", f)

    assert caught.value.hint == "did you mean 'cpus'?"
    assert caught.value.where is not None
    assert caught.value.where.line == f.fn.__code__.co_firstlineno


def test_only_plain_functions_with_named_arguments_are_steps() -> None:
    @step
    async def later() -> None: ...

    @step
    def some() -> Any:
        yield 1

    @step
    def positional(x: int, /) -> None: ...

    @step
    def starred(*xs: int) -> None: ...

    for function, message in (
        (later, "step 'later' is not a plain function: it is async"),
        (some, "step 'some' is not a plain function: it is a generator"),
        (positional, "its argument x cannot be given by name"),
        (starred, "its argument *xs cannot be given by name"),
    ):
        with pytest.raises(SpecError) as caught:
            function()

        assert message in caught.value.message


def test_a_function_with_open_arguments_takes_any_name() -> None:
    @step
    def f(**values: int) -> None: ...

    assert _spec(f(x=1, y=alpha)).inputs == {"x": Constant(value=1), "y": Expression(expr="alpha")}
    with pytest.raises(SpecError, match="cannot be the name of an argument"):
        f(**{"not a name": 1})


def test_a_reference_to_another_node_of_the_same_name_is_refused() -> None:
    """By name alone it would silently be the one that is in the workflow."""
    one, other = train(users=users.output["cohort"], alpha=1.0), train(users=users.output["cohort"], alpha=2.0)

    @step
    def f(x: Any) -> None: ...

    problem = problem_of(workflow("w", users >> one >> f(x=other.output["scores"])))

    assert isinstance(problem, OutOfScopeError)
    assert "train.scores names the 'train' that was made at" in problem.message
    assert "keep the node in a variable" in (problem.hint or "")
    build(workflow("w", users >> one >> f(x=train.output["scores"])))  # the bare function stands for its node


def test_a_reference_to_what_is_not_in_the_workflow_is_refused() -> None:
    @step
    def f(x: Any) -> None: ...

    problem = problem_of(workflow("w", f(x=users.output["rows"])))

    assert "users.rows names 'users', which is not in workflow 'w'" in problem.message
    assert problem.hint == "put users into the graph, before what needs it"


def test_two_calls_are_two_nodes_and_need_two_names() -> None:
    def made(second: str) -> Any:
        one = train(users=users.output["cohort"], alpha=1.0)
        return check(build(workflow("w", users >> [one, one.named(second)])))

    made("train_again")
    with pytest.raises(Exception, match="train") as caught:
        made("train")
    lines = [line for line in str(caught.value).splitlines() if "train" in line]
    assert any("test_steps.py" in line for line in lines)


def test_nodes_show_themselves() -> None:
    assert repr(users) == "<shell step users>"
    assert repr(users.output) == "<outputs of users: cohort, rows, regions>"
    assert repr(users.output["rows"] > 3) == "<users.rows > 3>"
    assert list(users.output) == ["cohort", "rows", "regions"]
    assert len(users.output) == 3
