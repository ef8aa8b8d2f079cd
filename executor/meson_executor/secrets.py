"""Owns the secrets of this machine: where they come from, and that they are read only when a step asks.

They come from the executor's environment (`MESON_SECRET_<name>`), which no step inherits, or from what `--secrets` names: a
folder with a file per secret, as container platforms mount them, or a file of `name=value` lines.
"""

from __future__ import annotations

import os
import re

PREFIX = "MESON_SECRET_"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


class SecretMissingError(Exception):
    """A secret that this machine does not have."""


class Secrets:
    """Looks secrets up by name.

    Args:
        source: folder or file, or None.
        environment: of the executor.
    """

    def __init__(self, source: str | None, environment: dict[str, str]) -> None:
        self._source = source
        self._given = {name[len(PREFIX) :]: value for name, value in environment.items() if name.startswith(PREFIX)}

    def resolve(self, name: str) -> str:
        """The secret; files are read anew each time, so a rotated secret counts at once.

        Raises:
            SecretMissingError: there is none of that name, or it cannot be read.
        """
        if not _NAME.match(name):
            raise SecretMissingError(f"{name!r} cannot be the name of a secret")
        if name in self._given:
            return self._given[name]
        try:
            found = self._read(name)
        except (OSError, UnicodeDecodeError) as error:
            raise SecretMissingError(f"the secret {name!r} cannot be read on this machine: {error}") from None
        if found is None:
            raise SecretMissingError(
                "the secret {!r} is not on this machine: there is no {}{} in the executor's environment{}".format(
                    name,
                    PREFIX,
                    name,
                    "" if self._source is None else f", and nothing of that name in {self._source}",
                )
            )
        return found

    def _read(self, name: str) -> str | None:
        source = self._source
        if source is None:
            return None
        if os.path.isdir(source):
            path = os.path.join(source, name)
            if not os.path.isfile(path):
                return None
            with open(path, encoding="utf-8") as file:
                return file.read().rstrip("\n")
        with open(source, encoding="utf-8") as file:
            for line in file:
                key, separator, value = line.rstrip("\n").partition("=")
                if separator and key.strip() == name:
                    return value
        return None
