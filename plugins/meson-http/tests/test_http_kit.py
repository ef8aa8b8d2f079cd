"""Owns the proof that the step kind passes the kit, against a service that takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from http_service import HttpService
from meson_core.testing import ServiceKindKit
from meson_http import Http

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SUBMISSION = {"method": "POST", "json": {"alpha": "${alpha}"}, "deduplicates": True, "cancel": {}}
STATES = {"state": "$.state", "progress": "$.done", "interval_s": 0.01}


class HttpKit(ServiceKindKit):
    """The kit for a service of jobs; `deduplicates` says whether it knows a key again."""

    kind = Http()
    inputs: ClassVar[Mapping[str, Any]] = {"alpha": 0.5}
    deduplicates = True
    service: HttpService

    @pytest.fixture(autouse=True)
    def _service(self) -> Iterator[None]:
        with HttpService.running(deduplicates=self.deduplicates) as self.service:
            yield

    def given(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        if options.get("cancel") is not None and options is self.long_options:
            self.service.questions = None
        return {"url": f"{self.service.base}/jobs", **options}

    def jobs(self) -> int:
        return len(self.service.jobs)

    def kills(self) -> int:
        return len(self.service.kills)


@pytest.mark.slow
class TestHttp(HttpKit):
    options: ClassVar[Mapping[str, Any]] = {**SUBMISSION, "poll": STATES, "returns": {"state": "$.state"}}
    long_options: ClassVar[Mapping[str, Any] | None] = {**SUBMISSION, "poll": STATES}
    wrong_options: ClassVar[Sequence[Mapping[str, Any]]] = [
        {"url": "ftp://example.com"},
        {"method": "post"},
        {"poll": {"state": "state"}},
        {"expect": [99]},
    ]


@pytest.mark.slow
class TestHttpThatFinds(HttpKit):
    """A service that makes a second job of a second submission, and can be asked before."""

    deduplicates = False
    options: ClassVar[Mapping[str, Any]] = {
        "method": "POST",
        "poll": {"job": "$.id", "url": "/jobs/${meson.job}", **STATES},
        "find": {"url": "/jobs?key=${meson.job_key}", "job": "$[0].id"},
        "cancel": {},
    }
    long_options: ClassVar[Mapping[str, Any] | None] = {**options, "cancel": {"url": "/jobs/${meson.job}"}}
