"""Owns what a program attempt is started with: its arguments, its environment, its files.

What all attempts of a template have in common is worked out once; most have nothing else but their paths and their names.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from meson_executor.texts import Filler, LaunchError
from meson_runtime.artifacts import FileStore

if TYPE_CHECKING:
    from meson_executor.orders import Attempt, Template
    from meson_executor.secrets import Secrets

#: Templates, programs and scratch folders that are remembered.
_MAX_KNOWN = 1000


class Start(NamedTuple):
    """What `posix_spawn` needs."""

    path: str
    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: str


class _Recipe:
    """A template, as far as it is the same for all of its attempts.

    Attributes:
        env: the whole environment but for what differs.
        argv: None if there are placeholders in it.
        texts: variables that have placeholders.
        files: name → text, which may be a placeholder.
    """

    __slots__ = ("argv", "env", "files", "in_project", "texts")

    def __init__(self, template: Template, environment: dict[bytes, bytes]) -> None:
        work = template.work
        self.env = dict(environment)
        self.env[b"MESON_STEP"] = template.step.encode()
        if template.project:
            self.env[b"MESON_PROJECT"] = os.fsencode(template.project)
        if template.outputs:
            self.env[b"MESON_OUTPUT_TYPES"] = json.dumps(template.outputs, ensure_ascii=False).encode("utf-8")
        self.texts: list[tuple[str, Any]] = []
        for name, text in (work.get("env") or {}).items():
            if isinstance(text, str):
                self.env[os.fsencode(name)] = os.fsencode(text)
            else:
                self.texts.append((name, text))
        self.argv: list[bytes] | None = None
        if not work.get("argv"):
            raise LaunchError("there are no arguments, and so no program")
        if all(isinstance(text, str) for text in work["argv"]):
            self.argv = [os.fsencode(text) for text in work["argv"]]
        self.files: list[tuple[str, Any]] = list((work.get("files") or {}).items())
        self.in_project = work.get("cwd") == "project" and bool(template.project)


class Recipes:
    """Makes what programs are started with.

    Args:
        environment: what every program inherits.
        nothing: a file with an empty JSON object, for attempts without inputs.
        store: where artifacts are; None when this executor has none.
        secrets: of this machine.
    """

    def __init__(
        self, environment: dict[bytes, bytes], nothing: str, store: FileStore | None, secrets: Secrets
    ) -> None:
        self._environment = environment
        self._nothing = nothing
        self._store = store
        self._secrets = secrets
        self._recipes: dict[int, _Recipe] = {}
        self._programs: dict[tuple[bytes, bytes], str] = {}
        self._scratches: dict[str, str] = {}

    def start(self, attempt: Attempt, prefix: str, marker: str) -> Start:
        """What to start for an attempt; its files are written.

        Args:
            attempt: which.
            prefix: its folder, and what the names of the files beside it begin with.
            marker: value of its attempt variable.

        Raises:
            LaunchError: there is nothing to start, for a reason that its author can mend.
            ArtifactMissingError: an input's bytes are not in reach.
            SecretMissingError: this machine does not have a secret.
            OSError: a file cannot be written.
            ValueError: an input that no variable can hold.
        """
        template = attempt.template
        recipe = self._recipes.get(template.serial)
        if recipe is None:
            if len(self._recipes) >= _MAX_KNOWN:
                self._recipes.clear()
            recipe = self._recipes[template.serial] = _Recipe(template, self._environment)
        env = dict(recipe.env)
        place = os.fsencode(prefix)
        env[b"MESON_ATTEMPT"] = marker.encode()
        env[b"MESON_RUN"] = attempt.key[0].encode()
        env[b"MESON_JOB_KEY"] = str(attempt.order.get("job") or "").encode()
        env[b"MESON_WORK"] = place
        env[b"MESON_OUTPUTS"] = place + b".outputs"
        env[b"MESON_PROGRESS"] = place + b".progress"
        env[b"MESON_MESSAGES"] = place + b".messages"
        scratch = attempt.order.get("scratch")
        if scratch:
            env[b"MESON_SCRATCH"] = os.fsencode(self._scratch(scratch))
        inputs = attempt.inputs
        argv = recipe.argv
        if inputs or recipe.texts or recipe.files or argv is None:
            filler = Filler(inputs, self._store, self._secrets, lambda what: self._path(attempt, prefix, what))
            argv = self._fill(recipe, attempt, filler, prefix, env)
        if not inputs:
            env[b"MESON_INPUTS"] = os.fsencode(self._nothing)
        cwd = template.project if recipe.in_project else prefix
        return Start(self._which(argv[0], env.get(b"PATH", b""), cwd), argv, env, cwd)

    def _fill(
        self, recipe: _Recipe, attempt: Attempt, filler: Filler, prefix: str, env: dict[bytes, bytes]
    ) -> list[bytes]:
        """Put in what differs from attempt to attempt, and return the arguments."""
        if attempt.inputs:
            path = prefix + ".inputs"
            with open(path, "w", encoding="utf-8") as file:
                json.dump(filler.local(attempt.inputs), file, ensure_ascii=False)
            env[b"MESON_INPUTS"] = os.fsencode(path)
            for name, value in filler.variables().items():
                env[name.encode()] = value.encode()
        for name, text in recipe.texts:
            env[os.fsencode(name)] = os.fsencode(filler.fill(text, "the variable %s" % name))
        for name, text in recipe.files:
            _write(prefix, name, filler.fill(text, "the file %s" % name))
        if recipe.argv is not None:
            return recipe.argv
        return [
            os.fsencode(filler.fill(text, "argument %d" % index, secret=False))
            for index, text in enumerate(attempt.template.work["argv"])
        ]

    def _path(self, attempt: Attempt, prefix: str, what: str) -> str:
        if what == "work":
            return prefix
        if what == "project":
            return attempt.template.project
        if what == "inputs":
            return prefix + ".inputs" if attempt.inputs else self._nothing
        if what in ("outputs", "progress"):
            return "%s.%s" % (prefix, what)
        if what == "scratch" and attempt.order.get("scratch"):
            return self._scratch(attempt.order["scratch"])
        raise LaunchError("there is no path %r here" % what)

    def _which(self, name: bytes, search: bytes, cwd: str) -> str:
        """The file of a program, found as a shell would find it."""
        if b"/" in name:
            return os.path.join(cwd, os.fsdecode(name))
        found = self._programs.get((name, search))
        if found is None or not os.path.exists(found):
            text = os.fsdecode(search)
            place = shutil.which(os.fsdecode(name), path=text)
            if place is None:
                raise LaunchError(
                    "there is no program %r on this machine; the search path is %s" % (os.fsdecode(name), text)
                )
            if len(self._programs) >= _MAX_KNOWN:
                self._programs.clear()
            found = self._programs[(name, search)] = os.path.abspath(place)
        return found

    def _scratch(self, uri: str) -> str:
        """The folder of a scratch URI, made if it is not there."""
        path = self._scratches.get(uri)
        if path is None:
            if len(self._scratches) >= _MAX_KNOWN:
                self._scratches.clear()
            path = self._scratches[uri] = FileStore(uri).root
        if not os.path.isdir(path):
            os.makedirs(path, exist_ok=True)
        return path


def _write(folder: str, name: str, text: str) -> None:
    path = os.path.normpath(os.path.join(folder, name))
    if not path.startswith(folder + os.sep):
        raise LaunchError("the file %r would lie outside the work folder" % name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
