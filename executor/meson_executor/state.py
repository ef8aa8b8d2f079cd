"""Owns what an executor must know of its earlier incarnations: a small file, replaced as a whole."""

from __future__ import annotations

import json
import os
import time

_FIELDS = {"incarnation": int, "cell": str, "epoch": int, "place": str}


class State:
    """The state file of an executor's directory.

    Attributes:
        incarnation: counts up with every start.
        cell: which cell it works for; "" before the first session.
        epoch: the highest that a session of that cell has shown.
        place: where the directory was at the last start.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.incarnation = 0
        self.cell = ""
        self.epoch = 0
        self.place = ""

    def load(self) -> list[str]:
        """Read the file; what was damaged is told, and made up for, so that no incarnation has the number of an older one."""
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
            for name, kind in _FIELDS.items():
                setattr(self, name, kind(found[name]))
        except FileNotFoundError:
            return []
        except (KeyError, TypeError, ValueError) as error:
            self.incarnation = int(time.time())
            return [
                "%s cannot be read (%s); this incarnation gets the number %d"
                % (self._path, error, self.incarnation + 1)
            ]
        return []

    def save(self) -> None:
        """Force the file to disk, whole."""
        aside = self._path + ".new"
        with open(aside, "w", encoding="utf-8") as file:
            json.dump({name: getattr(self, name) for name in _FIELDS}, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, self._path)
