"""Owns the small checks of what plugins declare: each refusal is one sentence for the plugin's author."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from meson_core.plugins.record import KIND, MATCHER, SCHEDULER, STORE, TYPE, VISUALIZER
from meson_core.ports import (
    ArtifactStoreDefinition,
    DoctorCheck,
    SchedulerCapabilities,
    SchedulerDefinition,
    StepCapabilities,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Capability(NamedTuple):
    """What one hook declares.

    Args:
        what: as people call one of them.
        check: raises `ConformanceError` for what is not one.
    """

    what: str
    check: Callable[[str, Any], None]


class ConformanceError(Exception):
    """Something that a plugin declares is not what its hook promises."""


def checked_answer(hook: str, answer: object) -> Sequence[Any]:
    """The definitions that a hook answered with.

    Raises:
        ConformanceError: it is no list, or one of them is not what the hook declares, or two have one name.
    """
    what, check = CAPABILITIES[hook]
    if not isinstance(answer, list | tuple):
        raise ConformanceError(f"{hook} returned {_a(answer)}, expected a list of {what}s")
    names: set[str] = set()
    for number, item in enumerate(answer, start=1):
        if isinstance(item, type):
            raise ConformanceError(f"{hook}: item {number} is the class {item.__name__}, expected a {what}")
        name = getattr(item, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            shown = f"the name {name!r}" if hasattr(item, "name") else "no name"
            hint = "a name has letters, digits, '.', '_' and '-'"
            raise ConformanceError(f"{hook}: item {number}, {_a(item)}, has {shown}; {hint}")
        if name in names:
            raise ConformanceError(f"{hook} declares the {what} {name!r} twice")
        names.add(name)
        check(f"{what} {name!r}", item)
    return answer


def checked_findings(answer: object) -> Sequence[DoctorCheck]:
    """What the hook `meson_doctor` answered with.

    Raises:
        ConformanceError: it is no list of checks.
    """
    if not isinstance(answer, list | tuple):
        raise ConformanceError(f"{DOCTOR} returned {_a(answer)}, expected a list of DoctorChecks")
    for number, item in enumerate(answer, start=1):
        if not isinstance(item, DoctorCheck):
            raise ConformanceError(f"{DOCTOR}: item {number} is {_a(item)}, expected a DoctorCheck")
    return answer


def _check_step_kind(label: str, kind: Any) -> None:
    _check_options(label, kind)
    _check_capabilities(label, kind, StepCapabilities)
    work, run = getattr(kind, "work", None), getattr(kind, "run", None)
    if (work is None) == (run is None):
        has = "neither" if work is None else "both"
        raise ConformanceError(f"{label} has {has} of work(options) and async run(options, ctx), expected one of them")
    if work is not None:
        _check_callable(f"{label}: work", work, ("options",))
        if inspect.iscoroutinefunction(work):
            raise ConformanceError(f"{label}: work is async; it only describes the work, so it is a plain function")
    else:
        _check_callable(f"{label}: run", run, ("options", "ctx"))
        if not inspect.iscoroutinefunction(run):
            raise ConformanceError(f"{label}: run is a plain function, expected `async def run(self, options, ctx)`")


def _check_scheduler(label: str, definition: Any) -> None:
    _check_class(label, definition, SchedulerDefinition)
    _check_options(label, definition)
    _check_capabilities(label, definition, SchedulerCapabilities)
    _check_callable(f"{label}: open", definition.open, ("options", "setting"))


def _check_matcher(label: str, matcher: Any) -> None:
    _check_callable(f"{label}: compile", getattr(matcher, "compile", None), ("request",))


def _check_artifact_store(label: str, definition: Any) -> None:
    _check_class(label, definition, ArtifactStoreDefinition)
    _check_options(label, definition)
    _check_callable(f"{label}: open", definition.open, ("options", "directory"))


def _check_artifact_type(label: str, artifact_type: Any) -> None:
    _check_names(f"{label}: media", getattr(artifact_type, "media", None))
    _check_names(f"{label}: suffixes", getattr(artifact_type, "suffixes", None))
    for method, arguments in (
        ("fingerprint", ("file",)),
        ("preview", ("version",)),
        ("diff", ("old", "new")),
        ("over_time", ("versions",)),
    ):
        _check_callable(f"{label}: {method}", getattr(artifact_type, method, None), arguments)


def _check_visualizer(label: str, visualizer: Any) -> None:
    _check_options(label, visualizer)
    _check_names(f"{label}: types", getattr(visualizer, "types", None))
    _check_callable(f"{label}: draw", getattr(visualizer, "draw", None), ("versions", "options"))


#: The hook that is called when somebody asks, and declares nothing.
DOCTOR = "meson_doctor"
#: Hook → what it declares. A hook that is missing here cannot be called, which a test finds.
CAPABILITIES: dict[str, Capability] = {
    "meson_step_kinds": Capability(KIND, _check_step_kind),
    "meson_resource_schedulers": Capability(SCHEDULER, _check_scheduler),
    "meson_resource_matchers": Capability(MATCHER, _check_matcher),
    "meson_artifact_stores": Capability(STORE, _check_artifact_store),
    "meson_artifact_types": Capability(TYPE, _check_artifact_type),
    "meson_visualizers": Capability(VISUALIZER, _check_visualizer),
}


def _check_class(label: str, item: object, expected: type) -> None:
    if not isinstance(item, expected):
        raise ConformanceError(f"{label} is {_a(item)}, expected a {expected.__name__}")


def _check_names(label: str, names: object) -> None:
    # A text is a sequence of texts as well, and the usual slip.
    if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
        raise ConformanceError(f"{label} is {_shown(names)}, expected a tuple of texts")


def _check_options(label: str, item: object) -> None:
    options = getattr(item, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        raise ConformanceError(f"{label}: Options is {_shown(options)}, expected a pydantic model, a class")


def _check_capabilities(label: str, item: object, expected: type) -> None:
    capabilities = getattr(item, "capabilities", None)
    if not isinstance(capabilities, expected):
        raise ConformanceError(f"{label}: capabilities is {_shown(capabilities)}, expected {expected.__name__}(…)")


def _check_callable(label: str, function: Any, arguments: tuple[str, ...]) -> None:
    if not callable(function):
        raise ConformanceError(f"{label} is {_shown(function)}, expected a function of ({', '.join(arguments)})")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in C, and not telling
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        raise ConformanceError(f"{label} takes {signature}, expected ({', '.join(arguments)})") from None


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return f"the class {value.__name__}" if isinstance(value, type) else _a(value)
