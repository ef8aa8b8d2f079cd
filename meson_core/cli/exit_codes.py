"""Owns the exit codes of `mesonctl`: documented, stable, one meaning each."""

from __future__ import annotations

from enum import IntEnum

from meson_core import errors


class ExitCode(IntEnum):
    """What a command says to the shell."""

    ok = 0
    run_failed = 1
    usage = 2
    invalid = 3
    not_found = 4
    conflict = 5
    store = 6
    plugin = 7
    run_cancelled = 8
    bug = 70
    left_running = 75
    interrupted = 130


MEANING: dict[ExitCode, str] = {
    ExitCode.ok: "done; a run that was waited for has succeeded",
    ExitCode.run_failed: "the run that was waited for has failed",
    ExitCode.usage: "the command line is wrong",
    ExitCode.invalid: "a workflow, an expression, a parameter or a setting is invalid; nothing was run",
    ExitCode.not_found: "no such run, step, workflow or file",
    ExitCode.conflict: "the present state does not allow it, or another process holds the store",
    ExitCode.store: "the store, an artifact or an outside service did not do its part",
    ExitCode.plugin: "a plugin is missing, broken or in conflict",
    ExitCode.run_cancelled: "the run that was waited for was cancelled",
    ExitCode.bug: "a bug in Meson",
    ExitCode.left_running: "drained: what ran has finished, the run goes on when it is resumed",
    ExitCode.interrupted: "interrupted before anything was started",
}

#: The most specific class first.
_BY_ERROR: tuple[tuple[type[errors.MesonError], ExitCode], ...] = (
    (errors.EngineError, ExitCode.bug),
    # By itself it is about what was typed: a step or workflow that is not there. Those of a definition come together.
    (errors.UnknownNameError, ExitCode.not_found),
    (errors.AuthoringError, ExitCode.invalid),
    (errors.EvaluationError, ExitCode.invalid),
    (errors.SettingsError, ExitCode.invalid),
    (errors.NotFoundError, ExitCode.not_found),
    (errors.ConflictError, ExitCode.conflict),
    (errors.StoreLockedError, ExitCode.conflict),
    (errors.PluginError, ExitCode.plugin),
    (errors.MesonError, ExitCode.store),
)


def exit_code(error: errors.MesonError) -> ExitCode:
    """The code for an error of ours."""
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))
