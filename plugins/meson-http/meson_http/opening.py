"""Owns what a step begins with: its secrets, its URL, and the headers of all its requests."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from meson_core.errors import BackendError
from meson_http.options import CREDENTIALS
from meson_http.templates import as_text, fill, secret_names
from meson_http.urls import fill_url

if TYPE_CHECKING:
    from meson_core.ports import StepContext
    from meson_http.discretion import Discretion
    from meson_http.options import HttpOptions
    from meson_http.templates import Values


class Field(NamedTuple):
    """A header of every request.

    Args:
        name: of it.
        value: of it.
        secret: only the step's own service, and whom it trusts, may see it.
    """

    name: str
    value: str
    secret: bool = False


async def secrets_of(options: HttpOptions, ctx: StepContext) -> dict[str, str]:
    """All secrets that the step names.

    Raises:
        BackendError: this machine does not have one of them.
    """
    found = {}
    for name in sorted(options.secrets()):
        try:
            found[name] = await ctx.secret(name)
        except Exception as error:  # noqa: BLE001 (whoever keeps secrets has errors of their own; each means: not here)
            raise BackendError(f"the step needs the secret {name!r}: {error}", retryable=False) from None
    return found


def home_of(options: HttpOptions, values: Values) -> str:
    """The URL of the step, without its query.

    Raises:
        BackendError: it names no host.
    """
    url = fill_url(options.url, values)
    if url.startswith("/"):
        raise BackendError(f"{options.url!r} became {url!r}, which names no host", retryable=False)
    return url


def headers_of(options: HttpOptions, values: Values, discretion: Discretion) -> list[Field]:
    """The headers of all requests; one whose value is null is left out.

    Raises:
        BackendError: a value that no header may have.
    """
    given = {name.casefold() for name in options.headers}
    ours = (Field("User-Agent", "meson-http"), Field("Accept", "application/json, */*;q=0.5"))
    found = [field for field in ours if field.name.casefold() not in given]
    for name, template in options.headers.items():
        value = fill(template, values)
        if value is not None:
            secret = bool(secret_names(template)) or name.casefold() in CREDENTIALS
            found.append(Field(name, _checked(name, as_text(value)), secret))
    if options.basic is not None:
        user, password = (as_text(fill(text, values)) for text in (options.basic.user, options.basic.password))
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        discretion.also(min(secret_names(options.basic.password)), token)
        found.append(Field("Authorization", f"Basic {token}", secret=True))
    return found


def _checked(name: str, value: str) -> str:
    if any((ord(mark) < 32 and mark != "\t") or ord(mark) == 127 for mark in value) or value != value.strip():
        # It may be a secret, so it is not shown.
        raise BackendError(
            f"the header {name} would have a line break, or blanks at an end, which no header has",
            retryable=False,
            hint="a secret that was put into a file by hand often ends with a line break",
        )
    return value
