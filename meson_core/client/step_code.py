"""Owns which files of a code bundle are the code of a step, and their digest.

The code of a Python step is every file of the bundle but the Python files that its module does not import, directly or
through others. Imports are read from the text, nothing is run. A module that finds code in another way (importlib, another
process) is taken to use all files, and so is a step of any other kind: what a script reads, its text does not tell.
"""

from __future__ import annotations

import ast
import hashlib
import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from meson_core.client.project_files import SKIPPED
from meson_core.ports import PythonCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meson_core.ports import Work

#: Modules and names by which code is reached that no import names.
_DYNAMIC_MODULES = frozenset({"importlib", "multiprocessing", "pkgutil", "runpy", "subprocess"})
_DYNAMIC_NAMES = frozenset({"__import__", "eval", "exec", "execv", "import_module", "popen", "spawnv", "system"})


def code_files(folder: Path, work: Work) -> dict[str, str]:
    """The code of a step: path in the bundle → digest of the file.

    Args:
        folder: of the bundle.
        work: what the step does.

    Raises:
        OSError: they cannot be read.
    """
    files = bundle_files(folder)
    if not isinstance(work, PythonCall):
        return files
    imported = _imported(folder, files, work)
    if imported is None:
        return files
    return {path: digest for path, digest in files.items() if not path.endswith(".py") or path in imported}


def digest_of(files: dict[str, str]) -> str:
    """One digest for all."""
    whole = hashlib.sha256()
    for path, content in sorted(files.items()):
        whole.update(f"{content} {path}\0".encode("utf-8", "surrogatepass"))
    return f"sha256:{whole.hexdigest()}"


@lru_cache(maxsize=16)
def bundle_files(folder: Path) -> dict[str, str]:
    """All files of a bundle with their digests; its code never changes.

    Raises:
        OSError: they cannot be read.
    """
    found: dict[str, str] = {}
    for place, folders, names in os.walk(folder):
        # What tools leave behind was not in the project either: a step that has run leaves its byte code here.
        folders[:] = sorted(set(folders) - SKIPPED)
        for name in sorted(names):
            path = Path(place, name)
            if path.is_symlink():
                content = hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
            else:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            executable = "x" if not path.is_symlink() and os.access(path, os.X_OK) else "-"
            found[path.relative_to(folder).as_posix()] = executable + content
    return found


# --- imports ----------------------------------------------------------------------------------------------------------


def _imported(folder: Path, files: dict[str, str], call: PythonCall) -> set[str] | None:
    """The Python files that a function's module reaches by imports; None when that cannot be told."""
    roots = ["", *([call.path] if call.path else [])]
    if call.file is not None:
        entries = {call.file} & files.keys()
        roots.append(str(PurePosixPath(call.file).parent))
    elif call.module is not None:
        entries = set(_files_of(call.module.split("."), roots, files))
    else:
        return _follow(folder, files, roots, {}, _imports_of(call.source or "", ""))
    return _follow(folder, files, roots, dict.fromkeys(entries), None) if entries else None


def _follow(
    folder: Path, files: dict[str, str], roots: list[str], left: dict[str, None], first: list[list[str]] | None
) -> set[str] | None:
    reached: set[str] = set()
    if first is None and not left:
        return None
    for names in first or ():
        left.update(dict.fromkeys(_files_of(names, roots, files)))
    while left:
        path, _ = left.popitem()
        if path in reached:
            continue
        reached.add(path)
        imports = _imports_of((folder / path).read_text("utf-8", "replace"), path)
        if imports is None:
            return None
        for names in imports:
            left.update(dict.fromkeys(_files_of(names, roots, files)))
    return reached


def _files_of(names: list[str], roots: Iterable[str], files: dict[str, str]) -> Iterator[str]:
    """The files of the bundle that importing this dotted name runs."""
    for root in roots:
        at = PurePosixPath(root)
        for name in names:
            at = at / name
            for path in (f"{at}.py", f"{at}/__init__.py"):
                if path in files:
                    yield path


def _imports_of(text: str, path: str) -> list[list[str]] | None:
    """The dotted names that a module imports, from the root of the bundle where they are relative; None when not all can be told."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    found: list[list[str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found.extend(each.name.split(".") for each in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                around = list(PurePosixPath(path).parts[:-level]) if level else []
                base = [*around, *(module.split(".") if module else [])]
                found.extend([*base, each.name] for each in names)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _DYNAMIC_NAMES:
                return None
            case _:
                pass
    return None if any(names[0] in _DYNAMIC_MODULES for names in found if names) else found
