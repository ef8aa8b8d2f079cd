"""Owns URLs: each inserted value is encoded by its place in the URL, and can never change what surrounds it.

whole        ${service}/models             an absolute http(s) URL, taken as it is
authority    https://${host}/models        letters, digits, '.', '-' and a port: no way to another path or user
path         /models/${name}               everything but unreserved characters is encoded, '/' too (but for ${name:path});
                                           never nothing, '.' or '..': they would address something else
query        ?stage=${stage}               everything but unreserved characters is encoded, '&', '=' and '+' too
fragment                                   as the query
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

from meson_core.errors import BackendError
from meson_http.templates import Place, as_text, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meson_http.templates import Values

_AUTHORITY = re.compile(r"[A-Za-z0-9._-]*(?:\[[0-9A-Fa-f:.]+\])?(?::\d{1,5})?")
_DOTS: Final = (".", "..")
_PORTS: Final = {"http": 80, "https": 443}


def fill_url(template: str, values: Values) -> str:
    """The URL that a template stands for.

    Raises:
        BackendError: a value is missing, or cannot stand where it is to be inserted.
    """
    url = ""
    for part in parse(template):
        if isinstance(part, str):
            # A base URL may end with the slash that the template goes on with.
            url = url.rstrip("/") + part if url and part.startswith("/") and _where(url) == "path" else url + part
        else:
            url += _insertion(part, values, url)
    _check_path(url, template)
    return url


def _where(before: str) -> str:
    """In which part of a URL the next character after `before` stands."""
    if "://" not in before:
        return "path" if before.startswith("/") else "start"
    rest = before.partition("://")[2]
    for mark, where in (("#", "fragment"), ("?", "query"), ("/", "path")):
        if mark in rest:
            return where
    return "authority"


def _insertion(place: Place, values: Values, before: str) -> str:
    value = values.of(place)
    if isinstance(value, dict | list):
        raise _unfit(
            place, value, "has parts, and a URL takes one value: name the part, like ${name.part} or ${name[0]}"
        )
    text = as_text(value)
    where = _where(before)
    if where == "start":
        return _whole(place, text) if not before else _unreserved(text)
    if where == "authority":
        if not text or not _AUTHORITY.fullmatch(text):
            raise _unfit(place, value, "is no host")
        return text
    if where == "path":
        if text in ("", *_DOTS):
            raise _unfit(place, value, "would make the path of the URL another one")
        return quote(text, safe="/" if place.slashes else "")
    return _unreserved(text)


def _whole(place: Place, text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in _PORTS or not url.hostname:
        raise _unfit(place, text, "is no absolute http or https URL")
    if url.username is not None or url.password is not None:
        # Its value is not shown: it holds what is not to be shown.
        raise BackendError(
            f"${{{place.text}}}: a URL with a user or password in it is not taken",
            retryable=False,
            hint="use the option `basic`, with the password as ${secret.name}",
        )
    return text


def _unreserved(text: str) -> str:
    return quote(text, safe="")


def _unfit(place: Place, value: Any, why: str) -> BackendError:
    return BackendError(f"${{{place.text}}}: {value!r:.200} {why}", retryable=False)


def _check_path(url: str, template: str) -> None:
    """Pieces of a path that together make a dot segment: `.${x}` with x = "."; or slashes kept by `:path`."""
    if "${" in template and any(segment in _DOTS for segment in urlsplit(url).path.split("/")):
        raise BackendError(f"{template!r} became {url!r}, whose path has dots that lead elsewhere", retryable=False)


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """A URL with further pairs in its query."""
    more = urlencode(list(pairs), quote_via=quote, safe="")
    if not more:
        return url
    plain, mark, fragment = url.partition("#")
    joined = f"{plain}{'&' if '?' in plain else '?'}{more}"
    return f"{joined}{mark}{fragment}"


def query_pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of a query: a list gives one for each item, null gives none.

    Args:
        query: name → filled value.
    """
    return [
        (name, as_text(item))
        for name, value in query.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]


def origin(url: str) -> str:
    """Scheme, host and port: who gets what is sent to this URL.

    Raises:
        ValueError: not an absolute http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no absolute http or https URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}"


def joined(base: str, reference: str) -> str:
    """Where a reference in an answer leads to.

    Raises:
        BackendError: nowhere that can be asked.
    """
    try:
        url = urljoin(base, reference)
        origin(url)
    except ValueError:
        raise BackendError(
            f"the service names {reference!r:.200}, which is no http or https URL", retryable=False
        ) from None
    return url


def is_url(text: str) -> bool:
    """Whether a text is a URL or a reference to one on the same host."""
    return text.startswith(("http://", "https://", "/"))


def shown(url: str) -> str:
    """A URL for people: without query, fragment and user, which may hold what is not for everyone."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
