"""Owns the promise that secrets stay secret: whole runs against a service that repeats all it hears, and everything read that they wrote."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest

from http_project import Project
from http_service import HttpService
from meson_core.client import connect
from meson_core.errors import BackendError
from meson_core.testing import FakeContext
from meson_http import Http
from meson_http.discretion import Discretion

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = 's3cret/t0ken+"quoted" &c'
PASSWORD = "correct horse battery"
SHAPES = {
    *(
        shape
        for value in (TOKEN, PASSWORD)
        for shape in (value, quote(value), quote(value, safe=""), quote_plus(value))
    ),
    *(json.dumps(value)[1:-1] for value in (TOKEN, PASSWORD)),
    base64.b64encode(f"me:{PASSWORD}".encode()).decode(),
}

FLOW = """
from meson_core import Artifact, for_each, kind, param, parallel, workflow

where, other = param("where", str), param("other", str)
token = {"Authorization": "Bearer ${secret.token}", "X-Seen": "seen-by-all"}


def call(name, path, **options):
    returns = options.pop("returns", {"seen": "$.headers.X-Seen"})
    outputs = {name: str for name in returns}
    options = {"headers": token, "url": "${where}" + path, "returns": returns, "outputs": outputs, **options}
    return kind("http", name=name, on_failure="ignore", **options)(where=where, other=other)


QUICK = {"interval_s": 0.01, "max_interval_s": 0.02}
steps = [
    call("header", "/echo"),
    call("query", "/echo", query={"key": "${secret.token}"}),
    call("json", "/echo", method="POST", json={"key": "x ${secret.token} y"}),
    call("form", "/echo", method="POST", form={"key": "${secret.token}"}),
    call("basic", "/echo", headers={"X-Seen": "seen-by-all"}, basic={"user": "me", "password": "${secret.password}"}),
    call("output", "/echo", returns={"said": "$.headers.Authorization"}),
    call("whole", "/echo", returns={"said": {"answer": "text"}}),
    call("failed", "/repeats/400", query={"key": "${secret.token}"}),
    call("broken", "/repeats/500", basic={"user": "me", "password": "${secret.password}"}, headers={}, retries=1),
    call("nowhere", "/repeats/200", query={"key": "${secret.token}"}, returns={"x": "$.none"}),
    call("redirect", "/moved/302?to=${other}", query={"key": "${secret.token}"}, redirects="any"),
    call("silent", "/stalled", query={"key": "${secret.token}"}, timeout_s=0.1),
    call("job", "/jobs", method="POST", query={"key": "${secret.token}"}, poll={**QUICK, "state": "$.state", "message": "$.message"},
         returns={"state": "$.state"}),
]
wf = workflow("secrets", parallel(*steps), outputs={"seen": steps[0].output["seen"], "job": steps[-1].output["state"]})
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_no_secret_is_in_anything_that_a_run_writes(tmp_path: Path) -> None:
    secrets = {"MESON_SECRET_token": TOKEN, "MESON_SECRET_password": PASSWORD}
    with (
        HttpService.running(repeats=True) as service,
        HttpService.running() as other,
        Project.made(tmp_path / "project", **secrets) as project,
    ):
        project.write("flow.py", FLOW)
        where = ("-p", f"where={service.base}", "-p", f"other={other.base}/echo")
        code, out = project.mesonctl("run", "flow.py", *where)
        run = project.run_id()
        told = [out, *(project.mesonctl(*command, run)[1] for command in (("show",), ("logs",), ("show", "--outputs")))]
        client = connect(project.folder)
        told.append(repr(list(client.events(run))))
        client.close()
        written = dict(project.written())

        assert code == 0, out
        assert client_saw(service, TOKEN, PASSWORD)
        # What is searched would show it: that which is no secret is found in all of it.
        assert all("seen-by-all" in text for text in (told[0], told[-1]))
        assert any(b"seen-by-all" in content for content in written.values())
        assert "${secret.token}" in told[2]  # where it would have been
        for shape in SHAPES:
            assert [text for text in told if shape in text] == []
            assert [path for path, content in written.items() if shape.encode() in content] == []
        assert all("token" not in str(one.query) + str(one.headers) for one in other.asked)
        assert len(other.asked) == 1


def client_saw(service: HttpService, *secrets: str) -> bool:
    """Whether the service really got them: otherwise there would be nothing to hide."""
    got = "".join(f"{one.headers} {dict(one.query)}" for one in service.asked)
    return secrets[0] in got and base64.b64encode(f"me:{secrets[1]}".encode()).decode() in got


async def test_a_job_whose_address_holds_the_secret_is_found_again() -> None:
    """Services that take their key in the query repeat it in the Location; the log must not have it, the next attempt must."""
    with HttpService.running(repeats=True) as service:
        options = Http.Options.model_validate(
            {
                "method": "POST",
                "url": f"{service.base}/jobs",
                "query": {"key": "${secret.token}"},
                "poll": {"interval_s": 0.01, "state": "$.state"},
            }
        )
        first = FakeContext(secrets={"token": TOKEN})
        await Http().run(options, first)
        assert first.remembered == f"{service.base}/jobs/1?key=${{secret.token}}"

        await Http().run(options, FakeContext(secrets={"token": TOKEN}, remembered=first.remembered))
        assert len(service.submissions) == 1
        assert {dict(one.query).get("key") for one in service.asked} == {TOKEN}


async def test_an_output_with_a_secret_in_it_is_refused() -> None:
    with HttpService.running() as service:
        options = Http.Options.model_validate(
            {
                "url": f"{service.base}/echo",
                "headers": {"X-Token": "${secret.token}"},
                "returns": {"all": "$.headers"},
            }
        )
        with pytest.raises(BackendError, match="output 'all': the service sent a secret back") as raised:
            await Http().run(options, FakeContext(secrets={"token": "t0ken"}))
        assert not raised.value.retryable


@pytest.mark.parametrize(
    "shape",
    [str, quote, quote_plus, lambda text: quote(text, safe=""), lambda text: json.dumps(text)[1:-1]],
    ids=["plain", "quoted", "in a form", "in a path", "in JSON"],
)
def test_a_secret_is_seen_in_every_shape(shape: Any) -> None:
    discretion = Discretion({"token": TOKEN, "part": "t0ken"})

    assert discretion.hide(f"a {shape(TOKEN)} b") == "a ${secret.token} b"
    assert discretion.hide("a t0ken b") == "a ${secret.part} b"
    assert discretion.hide("nothing") == "nothing"


def test_an_error_tells_nothing_in_any_of_its_parts() -> None:
    error = Discretion({"token": "t0ken"}).discreet(BackendError("a t0ken", retryable=False, hint="use t0ken"))

    assert "t0ken" not in f"{error} {error.args} {error!r}"
    assert str(error) == "a ${secret.token}\n  hint: use ${secret.token}"


def test_an_empty_secret_hides_nothing() -> None:
    assert Discretion({"token": ""}).hide("abc") == "abc"
