"""Owns answers: what came back, what a service says in them, and the outputs that are made of them."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from meson_core.errors import BackendError
from meson_http import paths
from meson_http.options import Header, Member, Whole
from meson_http.templates import as_text, fill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from meson_core.ports import StepContext
    from meson_http.discretion import Discretion
    from meson_http.options import Returned
    from meson_http.templates import Values

#: Where services that refuse usually say why (problem+json of RFC 9457 among them).
_USUAL: Final = ("$.error.message", "$.message", "$.error", "$.detail", "$.title", "$.errors")
#: Longest words of a service that are told, in characters.
_MAX_WORDS: Final = 600
_FILE_NAME = re.compile(r"filename\*=(?:UTF-8|utf-8)''([^;]+)|filename=\"([^\"]*)\"|filename=([^;]+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        status: its code.
        url: that answered in the end.
        headers: by name, whatever its capitals.
        body: its bytes, when they are in memory.
        saved: the file that holds them otherwise.
        asked_s: seconds that it asks to wait.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    saved: Path | None = None
    asked_s: float | None = None

    @property
    def text(self) -> str:
        """Its body as text, by the encoding that it tells."""
        found = re.search(r"charset=\"?([\w.-]+)", self.headers.get("Content-Type", ""))
        try:
            return self.body.decode(found.group(1) if found else "utf-8", "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Its body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    def select(self, path: str) -> Any:
        """The value of a JSON path.

        Raises:
            paths.NotThereError: there is none.
        """
        try:
            return paths.select(self.json(), path)
        except (ValueError, RecursionError):
            media = self.headers.get("Content-Type", "no media type")
            raise paths.NotThereError(f"the answer is no JSON, but {media}: {self.text[:80]!r}") from None

    def words(self, path: str | None) -> str:
        """What the service says in it, in a line: from where `path` says, from the usual places, or the text itself."""
        for place in _USUAL if path is None else (path, *_USUAL):
            try:
                found = self.select(place)
            except paths.NotThereError:
                continue
            if found:
                return _line(as_text(found))
        if "html" in self.headers.get("Content-Type", ""):
            return ""
        return _line(self.text)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_WORDS else f"{line[:_MAX_WORDS]}…"


def phrase(status: int) -> str:
    """A status as people know it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


# --- bodies that become artifacts ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def room(returns: Mapping[str, Returned], ctx: StepContext) -> AsyncIterator[Path | None]:
    """A file for an answer that becomes an artifact, gone afterwards; None when none does."""
    if not any(_is_artifact(what) for what in returns.values()):
        yield None
        return
    folder = Path(await ctx.call(_folder, ctx.scratch))
    try:
        yield folder / "answer"
    finally:
        await ctx.call(partial(shutil.rmtree, ignore_errors=True), folder)


def settled(answer: Answer, returns: Mapping[str, Returned], save: Path | None, limit: int) -> Answer:
    """The answer, in the file and in memory as the outputs need it; may block.

    Args:
        answer: as it came.
        returns: what is made of it.
        save: the file for it, None when nothing becomes an artifact.
        limit: most bytes that are read back into memory.

    Raises:
        BackendError: it is read as well, and is larger than that.
    """
    if save is None:
        return answer
    if answer.saved is None:  # the last answer about a job, which nobody knew to be the last
        save.write_bytes(answer.body)
        return replace(answer, saved=save)
    if all(_is_artifact(what) or isinstance(what, Header) for what in returns.values()):
        return answer
    size = save.stat().st_size
    if size > limit:
        message = f"the answer is read as well, and its {size} bytes are more than max_answer_bytes, which is {limit}"
        raise BackendError(message, retryable=False)
    return replace(answer, body=save.read_bytes())


def _is_artifact(what: Returned) -> bool:
    return isinstance(what, Whole) and what.answer == "artifact"


def _folder(scratch: str) -> str:
    """In the run's scratch, which goes with the run even if this process dies."""
    parts = urlsplit(scratch)
    where = unquote(parts.path) if parts.scheme in ("", "file") and parts.path else None
    if where is not None:
        Path(where).mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(prefix="http-", dir=where)


# --- outputs --------------------------------------------------------------------------------------------------------


async def outputs(
    returns: Mapping[str, Returned], answer: Answer, values: Values, discretion: Discretion, ctx: StepContext
) -> dict[str, Any]:
    """The outputs of the step, out of its answer.

    Raises:
        BackendError: the answer does not have one of them.
    """
    found: dict[str, Any] = {}
    for name, what in returns.items():
        try:
            value = await _part(what, answer, values, ctx)
        except paths.NotThereError as error:
            raise BackendError(f"output {name!r}: {error}", retryable=False) from None
        found[name] = discretion.checked(name, value)
    return found


async def _part(what: Returned, answer: Answer, values: Values, ctx: StepContext) -> Any:
    if isinstance(what, str):
        return answer.select(what)
    if isinstance(what, Member):
        try:
            return answer.select(what.path)
        except paths.NotThereError:
            return what.default
    if isinstance(what, Header):
        value = answer.headers.get(what.header)
        if value is None:
            raise paths.NotThereError(f"the answer has no header {what.header}; there are: {', '.join(answer.headers)}")
        return value
    if what.answer == "artifact":
        assert answer.saved is not None
        name = _file_name(answer) if what.name is None else as_text(fill(what.name, values))
        media = what.media or answer.headers.get("Content-Type", "").partition(";")[0].strip() or None
        return await ctx.put(answer.saved, name=name, media=media)
    return {"text": answer.text, "status": answer.status, "url": answer.url}[what.answer]


def _file_name(answer: Answer) -> str:
    """What the service calls its answer: a name, never a way to another folder."""
    match = _FILE_NAME.search(answer.headers.get("Content-Disposition", ""))
    name = next((part for part in match.groups() if part), "") if match else urlsplit(answer.url).path
    return unquote(name.strip()).replace("\\", "/").rstrip("/").rpartition("/")[2] or "answer"
