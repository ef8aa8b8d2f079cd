"""Owns how a step function is found again on another machine: as a module, as a file, or as its own source text.

- A function of a module that is imported by its dotted name: `{"module": "pipelines.train"}`.
- A function of a script in the project: `{"file": "flows/recommend.py"}`, relative to the project's root.
- Anything else (a notebook, standard input, a function inside a function): `{"source": "def train(...): ..."}`, with
  the imports, functions and classes that it uses. What else it uses of its surroundings is data, which belongs into its
  arguments: a mistake that is reported with the name.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
import types
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from meson_core.dsl.names import shown
from meson_core.errors import SpecError, Where
from meson_runtime.declare import StepFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAIN = "__main__"


def locate(function: StepFunction[Any], root: str | None) -> dict[str, str]:
    """Options of kind "python" for a step function.

    Args:
        function: the step function.
        root: absolute folder of the project; None when there is no project, as in a notebook.

    Raises:
        SpecError: it cannot be found again, with the reason.
    """
    fn = function.fn
    where = Where(function.file, function.line)
    if fn.__name__ == "<lambda>":
        msg = "a lambda cannot be a step: it has no name"
        raise SpecError(msg, where=where, hint="write a def with @step above it")
    if "<locals>" in fn.__qualname__ or not _of_a_file(fn):
        return {"function": fn.__name__, "source": source_of(fn, where)}
    file = inspect.getfile(fn) if PurePath(function.file).is_absolute() else fn.__globals__["__file__"]
    path = _inside(file, root)
    module = fn.__module__
    if module != _MAIN and (path is None or _ends_with(path, module)):
        return {"function": fn.__qualname__, "module": module}
    if path is None and root is not None:
        msg = f"step function {fn.__name__!r} is in {file}, outside of the project at {root}"
        raise SpecError(msg, where=where, hint="move the file into the project, or into an installed package")
    return {"function": fn.__qualname__, "file": path.as_posix() if path else PurePath(file).name}


def _of_a_file(fn: Callable[..., Any]) -> bool:
    """Whether the function was read from the file of its module (and not typed into a notebook or a terminal)."""
    file = fn.__globals__.get("__file__")
    if not isinstance(file, str):
        return False
    ours = PurePath(inspect.unwrap(fn).__code__.co_filename)
    return ours == PurePath(file) or (not ours.is_absolute() and ours.name == PurePath(file).name)


def _inside(file: str, root: str | None) -> PurePath | None:
    if root is None:
        return None
    try:
        return PurePath(file).relative_to(root)
    except ValueError:
        return None


def _ends_with(path: PurePath, module: str) -> bool:
    """Whether a path in the project is where a module of that name is (src layouts have folders before it)."""
    parts = path.with_suffix("").parts
    names = parts[:-1] if parts[-1] == "__init__" else parts
    dotted = tuple(module.split("."))
    return names[-len(dotted) :] == dotted


# --- functions as source text ---------------------------------------------------------------------------------------


def source_of(fn: Callable[..., Any], where: Where) -> str:
    """The text of a module that holds the function, without its decorators, and all that it uses.

    Raises:
        SpecError: its text is not there, or it uses data of its surroundings.
    """
    parts = _Parts(fn.__name__, where)
    parts.add(fn)
    text = "\n\n\n".join(("\n".join(("from __future__ import annotations", *parts.imports)), *parts.definitions))
    return text + "\n"


class _Parts:
    """The pieces of a source text, each once: imports, then definitions in an order in which they can be run."""

    def __init__(self, step: str, where: Where) -> None:
        self.step = step
        self.where = where
        self.imports: dict[str, None] = {}
        self.definitions: dict[str, None] = {}
        self._under_way: set[int] = set()

    def add(self, thing: Any) -> None:
        if id(thing) in self._under_way:
            return
        self._under_way.add(id(thing))
        tree = self._definition(thing)
        for name, value in _used(thing, tree):
            self._need(name, value)
        self.definitions[ast.unparse(tree)] = None

    def _need(self, name: str, value: Any) -> None:
        if isinstance(value, StepFunction):
            self.add(value.fn)
        elif isinstance(value, types.ModuleType):
            imported = value.__name__
            top = imported.partition(".")[0]
            self.imports[f"import {imported}" if name in (imported, top) else f"import {imported} as {name}"] = None
        elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            if _importable(value):
                alias = "" if value.__name__ == name else f" as {name}"
                self.imports[f"from {value.__module__} import {value.__name__}{alias}"] = None
            elif value.__name__ != name:
                msg = f"step {self.step!r} uses {name!r}, another name of {value.__name__!r}"
                raise SpecError(msg, where=self.where, hint=f"use {value.__name__!r} in the function")
            else:
                self.add(value)
        elif getattr(value, "__module__", None) == "typing" or value is Any:
            self.imports[f"from typing import {name}"] = None
        else:
            msg = f"step {self.step!r} uses {name!r}, which is data around it: {shown(value)}"
            raise SpecError(
                msg,
                where=self.where,
                hint=f"make it an argument, and bind it: {self.step}({name}={name}); "
                "or move the function into a module, which is imported as a whole",
            )

    def _definition(self, thing: Any) -> ast.FunctionDef | ast.ClassDef:
        text = _text_of(thing)
        try:
            tree = ast.parse(textwrap.dedent(text)).body[0] if text else None
        except SyntaxError:
            tree = None
        if not isinstance(tree, ast.FunctionDef | ast.ClassDef):
            msg = f"step {self.step!r}: the source text of {thing.__name__!r} is not there"
            raise SpecError(msg, where=self.where, hint="write it into a module, and import it")
        if isinstance(tree, ast.FunctionDef):
            tree.decorator_list = []
        return tree


def _text_of(thing: Any) -> str | None:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        pass
    # Classes of a notebook know no file. Its cells are in the line cache, the newest last.
    for file, entry in reversed(list(linecache.cache.items())):
        if not file.endswith(".py") or "ipython" in file.lower() or "ipykernel" in file:
            text = "".join(entry[2]) if len(entry) > 2 else ""
            if f"class {thing.__name__}" in text:
                found = _class_in(text, thing.__name__)
                if found is not None:
                    return found
    return None


def _class_in(text: str, name: str) -> str | None:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return ast.unparse(node)
    return None


def _importable(value: Any) -> bool:
    """Whether a class or function can be imported by name from a module that is not the author's session."""
    module = getattr(value, "__module__", None)
    if not module or module == _MAIN or "<locals>" in getattr(value, "__qualname__", "<locals>"):
        return False
    scope = getattr(value, "__globals__", None)
    return scope is None or bool(scope.get("__file__")) or isinstance(value, types.BuiltinFunctionType)


def _used(thing: Any, tree: ast.AST) -> Iterator[tuple[str, Any]]:
    """The names that a definition takes from its surroundings, with what they are now."""
    names = dict.fromkeys(
        node.id
        for node in ast.walk(_without_annotations(tree))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )
    scope = _surroundings(thing)
    own = _assigned(tree)
    for name in names:
        if name in scope and name not in own and name != getattr(thing, "__name__", None):
            yield name, scope[name]


def _surroundings(thing: Any) -> dict[str, Any]:
    if not isinstance(thing, type):
        scope = dict(getattr(thing, "__globals__", {}))
        cells = getattr(thing, "__closure__", None) or ()
        for name, cell in zip(thing.__code__.co_freevars, cells, strict=True):
            try:
                scope[name] = cell.cell_contents
            except ValueError:  # assigned further down: a function that is recursive, or not there yet
                continue
        return scope
    scope = {}
    for part in vars(thing).values():
        scope.update(getattr(part, "__globals__", {}))
    return scope


def _assigned(tree: ast.AST) -> set[str]:
    """Names that a definition binds itself (arguments, variables, its own imports)."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:  # noqa: SIM114 - two sorts of node
            found.add(node.name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and node is not tree:
            found.add(node.name)
    return found


class _NoAnnotations(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        return node


def _without_annotations(tree: ast.AST) -> ast.AST:
    """A copy whose functions have no annotations: they are texts at run time, and need nothing."""
    return _NoAnnotations().visit(ast.parse(ast.unparse(tree)))  # type: ignore[no-any-return]
