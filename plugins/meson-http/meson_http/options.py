"""Owns the options of an `http` step: everything that can be wrong in them is found before anything runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from meson_core.errors import nearest
from meson_http import paths, templates, urls

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
#: Methods that may be repeated without a second effect (RFC 9110, 9.2.2).
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
#: Methods that ask, and change nothing.
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Headers that hold credentials: what stands in an option is kept in the spec, for everyone to read.
CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})

_METHOD = re.compile(r"[A-Z][A-Z-]*")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"[1-5]xx")


def _template(text: str) -> str:
    templates.parse(text)
    return text


def _url(text: str) -> str:
    """A URL's template: of this protocol, and without anything that must not be seen where URLs are seen."""
    parts = templates.parse(text)
    if templates.secret_names(text):
        raise ValueError("a secret has no place in a URL, which is logged everywhere; put it into `headers` or `query`")
    start = parts[0] if parts else ""
    if isinstance(start, str) and not start.startswith(("http://", "https://", "/")):
        raise ValueError(f"{text!r} is no http or https URL")
    if isinstance(start, str) and "@" in start.partition("://")[2].partition("/")[0]:
        raise ValueError("a URL with a user in it is not taken; use the option `basic`")
    return text


def _json_path(text: str) -> str:
    paths.parse(text)
    return text


Template: TypeAlias = Annotated[str, AfterValidator(_template)]
Url: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_url)]
JsonPath: TypeAlias = Annotated[str, AfterValidator(_json_path)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Model(BaseModel):
    """What all of them share: plain data that never changes, and no misspelt names."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


# --- what is sent -------------------------------------------------------------------------------------------------


class Basic(Model):
    """User and password in the header Authorization."""

    user: Template
    password: Template = Field(description="Written ${secret.name}.")

    @field_validator("password")
    @classmethod
    def _secret(cls, password: str) -> str:
        if not templates.secret_names(password):
            raise ValueError("a password in the options could be read by everyone; write ${secret.name}")
        return password


class FilePart(Model):
    """A file of a form: the input of this name, which is an artifact."""

    file: str = Field(min_length=1, description="Name of an input that is an artifact.")
    name: Template | None = Field(default=None, description="Its file name; that of the artifact by default.")
    media: str | None = Field(default=None, description="Its media type; that of the artifact by default.")


class Tls(Model):
    """How the service proves who it is, and we do."""

    verify: bool = Field(default=True, description="Off: anyone may claim to be the service. For tests only.")
    ca_file: str | None = Field(default=None, description="Certificates to trust, on the machine of the executor.")
    cert_file: str | None = Field(default=None, description="Our certificate, on the machine of the executor.")
    key_file: str | None = Field(default=None, description="Its key, if that is another file.")

    @model_validator(mode="after")
    def _whole(self) -> Tls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("`key_file` is the key of `cert_file`, which is not there")
        if self.ca_file is not None and not self.verify:
            raise ValueError("`ca_file` has no effect while `verify` is off")
        return self


# --- what comes back ----------------------------------------------------------------------------------------------


class Member(Model):
    """A part of the answer that may be missing."""

    path: JsonPath
    default: Any = Field(default=None, description="What the output is when the answer does not have it.")


class Header(Model):
    """A header of the answer."""

    header: str = Field(min_length=1)


class Whole(Model):
    """The answer as a whole, or what goes with it."""

    answer: Literal["artifact", "text", "status", "url"] = Field(
        description="`artifact`: the body, streamed into the artifact store, of whatever size."
    )
    name: Template | None = Field(default=None, description="Name of the artifact; by default as the service calls it.")
    media: str | None = Field(default=None, description="Its media type; by default as the service says.")


def _sort(value: Any) -> str:
    """Which of them is meant, so that a mistake is told of that one and not of all."""
    if isinstance(value, dict):
        return next((word for word in ("answer", "header") if word in value), "member")
    kinds = ((Member, "member"), (Header, "header"), (Whole, "answer"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "path")


Returned: TypeAlias = Annotated[
    Annotated[JsonPath, Tag("path")]
    | Annotated[Member, Tag("member")]
    | Annotated[Header, Tag("header")]
    | Annotated[Whole, Tag("answer")],
    Discriminator(_sort),
]


# --- services that take their time --------------------------------------------------------------------------------


class Poll(Model):
    """A service that answers before the work is done, and is asked again until it is."""

    job: JsonPath | None = Field(
        default=None,
        description="Where the answer to the submission has the job's id or URL; by default its header Location.",
    )
    url: Url | None = Field(
        default=None,
        description="Where the job is asked after, with ${meson.job}; by default the job's own URL.",
    )
    method: str = "GET"
    state: JsonPath | None = Field(
        default=None, description="Where the answer has the job's state; without it, status 202 says that it goes on."
    )
    succeeded: tuple[str, ...] = ("succeeded", "success", "successful", "completed", "complete", "done", "finished")
    failed: tuple[str, ...] = ("failed", "failure", "error", "errored")
    cancelled: tuple[str, ...] = ("cancelled", "canceled", "aborted", "killed", "stopped", "terminated")
    running: tuple[str, ...] | None = Field(
        default=None, description="States of a job that goes on; None: all others. A state that is nowhere is an error."
    )
    message: JsonPath | None = Field(default=None, description="Where the answer has the service's words about it.")
    progress: JsonPath | None = Field(default=None, description="Where the answer says how far it is.")
    out_of: JsonPath | Annotated[float, Field(gt=0)] = Field(
        default=1.0, description="What `progress` is when all is done: 100 for percent, or where the answer says it."
    )
    result: str | None = Field(
        default=None,
        description="Where the result of a job that has succeeded is: a URL with ${meson.job}, or a JSON path to one.",
    )
    interval_s: Seconds = Field(default=2.0, description="Seconds between two questions, at first.")
    factor: Annotated[float, Field(ge=1, le=10)] = Field(default=1.5, description="By which each wait is longer.")
    max_interval_s: Seconds = Field(default=30.0, description="Longest wait, unless the service asks for more.")
    timeout_s: Seconds | None = Field(
        default=None, description="Seconds after which the job is cancelled and has failed."
    )
    patience_s: Seconds = Field(
        default=600.0,
        description="Seconds without an answer after which the attempt ends; the next finds the job again.",
    )

    @field_validator("method")
    @classmethod
    def _method(cls, method: str) -> str:
        return _checked_method(method)

    @field_validator("result")
    @classmethod
    def _result(cls, result: str | None) -> str | None:
        if result is None or result.startswith("$."):
            return result if result is None else _json_path(result)
        return _url(result)

    @model_validator(mode="after")
    def _states(self) -> Poll:
        groups = {"succeeded": self.succeeded, "failed": self.failed, "cancelled": self.cancelled}
        if self.running is not None:
            groups["running"] = self.running
        seen: dict[str, str] = {}
        for group, states in groups.items():
            for state in states:
                other = seen.setdefault(state.casefold(), group)
                if other != group:
                    raise ValueError(f"the state {state!r} is both in `{other}` and in `{group}`")
        return self


class Find(Model):
    """How the service is asked whether it has the job of a key already."""

    url: Url = Field(description="With ${meson.job_key}.")
    job: JsonPath = Field(description="Where the answer has the job's id or URL; not there: there is no such job.")
    method: str = "GET"

    @field_validator("method")
    @classmethod
    def _method(cls, method: str) -> str:
        return _checked_method(method)


class Cancel(Model):
    """The request that stops a job."""

    method: str = "DELETE"
    url: Url | None = Field(
        default=None, description="With ${meson.job} or ${meson.job_key}; by default where the job is asked after."
    )
    json_body: Any = Field(default=None, alias="json", description="Its body.")

    @field_validator("method")
    @classmethod
    def _method(cls, method: str) -> str:
        return _checked_method(method)


# --- the step -----------------------------------------------------------------------------------------------------


class HttpOptions(Model):
    """Options of an `http` step."""

    method: str = "GET"
    url: Url = Field(description="Each inserted value is encoded by its place in the URL.")
    query: dict[str, Any] = Field(
        default_factory=dict, description="Added to the URL: a list is repeated, null is left out."
    )
    headers: dict[str, Template] = Field(default_factory=dict, description="Of every request of the step.")
    basic: Basic | None = None

    json_body: Any = Field(
        default=None, alias="json", description="A JSON body; a text that is ${input} keeps its type."
    )
    form: dict[str, Any] | None = Field(default=None, description="A form's fields.")
    text: Template | None = Field(default=None, description="A text.")
    file: str | None = Field(default=None, min_length=1, description="Name of an input that is an artifact: its bytes.")
    parts: dict[str, FilePart | Template] | None = Field(
        default=None, min_length=1, description="A multipart form of texts and files."
    )
    media: str | None = Field(default=None, description="Media type of the body.")

    expect: tuple[int | str, ...] = Field(
        default=("2xx",), min_length=1, description='Status codes of success: 201, or "2xx".'
    )
    returns: dict[str, Returned] = Field(
        default_factory=dict, description="Output → where the answer has it: a JSON path, a header, or the whole."
    )
    error: JsonPath | None = Field(
        default=None, description="Where the answer of a service that refuses has its reason; usual places by default."
    )

    key_header: str | None = Field(default="Idempotency-Key", description="Carries the job key; null: it is not sent.")
    deduplicates: bool | None = Field(
        default=None,
        description="Whether the service does nothing a second time under one job key; by default what the method promises.",
    )
    poll: Poll | None = None
    find: Find | None = None
    cancel: Cancel | None = None

    timeout_s: Seconds = Field(default=60.0, description="Seconds that the service may be silent within a request.")
    redirects: Literal["same origin", "any", "none"] = Field(
        default="same origin", description="Which redirects are followed; secrets never go to another origin."
    )
    trusted: tuple[str, ...] = Field(
        default=(), description="Further origins that may see the secrets, like https://jobs.example.com."
    )
    tls: Tls = Tls()
    max_answer_bytes: int = Field(default=16 * MIB, gt=0, description="Largest answer that is read into memory.")
    max_artifact_bytes: int = Field(default=64 * GIB, gt=0, description="Largest answer that becomes an artifact.")

    @field_validator("method")
    @classmethod
    def _method(cls, method: str) -> str:
        return _checked_method(method)

    @field_validator("expect")
    @classmethod
    def _expect(cls, expect: tuple[int | str, ...]) -> tuple[int | str, ...]:
        for status in expect:
            if not (100 <= status <= 599 if isinstance(status, int) else _STATUS.fullmatch(status)):
                raise ValueError(f'{status!r} is no status: write 201, or "2xx" for all of them')
        return expect

    @field_validator("trusted")
    @classmethod
    def _trusted(cls, trusted: tuple[str, ...]) -> tuple[str, ...]:
        for url in trusted:
            urls.origin(url)
        return trusted

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a header")
            if name.casefold() in CREDENTIALS and not any(templates.places(value)):
                raise ValueError(
                    f"{name}: a credential in the options could be read by everyone; write ${{secret.name}}"
                )
        return headers

    @field_validator("key_header")
    @classmethod
    def _key_header(cls, name: str | None) -> str | None:
        if name is not None and not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header")
        return name

    @model_validator(mode="after")
    def _together(self) -> HttpOptions:
        given = {"json": self.json_body, "form": self.form, "text": self.text, "file": self.file, "parts": self.parts}
        bodies = [name for name, body in given.items() if body is not None]
        if len(bodies) > 1:
            raise ValueError(f"a request has one body: both `{bodies[0]}` and `{bodies[1]}` are there")
        if self.basic is not None and any(name.casefold() == "authorization" for name in self.headers):
            raise ValueError("both `basic` and a header Authorization are there")
        if self.find is not None and self.poll is None:
            raise ValueError("`find` looks for a job to poll, and `poll` is not there")
        if self.cancel is not None and self.cancel.url is None and self.poll is None:
            raise ValueError("`cancel` has no `url`, and without `poll` there is no URL of a job")
        self._check_places()
        return self

    def _check_places(self) -> None:
        """Every place says something known, and the job is spoken of only once it can be there."""
        early = [self.url, self.query, self.headers, self.json_body, self.form, self.text]
        early += [part if isinstance(part, str) else part.name for part in (self.parts or {}).values()]
        early += [] if self.find is None else [self.find.url]
        for place in templates.places(early):
            if (place.source, place.name) == ("meson", "job"):
                known = nearest("job", templates.FACTS[1:]) or "job_key"
                raise ValueError(f"${{meson.job}} is not known before the submission; did you mean ${{meson.{known}}}?")
        for late in self._late():
            list(templates.places(late))

    def _late(self) -> Iterator[Any]:
        yield from (part for part in self.returns.values() if isinstance(part, str))
        if self.cancel is not None:
            yield self.cancel.json_body

    def secrets(self) -> set[str]:
        """Names of all secrets that the step needs."""
        found = templates.secret_names([self.query, self.headers, self.json_body, self.form, self.text])
        found |= templates.secret_names([part for part in (self.parts or {}).values() if isinstance(part, str)])
        found |= set() if self.basic is None else templates.secret_names([self.basic.user, self.basic.password])
        found |= set() if self.cancel is None else templates.secret_names(self.cancel.json_body)
        return found

    @property
    def recoverable(self) -> bool:
        """Whether a crash between the submission and its remembering can be cleared up without a person."""
        if self.find is not None:
            return True
        return self.method in IDEMPOTENT if self.deduplicates is None else self.deduplicates


def _checked_method(method: str) -> str:
    if not _METHOD.fullmatch(method):
        raise ValueError(f"{method!r} is no method: they are written in capitals, like POST")
    return method
