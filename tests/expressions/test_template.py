"""Owns the tests of texts with expressions in them."""

from __future__ import annotations

import pytest

from meson_core.errors import EvaluationError, ExpressionError
from meson_core.expressions import parse_template


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("plain", [], "plain"),
        ("importance/${date}", ["2016-08-01"], "importance/2016-08-01"),
        ("${a}${b}", [1, 0.5], "10.5"),
        ("${ a + 1 }!", [True], "true!"),
        ("a } b {c} $d", [], "a } b {c} $d"),
        ("$${date}/${date}", ["x"], "${date}/x"),
        ('${{"a": 1}["a"]}', [1], "1"),
        ("${'}' + a}", ["}x"], "}x"),
    ],
)
def test_a_template_is_filled_with_the_values_of_its_expressions(text: str, values: list[object], filled: str) -> None:
    template = parse_template(text)

    assert len(template.expressions) == len(values)
    assert template.fill(values) == filled
    assert parse_template(template.canonical).fill(values) == filled


def test_the_normal_form_does_not_depend_on_how_it_was_written() -> None:
    assert (
        parse_template('a/${ x["y"]+1 }').canonical == parse_template("a/${x['y'] + 1}").canonical == "a/${x['y'] + 1}"
    )


@pytest.mark.parametrize(("text", "message"), [("a/${date", "no closing brace"), ("a/${1 +}", "1 +"), ("${}", "")])
def test_what_does_not_parse_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_template(text)

    assert message in caught.value.message


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_a_value_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(EvaluationError, match=r"`date` is .* can be part of a text"):
        parse_template("importance/${date}").fill([value])
