"""Owns the tests of values: every operator and function, what is refused, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from meson_core.errors import EvaluationError
from meson_core.expressions import FUNCTIONS, parse

NAMES: dict[str, Any] = {
    "n": 3,
    "x": 0.5,
    "s": "abc",
    "yes": True,
    "none": None,
    "items": [3, 1, 2],
    "holes": [1, None, 3],
    "nested": [[1], None, [2, 3]],
    "step": {"rows": 7, "metrics": {"loss": 0.25}, "regions": ["a", "b"]},
    "dicts": [{"loss": 1}, None, {"loss": 3}],
    "view": MappingProxyType({"a": 1}),
    "pair": (1, 2),
}


VALUES: list[tuple[str, object]] = [
    ("true", True),
    ("[1, 2.5, 'a', null, (1,)]", [1, 2.5, "a", None, [1]]),
    ("{'a': n, s: [x]}", {"a": 3, "abc": [0.5]}),
    ("step.rows + 1", 8),
    ("step['metrics'].loss", 0.25),
    ("step.regions[-1]", "b"),
    ("step[s[0:0] + 'rows']", 7),
    ("s[1]", "b"),
    ("items[1:]", [1, 2]),
    ("s[::2]", "ac"),
    ("pair[1]", 2),
    ("view.a", 1),
    ("'a' in view and 1 not in view", True),
    ("n - 1, n * 2, n / 2, n // 2, n % 2, n ** 2", [2, 6, 1.5, 1, 1, 9]),
    ("2 ** -1", 0.5),
    ("-n, +x, -yes", [-3, 0.5, -1]),
    ("s + 'd', s * 2, 2 * s, s * -1", ["abcd", "abcabc", "abcabc", ""]),
    ("items + [4], [0] * n, pair + [3]", [[3, 1, 2, 4], [0, 0, 0], [1, 2, 3]]),
    ("yes + yes", 2),
    ("1 < n <= 3 != 4", True),
    ("1 < n < 3 < missing", False),
    ("'b' in s, 2 in items, 'rows' in step, 9 not in items", [True, True, True, True]),
    ("none is None, n is not None", [True, True]),
    ("s < 'abd', items > [3, 0]", [True, True]),
    ("n or missing", 3),
    ("none and missing", None),
    ("0 or ''", ""),
    ("not n", False),
    ("'big' if n > 2 else missing", "big"),
    ("missing if n > 3 else 'small'", "small"),
    ("abs(-n), abs(-x)", [3, 0.5]),
    ("all(items), all([0]), any([]), any([0, 1])", [True, False, False, True]),
    ("bool(''), bool(n)", [False, True]),
    (
        "enumerate(s and items), enumerate([5], start=1), enumerate([5], 2)",
        [[[0, 3], [1, 1], [2, 2]], [[1, 5]], [[2, 5]]],
    ),
    ("flatten(nested)", [1, 2, 3]),
    ("float('1.5'), float(n)", [1.5, 3.0]),
    ("get(step, 'rows'), get(step, 'no'), get(step, 'no', 1), get(step, 'no', default=2)", [7, None, 1, 2]),
    ("int(2.9), int(' 4 '), int(-2.9)", [2, 4, -2]),
    ("keys(step), values({'a': 1})", [["rows", "metrics", "regions"], [1]]),
    ("len(items), len(s), len(step), len(view)", [3, 3, 3, 1]),
    ("list(pair)", [1, 2]),
    ("max(items), max(1, n), max([], default=9), min(items), min(2, 1)", [3, 3, 9, 1, 1]),
    ("mean(items)", 2.0),
    ("pluck(dicts, 'loss')", [1, None, 3]),
    ("present(holes)", [1, 3]),
    ("range(3), range(1, 3), range(4, 0, -2)", [[0, 1, 2], [1, 2], [4, 2]]),
    ("round(2.5), round(2.567, 1), round(n), round(1234, -2)", [2, 2.6, 3, 1200]),
    ("sorted(items), sorted(items, reverse=true)", [[1, 2, 3], [3, 2, 1]]),
    ("str(n), str(x), str(yes), str(none)", ["3", "0.5", "True", "None"]),
    ("sum(items), sum([])", [6, 0]),
    ("draw_uniform(2, 7, 'alpha', 0, 1)", [0.2970908207522158, 0.5438876978846596]),
    ("draw_log_uniform(2, 7, 'alpha', 0.0001, 1)", [0.0015429906095506118, 0.014981344523800878]),
    ("draw_normal(2, 7, 'z', 0, 1)", [-0.6047216435013961, -0.009880767823726381]),
    ("draw_integers(3, 7, 'd', 1, 6), draw_one_of(2, 7, 'k', ['a', 'b'])", [[5, 4, 5], ["a", "b"]]),
    ("draw_seeds(3, 7, 's')", [528983267, 912061758, 2231787757]),
    ("zip(items, s and ['a', 'b'])", [[3, "a"], [1, "b"]]),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values(text: str, value: object) -> None:
    result = parse(text).evaluate(NAMES)

    assert result == value
    assert repr(result) == repr(value)


def test_every_function_is_tested() -> None:
    """A function without an example here is a function that nobody has tried."""
    texts = " ".join(text for text, _ in VALUES)

    assert [name for name in FUNCTIONS if f"{name}(" not in texts] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing", "cannot evaluate `missing`: nothing is called 'missing' here"),
        ("n / 0", "cannot evaluate `n / 0`: division by zero (with n = 3)"),
        ("1 + n % 0", "cannot evaluate `1 + n % 0`: n % 0: integer modulo by zero (with n = 3)"),
        (
            "step.row + n",
            ("cannot evaluate `step.row + n`: step.row: there is no 'row'; there are: rows, metrics, regions (with n = 3)"
            "\n  hint: did you mean 'rows'?"),
        ),
        ("{}.a", "cannot evaluate `{}.a`: there is no 'a'; there are: no keys"),
        ("items[3]", "cannot evaluate `items[3]`: index 3 is out of range, there are 3 items"),
        ("items.a", "cannot evaluate `items.a`: list [3, 1, 2] has no 'a'"),
        ("none.a", "cannot evaluate `none.a`: null has no 'a'"),
        ("items[true]", "cannot evaluate `items[true]`: list [3, 1, 2] has no True (with items = [3, 1, 2])"),
        ("step[0]", "cannot evaluate `step[0]`: dict {'rows': 7, 'metrics': {'loss': 0.25}, 'regions': ['a', 'b'… has no 0"),
        ("n[1:]", "cannot evaluate `n[1:]`: int 3 cannot be sliced (with n = 3)"),
        (
            "s['a':]",
            ("cannot evaluate `s['a':]`: the bounds of a slice are integers and its step is not 0, got ['a', None, None]"
            " (with s = 'abc')"),
        ),
        (
            "s[::0]",
            ("cannot evaluate `s[::0]`: the bounds of a slice are integers and its step is not 0, got [None, None, 0]"
            " (with s = 'abc')"),
        ),
        ("-s", "cannot evaluate `-s`: str 'abc' has no sign (with s = 'abc')"),
        ("s - 1", "cannot evaluate `s - 1`: - does not work on str 'abc' and int 1 (with s = 'abc')"),
        ("s * x", "cannot evaluate `s * x`: * does not work on str 'abc' and float 0.5 (with s = 'abc', x = 0.5)"),
        ("step * 2", ("cannot evaluate `step * 2`: * does not work on dict {'rows': 7, 'metrics': {'loss': 0.25}, 'regions': ['a', 'b'… and int 2"
            " (with step = {'rows': 7, 'metrics': {'loss': 0.25}, 'regions': ['a', 'b'…)")),
        ("s + n", "cannot evaluate `s + n`: + does not work on str 'abc' and int 3 (with s = 'abc', n = 3)"),
        ("none > 1", "cannot evaluate `none > 1`: > does not work on null and int 1 (with none = null)"),
        ("1 in s", "cannot evaluate `1 in s`: cannot look for int 1 in a str (with s = 'abc')"),
        (
            "items in step.metrics",
            ("cannot evaluate `items in step.metrics`: cannot look for list [3, 1, 2] among the keys of a dict"
            " (with items = [3, 1, 2], step.metrics = {'loss': 0.25})"),
        ),
        ("1 in n", "cannot evaluate `1 in n`: cannot look for anything in int 3 (with n = 3)"),
        ("{n: 1}", "cannot evaluate `{n: 1}`: a key is a str, got int 3 (with n = 3)"),
        ("{items: 1}", "cannot evaluate `{items: 1}`: a key is a str, got list [3, 1, 2] (with items = [3, 1, 2])"),
        ("1e308 * 10", "cannot evaluate `1e308 * 10`: the result is not a finite number"),
        ("(0 - 8) ** 0.5", "cannot evaluate `(0 - 8) ** 0.5`: the result is not a finite number"),
        ("len(n)", "cannot evaluate `len(n)`: len(): takes a list, dict or str, got int 3 (with n = 3)"),
        ("sum(n)", "cannot evaluate `sum(n)`: sum(): takes a list, got int 3 (with n = 3)"),
        (
            "any(view)",
            ("cannot evaluate `any(view)`: any(): takes a list, got dict mappingproxy({'a': 1}); use keys() or values()"
            " (with view = mappingproxy({'a': 1}))"),
        ),
        ("mean([])", "cannot evaluate `mean([])`: mean(): has no value for an empty list"),
        ("mean(holes)", ("cannot evaluate `mean(holes)`: mean(): "
            "unsupported operand type(s) for +: 'int' and 'NoneType' (with holes = [1, None, 3])")),
        ("max([])", None),
        ("abs(s)", "cannot evaluate `abs(s)`: abs(): takes a number, got str 'abc' (with s = 'abc')"),
        ("round(s)", "cannot evaluate `round(s)`: round(): takes a number, got str 'abc' (with s = 'abc')"),
        ("round(1.5, 9999)", "cannot evaluate `round(1.5, 9999)`: round(): takes at most 1023 digits, got 9999"),
        ("range(x)", "cannot evaluate `range(x)`: range(): takes an int, got float 0.5 (with x = 0.5)"),
        ("range(1, 2, 0)", "cannot evaluate `range(1, 2, 0)`: range(): range() arg 3 must not be zero"),
        ("str(items)", ("cannot evaluate `str(items)`: str(): takes a number, a bool, null or a str, got list [3, 1, 2]"
            " (with items = [3, 1, 2])")),
        ("int('a')", "cannot evaluate `int('a')`: int(): invalid literal for int() with base 10: 'a'"),
        ("int(none)", "cannot evaluate `int(none)`: int(): takes a number or a str, got null (with none = null)"),
        ("float(items)", ("cannot evaluate `float(items)`: float(): takes a number or a str, got list [3, 1, 2]"
            " (with items = [3, 1, 2])")),
        ("float('inf')", "cannot evaluate `float('inf')`: float(): the result is not a finite number"),
        ("keys(items)", "cannot evaluate `keys(items)`: keys(): takes a dict, got list [3, 1, 2] (with items = [3, 1, 2])"),
        ("pluck(dicts, 'los')", ("cannot evaluate `pluck(dicts, 'los')`: pluck(): there is no 'los'"
            " (with dicts = [{'loss': 1}, None, {'loss': 3}])")),
        ("sorted([1, 'a'])", "cannot evaluate `sorted([1, 'a'])`: sorted(): '<' not supported between instances of 'str' and 'int'"),
    ],
)  # fmt: skip
def test_messages(text: str, message: str | None) -> None:
    """A failed evaluation names the part that failed and the values that were involved."""
    with pytest.raises(EvaluationError) as caught:
        parse(text).evaluate(NAMES)

    if message is not None:
        assert str(caught.value) == message


def test_a_lookup_may_be_a_function() -> None:
    def lookup(name: str) -> int:
        if name != "a":
            raise KeyError(name)
        return 2

    assert parse("a * 3").evaluate(lookup) == 6
    with pytest.raises(EvaluationError, match="nothing is called 'b' here"):
        parse("a + b").evaluate(lookup)


def test_a_bug_of_the_lookup_is_not_taken_for_a_mistake_of_the_author() -> None:
    def lookup(name: str) -> int:
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match="a"):
        parse("a").evaluate(lookup)


def test_only_what_is_needed_is_looked_up() -> None:
    asked: list[str] = []

    def lookup(name: str) -> bool:
        asked.append(name)
        return True

    assert parse("a or b").evaluate(lookup) is True
    assert parse("c if a else d").evaluate(lookup) is True
    assert asked == ["a", "a", "c"]


def test_python_objects_are_opaque() -> None:
    """There is no way from a value to an attribute of the Python object behind it."""

    class Thing:
        secret = 1

    class Box(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"a": 1}[key]

        def __iter__(self) -> Any:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    for text in ("t.secret", "t['secret']", "t.__class__", "b.__class__", "b.__len__", "s.upper", "t[0]"):
        with pytest.raises(EvaluationError):
            parse(text).evaluate({"t": Thing(), "b": Box(), "s": "a"})
    assert parse("b.a").evaluate({"b": Box()}) == 1


def test_results_are_new() -> None:
    """What an evaluation builds is not shared with the next one."""
    expression = parse("[[]]")
    first = expression.evaluate({})
    first[0].append(1)

    assert expression.evaluate({}) == [[]]
