"""Owns the words of policies, in Python and in documents, and what is said about a word that there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meson_core.errors import Where

#: Words that any step takes, in the order in which documents write them: first those about its resources.
STEP_POLICIES = (
    "cpus",
    "memory",
    "disk",
    "gpus",
    "resources",
    "where",
    "retries",
    "timeout",
    "grace",
    "join",
    "on_failure",
    "priority",
    "isolate",
    "artifact",
    "cache",
)
#: Words that any node takes.
NODE_POLICIES = ("join", "on_failure")


def check_words(given: Iterable[str], known: Iterable[str], owner: str, where: Where | None) -> None:
    """Refuse a word that is not known, with the nearest one that is.

    Raises:
        UnknownNameError: such a word.
    """
    words = tuple(known)
    for word in given:
        if word not in words:
            msg = f"{owner}: there is no option {word!r}"
            raise UnknownNameError(msg, name=word, known=words, where=where)
