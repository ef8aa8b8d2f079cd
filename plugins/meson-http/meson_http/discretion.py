"""Owns that secrets stay secret: whatever leaves a step is read before, and a secret in it becomes `${secret.name}` again.

Services echo what they are sent: in errors, in redirects, in the address of a job. So it is not enough never to write a
secret on purpose; every text for people, and every id that goes into the log, passes through here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from meson_core.errors import BackendError, MesonError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meson_core.ports import StepContext


class Discretion:
    """Knows the secrets of one attempt, and tells nobody.

    Args:
        secrets: name → value.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._values = dict(secrets)
        self._forms: list[tuple[str, str]] = []
        for name, value in secrets.items():
            self.also(name, value)

    def also(self, name: str, form: str) -> None:
        """A text that gives a secret away as well: what it becomes in a header."""
        if form:
            shapes = {
                form,
                quote(form),
                quote(form, safe=""),
                quote_plus(form),
                json.dumps(form)[1:-1],
                repr(form)[1:-1],
            }
            self._forms += [(shape, f"${{secret.{name}}}") for shape in shapes]
            # A secret may be a part of another: the longer one goes first.
            self._forms.sort(key=lambda pair: -len(pair[0]))

    def hide(self, text: str) -> str:
        """A text that may be seen by anyone."""
        for form, shown in self._forms:
            text = text.replace(form, shown)
        return text

    def reveal(self, text: str, *, in_url: bool) -> str:
        """The text that `hide` made fit to be seen, as it was: the id of a job that a service made out of a secret."""
        for name, value in self._values.items():
            text = text.replace(f"${{secret.{name}}}", quote(value, safe="") if in_url else value)
        return text

    def checked(self, name: str, value: Any) -> Any:
        """An output, which goes into the log as it is.

        Raises:
            BackendError: there is a secret in it.
        """
        for text in _texts(value):
            if self.hide(text) != text:
                raise BackendError(
                    f"output {name!r}: the service sent a secret back, and outputs are kept in the log",
                    retryable=False,
                    hint="return another part of the answer",
                )
        return value

    def discreet(self, error: MesonError) -> MesonError:
        """The same error, for everyone's eyes."""
        error.message = self.hide(error.message)
        error.args = (error.message,)
        error.hint = None if error.hint is None else self.hide(error.hint)
        return error


class Voice:
    """What a step says to people, discreetly.

    Args:
        ctx: where it is said.
        discretion: knows the secrets.
    """

    def __init__(self, ctx: StepContext, discretion: Discretion) -> None:
        self._ctx = ctx
        self._discretion = discretion

    def is_secret(self, text: str) -> bool:
        """Whether there is a secret in a text."""
        return self._discretion.hide(text) != text

    def log(self, text: str) -> None:
        """A line in the attempt's log."""
        self._ctx.log(self._discretion.hide(text))

    def progress(self, fraction: float | None, message: str | None) -> None:
        """Percent complete and a message."""
        self._ctx.progress(fraction, None if message is None else self._discretion.hide(message))

    def link(self, name: str, url: str) -> None:
        """Something to click at."""
        self._ctx.link(name, self._discretion.hide(url))

    async def remember(self, job: str) -> None:
        """Commit the id of the outside job."""
        await self._ctx.remember(self._discretion.hide(job))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield str(key)
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
