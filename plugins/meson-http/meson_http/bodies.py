"""Owns what is sent: pieces of memory and files, of a length that is known, streamed as often as a redirect asks for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote_plus, urlencode

from meson_core.errors import ArtifactError, BackendError
from meson_http.templates import as_text, fill, fill_json, secret_names
from meson_http.urls import query_pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meson_core.ports import StepContext
    from meson_http.options import FilePart, HttpOptions
    from meson_http.templates import Values

_BLOCK: Final = 256 * 1024

Piece: TypeAlias = bytes | Path


@dataclass(frozen=True, slots=True)
class Body:
    """A body.

    Args:
        pieces: what it is made of, in order.
        media: its media type, "" for none.
        length: bytes.
        secret: there is a secret in it.
    """

    pieces: tuple[Piece, ...] = ()
    media: str = ""
    length: int = 0
    secret: bool = False

    async def stream(self, ctx: StepContext) -> AsyncIterator[bytes]:
        """Its bytes; files are read in threads."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            file = await ctx.call(piece.open, "rb")
            try:
                while block := await ctx.call(file.read, _BLOCK):
                    yield block
            finally:
                await ctx.call(file.close)


NOTHING: Final = Body()


def of_json(value: Any, *, secret: bool = False, media: str | None = None) -> Body:
    """A JSON body."""
    return _of_bytes(
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode(), media or "application/json", secret
    )


async def make(options: HttpOptions, values: Values, ctx: StepContext) -> Body:
    """The body of the step's own request.

    Raises:
        BackendError: a value is missing, or is not what the body needs.
    """
    if options.json_body is not None:
        value = fill_json(options.json_body, values)
        return of_json(value, secret=bool(secret_names(options.json_body)), media=options.media)
    if options.form is not None:
        pairs = query_pairs({name: fill_json(value, values) for name, value in options.form.items()})
        text = urlencode(pairs, quote_via=quote_plus)
        media = options.media or "application/x-www-form-urlencoded"
        return _of_bytes(text.encode(), media, bool(secret_names(options.form)))
    if options.text is not None:
        text = as_text(fill(options.text, values))
        return _of_bytes(text.encode(), options.media or "text/plain; charset=utf-8", bool(secret_names(options.text)))
    if options.file is not None:
        path, value = await _file(options.file, values, ctx)
        media = options.media or value.get("media") or "application/octet-stream"
        return Body((path,), media, await _size(path, ctx))
    if options.parts is not None:
        return await _multipart(options.parts, values, ctx)
    return NOTHING


def _of_bytes(content: bytes, media: str, secret: bool) -> Body:
    return Body((content,), media, len(content), secret)


async def _multipart(parts: dict[str, FilePart | str], values: Values, ctx: StepContext) -> Body:
    # The job key is made of letters, digits and dashes, and nobody who wrote the contents knew it.
    boundary = f"{values.facts['job_key']}-{values.facts['attempt']}"
    pieces: list[Piece] = []
    for name, part in parts.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(part, str):
            content: Piece = as_text(fill(part, values)).encode()
        else:
            content, value = await _file(part.file, values, ctx)
            file_name = value.get("name") or part.file if part.name is None else as_text(fill(part.name, values))
            media = part.media or value.get("media") or "application/octet-stream"
            head += f'; filename="{_quoted(file_name)}"\r\nContent-Type: {media}'
        pieces += [f"{head}\r\n\r\n".encode(), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    length = sum([len(piece) if isinstance(piece, bytes) else await _size(piece, ctx) for piece in pieces])
    secret = any(secret_names(part) for part in parts.values() if isinstance(part, str))
    return Body(tuple(pieces), f"multipart/form-data; boundary={boundary}", length, secret)


def _quoted(name: str) -> str:
    """A name in a part's head, as browsers write it: only what would end it is encoded."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def _file(name: str, values: Values, ctx: StepContext) -> tuple[Path, dict[str, Any]]:
    if name not in values.inputs:
        known = ", ".join(values.inputs) or "none"
        raise BackendError(f"the step has no input {name!r} to send", retryable=False, hint=f"there are: {known}")
    value = values.inputs[name]
    if not isinstance(value, dict) or "$artifact" not in value:
        message = f"the input {name!r} is to be sent as a file, and is no artifact: {value!r:.100}"
        raise BackendError(message, retryable=False, hint="send other values by `json`, `form` or `text`")
    try:
        return await ctx.path(value), value
    except ArtifactError as error:
        # Another machine, or a store that comes back, may have it.
        raise BackendError(f"the input {name!r} cannot be sent: {error.message}", retryable=True) from None


async def _size(path: Path, ctx: StepContext) -> int:
    return int((await ctx.call(path.stat)).st_size)
