"""Owns reading a page of the documentation as a story: its files are written, its commands run, what they say compared.

Code blocks whose first line is a comment with the name of a file (`# flow.py`) are files; console blocks are commands, each after
a `$`. A line of `…` stands for any number of lines, a `…` in a line for anything in it; times, durations, ids of runs, the
machine and the user differ from run to run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.\w+)\n")
_VARYING = (
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b[\d.]+ s\b|\b\d+ min( \d+ s)?\b"), "<took>"),
    (re.compile(r"(?<![\w./])[a-z][0-9a-z]{9}(?![\w./])"), "<run>"),
    (re.compile(r" {2,}"), "  "),
    (re.compile(r" +$", re.MULTILINE), ""),
)


class Command(NamedTuple):
    """A command of a console block.

    Args:
        line: what is typed.
        says: what it says.
    """

    line: str
    says: str


def blocks_of(page: str) -> list[tuple[str, str]]:
    """The code blocks of a page: language and text."""
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def commands_of(block: str) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, says = part.partition("\n")
        yield Command(line, says)


def assert_says(command: Command, said: str) -> None:
    """That a command said what the page shows."""
    assert _pattern(command.says).fullmatch(_plain(said)), (
        f"$ {command.line}\n--- the page:\n{_plain(command.says)}\n--- it says:\n{_plain(said)}"
    )


def _plain(text: str) -> str:
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text


def _pattern(says: str) -> re.Pattern[str]:
    """What is expected as a pattern."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else "[^\n]*?".join(map(re.escape, line.split("…"))) + r"\n"
        for line in _plain(says).splitlines()
    ]
    return re.compile("".join(lines))
