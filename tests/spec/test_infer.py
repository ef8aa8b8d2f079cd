"""Owns the tests of the types of expressions."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meson_core.errors import EvaluationError
from meson_core.expressions import FUNCTIONS, parse
from meson_core.spec.infer import infer
from meson_core.spec.types import ANY, Type, check_value, parse_type
from tests.expressions.test_like_python import NAMES, expressions

DECLARED = {
    "n": "int", "x": "float", "s": "str", "yes": "bool", "l": "list[int]", "d": "dict[float]", "a": "any",
    "m": "artifact", "ll": "list[list[int]]", "ld": "list[dict[int]]",
}  # fmt: skip


class Names:
    def value(self, name: str) -> Type:
        return parse_type(DECLARED[name])

    def member(self, name: str, key: str) -> Type | None:
        return parse_type(key) if name == "step" else None


@pytest.mark.parametrize(
    ("text", "given_type"),
    [
        ("3", "int"),
        ("None", "any"),
        ("n", "int"),
        ("step.float", "float"),
        ("step['list']", "list[any]"),
        ("a.b", "any"),
        ("a[n]", "any"),
        ("a[0].b", "any"),
        ("d.b", "float"),
        ("d['b']", "float"),
        ("d[s]", "float"),
        ("l[0]", "int"),
        ("l[a]", "int"),
        ("s[0]", "str"),
        ("l[1:n:2]", "list[int]"),
        ("s[:1]", "str"),
        ("a[1:]", "any"),
        ("m.size", "int"),
        ("m[s]", "any"),
        ("ll[0][0]", "int"),
        ("not n", "bool"),
        ("-yes", "int"),
        ("-x", "float"),
        ("+a", "any"),
        ("n + yes", "int"),
        ("n + x", "float"),
        ("n / n", "float"),
        ("n ** n", "any"),
        ("x ** n", "float"),
        ("s + s", "str"),
        ("l + [x]", "list[float]"),
        ("l + a", "any"),
        ("s * n", "str"),
        ("n * l", "list[int]"),
        ("l * a", "any"),
        ("a * s", "any"),
        ("a - n", "any"),
        ("a + a", "any"),
        ("n < x < 3", "bool"),
        ("s < s", "bool"),
        ("n == s", "bool"),
        ("n in l", "bool"),
        ("a in s", "bool"),
        ("n and x", "float"),
        ("n or s", "any"),
        ("l if yes else [x]", "list[float]"),
        ("[]", "list[any]"),
        ("[n, x]", "list[float]"),
        ("(n, s)", "list[any]"),
        ("{}", "dict[any]"),
        ("{'k': n}", "dict[int]"),
        ("abs(yes)", "int"),
        ("abs(x)", "float"),
        ("sum(l)", "int"),
        ("sum([yes])", "int"),
        ("sum(a)", "any"),
        ("max(l)", "int"),
        ("max(l, default=x)", "float"),
        ("min(n, x)", "float"),
        ("flatten(ll)", "list[int]"),
        ("sorted(l)", "list[int]"),
        ("present(ld)[0].k", "int"),
        ("pluck(ld, 'k')", "list[any]"),
        ("round(x)", "int"),
        ("round(x, 2)", "float"),
        ("round(yes, 1)", "int"),
        ("len(m)", "int"),
        ("str(n)", "str"),
        ("keys(m)", "list[str]"),
        ("zip(l, l)", "list[list[any]]"),
    ],
)
def test_types(text: str, given_type: str) -> None:
    assert infer(parse(text), Names()) == (parse_type(given_type), [])


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("n.b", ["`n.b`: an int has no 'b'"]),
        ("m.sise", ["`m.sise`: an artifact has no 'sise'"]),
        ("ld.k", ["`ld.k`: a list[dict[int]] has no 'k'; one value for each item: take [0], or pluck()"]),
        ("l[s]", ["`l[s]`: a list[int] is not indexed by a str"]),
        ("d[0]", ["`d[0]`: a dict[float] is not indexed by an int"]),
        ("n[0]", ["`n[0]`: an int is not indexed by an int"]),
        ("d[1:]", ["`d[1:]`: a dict[float] cannot be sliced"]),
        ("-s", ["`-s`: a str has no sign"]),
        ("s + 1", ["`s + 1`: a str and an int do not go together"]),
        ("s - a", ["`s - a`: a str and an any do not go together"]),
        ("s * s", ["`s * s`: a str and a str do not go together"]),
        ("l * x", ["`l * x`: a list[int] and a float do not go together"]),
        ("d + d", ["`d + d`: a dict[float] and a dict[float] do not go together"]),
        ("s < 1", ["`s < 1`: a str and an int have no order"]),
        ("1 in n", ["`1 in n`: nothing is in an int"]),
        ("1 in s", ["`1 in s`: an int is never in a str"]),
        ("mean(x)", ["`mean(x)`: takes a list, got a float"]),
        ("max(n)", ["`max(n)`: takes a list, got an int"]),
        ("int(l)", ["`int(l)`: takes a number or a text, got a list[int]"]),
        ("len(n)", ["`len(n)`: takes a list, dict or text, got an int"]),
        ("round(s)", ["`round(s)`: takes a number, got a str"]),
        ("keys(l)", ["`keys(l)`: takes a dict, got a list[int]"]),
        ("[n.a, {s.b: s.c}] if -s else l.d", 5 * [""]),
    ],
)
def test_what_can_never_work(text: str, problems: list[str]) -> None:
    given_type, found = infer(parse(text), Names())

    assert len(found) == len(problems)
    if problems[0]:
        assert found == problems
        assert given_type in (ANY, parse_type("bool"))


def test_every_function_says_what_it_takes_and_gives() -> None:
    """A new function cannot be forgotten here: its words must be ones that the inference knows."""
    for function in FUNCTIONS.values():
        assert function.takes in ("list", "dict", "number", "scalar", "sized", "any", "several")
        if function.gives not in ("same", "item", "number", "total", "rounded"):
            parse_type(function.gives)


class Values:
    """The types of given values."""

    def value(self, name: str) -> Type:
        from meson_core.spec.types import type_of

        return type_of(NAMES[name])

    def member(self, name: str, key: str) -> Type | None:
        return None


@pytest.mark.slow
@given(expressions)
@settings(max_examples=500, deadline=None)
def test_types_are_true(text: str) -> None:
    """What an expression gives is of the type that was inferred; what was called impossible fails."""
    expression = parse(text)
    given_type, problems = infer(expression, Values())
    value: Any = None
    with contextlib.suppress(EvaluationError):
        value = expression.evaluate(NAMES)
    if value is None:
        return
    if not problems:
        assert _fits(value, given_type)


def _fits(value: Any, given_type: Type) -> bool:
    """Null is not tracked by the types."""
    if value is None or given_type.name == "any":
        return True
    if given_type.item is not None and isinstance(value, list | dict):
        return all(_fits(part, given_type.item) for part in (value.values() if isinstance(value, dict) else value))
    return check_value(value, given_type) is None


@pytest.mark.slow
@given(expressions, st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_impossible_fails(text: str, data: st.DataObject) -> None:
    """A problem is never told of an expression all of whose parts are evaluated and work."""
    _, problems = infer(parse(f"[{text}]"), Values())
    if not problems or any(word in text for word in (" if ", " and ", " or ", " < ")):
        return
    with pytest.raises(EvaluationError):
        parse(text).evaluate(NAMES)
