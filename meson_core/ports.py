"""Owns what plugins implement: small Protocols, the values that cross them, and the capabilities that they declare.

Everything here is either a frozen value or a Protocol. Nobody asks for a backend's name: ask a capability.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from pydantic import BaseModel

    from meson_core.resources import Offer, Request, Verdict
    from meson_core.spec.plan import Instance

JsonObject: TypeAlias = dict[str, Any]


class AttemptKey(NamedTuple):
    """Names one attempt everywhere, deterministically."""

    run_id: str
    instance: Instance
    attempt: int


# --- step kinds ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PathTo:
    """A folder or file that the executor fills in: its own paths are not known when the program is described."""

    what: Literal["work", "project", "inputs", "outputs", "progress", "scratch"]


@dataclass(frozen=True, slots=True)
class InputOf:
    """An input as text: the local path of an artifact, else its value."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretNamed:
    """A secret, resolved on the agent; only in an environment or a file, never in argv."""

    name: str


Text: TypeAlias = str | PathTo | InputOf | SecretNamed


@dataclass(frozen=True, slots=True)
class Program:
    """A process for the executor to run.

    Args:
        argv: program and arguments.
        env: added to the executor's own clean environment.
        files: name → text, written into the work folder before the start.
        cwd: "work" (a fresh folder of the attempt) or "project" (the code bundle).
    """

    argv: tuple[Text, ...]
    env: Mapping[str, Text] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    cwd: Literal["work", "project"] = "work"


@dataclass(frozen=True, slots=True)
class PythonCall:
    """A Python function for a warm worker.

    Args:
        function: its qualified name.
        module: dotted module name, importable from the project; or
        file: path of a script relative to the project; or
        source: text that defines it.
        path: with `module`: the folder that it is imported from, relative to the project; None for the project itself.
    """

    function: str
    module: str | None = None
    file: str | None = None
    source: str | None = None
    path: str | None = None


Work: TypeAlias = Program | PythonCall


@dataclass(frozen=True, slots=True)
class StepCapabilities:
    """What a step kind can do.

    Args:
        kill: a cancelled attempt really stops.
        progress: it reports percent complete.
        deduplicates: its service accepts a job key and does not start a second job for it.
        finds: its service can be asked for the job of a key.
    """

    kill: bool = True
    progress: bool = False
    deduplicates: bool = False
    finds: bool = False

    @property
    def recoverable(self) -> bool:
        """Whether a crash between a submission and its remembering can be cleared up without a person."""
        return self.deduplicates or self.finds


class StepContext(Protocol):
    """All that an async step sees; the same names as `meson_runtime.ctx` has for functions."""

    run_id: str
    step: str
    indexes: tuple[int, ...]
    attempt: int
    inputs: Mapping[str, Any]
    job_key: str
    #: The external id that an earlier attempt of this job remembered, or None.
    remembered: str | None
    #: URI of a folder that all steps of the run share and that is deleted at its end.
    scratch: str

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Percent complete as 0..1 and a status message; cheap to call often."""

    def log(self, text: str) -> None:
        """A line into the attempt's log."""

    def link(self, name: str, url: str) -> None:
        """Something to click at: a Spark UI, a container."""

    def emit(self, name: str, value: Any) -> None:
        """A fact richer than a status, for people and followers."""

    def messages(self) -> AsyncIterator[tuple[str, Any]]:
        """What is sent to this attempt, as it comes."""

    async def submitting(self, *, recoverable: bool | None = None) -> None:
        """Commit the intent to submit; returns once it is in the log. Call it right before the submission.

        Args:
            recoverable: whether a crash before `remember` can be cleared up without a person; None: as the kind's capabilities
                say. For kinds whose services differ from step to step. A second call corrects the first: a service that has
                refused for certain has started nothing, so there is nothing to clear up.
        """

    async def remember(self, external_id: str) -> None:
        """Commit the id of the external job; returns once it is in the log."""

    async def call(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Run a blocking client call in the bounded thread pool."""

    async def put(self, path: Path, *, name: str | None = None, media: str | None = None) -> JsonObject:
        """Store a file by content and return its artifact value."""

    async def path(self, artifact: Mapping[str, Any]) -> Path:
        """A local file with the bytes of an artifact value (an input that is one), not to be changed.

        Raises:
            ArtifactError: it is no artifact value, or its bytes are not in reach.
        """

    async def secret(self, name: str) -> str:
        """A secret, resolved on this machine, never written down."""


@runtime_checkable
class ProgramKind(Protocol):
    """A step kind that describes a process (shell, R, Scala) or a call; the agent needs nothing of the plugin."""

    @property
    def name(self) -> str:
        """What a step's `kind` says."""

    @property
    def Options(self) -> type[BaseModel]:  # noqa: N802 (a class)
        """The model of a step's options."""

    @property
    def capabilities(self) -> StepCapabilities:
        """What it can do."""

    def work(self, options: Any) -> Work:
        """Describe the work for these options; called in a thread of the orchestrator, once per step of a run."""


@runtime_checkable
class ServiceKind(Protocol):
    """A step kind that talks to a service (Spark, Hive, Docker, HTTP); runs in the host, thousands at a time."""

    @property
    def name(self) -> str:
        """What a step's `kind` says."""

    @property
    def Options(self) -> type[BaseModel]:  # noqa: N802 (a class)
        """The model of a step's options."""

    @property
    def capabilities(self) -> StepCapabilities:
        """What it can do."""

    async def run(self, options: Any, ctx: StepContext) -> Mapping[str, Any]:
        """Do it and return the outputs.

        Cancellation arrives as `asyncio.CancelledError`: kill the external job, then let it pass.

        Raises:
            BackendError: the service said no; `retryable` false ends the step's retries, `after_s` is waited before the next.
            MesonError: any other of the tree is the step's failure, told without a traceback; its retries go on.
        """


StepKind: TypeAlias = ProgramKind | ServiceKind


# --- resource schedulers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Template:
    """What all attempts of one step share on the way to an executor; the fields of the protocol's Template."""

    template_id: str
    body: JsonObject


@dataclass(frozen=True, slots=True)
class Placement:
    """One attempt and where it goes.

    Args:
        key: which attempt.
        offer_id: the offer it uses, "" for a scheduler that places by itself.
        request: what it needs.
        template: what it shares with the other attempts of its step.
        order: the fields of the protocol's Order.
    """

    key: AttemptKey
    offer_id: str
    request: Request
    template: Template
    order: JsonObject


@dataclass(frozen=True, slots=True)
class RequestClass:
    """How many attempts of one request wait."""

    request: Request
    waiting: int


class Sample(NamedTuple):
    """The latest of one attempt: percent complete and message (None: no news)."""

    key: AttemptKey
    at: float
    fraction: float | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Gone:
    """It is certain that nothing of this attempt runs any more; its result is not known."""

    key: AttemptKey
    reason: str


@dataclass(frozen=True, slots=True)
class Silent:
    """The executor of this attempt has not been heard within its lease."""

    key: AttemptKey
    reason: str


@dataclass(frozen=True, slots=True)
class Present:
    """The executor of this attempt is back, and the attempt is still there."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class Report:
    """What came in from the machines since the last report.

    Args:
        facts: protocol facts in order (`f`, `k`, `at`, …), decoded or as raw JSON per executor session.
        samples: latest values only.
        liveness: lost, found and fenced attempts.
        offers: all current offers when they changed, else None.
        waiting: for schedulers that place by themselves: why an attempt still waits.
        receipt: given back to `acknowledge` after the commit.
        cursors: executor id → number of its last fact among `facts`; goes into the log together with them, and comes back
            in `SchedulerSetting.cursor`.
        notes: for people: what was found damaged, or had to be mended.
    """

    facts: Sequence[Any] = ()
    samples: Sequence[Sample] = ()
    liveness: Sequence[Gone | Silent | Present] = ()
    offers: Sequence[Offer] | None = None
    waiting: Mapping[AttemptKey, str] = field(default_factory=dict)
    receipt: object = None
    cursors: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SchedulerCapabilities:
    """What a resource scheduler can do.

    Args:
        offers: it says what is free and is told what to launch where; else it takes requests whole.
        ahead: its executors queue what does not fit yet, so attempts can be sent ahead.
        outlives: attempts go on while no orchestrator is there.
    """

    offers: bool = True
    ahead: bool = False
    outlives: bool = True


class ResourceScheduler(Protocol):
    """What places attempts on machines. All methods are called from one task of the orchestrator."""

    capabilities: SchedulerCapabilities

    async def launch(self, placements: Sequence[Placement]) -> None:
        """Start these; idempotent by key. Failures come back through `reports`."""

    async def kill(self, key: AttemptKey, grace_s: float) -> None:
        """Stop one; idempotent; its end comes back as a fact (also when it is not known there: Gone)."""

    async def forget(self, keys: Sequence[AttemptKey]) -> None:
        """Take back what has not begun; answered by a `returned` fact where that came in time."""

    async def send(self, key: AttemptKey, name: str, value: Any) -> None:
        """A message for a running attempt."""

    async def reconcile(self, keys: Iterable[AttemptKey]) -> None:
        """After a restart: answer for each of these with Present, Gone, Silent or its facts."""

    def reports(self) -> AsyncIterator[Report]:
        """The only way back; ends when the scheduler is closed."""

    async def acknowledge(self, receipts: Sequence[object]) -> None:
        """These reports are in the log."""

    async def demand(self, classes: Sequence[RequestClass]) -> None:
        """What waits now, so that it can suppress and revive offers (capability `offers`)."""


@dataclass(frozen=True, slots=True)
class SchedulerSetting:
    """What a resource scheduler is opened with.

    Args:
        cell: the cell's name.
        epoch: of the lease; goes with every launch and kill.
        directory: where it may keep files (`.meson/` of the project or service).
        artifacts_url: where executors put artifacts.
        cursor: highest acknowledged fact sequence by executor id, from the store.
        lost_after_s: seconds of silence after which an executor's attempts are lost.
    """

    cell: str
    epoch: int
    directory: Path
    artifacts_url: str
    cursor: Mapping[str, int]
    lost_after_s: float = 15.0


@dataclass(frozen=True, slots=True)
class SchedulerDefinition:
    """A resource scheduler that can be chosen by name in the settings.

    Args:
        name: what the settings call it.
        Options: its options, `[schedulers.<name>]` in the settings.
        capabilities: what it can do.
        open: makes it, for as long as its context lasts.
        prepare: begins what takes long, and returns at once. A command that is going to need the scheduler calls it while
            it still imports and opens other things; it holds no lease then, so the setting's epoch is 0 and its cursor
            is empty. Whether `open` follows is not certain: another process may drive the cell.
    """

    name: str
    Options: type[BaseModel]
    capabilities: SchedulerCapabilities
    open: Callable[[Any, SchedulerSetting], AbstractAsyncContextManager[ResourceScheduler]]
    prepare: Callable[[Any, SchedulerSetting], None] | None = None


# --- resource matchers --------------------------------------------------------------------------------------------


class ResourceMatcher(Protocol):
    """Refuses, with a reason, or scores pairs of request and offer. Pure and quick."""

    @property
    def name(self) -> str:
        """What refusals and settings call it."""

    def compile(self, request: Request) -> Callable[[Sequence[Offer]], Sequence[Verdict]] | None:
        """A function for all requests equal to this one, or None when it has no opinion on such a request.

        The function gets any number of offers and answers for each, in order.
        """


# --- artifact stores ----------------------------------------------------------------------------------------------


class StoredBytes(NamedTuple):
    """Bytes that lie in an artifact store.

    Args:
        digest: of them.
        size: their number.
        touched: when they were last put or claimed, in s since the epoch.
    """

    digest: str
    size: int
    touched: float


class ArtifactStore(Protocol):
    """Keeps bytes by content. Executors and steps write to `url` themselves; this is the core's side.

    An artifact value is the JSON object `{"$artifact": "sha256:…", "size": bytes, "name": …, "media": …}`.

    What nobody names is deleted by its age, so whoever is about to name bytes puts or claims them first: from then on they
    stay for the grace period. Bytes have a name only when they are whole.
    """

    url: str

    def exists(self, digest: str) -> bool:
        """Whether the bytes are there, now; who wants to refer to them asks `claim`."""

    def open(self, digest: str) -> BinaryIO:
        """The bytes.

        Raises:
            ArtifactError: they are not there.
        """

    def put(self, path: Path) -> str:
        """Store a file, or a folder as one file, and return its digest; what is there already is claimed.

        Raises:
            ArtifactError: it cannot be read, or the store not be written.
        """

    def claim(self, digest: str) -> bool:
        """Say that these bytes are about to be named, as if they were put again; whether they are there."""

    def delete(self, digest: str, untouched_since: float | None = None) -> bool:
        """Forget the bytes; not there is fine.

        Args:
            digest: of them.
            untouched_since: only if they were neither put nor claimed since then, in s since the epoch. Between this look
                and the deletion nobody can claim them.

        Returns:
            Whether they are gone.
        """

    def contents(self) -> Iterator[StoredBytes]:
        """All bytes that are there."""

    def tidy(self, untouched_since: float) -> int:
        """Remove what interrupted uploads have left, and copies that can be made again; how much there was of it.

        Args:
            untouched_since: only what was not changed or used since then, in s since the epoch.
        """


@dataclass(frozen=True, slots=True)
class ArtifactStoreDefinition:
    """An artifact store that can be chosen by name in the settings."""

    name: str
    Options: type[BaseModel]
    open: Callable[[Any, Path], ArtifactStore]


# --- examinations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """What a plugin found when it looked for what it needs around it: a program, a licence, a service.

    Args:
        name: what was looked at, in a word: "rscript".
        ok: whether it is as it should be.
        text: one sentence: what was found; or what is missing, where it was looked for, and what to do.
    """

    name: str
    ok: bool
    text: str
