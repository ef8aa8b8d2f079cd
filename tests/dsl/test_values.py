"""Owns the tests of symbolic values: the text that operators write, and what they refuse."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meson_core import expr, kind, param
from meson_core.dsl.values import Value, as_value, is_symbolic, symbols
from meson_core.errors import ExpressionError, SpecError, UnknownNameError, WrongTypeError
from meson_core.expressions import parse

if TYPE_CHECKING:
    from collections.abc import Callable

a, b, c = (param(name, "any", default=None) for name in "abc")
users = kind("shell", name="users", outputs={"rows": int, "regions": "list[str]"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (a * 2 > users.output["rows"], "a * 2 > users.rows"),
        ((a + b) * c, "(a + b) * c"),
        (a + b * c, "a + b * c"),
        (a - (b - c), "a - (b - c)"),
        (a - b - c, "a - b - c"),
        (a / (b * c), "a / (b * c)"),
        (2**a**b, "2 ** a ** b"),
        ((a**b) ** c, "(a ** b) ** c"),
        (-a * b, "-a * b"),
        (-(a * b), "-(a * b)"),
        ((-a) ** b, "(-a) ** b"),
        (a**-b, "a ** -b"),
        (+a, "a"),
        (7 - a, "7 - a"),
        (-1 * a, "-1 * a"),
        (a ** (-1), "a ** -1"),
        ((-1) ** a, "(-1) ** a"),
        (7 // a % 2, "7 // a % 2"),
        ((a > 1) & (b > 2) | ~(c == 3), "a > 1 and b > 2 or not c == 3"),
        (((a > 1) | (b > 2)) & c, "(a > 1 or b > 2) and c"),
        (a & (b & c), "a and (b and c)"),
        (~(a & b), "not (a and b)"),
        (~~a, "not not a"),
        ((a < b) == c, "(a < b) == c"),
        (~a == b, "(not a) == b"),
        (True & a, "True and a"),
        (users.output["regions"][0], "users.regions[0]"),
        (a["deep"]["er"], "a['deep']['er']"),
        (a[b + 1], "a[b + 1]"),
        (a[1:], "a[1:]"),
        (a[: b + 1], "a[:b + 1]"),
        (a[::2], "a[::2]"),
        ((a + b)[0], "(a + b)[0]"),
        (a.isin(["x", "y"]), "a in ['x', 'y']"),
        (a.contains("it's"), '"it\'s" in a'),
        (a == None, "a == None"),  # noqa: E711 - an expression is written, nothing is compared
        ("pre" + a, "'pre' + a"),
        (expr("a if b else c") + 1, "(a if b else c) + 1"),
        (expr("len({rows}) > 3", rows=users.output["regions"]), "len(users.regions) > 3"),
        (expr("{x} * 2", x=a + b), "(a + b) * 2"),
        (as_value({"k": [a, 1.5, None, True]}), "{'k': [a, 1.5, None, True]}"),
    ],
)
def test_operators_write_text_with_just_the_parentheses_that_it_needs(value: Value, text: str) -> None:
    assert text == value.text
    assert parse(text).canonical == parse(value.text).canonical


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "<": operator.lt,
    "==": operator.eq,
}
_trees = st.recursive(
    st.sampled_from(["a", "b", "c"]) | st.integers(-3, 9),
    lambda inner: st.tuples(st.sampled_from(sorted(_OPERATORS)), inner, inner),
    max_leaves=12,
)


@pytest.mark.slow
@given(tree=_trees, values=st.tuples(*(st.integers(1, 9) for _ in "abc")))
@settings(deadline=None)
def test_the_text_means_what_the_operators_would_have_computed(tree: Any, values: tuple[int, int, int]) -> None:
    """A missing parenthesis would give another number."""
    known = dict(zip("abc", values, strict=True))

    def make(node: Any, leaf: Callable[[Any], Any]) -> Any:
        if isinstance(node, tuple):
            return _OPERATORS[node[0]](make(node[1], leaf), make(node[2], leaf))
        return leaf(node)

    try:
        expected = make(tree, lambda node: known.get(node, node))
    except ZeroDivisionError:
        return
    made = make(tree, lambda node: {"a": a, "b": b, "c": c}.get(node, node))
    if isinstance(made, Value):
        assert expected == parse(made.text).evaluate(known)


@pytest.mark.parametrize(
    ("use", "hint"),
    [
        (lambda: a > 1 and b > 2, "write & for and, | for or, ~ for not"),
        (lambda: not a, "~ for not"),
        (lambda: 1 if a else 2, "write & for and"),
        (lambda: 0 < a < 1, "split a < b < c into (a < b) & (b < c)"),
        (lambda: 3 in a, "write value.contains(item)"),
        (lambda: list(a), "for_each(item=...)(body)"),
        (lambda: len(a), 'expr("len({items})"'),
        (lambda: f"{a}", "bind it as an argument"),
    ],
)
def test_what_needs_a_value_now_says_what_to_write_instead(use: Callable[[], object], hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        use()

    assert "a" in caught.value.message
    assert "has no value before the run" in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_values_are_told_apart_by_identity() -> None:
    """`==` writes an expression, so sets and dicts of values must not use it."""
    assert len({a, b, a}) == 2


@pytest.mark.parametrize("literal", [object(), {1, 2}, float("nan"), float("inf"), b"x"])
def test_a_literal_that_is_not_json_is_refused_where_it_is_written(literal: object) -> None:
    with pytest.raises(WrongTypeError) as caught:
        a + literal

    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_an_expression_text_is_checked_where_it_is_written() -> None:
    with pytest.raises(ExpressionError) as caught:
        expr("a +")

    assert caught.value.text == "a +"
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_an_unknown_name_in_braces_has_its_nearest_one() -> None:
    with pytest.raises(UnknownNameError) as caught:
        expr("len({rowz})", rows=users.output["rows"])

    assert caught.value.hint == "did you mean 'rows'?"


def test_a_value_remembers_what_it_was_made_of_once_and_in_order() -> None:
    rows = users.output["rows"]

    assert [id(a), id(rows), id(b)] == [id(used) for used in symbols([(a + rows) * a, {"k": [b, a]}])]
    assert is_symbolic([1, {"k": a}])
    assert not is_symbolic([1, {"k": 2}])
