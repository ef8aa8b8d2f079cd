"""Owns placeholders: how a program's arguments, environment and files are filled in on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable

from meson_runtime.artifacts import FileStore, is_artifact, local

if TYPE_CHECKING:
    from meson_executor.secrets import Secrets

#: Longest value that goes into a variable of the environment; the JSON file of inputs has all of them.
_MAX_VARIABLE = 64 * 1024


class LaunchError(Exception):
    """There is nothing to start, for a reason that the author of the step can mend."""


class Filler:
    """Fills the placeholders of one attempt.

    Args:
        inputs: of the attempt.
        store: where artifacts are; None when this executor has none.
        secrets: of this machine.
        path: what each `$path` stands for.
    """

    def __init__(
        self, inputs: dict[str, Any], store: FileStore | None, secrets: Secrets, path: Callable[[str], str]
    ) -> None:
        self._inputs = inputs
        self._store = store
        self._secrets = secrets
        self._path = path

    def fill(self, text: Any, where: str, secret: bool = True) -> str:
        """The text that a placeholder stands for.

        Args:
            text: a string or a placeholder.
            where: what it is for, for the error message.
            secret: whether a secret may stand here; every process of a machine can read another's arguments.

        Raises:
            LaunchError: it stands for nothing.
            ArtifactMissingError: an artifact's bytes are not in reach.
            SecretMissingError: this machine does not have the secret.
        """
        if isinstance(text, str):
            return text
        if isinstance(text, dict) and len(text) == 1:
            (what, name), *_ = text.items()
            if what == "$path":
                return self._path(name)
            if what == "$input":
                if name not in self._inputs:
                    raise LaunchError(f"{where} names the input {name!r}, and the step has no such input")
                return self.plain(self._inputs[name])
            if what == "$secret":
                if not secret:
                    raise LaunchError(
                        f"{where} names the secret {name!r}; a secret may stand in the environment or in a file, not among arguments"
                    )
                return self._secrets.resolve(name)
        raise LaunchError("%s is %.80r, which is neither text nor a placeholder" % (where, text))

    def plain(self, value: Any) -> str:
        """A value as text: a string as it is, an artifact as a path, null as nothing, anything else as JSON."""
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        if is_artifact(value):
            found: str = self.local(value)
            return found
        return json.dumps(self.local(value), ensure_ascii=False)

    def local(self, value: Any) -> Any:
        """A value with local paths for artifacts."""
        return value if self._store is None else local(value, self._store)

    def variables(self) -> dict[str, str]:
        """Each scalar input by the name of its variable; what is too long, or no scalar, is in the JSON file only."""
        found = {}
        for name, value in self._inputs.items():
            if is_artifact(value) or not isinstance(value, (dict, list)):
                text = self.plain(value)
                if len(text) <= _MAX_VARIABLE and "\0" not in text:
                    found["MESON_INPUT_" + name] = text
        return found
