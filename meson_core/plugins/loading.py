"""Owns the way of each plugin into this process: found, imported, registered, asked what it declares.

Every plugin has a pluggy manager of its own, so that what one of them does wrong cannot be seen by another: hooks are
only called to be answered once, and nobody needs the answers of all plugins in one call.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import time
import traceback
from collections import defaultdict
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pluggy

from meson_core import hookspecs
from meson_core.errors import nearest
from meson_core.plugins.conformance import CAPABILITIES, DOCTOR, ConformanceError, checked_answer, checked_findings
from meson_core.plugins.discovery import Found, find, load, same_distribution
from meson_core.plugins.record import PluginInfo, PluginState, origins_of
from meson_core.plugins.registry import Plugins
from meson_core.ports import DoctorCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

T = TypeVar("T")
#: Modules on the way from us to a plugin.
_LEADING = re.compile(r"(meson_core\.plugins|importlib|pluggy|stevedore)\b")


_HOOKS = (*CAPABILITIES, DOCTOR)


class _BrokenError(Exception):
    """A plugin that cannot be used; the message is a sentence for its author."""


class _Outcome(NamedTuple):
    """What became of one plugin.

    Args:
        info: for lists.
        answers: hook → definitions.
        doctor: examines what the plugin needs around it, if it can.
    """

    info: PluginInfo
    answers: dict[str, Sequence[Any]]
    doctor: Callable[[], Sequence[DoctorCheck]] | None = None


def load_plugins(
    *,
    disabled: Collection[str] = (),
    only: Collection[str] | None = None,
    distribution: str | None = None,
    trace: Callable[[str], object] | None = None,
    found: Iterable[Found] | None = None,
    quiet: bool = True,
) -> Plugins:
    """Import the installed plugins and ask each what it declares.

    A plugin that fails is listed as broken; nothing of it is used, and the others are as they would be without it.

    Args:
        disabled: names of plugins or of distributions that are not wanted.
        only: names of the plugins that are needed; None: all of them. The others are listed as idle.
        distribution: only the plugins of this distribution are needed.
        trace: gets a line for each call of a hook.
        found: the installed plugins, when they need not be looked for.
        quiet: keep what they print from this process's output; it is all of the process's output, from any thread.
    """
    candidates = list(find() if found is None else found)
    namesakes: dict[str, list[PluginInfo]] = defaultdict(list)
    wanted = [not _is_disabled(plugin, disabled) for plugin in candidates]
    for plugin, is_wanted in zip(candidates, wanted, strict=True):
        if is_wanted:
            namesakes[plugin.name].append(_info(plugin, PluginState.idle))

    outcomes: list[_Outcome] = []
    for plugin, is_wanted in zip(candidates, wanted, strict=True):
        if not is_wanted:
            outcome = _Outcome(_info(plugin, PluginState.disabled), {})
        elif len(namesakes[plugin.name]) > 1:
            rivals = namesakes[plugin.name]
            error = f"two plugins of one name: {origins_of(rivals)}"
            outcome = _Outcome(_info(plugin, PluginState.conflict, error), {})
        elif (only is None or plugin.name in only) and (
            distribution is None or same_distribution(plugin.distribution, distribution)
        ):
            outcome = _load(plugin, trace, quiet=quiet)
        else:
            outcome = _Outcome(_info(plugin, PluginState.idle), {})
        outcomes.append(outcome)
    return _gather(outcomes)


def _is_disabled(plugin: Found, disabled: Collection[str]) -> bool:
    return plugin.name in disabled or any(same_distribution(plugin.distribution, name) for name in disabled)


def _info(plugin: Found, state: PluginState, error: str | None = None) -> PluginInfo:
    return PluginInfo(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        target=plugin.entry_point.value,
        state=state,
        error=error,
        requires=plugin.requires,
    )


def _gather(outcomes: list[_Outcome]) -> Plugins:
    """Put together what all have declared; what two declare, nobody gets."""
    listing = [outcome.info for outcome in outcomes]
    answers = [outcome.answers for outcome in outcomes]
    owners: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, answer in enumerate(answers):
        for hook, items in answer.items():
            for item in items:
                owners[CAPABILITIES[hook].what, item.name].append(index)
    for (what, name), indexes in owners.items():
        if len(indexes) > 1:
            error = f"{what} {name!r} is declared by {origins_of([listing[index] for index in indexes])}"
            for index in indexes:
                known = listing[index].error
                told = error if known is None else f"{known}; {error}"
                listing[index] = replace(listing[index], state=PluginState.conflict, error=told)
    declared: dict[str, dict[str, Any]] = {capability.what: {} for capability in CAPABILITIES.values()}
    for answer in answers:
        for hook, items in answer.items():
            what = CAPABILITIES[hook].what
            declared[what].update({item.name: item for item in items if len(owners[what, item.name]) == 1})
    return Plugins(
        listing=tuple(listing),
        declared=declared,
        owners={key: tuple(listing[index] for index in indexes) for key, indexes in owners.items()},
        doctors={outcome.info.name: outcome.doctor for outcome in outcomes if outcome.doctor is not None},
    )


# --- one plugin ---------------------------------------------------------------------------------------------------


def _load(plugin: Found, trace: Callable[[str], object] | None, *, quiet: bool) -> _Outcome:
    """Import a plugin and ask it, come what may."""
    state, error, details, doctor = PluginState.loaded, None, None, None
    hooks: list[str] = []
    answers: dict[str, Sequence[Any]] = {}
    # A plugin that prints would spoil what the terminal shows, or the lines of `--json`.
    output = io.StringIO()
    began = time.perf_counter()
    try:
        with contextlib.ExitStack() as stack:
            if quiet:
                stack.enter_context(contextlib.redirect_stdout(output))
                stack.enter_context(contextlib.redirect_stderr(output))
            manager = pluggy.PluginManager(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            hooks.extend(_guarded(f"importing {plugin.entry_point.value}", lambda: _register(manager, plugin)))
            if trace is not None:
                _trace_calls(manager, plugin, trace)
            for hook in hooks:
                if hook == DOCTOR:
                    doctor = _doctor(manager)
                    continue
                answers[hook] = _guarded(f"calling {hook}", lambda: _ask(manager, hook))  # noqa: B023 (called here)
    except _BrokenError as broken:
        state, error, details = PluginState.broken, str(broken), _frames(broken.__cause__)
        answers, doctor = {}, None
    took = time.perf_counter() - began
    provides = [f"{CAPABILITIES[hook].what} {item.name}" for hook, items in answers.items() for item in items]
    info = replace(
        _info(plugin, state, error),
        details=details,
        load_s=took,
        printed=output.getvalue(),
        hooks=tuple(hooks),
        provides=tuple(provides),
    )
    return _Outcome(info, answers, doctor)


def _register(manager: pluggy.PluginManager, plugin: Found) -> list[str]:
    """Import a plugin and register it; the answer is the hooks that it implements."""
    target = load(plugin)
    if isinstance(target, type):
        raise _BrokenError(f"{plugin.entry_point.value} is a class, expected a module or an object")
    hooks: list[str] = []
    try:
        manager.register(target, plugin.name)
        hooks = [caller.name for caller in manager.get_hookcallers(target) or ()]
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = sorted(set(hooks) - set(_HOOKS))
        said = f"there is no hook {unknown[0]!r}{_meant(unknown[0])}" if unknown else _arguments(target, error)
        raise _BrokenError(said) from None
    for hook in _HOOKS:
        if hook not in hooks and callable(getattr(target, hook, None)):
            raise _BrokenError(f"{hook} has no @hookimpl above it")
    if not hooks:
        alike = next((name for name in dir(target) if name.startswith("meson_") and _meant(name)), None)
        told = "" if alike is None else f"; it has {alike!r}{_meant(alike)}"
        raise _BrokenError(f"it implements no hook{told}")
    return sorted(hooks)


def _ask(manager: pluggy.PluginManager, hook: str) -> Sequence[Any]:
    """What the plugin of this manager declares with a hook."""
    try:
        return [item for answer in getattr(manager.hook, hook)() for item in checked_answer(hook, answer)]
    except ConformanceError as error:
        raise _BrokenError(str(error)) from None


def _doctor(manager: pluggy.PluginManager) -> Callable[[], Sequence[DoctorCheck]]:
    """What a plugin finds around it, whenever it is asked; its own failure is a finding as well."""

    def examine() -> Sequence[DoctorCheck]:
        (ask,) = [implementation.function for implementation in getattr(manager.hook, DOCTOR).get_hookimpls()]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                return checked_findings(_guarded(f"calling {DOCTOR}", ask))
        except (_BrokenError, ConformanceError) as error:
            return [DoctorCheck("doctor", ok=False, text=str(error))]

    return examine


def _arguments(target: object, error: pluggy.PluginValidationError) -> str:
    """What is wrong with the arguments of a hook; pluggy says it in terms of its own."""
    for hook in _HOOKS:
        implementation = getattr(target, hook, None)
        if callable(implementation):
            given, known = (
                set(inspect.signature(function).parameters) for function in (implementation, getattr(hookspecs, hook))
            )
            if given - known:
                takes = ", ".join(sorted(known)) or "none"
                return f"{hook} has no argument {min(given - known)!r}; its arguments are: {takes}"
    return " ".join(str(error).split())


def _meant(name: str) -> str:
    close = nearest(name, _HOOKS)
    return f"; did you mean {close!r}?" if close else ""


def _guarded(doing: str, action: Callable[[], T]) -> T:
    """Do something with a plugin's code, which may raise anything at all.

    Raises:
        _BrokenError: it did, with what it raised as the cause.
    """
    try:
        return action()
    except (KeyboardInterrupt, _BrokenError):  # the former is of the person at the terminal
        raise
    except SystemExit as error:
        raise _BrokenError(f"{doing} ended with sys.exit({error.code!r})") from error
    except BaseException as error:
        said = " ".join(str(error).split()) or "without a message"
        raise _BrokenError(f"{doing} failed: {type(error).__name__}: {said}{_place(error)}") from error


def _place(error: BaseException) -> str:
    stack = _own_stack(error)
    return f" ({PurePath(stack[-1].filename).name}:{stack[-1].lineno})" if stack else ""


def _frames(error: BaseException | None) -> str | None:
    """The plugin's own part of a traceback."""
    if error is None:
        return None
    return "".join([*_own_stack(error).format(), *traceback.format_exception_only(error)]).rstrip()


def _own_stack(error: BaseException) -> traceback.StackSummary:
    """The stack without our frames and those of the import system."""
    frames = traceback.walk_tb(error.__traceback__)
    own = [frame for frame in frames if not _LEADING.match(frame[0].f_globals.get("__name__", ""))]
    return traceback.StackSummary.extract(iter(own))


def _trace_calls(manager: pluggy.PluginManager, plugin: Found, trace: Callable[[str], object]) -> None:
    began = [0.0]

    def before(_hook: str, _impls: object, _kwargs: object) -> None:
        began[0] = time.perf_counter()

    def after(outcome: pluggy.Result[Any], hook: str, _impls: object, _kwargs: object) -> None:
        took_ms = (time.perf_counter() - began[0]) * 1000
        error = outcome.exception
        answered = f"raised {type(error).__name__}" if error else f"answered {outcome.get_result()!r}"
        trace(f"hook {hook} of {plugin.name} ({plugin.origin}) {answered} in {took_ms:.2f} ms")

    manager.add_hookcall_monitoring(before, after)
