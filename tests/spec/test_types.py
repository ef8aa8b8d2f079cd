"""Owns the tests of the little type language."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.errors import Where, WrongTypeError
from meson_core.spec import artifact, is_artifact
from meson_core.spec.types import (
    ANY,
    ARTIFACT,
    BOOL,
    FLOAT,
    INT,
    STR,
    Type,
    accepts,
    check_value,
    dict_of,
    join,
    list_of,
    parse_type,
    type_of,
)

FILE = artifact("sha256:" + "0af9" * 16, size=12, name="model", media="application/json")

types = st.recursive(
    st.sampled_from([ANY, BOOL, INT, FLOAT, STR, ARTIFACT]),
    lambda inner: st.builds(list_of, inner) | st.builds(dict_of, inner),
    max_leaves=4,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(FILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("int", "int"),
        (" list[ dict [float]] ", "list[dict[float]]"),
        ("list", "list[any]"),
        ("dict[list]", "dict[list[any]]"),
        ("artifact", "artifact"),
    ],
)
def test_parse(text: str, normal: str) -> None:
    assert str(parse_type(text)) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("string", "'string' is not a type\n  hint: did you mean 'str'?"),
        ("Integer", "'Integer' is not a type\n  hint: did you mean 'int'?"),
        ("list[strr]", "'list[strr]' is not a type\n  hint: did you mean 'str'?"),
        ("set[int]", "'set[int]' is not a type\n  hint: did you mean 'list'?"),
        ("int[str]", "'int[str]' is not a type\n  hint: did you mean 'int'?"),
        ("list[int", "'list[int' is not a type\n  hint: did you mean 'list'?"),
        (
            "",
            "'' is not a type\n  hint: there are: any, bool, int, float, str, artifact, list[…], dict[…]",
        ),
        (
            "list[" * 30 + "int" + "]" * 30,
            (
                f"'{'list[' * 11}lis…"
                " is not a type\n  hint: there are: any, bool, int, float, str, artifact, list[…], dict[…]"
            ),
        ),
    ],
)
def test_what_is_no_type(text: str, message: str) -> None:
    with pytest.raises(WrongTypeError) as caught:
        parse_type(text)

    assert str(caught.value) == message


def test_the_place_is_told() -> None:
    with pytest.raises(WrongTypeError, match=r"^a\.py:3: 'x' is not a type"):
        parse_type("x", Where("a.py", 3))


@given(types)
def test_the_text_of_a_type_is_the_type(given_type: Type) -> None:
    assert parse_type(str(given_type)) == given_type


@pytest.mark.parametrize(
    ("declared", "given", "fits"),
    [
        ("any", "int", True),
        ("int", "any", True),
        ("float", "int", True),
        ("int", "float", False),
        ("int", "bool", False),
        ("list[float]", "list[int]", True),
        ("list[int]", "list[float]", False),
        ("list[int]", "list", True),
        ("list", "dict", False),
        ("dict[any]", "artifact", False),
        ("artifact", "dict[any]", False),
        ("artifact", "artifact", True),
        ("list[list[float]]", "list[list[int]]", True),
        ("str", "list[str]", False),
    ],
)
def test_accepts(declared: str, given: str, *, fits: bool) -> None:
    assert accepts(parse_type(declared), parse_type(given)) is fits


@pytest.mark.parametrize(
    ("value", "declared", "problem"),
    [
        (None, "any", None),
        (None, "int", "expected int, got null"),
        (True, "bool", None),
        (True, "int", "expected int, got bool True"),
        (True, "float", "expected float, got bool True"),
        (3, "float", None),
        (3.0, "int", "expected int, got float 3.0"),
        ("3", "float", "expected float, got str '3'"),
        (float("nan"), "float", "expected a finite number, got nan"),
        (float("inf"), "any", "expected a JSON value, got float inf"),
        ([1, 2.5], "list[float]", None),
        ([1, "x"], "list[float]", "[1]: expected float, got str 'x'"),
        ([{"a": [1, "x"]}], "list[dict[list[int]]]", "[0].a[1]: expected int, got str 'x'"),
        ({"a": {"b": None}}, "dict[dict[int]]", "a.b: expected int, got null"),
        ({1: 2}, "dict", "expected str keys, got 1"),
        ([{1: 2}], "list[dict]", "[0]: expected str keys, got 1"),
        ("x", "list[str]", "expected list[str], got str 'x'"),
        ([], "dict", "expected dict[any], got list []"),
        ({"a": [1j]}, "any", "a[0]: expected a JSON value, got complex 1j"),
        (FILE, "artifact", None),
        ({"$artifact": 3}, "artifact", "expected artifact, got dict {'$artifact': 3}"),
        ("model.json", "artifact", "expected artifact, got str 'model.json'"),
    ],
)
def test_check_value(value: Any, declared: str, problem: str | None) -> None:
    assert check_value(value, parse_type(declared)) == problem


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (FILE, True),
        ({"$artifact": FILE["$artifact"]}, True),
        ({"$artifact": "sha256:12"}, False),
        ({"$artifact": 3}, False),
        ({**FILE, "more": 1}, False),
        ({**FILE, "size": True}, False),
        ({**FILE, "size": -1}, False),
        ({"name": "x"}, False),
        ([FILE], False),
    ],
)
def test_artifacts(value: Any, *, is_one: bool) -> None:
    assert is_artifact(value) is is_one


@pytest.mark.slow
@given(values)
def test_a_value_is_of_its_type(value: Any) -> None:
    """What `type_of` says of a value, `check_value` confirms (null apart, which only `any` has)."""
    given_type = type_of(value)
    if "any" in str(given_type) or value is None:
        assert check_value(value, ANY) is None
    else:
        assert check_value(value, given_type) is None


@given(types, types)
def test_join_holds_both(first: Type, second: Type) -> None:
    both = join(first, second)

    assert accepts(both, first)
    assert accepts(both, second)
    assert join(second, first) == both
