"""Owns the promises about one request and its answer, against a real service."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from http_service import CERTIFICATE, HttpService, hangs_up, refuses, says_half, stalls
from meson_core.errors import BackendError
from meson_core.testing import FakeContext
from meson_http import Http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow]
ECHO = {"method": "$.method", "path": "$.path", "query": "$.query", "body": "$.body"}


@pytest.fixture
def service() -> Iterator[HttpService]:
    with HttpService.running() as running:
        yield running


@pytest.fixture
def ctx() -> FakeContext:
    return FakeContext(inputs={"x": "a/b", "n": 3, "tags": ["p", "q"]}, secrets={"token": "s3cret-t0ken"})


async def call(service: HttpService, ctx: FakeContext, **options: Any) -> dict[str, Any]:
    """Run a step whose URL is a path of the service."""
    url = f"{service.base}{options.pop('path', '/echo')}"
    return dict(await Http().run(Http.Options.model_validate({"url": url, **options}), ctx))


async def refused(service: HttpService, ctx: FakeContext, **options: Any) -> BackendError:
    with pytest.raises(BackendError) as raised:
        await call(service, ctx, **options)
    return raised.value


# --- what is sent ---------------------------------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was_meant(service: HttpService, ctx: FakeContext) -> None:
    got = await call(
        service,
        ctx,
        method="PATCH",
        path="/echo/${x}?v=${n}",
        query={"tag": "${tags}", "gone": None, "s": "${x}"},
        headers={"X-Step": "${meson.step}", "Authorization": "Bearer ${secret.token}"},
        json={"n": "${n}", "t": "n=${n}"},
        returns=ECHO,
    )

    assert (got["method"], got["path"]) == ("PATCH", "/echo/a%2Fb")
    assert got["query"] == [["v", "3"], ["tag", "p"], ["tag", "q"], ["s", "a/b"]]
    assert json.loads(got["body"]) == {"n": 3, "t": "n=3"}
    (asked,) = service.asked
    assert asked.headers["Authorization"] == "Bearer s3cret-t0ken"
    assert asked.headers["X-Step"] == "step"
    assert asked.headers["Idempotency-Key"] == "job-key"
    assert asked.headers["Content-Type"] == "application/json"


async def test_the_header_of_the_job_key_has_the_services_name(service: HttpService, ctx: FakeContext) -> None:
    await call(service, ctx, key_header="X-Request-Id")
    await call(service, ctx, key_header=None, headers={"X-Key": "${meson.job_key}"})

    assert [one.headers.get("X-Request-Id") for one in service.asked] == ["job-key", None]
    assert [one.headers.get("Idempotency-Key") for one in service.asked] == [None, None]
    assert service.asked[1].headers["X-Key"] == "job-key"


async def test_a_form(service: HttpService, ctx: FakeContext) -> None:
    await call(service, ctx, method="POST", form={"a": "x & ${x}", "tags": "${tags}", "none": None})

    assert service.asked[0].body == b"a=x+%26+a%2Fb&tags=p&tags=q"
    assert service.asked[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_text(service: HttpService, ctx: FakeContext) -> None:
    await call(service, ctx, method="POST", text='{"query": "{ $${x} ${x} ü }"}', media="application/graphql")

    assert service.asked[0].body.decode() == '{"query": "{ ${x} a/b ü }"}'
    assert service.asked[0].headers["Content-Type"] == "application/graphql"


async def test_a_file_is_streamed_with_its_length_and_type(service: HttpService, tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(b"0123456789abcdef" * 65536)
    ctx = FakeContext(inputs={"model": FakeContext.value(model, media="application/x-model")}, artifacts=[model])
    await call(service, ctx, method="PUT", file="model")

    (asked,) = service.asked
    assert asked.body == model.read_bytes()
    assert asked.headers["Content-Length"] == str(1 << 20)
    assert asked.headers["Content-Type"] == "application/x-model"


async def test_a_form_of_files(service: HttpService, tmp_path: Path) -> None:
    model = tmp_path / 'my "model".bin'
    model.write_bytes(b"\r\n--weights\r\n")
    ctx = FakeContext(inputs={"model": FakeContext.value(model), "note": "ü"}, artifacts=[model])
    await call(service, ctx, method="POST", parts={"note": "n: ${note}", "model": {"file": "model", "media": "x/y"}})

    (asked,) = service.asked
    boundary = asked.headers["Content-Type"].partition("boundary=")[2].encode()
    assert asked.body == (
        b'--%(b)s\r\nContent-Disposition: form-data; name="note"\r\n\r\nn: \xc3\xbc\r\n'
        b'--%(b)s\r\nContent-Disposition: form-data; name="model"; filename="my %%22model%%22.bin"\r\n'
        b"Content-Type: x/y\r\n\r\n\r\n--weights\r\n\r\n--%(b)s--\r\n" % {b"b": boundary}
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": "n"}, "the input 'n' is to be sent as a file, and is no artifact"),
        ({"file": "model"}, "the step has no input 'model'"),
        ({"json": {"m": "${model}"}}, "the step has no input 'model'"),
        ({"headers": {"X": "${x}\n"}}, "the header X would have a line break"),
        ({"headers": {"X": "${secret.tokn}"}}, "the step needs the secret 'tokn'"),
    ],
)
async def test_what_cannot_be_sent_is_the_users_and_nothing_is_asked(
    service: HttpService, ctx: FakeContext, options: dict[str, Any], message: str
) -> None:
    error = await refused(service, ctx, method="POST", **options)

    assert message in str(error)
    assert not error.retryable
    assert service.asked == []


async def test_a_file_out_of_reach_is_the_platforms_and_nothing_was_intended(
    service: HttpService, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    ctx = FakeContext(inputs={"model": FakeContext.value(tmp_path / "model")})
    error = await refused(service, ctx, method="POST", file="model")

    assert error.retryable
    assert "the input 'model' cannot be sent" in str(error)
    assert (ctx.told, service.asked) == ([], [])


# --- what comes back ------------------------------------------------------------------------------------------------


async def test_outputs_come_from_all_parts_of_an_answer(service: HttpService, ctx: FakeContext) -> None:
    got = await call(
        service,
        ctx,
        returns={
            "method": "$.method",
            "missing": {"path": "$.nothing.there", "default": 7},
            "etag": {"header": "etag"},
            "status": {"answer": "status"},
            "url": {"answer": "url"},
            "text": {"answer": "text"},
        },
    )

    text = got.pop("text")
    assert json.loads(text)["method"] == "GET"
    assert got == {"method": "GET", "missing": 7, "etag": '"v7"', "status": 200, "url": f"{service.base}/echo"}


@pytest.mark.parametrize(
    ("path", "returns", "message"),
    [
        ("/echo", "$.methd", "output 'v': there is no $.methd; did you mean 'method'?"),
        ("/echo", {"header": "X-None"}, "output 'v': the answer has no header X-None; there are: "),
        ("/bytes/3", "$.a", "output 'v': the answer is no JSON, but application/octet-stream: 'xxx'"),
    ],
)
async def test_an_answer_without_an_output_is_the_users(
    service: HttpService, ctx: FakeContext, path: str, returns: Any, message: str
) -> None:
    error = await refused(service, ctx, path=path, returns={"v": returns})

    assert str(error).startswith(message)
    assert not error.retryable


async def test_a_large_answer_becomes_an_artifact_and_leaves_no_file(service: HttpService, tmp_path: Path) -> None:
    ctx = FakeContext()
    ctx.scratch = (tmp_path / "scratch of run").as_uri()
    size = 40 * 1024 * 1024
    got = await call(
        service,
        ctx,
        path=f"/bytes/{size}",
        max_answer_bytes=1000,
        returns={"model": {"answer": "artifact", "name": "m-${meson.attempt}"}},
    )

    assert got["model"]["size"] == size
    assert (got["model"]["name"], got["model"]["media"]) == ("m-1", "application/octet-stream")
    assert list((tmp_path / "scratch of run").iterdir()) == []
    assert ("progress", 1.0, "41.9 MB received") in ctx.told


async def test_an_answer_may_be_an_artifact_and_be_read_as_well(service: HttpService, ctx: FakeContext) -> None:
    returns = {"file": {"answer": "artifact"}, "method": "$.method"}
    got = await call(service, ctx, returns=returns)

    assert (got["method"], got["file"]["name"]) == ("GET", "echo")
    error = await refused(service, ctx, returns=returns, max_answer_bytes=10)
    assert "max_answer_bytes, which is 10" in str(error)


@pytest.mark.parametrize("path", ["/bytes/2000", "/packed/1000000", "/endless"])
@pytest.mark.parametrize("what", ["answer", "artifact"])
async def test_an_answer_has_a_largest_size_also_when_it_is_packed(
    service: HttpService, ctx: FakeContext, path: str, what: str
) -> None:
    limit = {f"max_{what}_bytes": 1500}
    returns = {"x": {"answer": "text" if what == "answer" else "artifact"}}
    error = await refused(service, ctx, path=path, returns=returns, **limit)

    assert f"larger than max_{what}_bytes, which is 1500" in str(error)
    assert not error.retryable
    assert not [told for told in ctx.told if told[0] == "put"]


# --- what a failure means -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_a_service_in_trouble_is_asked_again(service: HttpService, ctx: FakeContext, status: int) -> None:
    assert (await refused(service, ctx, path=f"/status/{status}")).retryable


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 409, 418, 422, 501])
async def test_a_service_that_refuses_is_not(service: HttpService, ctx: FakeContext, status: int) -> None:
    error = await refused(service, ctx, path=f"/status/{status}")

    assert not error.retryable
    assert re.match(rf"GET {service.base}/status/{status}: {status} .*: it is {status}$", str(error)) or status == 304


async def test_what_is_expected_is_said(service: HttpService, ctx: FakeContext) -> None:
    assert await call(service, ctx, path="/status/404", expect=[200, 404], returns={"s": {"answer": "status"}}) == {
        "s": 404
    }
    assert not (await refused(service, ctx, expect=[201])).retryable


async def test_a_service_that_asks_to_wait_is_heard(service: HttpService, ctx: FakeContext) -> None:
    service.misbehave("GET", refuses(429, "17"))
    error = await refused(service, ctx)

    assert (error.retryable, error.after_s) == (True, 17)
    assert "429 Too Many Requests: not now" in str(error)


async def test_the_reason_is_where_the_service_has_it(service: HttpService, ctx: FakeContext) -> None:
    service.misbehave("GET", refuses(400, message="the reason"))

    assert str(await refused(service, ctx, error="$.error.message")).endswith("400 Bad Request: the reason")


async def test_nobody_there_is_the_platforms(ctx: FakeContext) -> None:
    with HttpService.running() as service:
        pass
    error = await refused(service, ctx)

    assert error.retryable
    assert "no connection" in str(error)


@pytest.mark.parametrize("how", [hangs_up, says_half])
async def test_a_broken_connection_is_the_platforms(service: HttpService, ctx: FakeContext, how: Any) -> None:
    service.misbehave("GET", how)
    error = await refused(service, ctx)

    assert error.retryable
    assert "no whole answer" in str(error)


async def test_half_an_artifact_is_none(service: HttpService, ctx: FakeContext) -> None:
    service.misbehave("GET", says_half)

    assert (await refused(service, ctx, path="/bytes/100000", returns={"f": {"answer": "artifact"}})).retryable
    assert not [told for told in ctx.told if told[0] == "put"]


async def test_silence_is_the_platforms(service: HttpService, ctx: FakeContext) -> None:
    service.misbehave("GET", stalls)
    error = await refused(service, ctx, timeout_s=0.2)

    assert error.retryable
    assert "the service was silent for 0.2 s" in str(error)


# --- what a crash would mean ----------------------------------------------------------------------------------------


async def test_asking_needs_no_intent_in_the_log(service: HttpService, ctx: FakeContext) -> None:
    await call(service, ctx, method="GET")

    assert "submitting" not in [what for what, *_ in ctx.told]


@pytest.mark.parametrize(
    ("options", "recoverable"), [({}, False), ({"deduplicates": True}, True), ({"method": "PUT"}, True)]
)
async def test_an_effect_is_told_before_it_is_asked_for(
    service: HttpService, ctx: FakeContext, options: dict[str, Any], recoverable: bool
) -> None:
    await call(service, ctx, **{"method": "POST", **options})

    assert ("submitting", "job-key") in ctx.told
    assert ctx.recoverable is recoverable


@pytest.mark.parametrize(
    ("how", "certain"),
    [
        (refuses(503), True),
        (refuses(429, "1"), True),
        (refuses(500), False),
        (refuses(504), False),
        (hangs_up, False),
        (says_half, False),
    ],
    ids=["503", "429", "500", "504", "hangs up", "says half"],
)
async def test_only_what_certainly_did_nothing_is_asked_again_without_a_person(
    service: HttpService, ctx: FakeContext, how: Any, certain: bool
) -> None:
    """A service that refuses has begun nothing; whether one that broke off has, nobody knows."""
    service.misbehave("POST", how)

    assert (await refused(service, ctx, method="POST")).retryable
    assert ctx.recoverable is certain


async def test_no_connection_has_begun_nothing(ctx: FakeContext) -> None:
    with HttpService.running() as service:
        pass
    await refused(service, ctx, method="POST")

    assert ctx.recoverable is True


# --- redirects and trust --------------------------------------------------------------------------------------------

SECRET = {"headers": {"Authorization": "Bearer ${secret.token}", "X-Plain": "p"}}


async def test_a_redirect_on_the_same_host_is_followed(service: HttpService, ctx: FakeContext) -> None:
    kept = await call(service, ctx, method="POST", path="/moved/307?to=/echo/b", text="t", returns=ECHO)
    asked = await call(service, ctx, method="POST", path="/moved/303?to=/echo/b", text="t", returns=ECHO)

    assert (kept["method"], kept["path"], kept["body"]) == ("POST", "/echo/b", "t")
    assert (asked["method"], asked["path"], asked["body"]) == ("GET", "/echo/b", "")


async def test_a_redirect_to_another_host_is_refused_unless_it_is_allowed(
    service: HttpService, ctx: FakeContext
) -> None:
    with HttpService.running() as other:
        path = f"/moved/307?to={other.base}/echo"
        error = await refused(service, ctx, path=path, **SECRET)
        assert "redirects are followed: same origin" in str(error)
        assert other.asked == []

        await call(service, ctx, path=path, redirects="any", **SECRET)
        assert "Authorization" not in other.asked[0].headers
        assert other.asked[0].headers["X-Plain"] == "p"

        await call(service, ctx, path=path, redirects="any", trusted=[other.base], **SECRET)
        assert other.asked[1].headers["Authorization"] == "Bearer s3cret-t0ken"

        error = await refused(service, ctx, path=path, redirects="any", method="POST", json={"k": "${secret.token}"})
        assert "what is to be sent holds a secret" in str(error)
        assert len(other.asked) == 2


async def test_a_redirect_that_hands_a_secret_on_is_not_followed(service: HttpService, ctx: FakeContext) -> None:
    with HttpService.running() as other:
        options = {"path": f"/moved/302?to={other.base}/echo%3Fkey%3Ds3cret-t0ken", "redirects": "any", **SECRET}
        error = await refused(service, ctx, **options)

        assert "what is to be sent holds a secret" in str(error)
        assert "s3cret-t0ken" not in str(error)
        assert other.asked == []


async def test_redirects_can_be_off_and_end(service: HttpService, ctx: FakeContext) -> None:
    assert "redirects are followed: none" in str(
        await refused(service, ctx, path="/moved/302?to=/echo", redirects="none")
    )
    assert "more than 10 redirects" in str(await refused(service, ctx, path="/turns"))
    assert await call(
        service, ctx, path="/moved/302?to=/echo", expect=[302], returns={"to": {"header": "Location"}}
    ) == {"to": "/echo"}
    assert "no http or https URL" in str(await refused(service, ctx, path="/moved/302?to=file:///etc/passwd"))


async def test_a_service_proves_who_it_is(ctx: FakeContext) -> None:
    with HttpService.running(tls=True) as service:
        error = await refused(service, ctx)
        assert "certificate is not trusted" in str(error)
        assert "tls.ca_file" in str(error)
        assert not error.retryable

        status = {"status": {"answer": "status"}}
        assert await call(service, ctx, tls={"ca_file": str(CERTIFICATE)}, returns=status) == {"status": 200}
        assert await call(service, ctx, tls={"verify": False}, returns=status) == {"status": 200}
        assert ("log", "tls.verify is off: anyone may claim to be this service") in ctx.told
        error = await refused(service, ctx, tls={"ca_file": "/nowhere.pem"})
        assert "the certificates of `tls` cannot be used" in str(error)
