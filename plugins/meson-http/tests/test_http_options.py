"""Owns the promise that a mistake in the options is found before anything runs, and said in the author's words."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from meson_core.spec.kinds import option_problems
from meson_http import HttpOptions

URL = "https://example.com/jobs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "url"),
        ({"url": "example.com"}, "no http or https URL"),
        ({"url": "https://me:pw@example.com"}, "use the option `basic`"),
        ({"url": "https://example.com/?key=${secret.key}"}, "a secret has no place in a URL"),
        ({"url": "https://example.com/${meson.job}"}, "did you mean ${meson.job_key}?"),
        ({"url": URL, "method": "post"}, "written in capitals, like POST"),
        ({"url": URL, "headers": {"Authorization": "Bearer abc"}}, "could be read by everyone"),
        ({"url": URL, "headers": {"X-Api-Key": "abc"}}, "could be read by everyone"),
        ({"url": URL, "headers": {"a b": "c"}}, "cannot be the name of a header"),
        ({"url": URL, "key_header": "a:b"}, "cannot be the name of a header"),
        ({"url": URL, "headers": {"X": "${"}}, "without its }"),
        ({"url": URL, "json": {"a": ["${meson.jobb}"]}}, "did you mean ${meson.job}?"),
        ({"url": URL, "json": {}, "form": {}}, "both `json` and `form`"),
        ({"url": URL, "text": "", "file": "x"}, "both `text` and `file`"),
        ({"url": URL, "basic": {"user": "u", "password": "pw"}}, "write ${secret.name}"),
        (
            {"url": URL, "basic": {"user": "u", "password": "${secret.p}"}, "headers": {"authorization": "${x}"}},
            "both `basic` and a header Authorization",
        ),
        ({"url": URL, "expect": ["20x"]}, 'write 201, or "2xx"'),
        ({"url": URL, "expect": []}, "expect"),
        ({"url": URL, "returns": {"v": "version"}}, "begins with $"),
        ({"url": URL, "returns": {"v": {"answer": "txt"}}}, "returns.v.answer.answer"),
        ({"url": URL, "returns": {"v": {"headr": "x"}}}, "returns.v.member.headr"),
        ({"url": URL, "find": {"url": "/x", "job": "$.id"}}, "`poll` is not there"),
        ({"url": URL, "cancel": {}}, "no URL of a job"),
        ({"url": URL, "poll": {"failed": ["DONE"]}}, "both in `succeeded` and in `failed`"),
        ({"url": URL, "poll": {"interval_s": 0}}, "greater than 0"),
        ({"url": URL, "poll": {"result": "ftp://x"}}, "no http or https URL"),
        ({"url": URL, "trusted": ["example.com"]}, "no absolute http or https URL"),
        ({"url": URL, "tls": {"key_file": "k"}}, "is the key of `cert_file`"),
        ({"url": URL, "tls": {"verify": False, "ca_file": "c"}}, "no effect while `verify` is off"),
    ],
)
def test_a_mistake_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        HttpOptions.model_validate(options)

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "recoverable"),
    [
        ({"method": "GET"}, True),
        ({"method": "PUT"}, True),
        ({"method": "POST"}, False),
        ({"method": "PATCH"}, False),
        ({"method": "POST", "deduplicates": True}, True),
        ({"method": "PUT", "deduplicates": False}, False),
        ({"method": "POST", "poll": {}, "find": {"url": "/x", "job": "$.id"}}, True),
    ],
)
def test_what_a_crash_in_the_gap_means_depends_on_the_service(options: dict[str, Any], recoverable: bool) -> None:
    assert HttpOptions.model_validate({"url": URL, **options}).recoverable is recoverable


def test_all_secrets_are_known_before_the_first_request() -> None:
    options = HttpOptions.model_validate(
        {
            "url": URL,
            "query": {"k": "${secret.a}"},
            "headers": {"X": "x ${secret.b.txt} ${secret.a}"},
            "parts": {"p": "${secret.c}"},
            "basic": {"user": "${secret.d}", "password": "${secret.e}"},
            "cancel": {"url": "/x", "json": {"k": ["${secret.f}"]}},
        }
    )

    assert options.secrets() == {"a", "b.txt", "c", "d", "e", "f"}


@pytest.mark.slow
def test_httpx_is_not_imported_before_a_step_runs() -> None:
    """The terminal and the orchestrator load the plugin to check options, and would pay for it every time."""
    script = "import sys, meson_http; print(sorted({'httpx', 'ssl', 'asyncio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "httpx" not in done.stdout


def test_a_mistake_is_told_in_one_sentence() -> None:
    """As the terminal says it: without the words of the library that found it."""
    (problem,) = option_problems(HttpOptions, {"url": URL, "method": "post"})

    assert (problem.path, problem.message) == (
        ("method",),
        "'post' is no method: they are written in capitals, like POST",
    )
