"""Owns plain data that remembers on which line each part of it stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Marked:
    """One value of a document.

    Args:
        value: a scalar, a list of marked values, or a dict of key → marked value.
        line: where it begins, 1-based.
        key_lines: for a dict, where each key stands.
    """

    value: Scalar | list[Marked] | dict[str, Marked]
    line: int
    key_lines: dict[str, int]

    @property
    def plain(self) -> Any:
        """The data without lines."""
        if isinstance(self.value, dict):
            return {key: item.plain for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        return self.value


def marked(
    value: Scalar | list[Marked] | dict[str, Marked], line: int, key_lines: dict[str, int] | None = None
) -> Marked:
    """A value with its line."""
    return Marked(value, line, key_lines or {})


def on_lines(first: int, second: int) -> str:
    """Where the two places are at which a key stands: one line may hold both."""
    return f", on line {first}" if first == second else f": on line {first} and on line {second}"
