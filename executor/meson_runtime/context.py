"""Owns `ctx`: all that a Python step sees of Meson while it runs.

Outside of a run every method works and tells nobody, so a step function stays a plain one that tests can call.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from meson_runtime.artifacts import Artifact, FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Largest value that may be emitted, in characters of JSON.
_MAX_EMITTED = 64 * 1024

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Cancelled(BaseException):
    """The attempt is being stopped: clean up, and let it pass.

    Not an `Exception`, so that a step which catches all of its own errors still stops.
    """


class Message(NamedTuple):
    """Something that was sent to this attempt.

    Args:
        name: as the sender called it.
        value: any JSON value.
    """

    name: str
    value: Any


class Link(Protocol):
    """The way out of a step, as the worker makes it."""

    def progress(self, fraction: float | None, message: str | None) -> None:
        """Show how far it is."""

    def tell(self, kind: str, value: Any) -> None:
        """Send a fact."""

    def log(self, text: str) -> None:
        """Write a line into the attempt's log."""

    def receive(self, wait_s: float) -> list[tuple[str, Any]]:
        """Messages that have arrived; waits for one up to `wait_s` seconds."""

    def secret(self, name: str) -> str:
        """Ask the executor for a secret."""


class SecretError(Exception):
    """A secret that this machine does not have."""


class Present:
    """What the worker tells of the attempt that is at work; without a link there is no run.

    Args of `begin` are its attributes.
    """

    def __init__(self) -> None:
        self.link: Link | None = None
        self.step = ""
        self.order: dict[str, Any] = {}
        self.store: FileStore | None = None
        self.scratch: str | None = None
        self.cancelled = False

    def begin(self, link: Link, step: str, order: dict[str, Any], store: FileStore | None) -> None:
        """Another attempt is at work from now on."""
        self.link = link
        self.step = step
        self.order = order
        self.store = store
        self.scratch = None
        self.cancelled = False


#: Written by the worker alone.
present = Present()


class _ToLog(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if present.link is not None:
            present.link.log(self.format(record))


class Context:
    """What `from meson_runtime import ctx` gives."""

    __slots__ = ()

    # --- who it is ------------------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """Id of the run; "" outside of one."""
        return str(present.order["key"][0]) if present.order else ""

    @property
    def step(self) -> str:
        """Name of the step."""
        return present.step

    @property
    def indexes(self) -> tuple[int, ...]:
        """Indexes of the for_each items and repeat iterations that this step instance is in, from the outside in."""
        return tuple(present.order["key"][1][1:]) if present.order else ()

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1 up; 0 outside of a run."""
        return int(present.order["key"][2]) if present.order else 0

    @property
    def job_key(self) -> str:
        """A key for a job in an outside service: it exists before the submission and changes only after a failure."""
        return str(present.order.get("job") or "")

    @property
    def inputs(self) -> dict[str, Any]:
        """All inputs by name, as JSON values: parameters, loop variables, outputs of other steps."""
        return dict(present.order.get("inputs") or {})

    @property
    def cancelled(self) -> bool:
        """Whether this attempt is being stopped; for loops that catch everything."""
        return present.cancelled

    # --- what it says ---------------------------------------------------------------------------------------------

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Show how far the step is; cheap enough to call in every turn of a loop.

        Args:
            fraction: 0 to 1; None if that is not known.
            message: one line for people.
        """
        if present.link is not None:
            if fraction is not None:
                fraction = min(1.0, max(0.0, float(fraction)))
            present.link.progress(fraction, None if message is None else str(message))

    def emit(self, name: str, value: Any) -> None:
        """Record a value richer than a status, for people and followers of the run: a loss, a table, a decision.

        Args:
            name: what it is.
            value: JSON of at most 64 KiB.

        Raises:
            ValueError: not JSON, or too large.
        """
        try:
            text = _encode(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"emit({name!r}, ...): the value is not JSON: {error}") from None
        if len(text) > _MAX_EMITTED:
            raise ValueError(
                "emit(%r, ...): the value is %d characters of JSON, and %d are the limit; store it with ctx.put(...) instead"
                % (name, len(text), _MAX_EMITTED)
            )
        if present.link is not None:
            present.link.tell("emitted", [str(name), value])

    def link(self, name: str, url: str) -> None:
        """Show something to click at, such as the page of an outside job."""
        if present.link is not None:
            present.link.tell("link", [str(name), str(url)])

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines go into the attempt's log; outside of a run, an ordinary one called "meson.step"."""
        logger = logging.getLogger("meson.step")
        if present.link is not None and not logger.handlers:
            logger.addHandler(_ToLog())
            logger.propagate = False
            logger.setLevel(logging.INFO)
        return logger

    # --- what it gets ---------------------------------------------------------------------------------------------

    def messages(self, wait_s: float = 0.0) -> Iterator[Message]:
        """What `mesonctl send` has sent to this attempt and was not read yet.

        Args:
            wait_s: seconds to wait for the first one if none is there.
        """
        if present.link is not None:
            for name, value in present.link.receive(wait_s):
                yield Message(name, value)

    def secret(self, name: str) -> str:
        """A secret of this machine, into memory only; outside of a run, from the variable MESON_SECRET_<name>.

        Raises:
            SecretError: there is none of that name.
        """
        if present.link is not None:
            return present.link.secret(name)
        try:
            return os.environ["MESON_SECRET_" + name]
        except KeyError:
            raise SecretError(f"there is no MESON_SECRET_{name} in the environment") from None

    # --- files ----------------------------------------------------------------------------------------------------

    def put(
        self,
        source: Any,
        name: str | None = None,
        media: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 (as artifact values call it)
        meta: dict[str, Any] | None = None,
    ) -> Artifact:
        """Store a file, a folder, bytes, or with `type` a value, as an artifact; return it as an output to pass it on.

        Args:
            source: path of a file or folder, or the bytes themselves; with `type` also a value: of `json`, `text`, `table` (a
                data frame, a list of dicts, a dict of lists), `numpy`, `figure` (matplotlib, Altair, plotly) or `pickle`.
            name: as people call it; the file's name by default.
            media: its media type; guessed from the name by default.
            type: name of its artifact type; follows from the name by default. A text is a path, but of the types `json`,
                `text` and `pickle`, where it is the value.
            meta: a few facts of its own, as small JSON, for the catalogue.

        Raises:
            OSError: the file cannot be read, or the store not be written.
            ArtifactTypeError: the value is not what this type stores, or the library for it is not installed.
        """
        if present.store is None:
            present.store = FileStore(os.path.join(tempfile.mkdtemp(prefix="meson-"), "artifacts"))
        if type is None:
            value = present.store.put(source, name, media)
        else:
            value = self._put_value(present.store, source, name, media, type)
        if meta:
            value["meta"] = {**value.get("meta", {}), **meta}
        return Artifact(value, present.store)

    def _put_value(
        self, store: FileStore, source: Any, name: str | None, media: str | None, kind: str
    ) -> dict[str, Any]:
        from meson_runtime.saving import TEXTUAL, save  # only steps that store values need it

        if isinstance(source, (bytes, os.PathLike)) or (isinstance(source, str) and kind not in TEXTUAL):
            return {**store.put(source, name, media), "type": kind}
        with tempfile.TemporaryDirectory(prefix="meson-") as folder:
            saved = save(source, kind, folder)
            value = store.put(saved.path, name, media or saved.media)
        value["type"] = kind
        if saved.meta:
            value["meta"] = saved.meta
        return value

    @property
    def scratch(self) -> Path:
        """A folder that all steps of the run share and that is deleted at its end."""
        from pathlib import Path  # only steps that ask for it need it

        if present.scratch is None:
            uri = present.order.get("scratch")
            present.scratch = FileStore(uri).root if uri else tempfile.mkdtemp(prefix="meson-scratch-")
            os.makedirs(present.scratch, exist_ok=True)
        return Path(present.scratch)


#: The context of the attempt that is at work in this process.
ctx = Context()
