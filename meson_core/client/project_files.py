"""Owns which files of a project are its code: not what git or `.mesonignore` ignore, nor what tools leave behind."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from meson_core.errors import AuthoringError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pathspec import GitIgnoreSpec

#: Patterns in the form of `.gitignore` for files that no step needs.
IGNORE_FILE = ".mesonignore"
#: Folders that are never code, whatever else says so.
SKIPPED = frozenset(
    (
        ".git",
        ".hg",
        ".svn",
        ".meson",
        ".venv",
        ".tox",
        ".nox",
        "__pycache__",
        "node_modules",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".ipynb_checkpoints",
    )
)
#: Marks a virtual environment, whatever its folder is called.
_ENVIRONMENT = "pyvenv.cfg"
#: More files than this are a mistake: a home folder, a data set.
MAX_FILES = 20_000

_GIT_LIST = (
    "git", "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"
)  # fmt: skip
_GIT_S = 60.0


class Ignored(NamedTuple):
    """The patterns of one ignore file.

    Args:
        base: the folder they are relative to, with a slash at its end; "" for the root.
    """

    base: str
    spec: GitIgnoreSpec


def project_files(root: Path, max_files: int = MAX_FILES) -> list[str]:
    """The paths of a project's files, relative to its root and sorted; symbolic links are among them.

    Where git is there and the project is in a repository, git says what belongs to it; else the `.gitignore` files are
    read here.

    Raises:
        AuthoringError: there are more than `max_files`.
    """
    found: list[str] = []
    rules = _rules(root, "", IGNORE_FILE)
    listed = _listed_by_git(root)
    for path in _walk(root, "", rules, ".gitignore") if listed is None else _kept(root, listed, rules):
        found.append(path)
        if len(found) > max_files:
            raise AuthoringError(
                f"the project {root} has more than {max_files} files; most are in {_fullest(found)}",
                hint=f"list what no step needs in {IGNORE_FILE}; or put a meson.toml into the folder that is the project",
            )
    return sorted(found)


def _fullest(paths: list[str]) -> str:
    counts: dict[str, int] = {}
    for path in paths:
        top = path.partition("/")[0]
        counts[top] = counts.get(top, 0) + 1
    fullest = sorted(counts, key=lambda name: -counts[name])[:3]
    return ", ".join(f"{name} ({counts[name]})" for name in fullest)


# --- as git has it --------------------------------------------------------------------------------------------------


def _listed_by_git(root: Path) -> list[str] | None:
    """What git says; None when it has nothing to say about this folder."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    # Inside a hook, git tells its children about another repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(_GIT_LIST, cwd=root, env=env, capture_output=True, timeout=_GIT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def _kept(root: Path, listed: list[str], rules: list[Ignored]) -> Iterator[str]:
    skipped_folders: dict[str, bool] = {}

    def is_skipped(folder: str) -> bool:
        if not folder:
            return False
        known = skipped_folders.get(folder)
        if known is None:
            above, _, name = folder.rpartition("/")
            known = is_skipped(above) or name in SKIPPED or (root / folder / _ENVIRONMENT).exists()
            skipped_folders[folder] = known
        return known

    for path in listed:
        if is_skipped(path.rpartition("/")[0]) or _is_ignored(path, rules):
            continue
        full = root / path
        if full.is_symlink() or full.is_file():
            yield path
        elif full.is_dir() and not is_skipped(path.rstrip("/")):
            # A submodule, or a repository inside: git does not look into it.
            yield from _walk(root, path.rstrip("/") + "/", rules, ".gitignore")


# --- as we find it --------------------------------------------------------------------------------------------------


def _walk(root: Path, base: str, rules: list[Ignored], ignore_file: str) -> Iterator[str]:
    """Files below a folder.

    Args:
        root: of the project.
        base: the folder, relative to the root, with a slash at its end; "" for the root.
        rules: those of the folders around it.
        ignore_file: name of the files with further rules.
    """
    rules = _rules(root, base, ignore_file) + rules
    try:
        entries = sorted(os.scandir(root / base), key=lambda entry: entry.name)
    except OSError:
        return
    if base and any(entry.name == _ENVIRONMENT for entry in entries):
        return
    for entry in entries:
        path = base + entry.name
        if entry.name in SKIPPED:  # `.git` may be a file
            continue
        if entry.is_symlink() or entry.is_file():
            if not _is_ignored(path, rules):
                yield path
        elif entry.is_dir() and not _is_ignored(path + "/", rules):
            yield from _walk(root, path + "/", rules, ignore_file)


def _rules(root: Path, base: str, name: str) -> list[Ignored]:
    try:
        text = (root / base / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  most projects are in git, which needs none of it

    return [Ignored(base, GitIgnoreSpec.from_lines(text.splitlines()))]


def _is_ignored(path: str, rules: list[Ignored]) -> bool:
    """The innermost rule that says something about a path decides."""
    for ignored in rules:
        verdict = ignored.spec.check_file(path.removeprefix(ignored.base)).include
        if verdict is not None:
            return verdict
    return False
