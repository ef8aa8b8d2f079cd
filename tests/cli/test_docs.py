"""Owns running the commands of the documentation: what a page shows is what `mesonctl` says.

A page is a story: its code blocks whose first line is a comment with the name of a file (`# flow.py`) are written, its
console blocks are run, in order, in one project. A line of `…` stands for any number of lines, a `…` in a line for
anything in it; times, durations, ids of runs, the machine and the user differ from run to run.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.cli.command import DEADLINE_S, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.command import Project

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+\.\w+)\n")
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


def _commands(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, says = part.partition("\n")
        yield Command(line, says)


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


def test_the_readmes_example_is_a_workflow() -> None:
    blocks = _BLOCK.findall((DOCS.parent / "README.md").read_text(encoding="utf-8"))
    (code,) = [text for kind, text in blocks if kind == "python"]
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), namespace)

    assert namespace["wf"].name == "training"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", ["getting-started.md", "running.md"])
def test_a_page_shows_what_mesonctl_says(page: str, project: Project) -> None:
    bin_folder = project.folder.parent / "bin"
    bin_folder.mkdir()
    mesonctl = bin_folder / "mesonctl"
    mesonctl.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from meson_core.cli import main; main()" "$@"\n')
    mesonctl.chmod(0o755)
    surroundings = environment(LOGNAME="you", USER="you")
    surroundings["PATH"] = f"{bin_folder}:{surroundings['PATH']}"
    settings = (project.folder / "meson.toml").read_text().replace('"here"', '"laptop"')
    run = 0
    for kind, text in _BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
        named = _NAMED.match(text)
        if kind == "console":
            for command in _commands(text):
                done = subprocess.run(
                    command.line,
                    shell=True,
                    cwd=project.folder,
                    env=surroundings,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=DEADLINE_S,
                    check=False,
                )
                run += 1

                assert _pattern(command.says).fullmatch(_plain(done.stdout)), (
                    f"$ {command.line}\n--- the page:\n{_plain(command.says)}\n--- mesonctl:\n{_plain(done.stdout)}"
                )
        elif named:
            # The settings of a page come on top of those that let what a test starts leave soon.
            project.write(named[1], text + settings if named[1] == "meson.toml" else text)

    assert run > 5
