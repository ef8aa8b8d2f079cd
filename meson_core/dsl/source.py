"""Owns step functions as source text: a small module that holds the function and what it uses, and nothing else.

A function of a notebook cannot be imported where it runs. Its text can be sent, as it was written, if it is complete in
itself: modules that it uses become imports, classes and functions that can be imported become imports, others are sent
along. All else that it takes from its surroundings is data, which belongs into its arguments; a copy would silently be
that of the moment when the workflow was built.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import symtable
import sys
import textwrap
import types
from typing import TYPE_CHECKING, Any

from meson_core.dsl.names import shown
from meson_core.errors import SpecError, Where
from meson_runtime.declare import StepFunction, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FUTURE = "from __future__ import annotations"
_SESSION = "__main__"


def source_of(fn: Callable[..., Any], where: Where) -> str:
    """The text of a module with the function, without `@step`, and all that it uses.

    Args:
        fn: a plain function.
        where: of the function, for messages.

    Raises:
        SpecError: its text is not there, or it uses data of its surroundings.
    """
    collection = _Collection(fn.__name__, where)
    collection.define(fn, {})
    return "\n\n\n".join(("\n".join((_FUTURE, *collection.imports)), *collection.definitions)) + "\n"


class _Collection:
    """The pieces of the text, each once: imports, and definitions in an order in which they can be executed."""

    def __init__(self, name: str, where: Where) -> None:
        self.step = name
        self.where = where
        self.imports: dict[str, None] = {}
        self.definitions: list[str] = []
        self._known: set[int] = set()

    def define(self, thing: Any, around: dict[str, Any]) -> None:
        """Have a definition in the text.

        Args:
            thing: a function or class.
            around: the names that its user sees; a class does not know its own, and is of the same session.
        """
        if id(thing) in self._known:
            return
        self._known.add(id(thing))
        scope = around if isinstance(thing, type) else _surroundings(thing)
        text = self.text(thing, scope)
        for name in _free_names(text):
            if name in scope:
                self.need(name, scope)
            elif not hasattr(builtins, name) and not name.startswith("__"):
                msg = f"step {self.step!r} uses {name!r}, which is not defined"
                raise SpecError(msg, where=self.where, hint="define it before the workflow is built")
        self.definitions.append(text)

    def need(self, name: str, scope: dict[str, Any]) -> None:
        """Have a name in the text, as what it stands for in a scope."""
        value = scope[name]
        if id(value) in self._known or _is_builtin(name, value):
            return
        home = _home(name, value)
        if isinstance(value, types.ModuleType):
            plain = name in (value.__name__, value.__name__.partition(".")[0])
            self.imports[f"import {value.__name__}" + ("" if plain else f" as {name}")] = None
        elif home is not None:
            module, there = home
            self.imports[f"from {module} import {there}" + ("" if there == name else f" as {name}")] = None
        elif isinstance(value, StepFunction):
            if id(value.fn) not in self._known:
                self.define(value.fn, scope)
                self.imports["from meson_runtime import step"] = None
                self.definitions.append(f"{name} = step({value.fn.__name__})")
        elif isinstance(value, types.FunctionType | type):
            self.define(value, scope)
            if value.__name__ != name:
                self.definitions.append(f"{name} = {value.__name__}")
        else:
            msg = f"step {self.step!r} uses {name!r}, which is data around it: {shown(value)}"
            hint = f"make it an argument, bound like {self.step}({name}={name}); or move the function into a module"
            raise SpecError(msg, where=self.where, hint=hint)

    def text(self, thing: Any, scope: dict[str, Any]) -> str:
        """A definition as it was written, from its first column, without `@step`."""
        found = _text_of(thing)
        lines = textwrap.dedent(found).splitlines() if found else []
        try:
            tree = ast.parse("\n".join(lines)).body[0] if lines else None
        except SyntaxError:
            tree = None
        if not isinstance(tree, ast.FunctionDef | ast.ClassDef) or tree.name != thing.__name__:
            msg = f"step {self.step!r}: the source text of {thing.__name__!r} is not there"
            raise SpecError(msg, where=self.where, hint="write it into a module, and import it")
        kept = [mark for mark in tree.decorator_list if not _is_step(mark, scope)]
        marks = [f"@{ast.unparse(mark)}" for mark in kept]
        return "\n".join((*marks, *lines[tree.lineno - 1 : tree.end_lineno]))


def _is_step(mark: ast.expr, scope: dict[str, Any]) -> bool:
    """Whether a decorator is `step`, by whatever name, with or without options."""
    called = mark.func if isinstance(mark, ast.Call) else mark
    if isinstance(called, ast.Name):
        return scope.get(called.id) is step
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return getattr(scope.get(called.value.id), called.attr, None) is step
    return False


def _free_names(text: str) -> Iterator[str]:
    """The names that a text takes from outside; annotations are texts at run time, and take nothing."""
    tables = [symtable.symtable(f"{_FUTURE}\n{text}", "<step>", "exec")]
    seen: set[str] = set()
    for table in tables:  # grows while it is walked
        tables += table.get_children()
        for symbol in table.get_symbols():
            outside = symbol.is_global() if table.get_type() != "module" else not symbol.is_assigned()
            imported = symbol.is_imported() or symbol.get_name() in seen
            if outside and symbol.is_referenced() and not imported:
                seen.add(symbol.get_name())
                yield symbol.get_name()


def _surroundings(fn: Any) -> dict[str, Any]:
    """The names that a function sees: of its module, and of the functions around it."""
    function = inspect.unwrap(fn)
    scope = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            scope[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return scope


def _is_builtin(name: str, value: Any) -> bool:
    """Whether it is what Python itself has under this name, bare or in a wrapper: IPython puts one around `open`."""
    own = getattr(builtins, name, None)
    return own is not None and (value is own or getattr(value, "__wrapped__", None) is own)


def _home(name: str, value: Any) -> tuple[str, str] | None:
    """The module from which something can be imported where the step runs, and its name there."""
    there = getattr(value, "__name__", name)
    for owner in (value, type(value)):
        module = sys.modules.get(getattr(owner, "__module__", None) or "")
        if module is None or module.__name__ == _SESSION:
            continue
        if not getattr(module, "__file__", None) and module.__name__ not in sys.builtin_module_names:
            continue
        for known in (there, name):
            if vars(module).get(known) is value:
                return module.__name__, known
    return None


def _text_of(thing: Any) -> str | None:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        pass
    # A class of a notebook knows no file. Cells are in the line cache, the newest last.
    for entry in reversed(list(linecache.cache.values())):
        if len(entry) < 3:
            continue
        text = "".join(entry[2])
        if isinstance(thing, type) and f"class {thing.__name__}" in text:
            found = _class_in(text, thing.__name__)
            if found is not None:
                return found
    return None


def _class_in(text: str, name: str) -> str | None:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    lines = text.splitlines()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = min((mark.lineno for mark in node.decorator_list), default=node.lineno)
            return "\n".join(lines[first - 1 : node.end_lineno])
    return None
