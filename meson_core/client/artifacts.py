"""Owns artifacts as people ask for them: versions by what is typed, their bytes, where they come from, and what is put by hand."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import re
import time
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from meson_core.artifacts import ArtifactVersion, type_of
from meson_core.client import names
from meson_core.client.pruning import Pruned, prune
from meson_core.client.records import Input, Lineage
from meson_core.errors import ArtifactError, ConflictError, NotFoundError, nearest
from meson_core.store.catalogue import ArtifactQuery
from meson_runtime.artifacts import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meson_core.artifacts import ArtifactRecord, ArtifactType
    from meson_core.plugins import Plugins
    from meson_core.ports import ArtifactStore
    from meson_core.settings import Settings
    from meson_core.store.catalogue import Found
    from meson_core.store.store import Store

_NUMBER = re.compile(r"#?(\d+)\Z")
_DIGEST_PREFIX = re.compile(r"sha256:[0-9a-f]{4,64}\Z")
#: How far back an origin is followed.
MAX_DEPTH = 20
_PAGE = 500
_TRIES = 10
_SHOWN = 5


class Keeping:
    """Where bytes are kept and what they mean: what takes plugins to know, opened when it is first needed.

    Args:
        settings: of the project.
        plugins: loads them.
    """

    def __init__(self, settings: Settings, plugins: Callable[[], Plugins]) -> None:
        self._settings = settings
        self._load = plugins

    @cached_property
    def _plugins(self) -> Plugins:
        return self._load()

    @cached_property
    def store(self) -> ArtifactStore:
        """The artifact store that the settings choose.

        Raises:
            PluginError: it is not there.
            SettingsError: its options are not right.
        """
        definition = self._plugins.artifact_store(self._settings.artifact_store)
        return definition.open(self._settings.artifact_store_options(definition.Options), self._settings.directory)

    @cached_property
    def types(self) -> Mapping[str, ArtifactType]:
        """Artifact types by name."""
        return self._plugins.artifact_types


class Artifacts:
    """The artifacts of a project.

    Args:
        store: its catalogue.
        directory: the project's `.meson` folder.
        keeping: its bytes; None for a client that was opened on a catalogue alone.
    """

    def __init__(self, store: Store, directory: Path, keeping: Keeping | None) -> None:
        self._store = store
        self._directory = directory
        self._keeping = keeping

    # --- looking ------------------------------------------------------------------------------------------------------

    def find(self, query: ArtifactQuery, kind: str | None, limit: int) -> list[ArtifactRecord]:
        """Versions, the latest first.

        Args:
            query: what is asked; its types and page are this function's own.
            kind: only those of this artifact type.
            limit: at most so many.
        """
        found: list[ArtifactRecord] = []
        before = query.before
        while len(found) < limit:
            # An artifact that does not say its type may be of any: the rest is decided here, page by page.
            page = self._store.artifacts(
                ArtifactQuery(
                    name=query.name,
                    key=query.key,
                    workflow=query.workflow,
                    run_id=query.run_id,
                    digest=query.digest,
                    since=query.since,
                    types=None if kind is None else (kind, ""),
                    before=before,
                ),
                limit=limit if kind is None else _PAGE,
            )
            records = [self._typed(each.record) for each in page]
            found.extend(record for record in records if kind in (None, record.type))
            if len(page) < (limit if kind is None else _PAGE):
                break
            before = records[-1].number
        return found[:limit]

    def _typed(self, record: ArtifactRecord) -> ArtifactRecord:
        if record.type:
            return record
        types = {} if self._keeping is None else self._keeping.types
        return replace(record, type=type_of(types, type=None, name=record.file, media=record.media))

    def version(self, ref: str | int) -> Found:
        """The version that is meant.

        Args:
            ref: its number in the catalogue (`12`, `#12`); its digest or the beginning of it (`sha256:3fa1`); the artifact
                id that its step declares, or its name, each for the latest version; `name@run` for the latest of a run.

        Raises:
            NotFoundError: no artifact, or several, could be meant.
        """
        text = str(ref)
        number = _NUMBER.match(text)
        if number is not None:
            found = self._store.artifact(int(number[1]))
            if found is not None:
                return self._complete(found)
            raise NotFoundError(f"there is no artifact number {number[1]}", hint="list them: mesonctl artifacts list")
        if _DIGEST_PREFIX.match(text):
            return self._complete(self._by_digest(text))
        for query in self._meanings(text):
            rows = self._store.artifacts(query, limit=1)
            if rows:
                return self._complete(rows[0])
        known = {each.record.name for each in self._store.artifacts(ArtifactQuery(), limit=_PAGE)}
        close = nearest(text.rpartition("@")[0] or text, known)
        raise NotFoundError(
            f"there is no artifact {text!r}",
            hint=f"did you mean {close!r}?" if close else "list them: mesonctl artifacts list",
        )

    def _meanings(self, text: str) -> list[ArtifactQuery]:
        found = [ArtifactQuery(key=text), ArtifactQuery(name=text)]
        name, separator, run = text.rpartition("@")
        if separator and name and run:
            try:
                run_id = names.find_run(self._store, run).run_id
            except NotFoundError:
                return found
            found += [ArtifactQuery(key=name, run_id=run_id), ArtifactQuery(name=name, run_id=run_id)]
        return found

    def _by_digest(self, prefix: str) -> Found:
        rows = self._store.artifacts_by_digest(prefix, limit=_SHOWN + 1)
        if len(rows) == 1:
            return rows[0]
        if not rows:
            raise NotFoundError(
                f"there is no artifact with the digest {prefix}", hint="list them: mesonctl artifacts list"
            )
        shown = ", ".join(each.record.digest[:19] for each in rows[:_SHOWN]) + (", …" if len(rows) > _SHOWN else "")
        raise NotFoundError(f"{prefix!r} is the beginning of several digests: {shown}", hint="type more of it")

    def _complete(self, found: Found) -> Found:
        return found._replace(record=self._typed(found.record))

    # --- bytes --------------------------------------------------------------------------------------------------------

    def readable(self, found: Found) -> ArtifactVersion:
        """A version with the way to its bytes."""
        return ArtifactVersion(found.record, lambda: self.open(found))

    def open(self, found: Found) -> BinaryIO:
        """The bytes of a version.

        Raises:
            ArtifactError: they are not there.
        """
        record = found.record
        if found.forgotten_at is not None and not self.bytes.exists(record.digest):
            day = time.strftime("%Y-%m-%d", time.localtime(found.forgotten_at))
            raise ArtifactError(
                f"the bytes of {record.name} #{record.number} were pruned on {day}",
                hint="what is known of it is kept; to have it again, run the step that made it",
            )
        return self.bytes.open(record.digest)

    @property
    def bytes(self) -> ArtifactStore:
        """Where the bytes are.

        Raises:
            ArtifactError: this client has no way to them.
        """
        if self._keeping is None:
            raise ArtifactError(
                "this client knows no artifact store", hint="open it with meson_core.client.connect(...)"
            )
        return self._keeping.store

    def put(
        self, path: str | os.PathLike[str], name: str | None, media: str | None, kind: str | None
    ) -> ArtifactRecord:
        """Store a file or folder and catalogue it; the bytes come first.

        Raises:
            ArtifactError: it cannot be read, or the store not be written.
        """
        source = Path(path)
        value: dict[str, Any] = {"name": source.resolve().name}
        if source.is_dir():
            value["media"] = DIRECTORY
        else:
            value["media"] = media or mimetypes.guess_type(source.name)[0] or "application/octet-stream"
        if kind is not None:
            value["type"] = kind
        for _ in range(_TRIES):
            digest = value["$artifact"] = self.bytes.put(source)
            # A prune beside this may be quicker; then the next try has young bytes.
            with contextlib.suppress(ArtifactError), self.bytes.open(digest) as file:
                value["size"] = file.seek(0, os.SEEK_END)
                claim = partial(self.bytes.claim, digest)
                number = self._store.add_artifact(name or value["name"], value, time.time(), claim)
                if number is not None:
                    return self.version(number).record
        raise ArtifactError(
            f"{source} was stored and is gone again, {_TRIES} times", hint="is something deleting there?"
        )

    def prune(self, *, grace_s: float, older_than_s: float | None, dry_run: bool, sole: bool) -> Pruned:
        """Delete bytes that nothing names.

        Raises:
            ConflictError: they do not lie in the project's own folder, and `sole` does not say that they are its alone.
        """
        artifacts = self.bytes
        if not (sole or artifacts.url.startswith(f"{self._directory.absolute().as_uri()}/")):
            raise ConflictError(
                f"the artifacts are kept at {artifacts.url}, where other projects may keep theirs",
                hint="what their catalogues name is not known here; if this project is the only one, say --sole",
            )
        return prune(
            self._store, artifacts, now=time.time(), grace_s=grace_s, older_than_s=older_than_s, dry_run=dry_run
        )

    # --- lineage ------------------------------------------------------------------------------------------------------

    def lineage(self, ref: str | int, depth: int, limit: int) -> Lineage:
        """What went into a version, back to the beginning, and what used it.

        Args:
            ref: as for `version`.
            depth: how many steps back.
            limit: uses at most.
        """
        found = self.version(ref)
        run = self._store.run(found.record.run_id) if found.record.run_id else None
        return Lineage(
            artifact=found.record,
            code=found.code,
            owner="" if run is None else run.owner,
            forgotten_at=found.forgotten_at,
            inputs=self._inputs(found.record, min(depth, MAX_DEPTH), {found.record.number}),
            uses=self._store.uses_of(found.record.digest, limit=limit),
        )

    def _inputs(self, record: ArtifactRecord, depth: int, told: set[int]) -> list[Input]:
        """The inputs of a version, each with its own; what was told once is not told again below another."""
        if depth <= 0:
            return []
        found = []
        for place, digest, made in self._store.inputs_of(record):
            if made is None:
                found.append(Input(place, digest, None, []))
                continue
            source = self._typed(made.record)
            again = source.number in told
            told.add(source.number)
            found.append(Input(place, digest, source, [] if again else self._inputs(source, depth - 1, told)))
        return found
