"""Owns the settings: one model, read once from `meson.toml` and `MESON_*` variables, and passed on as values.

They come from, later ones winning: the defaults below, `meson.toml` at the project's root (without it, the table
`[tool.meson]` of `pyproject.toml`), environment variables. A variable is called as its key is, with `MESON_` before it
and `_` between table and key: `MESON_STORE`, `MESON_LIVENESS_LOST_AFTER_S`, `MESON_SCHEDULERS_LOCAL_CPUS`.

Options of a plugin belong to the plugin's own model. The settings only carry them (`[schedulers.local]`), and check
them where the plugin is at hand: `scheduler_options`, `artifact_store_options`.

pydantic-settings is not used: importing it costs twice what pydantic itself does, on every start of `mesonctl`.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import json
import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from meson_core.errors import SettingsError, Where, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILE = "meson.toml"
PYPROJECT = "pyproject.toml"
#: Folder of a project's store, code bundles, logs and artifacts, below its root.
DIRECTORY = ".meson"
PREFIX = "MESON_"
#: How like a known variable an unknown one must be to be taken for a misspelling; other programs use `MESON_*` too.
_ALIKE = 0.88
_TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_SECRET = re.compile(r"passw|secret|token|credential|(^|_)key$", re.IGNORECASE)
#: pydantic's words, and those of somebody who writes a settings file.
_PLAIN = (
    ("Value error, ", ""),
    ("Input should", "must"),
    ("String should", "must"),
    ("a valid tuple", "a list"),
    ("a valid dictionary", "a table"),
    ("a valid ", "a "),
    ("a integer", "an integer"),
)

M = TypeVar("M", bound=BaseModel)
Key = tuple[str, ...]


def _listed(value: object) -> object:
    if isinstance(value, str):  # of a variable: `a,b`
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=_NAME, max_length=100)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]
Tables = dict[str, dict[str, Any]]


# --- where settings were written, and telling what is wrong with them ---------------------------------------------


@dataclass
class _Sources:
    """Where each setting was written."""

    file: str | None = None
    text: str = ""
    table: Key = ()
    variables: dict[Key, str] = field(default_factory=dict)

    def refusal(
        self, error: ValidationError, model: type[BaseModel], table: Key, others: Sequence[SettingsError] = ()
    ) -> SettingsError:
        """What a model refuses, in the words of the file."""
        found = [self._problem(detail, model, table) for detail in error.errors(include_url=False)]
        return _together([*found, *others])

    def _problem(self, detail: Any, model: type[BaseModel], table: Key) -> SettingsError:
        inner = tuple(str(part) for part in detail["loc"])
        path = (*table, *inner)
        key = ".".join(path)
        variable = next((name for at, name in self.variables.items() if path[: len(at)] == at), None)
        where = None
        if variable is None and self.file is not None:
            where = Where(self.file, _line_of(self.text, (*self.table, *path)))
        if detail["type"] == "extra_forbidden":
            fields = _fields(model, inner[:-1])
            close = nearest(inner[-1], fields)
            known = ", ".join(sorted(fields)) or "none"
            hint = f"did you mean {close!r}?" if close else f"there are: {known}"
            return SettingsError(f"there is no setting {key!r}", where=where, hint=hint)
        said = detail["msg"]
        for technical, plain in _PLAIN:
            said = said.replace(technical, plain)
        if detail["type"] == "string_pattern_mismatch" and detail["ctx"]["pattern"] == _NAME:
            said = "must begin with a letter or digit and go on with letters, digits, '.', '_' and '-'"
        name = f"setting {key!r}" if variable is None else f"variable {variable}"
        if detail["type"] == "missing":
            return SettingsError(f"{name} is missing", where=where)
        value = _shown(detail["input"])
        told = isinstance(detail["input"], str) and value in said
        got = "" if told or any(_SECRET.search(part) for part in path) else f", got {value}"
        return SettingsError(f"{name}: {said}{got}", where=where)


def _fields(model: type[BaseModel], path: Key) -> list[str]:
    for part in path:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return [spec.alias or name for name, spec in model.model_fields.items()]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _together(problems: Sequence[SettingsError]) -> SettingsError:
    if len(problems) == 1:
        return problems[0]
    return SettingsError("\n".join([f"{len(problems)} settings are not right:", *(str(one) for one in problems)]))


def _line_of(text: str, path: Key) -> int | None:
    """The line on which a key is written, or the nearest key or table around it; tomllib does not tell."""
    best, line = 0, None
    table: Key = ()
    for number, written in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+([^\[\]]+)\]+", written)
        key = re.match(r"\s*([\w.\"'-]+)\s*=", written)
        if header:
            at = table = _parts(header.group(1))
        elif key:
            at = (*table, *_parts(key.group(1)))
        else:
            continue
        if len(at) > best and path[: len(at)] == at:
            best, line = len(at), number
    return line


def _parts(key: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in key.split("."))


# --- the model ----------------------------------------------------------------------------------------------------


class Section(BaseModel):
    """Base of all tables: frozen, no conversions, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Liveness(Section):
    """How long silence is borne."""

    lost_after_s: float = Field(default=15.0, ge=3)
    """Seconds of silence after which an executor's attempts are lost; executors speak at least once a second."""


class Logging(Section):
    """What the orchestrator tells about itself; the logs of steps are kept apart, and all of them."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    """The least important messages that are written."""
    format: Literal["text", "json"] = "text"
    """For people, or one JSON object a line."""


class Settings(Section):
    """All settings; relative paths are relative to the project's root."""

    cell: Name = "local"
    """Name of the cell: one configured resource scheduler with its queues and runs."""
    owner: str = ""
    """Who asks for runs; empty: the name of the user who is logged in."""
    store: str = f"{DIRECTORY}/store.db"
    """Path of the store's file, or the URL of a database."""
    scheduler: Name = "local"
    """Name of the resource scheduler."""
    schedulers: Tables = {}
    """Options of resource schedulers, a table for each: `[schedulers.local]`."""
    artifact_store: Name = "files"
    """Name of the artifact store."""
    artifact_stores: Tables = {}
    """Options of artifact stores, a table for each: `[artifact_stores.files]`."""
    disabled_plugins: Names = ()
    """Plugins that are not loaded, by their names or those of their distributions."""
    disabled_matchers: Names = ("spread",)
    """Resource matchers that have no say: `pack` fills one machine after the other, `spread` fills them evenly."""
    trace_hooks: bool = False
    """Tell on standard error which hook of which plugin is called, and how long it takes."""
    window: int = Field(default=1000, ge=1)
    """How many items of one for_each are under way at most; the rest is not expanded yet."""
    liveness: Liveness = Liveness()
    logging: Logging = Logging()

    _root: Path = PrivateAttr(default_factory=Path)
    _sources: _Sources = PrivateAttr(default_factory=_Sources)

    def model_post_init(self, context: tuple[Path, _Sources] | None, /) -> None:
        if context is not None:
            self._root, self._sources = context

    @property
    def root(self) -> Path:
        """The project's root."""
        return self._root

    @property
    def directory(self) -> Path:
        """The folder of everything that Meson keeps for this project."""
        return self._root / DIRECTORY

    @property
    def store_location(self) -> str:
        """The store as the URL of a database, or as the path of a file below or beside the root."""
        return self.store if "://" in self.store else str(self._root / self.store)

    def scheduler_options(self, model: type[M]) -> M:
        """The options of the chosen resource scheduler.

        Raises:
            SettingsError: they are not what its plugin declares.
        """
        return self._checked(model, ("schedulers", self.scheduler), self.schedulers.get(self.scheduler, {}))

    def artifact_store_options(self, model: type[M]) -> M:
        """The options of the chosen artifact store.

        Raises:
            SettingsError: they are not what its plugin declares.
        """
        found = self.artifact_stores.get(self.artifact_store, {})
        return self._checked(model, ("artifact_stores", self.artifact_store), found)

    def _checked(self, model: type[M], table: Key, options: Mapping[str, Any]) -> M:
        try:
            return model.model_validate(options)
        except ValidationError as error:
            raise self._sources.refusal(error, model, table) from None


def find_root(start: Path) -> Path:
    """The root of the project that `start` belongs to.

    It is the nearest folder upwards with a `meson.toml`, a `.meson` or a `pyproject.toml`; where there is none, `start`
    itself, or the folder that it is in.
    """
    start = start.absolute()
    folder = start if start.is_dir() else start.parent
    for candidate in (folder, *folder.parents):
        if any((candidate / marker).exists() for marker in (FILE, DIRECTORY, PYPROJECT)):
            return candidate
    return folder


def read_settings(root: Path, environ: Mapping[str, str]) -> Settings:
    """Read the settings of a project.

    Args:
        root: as `find_root` gives it.
        environ: the variables of the process.

    Raises:
        SettingsError: all that is wrong, each with its file and line or its variable.
    """
    sources = _Sources()
    values = _from_file(root, sources)
    problems = _overlay(values, environ, sources)
    try:
        settings = Settings.model_validate(values, context=(root.absolute(), sources))
    except ValidationError as error:
        raise sources.refusal(error, Settings, (), problems) from None
    if problems:
        raise _together(problems)
    return settings


def variables() -> Iterator[tuple[str, Key, Any]]:
    """Every environment variable that is a setting: its name, its key and the type of its value."""
    for name, spec in Settings.model_fields.items():
        if isinstance(spec.annotation, type) and issubclass(spec.annotation, Section):
            for inner, inner_spec in spec.annotation.model_fields.items():
                yield f"{PREFIX}{name}_{inner}".upper(), (name, inner), inner_spec.annotation
        elif spec.annotation != Tables:
            yield f"{PREFIX}{name}".upper(), (name,), spec.annotation


# --- reading ------------------------------------------------------------------------------------------------------


def _from_file(root: Path, sources: _Sources) -> dict[str, Any]:
    for name, table in ((FILE, ()), (PYPROJECT, ("tool", "meson"))):
        try:
            text = (root / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise SettingsError(f"the settings cannot be read: {error.strerror}", where=Where(name)) from None
        except UnicodeDecodeError as error:
            number = error.object.count(b"\n", 0, error.start) + 1
            message = f"the settings are not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
            raise SettingsError(message, where=Where(name, number), hint="save the file as UTF-8") from None
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            said = re.sub(r" \(at .*\)$", "", str(error))
            line = re.search(r"\(at line (\d+)", str(error))
            where = Where(name, int(line.group(1)) if line else len(text.splitlines()))
            raise SettingsError(f"not TOML: {said}", where=where) from None
        for key in table:
            inner = values.get(key)
            values = inner if isinstance(inner, dict) else {}
        sources.file, sources.text, sources.table = name, text, table
        return values
    return {}


def _overlay(values: dict[str, Any], environ: Mapping[str, str], sources: _Sources) -> list[SettingsError]:
    """Put the variables over what the file says; the answer is what looks like a misspelt variable."""
    known = {variable: (path, kind) for variable, path, kind in variables()}
    problems = []
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        value: Any
        if variable in known:
            path, kind = known[variable]
            value = _typed(text, kind)
        elif (option := _option(variable, values, environ)) is not None:
            path, value = option, _json_or_text(text)
        else:
            close = difflib.get_close_matches(variable, known, n=1, cutoff=_ALIKE)
            if close:
                message = f"there is no setting for the variable {variable}"
                problems.append(SettingsError(message, hint=f"did you mean {close[0]}?"))
            continue
        table = values
        for key in path[:-1]:
            inner = table.get(key)
            table[key] = table = dict(inner) if isinstance(inner, dict) else {}
        table[path[-1]] = value
        sources.variables[path] = variable
    return problems


def _option(variable: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> Key | None:
    """The key of a variable like `MESON_SCHEDULERS_LOCAL_CPUS`."""
    for table, chosen in (("schedulers", "scheduler"), ("artifact_stores", "artifact_store")):
        prefix = f"{PREFIX}{table}_".upper()
        if not variable.startswith(prefix):
            continue
        default = Settings.model_fields[chosen].default
        there = values.get(table)
        names = {environ.get(f"{PREFIX}{chosen}".upper()) or values.get(chosen, default), default}
        names.update(there if isinstance(there, dict) else ())
        for name in sorted((name for name in names if isinstance(name, str)), key=len, reverse=True):
            start = prefix + re.sub(r"\W", "_", name).upper() + "_"
            if variable.startswith(start) and len(variable) > len(start):
                return (table, name, variable.removeprefix(start).lower())
    return None


def _typed(text: str, kind: Any) -> Any:
    if kind is bool:
        return _TRUTHS.get(text.strip().lower(), text)
    return _json_or_text(text) if kind in (int, float) else text


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


# --- the page of the documentation --------------------------------------------------------------------------------


def reference() -> str:
    """The page of all settings, made of the models above: `python -m meson_core.settings > docs/settings.md`."""
    named = {key: variable for variable, key, _ in variables()}
    parts = [_PAGE]
    for model, table in ((Settings, ""), (Liveness, "liveness"), (Logging, "logging")):
        docs = _docs_of(model)
        title = f"`[{table}]`" if table else "Top of the file"
        about = "" if not table else f"{inspect.getdoc(model)}\n\n"
        parts.append(f"## {title}\n\n{about}| Key | Default | Variable | Meaning |\n| --- | --- | --- | --- |\n")
        for name, spec in model.model_fields.items():
            if isinstance(spec.annotation, type) and issubclass(spec.annotation, Section):
                continue
            key = (table, name) if table else (name,)
            default = json.dumps(spec.default) if spec.default not in ({}, ()) else ""
            variable = named.get(key, f"{PREFIX}{name}_<NAME>_<OPTION>".upper())
            parts.append(f"| `{name}` | {f'`{default}`' if default else ''} | `{variable}` | {docs[name]} |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


_PAGE = """<!-- Made by `python -m meson_core.settings`; change `meson_core/settings.py` instead. -->

# Settings

Settings are read once, from `meson.toml` at the project's root; where there is none, from the table `[tool.meson]` of
`pyproject.toml`. Variables of the environment win over both. A setting that does not exist, or has the wrong type, is
refused with its file and line.

```toml
cell = "laptop"
disabled_plugins = ["meson-spark"]

[schedulers.local]
cpus = 4
attributes = { zone = "a" }
```

"""


def _docs_of(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings below the fields of a model."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field_, doc in itertools.pairwise(definition.body):
        if isinstance(field_, ast.AnnAssign) and isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
            found[ast.unparse(field_.target)] = " ".join(str(doc.value.value).split())
    return found


if __name__ == "__main__":
    sys.stdout.write(reference())
