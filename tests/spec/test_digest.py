"""Owns the tests of the identity of a definition."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from meson_core.spec import Workflow, canonical_json, digest, load, version
from meson_core.spec.digest import plain
from meson_core.spec.model import ForEach
from tests.spec.authoring import for_each, step, workflow
from tests.strategies import workflows

ONE = workflow(
    step("a", outputs="n: int", source={"file": "a.py", "line": 3}),
    for_each("f", {"v": [1, 2.5]}, step("b", inputs={"x": "v"})),
    params={"alpha": {"type": "float", "default": 0.5, "required": False}},
)


def test_the_digest_of_a_definition_never_changes() -> None:
    """Stored runs are found by it: a change here means that every stored version is orphaned."""
    assert digest(load(ONE)) == "sha256:fb20c75a862517a7aecc9f9de059381e437c1690cb1a6d7959d0029eec0f55ec"


def test_canonical_text() -> None:
    assert canonical_json(plain(load(workflow(step("a", outputs="n: int"))))) == (
        '{"body":[{"kind":"shell","name":"a","node":"step","outputs":{"n":"int"}}],"format":1,"name":"wf"}'
    )


def test_places_do_not_count() -> None:
    moved = json.loads(json.dumps(ONE).replace("a.py", "b.py"))

    assert digest(load(moved)) == digest(load(ONE))
    assert digest(load(ONE | {"source": {"file": "x.py"}})) == digest(load(ONE))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"timeout_s": 3.0},
        {"outputs": {"n": "a.n"}},
        {"params": {}},
        {"body": ONE["body"][:1]},
        {"body": [*ONE["body"], step("c")]},
        {"doc": "more"},
    ],
)
def test_everything_else_counts(change: dict[str, object]) -> None:
    assert digest(load(ONE | change)) != digest(load(ONE))


def test_keys_in_another_order_are_the_same() -> None:
    turned = json.loads(json.dumps(ONE, sort_keys=True))

    assert digest(load(turned)) == digest(load(ONE))


def test_a_version_has_the_code_in_it() -> None:
    one = load(ONE)

    assert version(one, "") != digest(one)
    assert version(one, "sha256:1") != version(one, "sha256:2")
    assert version(one, "sha256:1") == version(load(ONE), "sha256:1")


def test_there_is_no_text_of_what_is_no_json() -> None:
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


@pytest.mark.slow
@given(workflows(), workflows())
@settings(max_examples=50, deadline=None)
def test_equal_digests_are_equal_workflows(first: Workflow, second: Workflow) -> None:
    assert (digest(first) == digest(second)) == (first == second)


@pytest.mark.parametrize("names", [("a", "z"), ("z", "a")])
def test_loop_variables_keep_their_order_in_the_canonical_text(names: tuple[str, str]) -> None:
    """The last one changes fastest: another order is another workflow, also when it comes back from the store."""
    given = load(workflow(for_each("each", {name: [1, 2] for name in names}, step("s"))))
    again = Workflow.model_validate_json(canonical_json(plain(given)))

    (loop,) = again.body
    assert isinstance(loop, ForEach)
    assert list(names) == list(loop.variables)
    assert digest(given) == digest(again)
    assert (names == ("a", "z")) == ("order" not in plain(loop))
