"""Owns what is known about artifacts, what people are shown of them, and what artifact types and visualizers implement.

An artifact value, as it stands in outputs and inputs, is the JSON object

    {"$artifact": "sha256:…", "size": bytes, "name": …, "media": …, "type": …, "meta": {…}}

of which the last two may be missing: `type` names an artifact type (missing: it follows from the name and the media type),
`meta` holds a few facts of that type's own, such as the number of rows.

Everything here is a frozen value or a Protocol, and does no IO; the bytes of a version are read when somebody opens it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel

#: The artifact type of what no other type claims.
FALLBACK = "file"
#: The key of `ArtifactRecord.items` that holds the number of the iteration of the innermost repeat, from 0.
ITERATION = "iteration"
#: The key of `ArtifactRecord.items` that holds why that repeat stopped, once it has.
STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecord:
    """One version of an artifact, as the catalogue knows it.

    Args:
        number: of the catalogue; later ones are greater.
        name: "<step>.<output>", with [index] or .key for a value inside an output; of what a person put: as they called it.
        key: the artifact id that its step declares, if any.
        type: name of its artifact type.
        digest: `sha256:` and 64 hexadecimal digits.
        size: bytes.
        media: media type.
        file: the file's name, as its producer called it.
        meta: facts of its type's own.
        at: when it came to be, in s since the epoch.
        run_id: the run that made it; "" for what a person put, and so for all that follow.
        workflow: name of the workflow.
        version: of the workflow.
        step: name of the step.
        instance: the step instance: node and indexes.
        attempt: of the instance.
        items: loop variables of the instance by name, and of one in a repeat `ITERATION` and, when it has stopped, `STOPPED`.
        params: parameters of the run.
    """

    number: int
    name: str
    type: str
    digest: str
    size: int
    media: str
    at: float
    key: str | None = None
    file: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    workflow: str = ""
    version: str = ""
    step: str = ""
    instance: tuple[int, ...] = ()
    attempt: int = 0
    items: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArtifactVersion:
    """A version of an artifact that can be read.

    Args:
        record: what the catalogue knows of it.
        opener: gives its bytes, from their beginning, each time.
    """

    record: ArtifactRecord
    opener: Callable[[], BinaryIO] = field(repr=False, compare=False)

    def open(self) -> BinaryIO:
        """Its bytes, as a file that can seek; the caller closes it.

        Raises:
            ArtifactError: they are not there any more.
        """
        return self.opener()


# --- views --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VegaLite:
    """A chart.

    Args:
        spec: a Vega-Lite specification (version 5 or 6) with its data inside it; nothing is fetched when it is drawn.
    """

    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TableView:
    """A table, or its beginning.

    Args:
        columns: their names.
        rows: JSON values, as many as there are columns.
        total: number of rows in all, of which these are the first.
        title: what it shows.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    total: int
    title: str = ""


@dataclass(frozen=True, slots=True)
class ImageView:
    """A picture.

    Args:
        media: "image/png", "image/svg+xml", ….
        data: its bytes.
        title: what it shows.
    """

    media: str
    data: bytes
    title: str = ""


@dataclass(frozen=True, slots=True)
class HtmlView:
    """A page. It is not trusted: it is shown in a sandbox of its own, never as a part of a page of ours.

    Args:
        html: the page.
        title: what it shows.
    """

    html: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class TextView:
    """Text.

    Args:
        text: as it is; no markup.
        title: what it shows.
        syntax: what it is written in: "json", "diff"; "" for plain text.
    """

    text: str
    title: str = ""
    syntax: str = ""


View: TypeAlias = VegaLite | TableView | ImageView | HtmlView | TextView


# --- what plugins implement ---------------------------------------------------------------------------------------


@runtime_checkable
class ArtifactType(Protocol):
    """What the bytes of some artifacts mean: how they are shown, compared, and followed over time."""

    @property
    def name(self) -> str:
        """What `type` says in an artifact value."""

    @property
    def media(self) -> Sequence[str]:
        """Media types of artifacts that are of this type when they do not say otherwise."""

    @property
    def suffixes(self) -> Sequence[str]:
        """Ends of file names, with their dot, of such artifacts. They go before `media`, the longest first."""

    def fingerprint(self, file: BinaryIO) -> str:
        """A text that is equal for equal content, also where bytes differ that mean nothing (the order of JSON keys).

        Raises:
            ArtifactError: the bytes are not of this type.
        """

    def preview(self, version: ArtifactVersion) -> View:
        """What people see of one version: the beginning, when it is large.

        Raises:
            ArtifactError: the bytes are not of this type.
        """

    def diff(self, old: ArtifactVersion, new: ArtifactVersion) -> View:
        """What has changed from one version to another.

        Raises:
            ArtifactError: the bytes are not of this type.
        """

    def over_time(self, versions: Sequence[ArtifactVersion]) -> View | None:
        """How it developed, from the oldest version to the newest; None when there is nothing to see.

        Raises:
            ArtifactError: the bytes are not of this type.
        """


@runtime_checkable
class Visualizer(Protocol):
    """Turns one or many versions of artifacts into a picture."""

    @property
    def name(self) -> str:
        """What `mesonctl artifacts plot --with` says."""

    @property
    def types(self) -> Sequence[str]:
        """Names of the artifact types that it understands; empty: all."""

    @property
    def Options(self) -> type[BaseModel]:  # noqa: N802 (a class)
        """The model of its options."""

    def draw(self, versions: Sequence[ArtifactVersion], options: Any) -> View:
        """Draw versions, at least one, from the oldest to the newest.

        Raises:
            ArtifactError: they are not what it understands; the message says which, and what it expected.
        """


def type_of(types: Mapping[str, ArtifactType], *, type: str | None, name: str, media: str) -> str:  # noqa: A002
    """The name of an artifact's type: what it says itself, else by the longest suffix of its name, else by its media type.

    Args:
        types: known artifact types by name.
        type: what the artifact value says; a type that is not known here is believed.
        name: of its file.
        media: its media type.
    """
    if type is not None:
        return type
    lowered = name.lower()
    claims = [
        (len(suffix), known.name) for known in types.values() for suffix in known.suffixes if lowered.endswith(suffix)
    ]
    if claims:
        return max(claims, key=lambda claim: claim[0])[1]
    plain = media.partition(";")[0].strip().lower()
    return next((known.name for known in types.values() if plain in known.media), FALLBACK)
