"""Owns the promises of what is pure: templates, URLs, JSON paths, waits."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meson_core.errors import BackendError
from meson_http import paths, templates, urls, waiting
from meson_http.options import Poll
from meson_http.templates import Values

VALUES = Values(
    {"name": "a b", "n": 3, "none": None, "model": {"digest": "sha256:1", "scores": [0.5, 0.25]}, "yes": True},
    {"job_key": "meson-1"},
    {"token": "s3cret"},
)


# --- templates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("${n}", 3),
        ("${none}", None),
        ("n=${n}", "n=3"),
        ("<${none}>", "<>"),
        ("${model}", {"digest": "sha256:1", "scores": [0.5, 0.25]}),
        ("${model.scores[-1]}", 0.25),
        ("a ${model.scores}", "a [0.5,0.25]"),
        ("${yes} ${name}", "true a b"),
        ("$${n} $n {n}", "${n} $n {n}"),
        ("${meson.job_key}", "meson-1"),
        ("Bearer ${secret.token}", "Bearer s3cret"),
    ],
)
def test_a_template_is_filled(template: str, value: Any) -> None:
    assert templates.fill(template, VALUES) == value


def test_json_is_filled_in_depth_and_keeps_types() -> None:
    filled = templates.fill_json({"a": ["${n}", {"b${n}": "${model.scores}"}], "c": 1, "d": None}, VALUES)

    assert filled == {"a": [3, {"b3": [0.5, 0.25]}], "c": 1, "d": None}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("${nmae}", "the step has no input 'nmae'\n  hint: did you mean 'name'?"),
        ("${model.digst}", "there is no 'digst' in it\n  hint: did you mean 'digest'?"),
        ("${model.scores[2]}", "there is no item 2 in it"),
        ("${n.x}", "there is no 'x' in it"),
    ],
)
def test_a_missing_value_is_named_with_what_is_there(template: str, message: str) -> None:
    with pytest.raises(BackendError) as raised:
        templates.fill(template, VALUES)

    assert message in str(raised.value)
    assert not raised.value.retryable


@pytest.mark.parametrize(
    "template", ["${", "${}", "${a b}", "${meson.jobkey}", "${secret}", "${secret[0]}", "${1}", "${meson}"]
)
def test_a_template_that_says_nothing_is_found_before_anything_runs(template: str) -> None:
    with pytest.raises(ValueError, match=r"\$\{"):
        templates.parse(template)


@given(st.text())
def test_any_text_without_places_is_itself(text: str) -> None:
    assert templates.fill(text.replace("${", "$${"), VALUES) == text


# --- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "inputs", "url"),
    [
        ("https://h/models/${x}", {"x": "a/b ?#%ü"}, "https://h/models/a%2Fb%20%3F%23%25%C3%BC"),
        ("https://h/${x:path}/y", {"x": "a/b c"}, "https://h/a/b%20c/y"),
        ("https://h/?q=${x}&r=1", {"x": "a&b=c+d"}, "https://h/?q=a%26b%3Dc%2Bd&r=1"),
        ("https://h/#${x}", {"x": "a#b"}, "https://h/#a%23b"),
        ("https://${x}/y", {"x": "localhost:8080"}, "https://localhost:8080/y"),
        ("https://${x}.example.com/y", {"x": "eu-1"}, "https://eu-1.example.com/y"),
        ("${x}/models", {"x": "http://h:1/base/"}, "http://h:1/base/models"),
        ("${x}/models", {"x": "http://h"}, "http://h/models"),
        ("/jobs/${x}", {"x": 7}, "/jobs/7"),
        ("https://h/v${x}", {"x": 2}, "https://h/v2"),
    ],
)
def test_a_value_is_encoded_by_its_place(template: str, inputs: dict[str, Any], url: str) -> None:
    assert urls.fill_url(template, Values(inputs, {})) == url


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("https://h/models/${x}", ""),
        ("https://h/models/${x}", None),
        ("https://h/models/${x}", ".."),
        ("https://h/models/.${x}", "."),
        ("https://h/${x:path}", "a/../../admin"),
        ("https://h/models/${x}", ["a"]),
        ("https://${x}/y", "evil.com/"),
        ("https://${x}/y", "me@evil.com"),
        ("https://${x}/y", ""),
        ("https://${x}/y", "h:80:90"),
        ("${x}/y", "file:///etc/passwd"),
        ("${x}/y", "evil.com"),
        ("${x}/y", "https://user:hunter2@evil.com"),
    ],
)
def test_a_value_that_would_change_the_url_around_it_is_refused(template: str, value: Any) -> None:
    with pytest.raises(BackendError, match="x") as raised:
        urls.fill_url(template, Values({"x": value}, {}))

    assert not raised.value.retryable
    assert "hunter2" not in str(raised.value)


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")), st.text())
def test_whatever_is_inserted_comes_out_again_and_moves_nothing(segment: str, value: str) -> None:
    segment, value = (text.encode("utf-8", "ignore").decode() or "x" for text in (segment, value))
    if segment in (".", ".."):
        return
    url = urlsplit(
        urls.fill_url("https://h/a/${segment}/b?q=${value}#f", Values({"segment": segment, "value": value}, {}))
    )

    assert (url.scheme, url.netloc, url.fragment) == ("https", "h", "f")
    assert [unquote(part) for part in url.path.split("/")] == ["", "a", segment, "b"]
    assert parse_qsl(url.query, keep_blank_values=True) == [("q", value)]


def test_a_query_is_added_to_the_one_that_is_there() -> None:
    pairs = urls.query_pairs({"a": [1, None, "x y"], "b": None, "c": "&"})

    assert urls.with_query("https://h/p?z=1#f", pairs) == "https://h/p?z=1&a=1&a=x%20y&c=%26#f"
    assert urls.with_query("https://h/p", [("a", "1")]) == "https://h/p?a=1"
    assert urls.with_query("https://h/p", []) == "https://h/p"


def test_an_origin_is_scheme_host_and_port() -> None:
    assert urls.origin("https://h/x") == urls.origin("https://h:443/y?z")
    assert (
        len({urls.origin(url) for url in ("https://h", "http://h", "https://h:8443", "https://i", "http://[::1]:80/")})
        == 5
    )


# --- JSON paths -----------------------------------------------------------------------------------------------------

ANSWER = {"id": 7, "items": [{"n": 1}, {"n": 2}], "a b": {"c-d": None}, "ok": True}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", ANSWER),
        ("$.id", 7),
        ("$.items[0].n", 1),
        ("$.items[-1].n", 2),
        ("$.items[*].n", [1, 2]),
        ("$['a b']['c-d']", None),
        ('$["a b"].c-d', None),
        ("$.items[0].*", [1]),
    ],
)
def test_a_path_finds_its_value(path: str, value: Any) -> None:
    assert paths.select(ANSWER, path) == value


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("$.idd", "there is no $.idd; did you mean 'id'?"),
        ("$.items[2]", "at $.items there are 2 items, and no [2]"),
        ("$.id.x", "at $.id there is a number, which has no 'x'"),
        ("$.ok[0]", "at $.ok there is true or false, which has no items"),
        ("$['a b']['c-d'][*]", "at $.a b.c-d there is null, which has no parts"),
        ("$.items[*].m", "there is no $.items[*].m; there are: n"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(path: str, message: str) -> None:
    with pytest.raises(paths.NotThereError) as raised:
        paths.select(ANSWER, path)

    assert str(raised.value) == message


@pytest.mark.parametrize("path", ["", "id", "$id", "$.", "$[", "$.a[?(@.b)]", "$..a", "$.a b"])
def test_what_is_no_path_is_found_before_anything_runs(path: str) -> None:
    with pytest.raises(ValueError, match="JSON path"):
        paths.parse(path)


# --- waits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
    ],
)
def test_what_a_service_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert waiting.asked_s(headers) == seconds


def test_waits_grow_to_the_longest_spread_and_never_end_before_what_was_asked() -> None:
    poll = Poll(interval_s=1, factor=2, max_interval_s=8)
    waits = [waiting.next_wait_s(poll, number, "key", None) for number in range(6)]

    assert all(0.8 * full <= wait <= full for wait, full in zip(waits, (1, 2, 4, 8, 8, 8), strict=True))
    assert waits == [waiting.next_wait_s(poll, number, "key", None) for number in range(6)]
    assert len({waiting.next_wait_s(poll, 0, f"key {number}", None) for number in range(100)}) == 100
    assert waiting.next_wait_s(poll, 0, "key", 60) == 60
    assert waiting.next_wait_s(poll, 10**6, "key", None) <= 8
