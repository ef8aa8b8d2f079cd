"""Owns the rules for every source file: its length, its first sentence, what it may not mention."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from tests.repo.tracked import text_of, tracked

MAX_LINES = 600
MAX_SENTENCE = 160

# Folders of the machine that a file was written on, and hosts of package registries: a mirror must do as well.
UNPORTABLE = re.compile(
    r"""
    (?<![\w.}/-]) / (?: work | root | Users | home/(?!user\b)\w+ ) /
    | \b (?: files\.pythonhosted | pypi | test\.pypi | crates | index\.crates ) \. (?: org | io ) \b
    | \b (?: registry\.npmjs\.org | repo1?\.maven\.(?:apache\.)?org | proxy\.golang\.org | deb\.debian\.org ) \b
    """,
    re.VERBOSE,
)

# Newer than the oldest interpreter that the executor's side supports.
NOT_IN_3_9 = {"tomllib"}


def test_files_are_short() -> None:
    """A file that grows past the limit has got a second owner."""
    long = {str(path): lines for path in tracked(".py") if (lines := text_of(path).count("\n")) > MAX_LINES}

    assert {} == long


def test_every_module_says_what_it_owns() -> None:
    """A newcomer reads the first line of each file, and knows the house."""
    silent = [str(path) for path in tracked(".py") if not _opens_with_a_sentence(text_of(path))]

    assert [] == silent


def _opens_with_a_sentence(source: str) -> bool:
    module = ast.parse(source)
    if not module.body:
        return True
    opening = (ast.get_docstring(module) or "").partition("\n")[0]
    return 10 < len(opening) <= MAX_SENTENCE and opening.endswith((".", ":"))


def test_nothing_depends_on_the_machine_it_was_written_on() -> None:
    """A clone elsewhere, behind another index, works the same."""
    found = [
        f"{path}:{number}: {match.group()}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if (match := UNPORTABLE.search(line))
    ]

    assert [] == found


def test_the_executors_side_is_standard_library_only() -> None:
    """A step's environment owes nothing to our pins (import-linter cannot say "all but the standard library")."""
    allowed = (sys.stdlib_module_names - NOT_IN_3_9) | {"meson_executor", "meson_runtime"}
    strangers = {
        f"{path}: {name}" for path in _executors_side() for name in _imported(text_of(path)) if name not in allowed
    }

    assert set() == strangers


def test_the_executors_side_is_python_3_9() -> None:
    """Machines of a cluster have older interpreters than the laptops of those who use it."""
    assert _executors_side()
    for path in _executors_side():
        ast.parse(text_of(path), filename=str(path), feature_version=(3, 9))


def _executors_side() -> list[Path]:
    sides = {Path("executor/meson_executor"), Path("executor/meson_runtime")}
    return [path for path in tracked(".py") if sides & set(path.parents)]


def _imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
