"""Owns the way from `FILE[:workflow]` on a command line to a definition: reading and importing the file."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.errors import MesonError, NotFoundError, SpecError, UnknownNameError, Where, nearest

if TYPE_CHECKING:
    from types import ModuleType

    from meson_core.dsl.find import Found, Target
    from meson_core.spec.model import Workflow

_DOCUMENTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A definition as written, not yet checked, and where it came from.

    Args:
        workflow: the definition.
        file: absolute path of its file.
        root: absolute folder of its project.
    """

    workflow: Workflow
    file: Path
    root: Path


def load_target(text: str, root: Path) -> Loaded:
    """Read the workflow that a command line names.

    Args:
        text: `FILE` or `FILE:workflow`; a file with one workflow needs no name. FILE is Python, YAML or JSON.
        root: absolute folder of the project.

    Raises:
        NotFoundError: there is no such file.
        AuthoringError: the file does not hold what was asked for, or what it holds is not sound.
    """
    from meson_core.dsl.find import Target, parse_target

    # A colon may be part of the path; a file that is there is meant as a whole.
    target = Target(text, None) if Path(text).is_file() else parse_target(text)
    file = _existing(target)
    read = _from_document if file.suffix in _DOCUMENTS else _from_module
    return Loaded(read(target, file, root), file, root)


def _existing(target: Target) -> Path:
    path = Path(target.file)
    if path.is_file():
        return path.resolve()
    what = "is a folder" if path.is_dir() else "there is no such file"
    folder = path if path.is_dir() else path.parent
    candidates = [file for file in _listing(folder) if file.suffix in (".py", *_DOCUMENTS)]
    close = nearest(path.name, [file.name for file in candidates])
    if close is not None:
        hint = f"did you mean {str(folder / close)!r}?"
    else:
        hint = "give a workflow as FILE or FILE:workflow, with FILE in Python, YAML or JSON"
    raise NotFoundError(f"{path}: {what}", hint=hint)


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def shown_path(file: Path, root: Path) -> str:
    """A file as definitions and messages call it: relative to the project where it is inside."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


# --- documents ----------------------------------------------------------------------------------------------------


def _from_document(target: Target, file: Path, root: Path) -> Workflow:
    from meson_core.dsl.documents import load_json, load_yaml

    shown = shown_path(file, root)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"the file is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}",
            where=Where(shown),
            hint="save it as UTF-8",
        ) from None
    except OSError as error:
        raise NotFoundError(f"{target.file}: it cannot be read: {error.strerror}") from None
    read = load_json if file.suffix == ".json" else load_yaml
    workflow = read(text, file=shown)
    if target.workflow not in (None, workflow.name):
        raise UnknownNameError(
            f"there is no workflow {target.workflow!r} in this file",
            name=str(target.workflow),
            known=[workflow.name],
            where=Where(shown),
        )
    return workflow


# --- Python -------------------------------------------------------------------------------------------------------


def _from_module(target: Target, file: Path, root: Path) -> Workflow:
    from meson_core.dsl.build import build
    from meson_core.dsl.find import choose_workflow, workflows_in
    from meson_core.dsl.workflows import AuthoredWorkflow

    found = workflows_in(vars(_import(file, root)))
    if target.workflow is None:
        # Workflows that were imported to be used as parts, or by chance, are not what the file is about.
        found = {name: workflow for name, workflow in found.items() if _written_in(workflow, file)} or found
    chosen = choose_workflow(found, target)
    return build(chosen, root=str(root)) if isinstance(chosen, AuthoredWorkflow) else chosen


def _written_in(workflow: Found, file: Path) -> bool:
    from meson_core.dsl.workflows import AuthoredWorkflow

    if not isinstance(workflow, AuthoredWorkflow) or workflow.where is None:
        return False
    return os.path.realpath(workflow.where.file) == str(file)


def _import(file: Path, root: Path) -> ModuleType:
    """Import a file under its own name, with its folder on the path, as running it would."""
    shown = shown_path(file, root)
    name = file.stem
    if not name.isidentifier() or name in sys.modules:
        name = f"workflow_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SpecError(
            f"a file that ends in {file.suffix!r} is no workflow", where=Where(shown), hint="use .py, .yaml or .json"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        # It stays there: functions of the workflow may import more of its folder later.
        sys.path.insert(0, str(file.parent))
    try:
        # What an author prints must not get into the answers of `--json`.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except MesonError:
        raise
    except SyntaxError as error:
        place = shown_path(Path(error.filename), root) if error.filename else shown
        raise SpecError(f"the file is not Python: {error.msg}", where=Where(place, error.lineno)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  an author's code may raise anything
        raise _raised(file, root, error) from None
    return module


def _raised(file: Path, root: Path, error: BaseException) -> SpecError:
    """An author's own exception, with the author's own line: the innermost one in the project."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(Path(frame.filename), file, root)]
    where = Where(shown_path(Path(own[-1].filename), root), own[-1].lineno) if own else Where(shown_path(file, root))
    told = " ".join(str(error).split())
    raised = f"importing {shown_path(file, root)} raised {type(error).__name__}"
    hint = None
    if isinstance(error, ModuleNotFoundError):
        hint = "install it into this environment, or correct the name"
    elif isinstance(error, SystemExit):
        hint = 'a workflow file is imported: put what a script does below if __name__ == "__main__":'
    return SpecError(f"{raised}: {told}" if told else f"{raised} without a message", where=where, hint=hint)


def _is_own(frame: Path, file: Path, root: Path) -> bool:
    return frame == file or (frame.is_relative_to(root) and "site-packages" not in frame.parts)
