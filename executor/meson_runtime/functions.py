"""Owns finding the function of a step: by module, by file, or by source.

* `module`: imported from the project, or from the folder `path` of it, as any other import would.
* `file`: a script of the project, run once as a module. Its name is the one that an import of it would use where that is
  free, so that classes defined in it are the same for everyone.
* `source`: text, such as a notebook's cell; run once as a module of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import linecache
import os
import sys
from types import ModuleType
from typing import Any, Callable

#: Finds a step's function: anything that can be called.
Function = Callable[..., Any]


class FunctionMissingError(Exception):
    """There is no such function, for a reason that the author can mend."""


def find(work: dict[str, Any], project: str) -> Function:
    """The plain function that a python work names.

    Args:
        work: the protocol's `{"w": "python", ...}`.
        project: folder of the code bundle.

    Raises:
        FunctionMissingError: it is not there.
        Exception: whatever the author's module raises while it is imported.
    """
    if "module" in work:
        module, place = _from_module(work["module"], project, work.get("path")), "module {}".format(work["module"])
    elif "file" in work:
        module, place = _from_file(os.path.join(project, work["file"])), work["file"]
    else:
        module, place = _from_source(work["source"]), "its source"
    found: Any = module
    for part in work["function"].split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise FunctionMissingError("there is no function {!r} in {}".format(work["function"], place)) from None
    function = getattr(found, "fn", found)
    if not callable(function):
        raise FunctionMissingError("%r in %s is no function but %.80r" % (work["function"], place, found))
    return function  # type: ignore[no-any-return]


def _from_module(name: str, project: str, path: str | None) -> ModuleType:
    if path is None:
        return importlib.import_module(name)
    folder = os.path.join(project, path)
    if folder not in sys.path:
        sys.path.insert(1, folder)
    module = importlib.import_module(name)
    if (module.__file__ or folder).startswith(os.path.join(folder, "")):
        return module
    # This worker has served a workflow of another folder, with a module of the same name.
    return _from_file(os.path.join(folder, *name.split(".")) + ".py")


def _from_file(path: str) -> ModuleType:
    stem = os.path.splitext(os.path.basename(path))[0]
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == path:
            return module
    name = stem
    if not stem.isidentifier() or stem in sys.modules or _importable_elsewhere(stem, path):
        name = f"meson_file_{hashlib.sha256(path.encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.exists(path):
        raise FunctionMissingError(f"there is no Python file {path} in the code bundle")
    module = importlib.util.module_from_spec(spec)
    folder = os.path.dirname(path)
    if folder not in sys.path:
        # What a script imports from beside itself is found, as when it is run by hand.
        sys.path.insert(1, folder)
    return _run(module, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]


def _importable_elsewhere(stem: str, path: str) -> bool:
    try:
        spec = importlib.util.find_spec(stem)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin != path


def _from_source(source: str) -> ModuleType:
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    name = f"meson_source_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    filename = f"<step source {digest}>"
    # So that tracebacks show the lines.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = ModuleType(name)
    module.__file__ = filename
    code = compile(source, filename, "exec", dont_inherit=True)
    return _run(module, lambda: exec(code, module.__dict__))  # noqa: S102 - the user's own code, in a process for steps


def _run(module: ModuleType, body: Callable[[], None]) -> ModuleType:
    sys.modules[module.__name__] = module
    try:
        body()
    except BaseException:
        # The next attempt shall meet the same error, not half a module.
        del sys.modules[module.__name__]
        raise
    return module
