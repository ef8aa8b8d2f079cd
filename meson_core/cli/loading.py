"""Owns the way from `FILE[:workflow]` on a command line to a definition: reading the file is the only IO here."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.errors import AuthoringError, MesonError, NotFoundError, SpecError, UnknownNameError, Where
from meson_core.settings import find_root

if TYPE_CHECKING:
    from types import ModuleType

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


def load_target(target: str, *, project: str | None = None) -> Loaded:
    """Read the workflow that a command line names.

    Args:
        target: `FILE` or `FILE:workflow`; a file with one workflow needs no name. FILE is Python, YAML or JSON.
        project: the project's folder, when it is not the one around the file.

    Raises:
        NotFoundError: there is no such file.
        AuthoringError: the file does not hold what was asked for, or what it holds is not sound.
    """
    path, name = _split(target)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise NotFoundError(
            f"{path}: {what}", hint="give a workflow as FILE or FILE:workflow, with FILE in Python, YAML or JSON"
        )
    file = path.resolve()
    root = Path(project).resolve() if project else find_root(file)
    if file.suffix in _DOCUMENTS:
        return Loaded(_from_document(path, file), file, root)
    return Loaded(_from_module(path, file, name, root), file, root)


def _split(target: str) -> tuple[Path, str | None]:
    """`FILE:name` cut at its last colon, unless the whole is a file."""
    whole = Path(target)
    if whole.exists() or ":" not in target:
        return whole, None
    path, _, name = target.rpartition(":")
    return Path(path), name or None


def _from_document(shown: Path, file: Path) -> Workflow:
    from meson_core.dsl.documents import load_json, load_yaml

    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"the file is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}",
            where=Where(str(shown)),
            hint="save it as UTF-8",
        ) from None
    read = load_json if file.suffix == ".json" else load_yaml
    return read(text, file=str(shown))


def _from_module(shown: Path, file: Path, name: str | None, root: Path) -> Workflow:
    from meson_core.dsl.build import build
    from meson_core.dsl.workflows import AuthoredWorkflow

    module = _import(shown, file)
    found = {key: value for key, value in vars(module).items() if isinstance(value, AuthoredWorkflow)}
    by_name = {workflow.name: workflow for workflow in found.values()} | found
    if name is not None:
        if name not in by_name:
            raise UnknownNameError(f"there is no workflow {name!r}", name=name, known=by_name, where=Where(str(shown)))
        return build(by_name[name], root=str(root))
    own = {id(workflow): workflow for workflow in found.values() if workflow.where and _same(workflow.where.file, file)}
    candidates = list((own or {id(workflow): workflow for workflow in found.values()}).values())
    if len(candidates) == 1:
        return build(candidates[0], root=str(root))
    if not candidates:
        raise SpecError(
            "the file defines no workflow", where=Where(str(shown)), hint='make one with workflow("name", graph)'
        )
    names = ", ".join(f"{shown}:{key}" for key, value in found.items() if value in candidates)
    raise SpecError(
        f"the file defines {len(candidates)} workflows, and none was named",
        where=Where(str(shown)),
        hint=f"say which one: {names}",
    )


def _same(written: str, file: Path) -> bool:
    return Path(written).resolve() == file


def _import(shown: Path, file: Path) -> ModuleType:
    """Import a file under its own name, with its folder on the path, as running it would."""
    name = file.stem
    if not name.isidentifier() or name in sys.modules:
        name = f"workflow_{abs(hash(str(file))):x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SpecError(
            f"a file that ends in {file.suffix!r} is no workflow",
            where=Where(str(shown)),
            hint="use .py, .yaml or .json",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        # It stays there: functions of the workflow may import more of its folder later.
        sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except MesonError:
        raise
    except SyntaxError as error:
        raise SpecError(
            f"the file is not Python: {error.msg}", where=Where(error.filename or str(shown), error.lineno)
        ) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  an author's code may raise anything
        raise _raised(shown, file, error) from None
    return module


def _raised(shown: Path, file: Path, error: BaseException) -> AuthoringError:
    """An author's own exception, with the author's own line."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = frames[-1].lineno if frames else None
    told = str(error) or "without a message"
    hint = None
    if isinstance(error, ModuleNotFoundError):
        hint = "install it into this environment, or correct the name"
    return SpecError(
        f"importing the file raised {type(error).__name__}: {told}", where=Where(str(shown), line), hint=hint
    )
