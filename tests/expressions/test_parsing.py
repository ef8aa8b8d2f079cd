"""Owns the tests of what parses, what is named, the normal form, and the messages for what does not parse."""

from __future__ import annotations

import pytest

from meson_core.errors import ExpressionError, Where
from meson_core.expressions import FUNCTIONS, RESERVED, Root, literal, parse, show


@pytest.mark.parametrize(
    ("text", "roots"),
    [
        ("get_users.rows + alpha", [("get_users", ("rows",), 1), ("alpha", (), 18)]),
        ('a["b"].c[0][-1]', [("a", ("b", "c", 0, -1), 1)]),
        ("a[b.c].d", [("a", (), 1), ("b", ("c",), 3)]),
        ("a.b[1:n]", [("a", ("b",), 1), ("n", (), 7)]),
        ("a[-n]", [("a", (), 1), ("n", (), 4)]),
        ('a[-"x"]', [("a", (), 1)]),
        ("(a or b).c", [("a", (), 2), ("b", (), 7)]),
        ("x if y else z", [("x", (), 1), ("y", (), 6), ("z", (), 13)]),
        ("max(a, default=b)", [("a", (), 5), ("b", (), 16)]),
        ("max(max.x)", [("max", ("x",), 5)]),
        ("{k: [v, 'w']}", [("k", (), 2), ("v", (), 6)]),
        ("'é' + é.x", [("é", ("x",), 7)]),
        ("  a", [("a", (), 3)]),
        ("(a +\n b)", [("a", (), 2), ("b", (), 7)]),
        ("a < b < a", [("a", (), 1), ("b", (), 5), ("a", (), 9)]),
        ("1 + 2", []),
    ],
)
def test_roots(text: str, roots: list[tuple[str, tuple[str | int, ...], int]]) -> None:
    """References are found by name, constant path and column, wherever they stand in the expression."""
    assert parse(text).roots == tuple(Root(*root) for root in roots)
    assert parse(text).constant is (not roots)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("(a)+ ( b*c )", "a + b * c"),
        ('x["a"] == "b"', "x['a'] == 'b'"),
        ("true and (null, false)", "True and (None, False)"),
        ("a.b", "a.b"),
        (" not(a) ", "not a"),
        ("1_000", "1000"),
    ],
)
def test_canonical(text: str, canonical: str) -> None:
    """Spellings that mean the same have one normal form, which is its own normal form."""
    assert parse(text).canonical == canonical
    assert parse(canonical).canonical == canonical


def test_equal_texts_are_parsed_once() -> None:
    assert parse("a + 1") is parse("a + 1")
    assert repr(parse("a + 1")) == "parse('a + 1')"
    assert parse(" a").text == " a"


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "an expression cannot be empty", None),
        (" \n", "an expression cannot be empty", None),
        ("a +", "`a +`: invalid syntax, at column 4", 4),
        ("  a +", "`  a +`: invalid syntax, at column 6", 6),
        ("a = 3", "`a = 3`: invalid syntax, at column 3\n  hint: compare with ==", 3),
        ("a && b", "`a && b`: invalid syntax, at column 4\n  hint: write and, or, not", 4),
        (
            "a\n+ b",
            "`a·+ b`: invalid syntax, at column 3\n  hint: put an expression of several lines in brackets",
            3,
        ),
        ("é + €", "`é + €`: invalid character '€' (U+20AC), at column 5", 5),
        ("'\\d'", "`'\\d'`: \\d is not an escape, at column 2\n  hint: write a backslash as \\\\", 2),
        ("(" * 300, f"`{'(' * 59}…`: too many nested parentheses, at column 201", 201),
        (
            "not " * 90 + "a",
            f"`{'not ' * 14}not…`: it is nested more than 80 levels deep\n  hint: compute the value in a step",
            None,
        ),
        (
            "-" * 3999 + "1",
            f"`{'-' * 59}…`: it has a character that no text has, or is nested too deeply",
            None,
        ),
        ("'\ud800'", "`'·'`: it has a character that no text has, or is nested too deeply", None),
        (
            "a" * 4001,
            f"the expression `{'a' * 59}…` has 4,001 characters; the most is 4,000\n  hint: compute the value in a step",
            None,
        ),
        ("b'x'", "`b'x'`: b'x' is not a JSON value, at column 1", 1),
        ("1j", "`1j`: 1j is not a JSON value, at column 1", 1),
        ("...", "`...`: Ellipsis is not a JSON value, at column 1", 1),
        ("1e999", "`1e999`: the result is not a finite number, at column 1", 1),
        ("x + 2" + "0" * 400, f"`x + 2{'0' * 54}…`: the number has more than 1023 bits, at column 5", 5),
        (
            "[i for i in a]",
            (
                "`[i for i in a]`: the expression language has no comprehensions, at column 1"
                "\n  hint: compute the list in a step"
            ),
            1,
        ),
        ("f'{a}'", "`f'{a}'`: the expression language has no f-strings, at column 1\n  hint: join texts with +", 1),
        ("{1, 2}", "`{1, 2}`: the expression language has no sets, at column 1\n  hint: write a list: [a, b]", 1),
        (
            "(a := 1)",
            "`(a := 1)`: the expression language has no assignments, at column 2\n  hint: compare with ==",
            2,
        ),
        (
            "lambda: 1",
            "`lambda: 1`: the expression language has no lambda, at column 1\n  hint: compute the value in a step",
            1,
        ),
        ("[*a]", "`[*a]`: the expression language has no *, at column 2\n  hint: join lists with +", 2),
        ("{**a}", "`{**a}`: the expression language has no **, at column 4\n  hint: write the keys one by one", 4),
        ("await a", "`await a`: the expression language has no Await, at column 1", 1),
        ("~a", "`~a`: the expression language has no ~, at column 1\n  hint: write not", 1),
        ("a | b", "`a | b`: the expression language has no BitOr, at column 1\n  hint: write and, or", 1),
        ("a << b", "`a << b`: the expression language has no LShift, at column 1", 1),
        ("a is 3", "`a is 3`: `is` only goes with None, at column 6\n  hint: compare with ==", 6),
        ("lne(a)", "`lne(a)`: there is no function 'lne', at column 1\n  hint: did you mean 'len'?", 1),
        (
            "system(a)",
            f"`system(a)`: there is no function 'system', at column 1\n  hint: there are: {', '.join(FUNCTIONS)}",
            1,
        ),
        (
            "'a'.join(b)",
            (
                "`'a'.join(b)`: there are no methods, only functions, at column 1"
                f"\n  hint: there are: {', '.join(FUNCTIONS)}"
            ),
            1,
        ),
        ("len(a, b)", "`len(a, b)`: len() takes 1 argument, got 2, at column 1", 1),
        ("len()", "`len()`: len() takes 1 argument, got 0, at column 1", 1),
        ("round(1, 2, 3)", "`round(1, 2, 3)`: round() takes 1 to 2 arguments, got 3, at column 1", 1),
        ("min()", "`min()`: min() takes 1 or more arguments, got 0, at column 1", 1),
        ("len(x=1)", "`len(x=1)`: len() takes 1 argument, got 0, at column 1", 1),
        (
            "sorted(a, key=b)",
            "`sorted(a, key=b)`: sorted() takes no key=; it takes reverse=, at column 15",
            15,
        ),
        ("len(a, **b)", "`len(a, **b)`: len() takes no **, at column 10", 10),
        ("len(*a)", "`len(*a)`: the expression language has no *, at column 5\n  hint: join lists with +", 5),
    ],
)
def test_messages(text: str, message: str, column: int | None) -> None:
    """What does not parse is told with the text, the column and a way out."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert str(caught.value) == message
    assert caught.value.column == column
    assert caught.value.text == text


def test_the_place_is_told() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("lne(a)", Where("flow.py", 7))

    assert (
        str(caught.value) == "flow.py:7: `lne(a)`: there is no function 'lne', at column 1\n  hint: did you mean 'len'?"
    )
    assert caught.value.column == 1


@pytest.mark.parametrize("value", [None, True, 3, -2.5, "a'\"\\n", [1, [2]], {"a": {"b": None}}, "\n"])
def test_a_literal_is_its_value(value: object) -> None:
    assert parse(literal(value)).evaluate({}) == value


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object])
def test_only_json_values_are_literals(value: object) -> None:
    with pytest.raises(ExpressionError, match="is not a JSON value"):
        literal(value)


def test_what_is_shown_is_short_and_printable() -> None:
    assert show(None) == "null"
    assert show("a\x00" * 50) == repr("a\x00" * 50)[:59] + "…"
    assert len(show("x" * 1000)) == 60


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_words_cannot_be_names(word: str) -> None:
    """What is reserved can never be a root, so that no step or parameter may be called so."""
    try:
        roots = parse(word).roots
    except ExpressionError:
        return

    assert roots == ()
