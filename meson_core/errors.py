"""Owns every error that Meson raises on purpose: one tree, each class with a stable code.

    MesonError                      meson-error
    ├── AuthoringError              authoring-error        what an author wrote; carries file and line
    │   ├── SpecError               spec-invalid
    │   │   ├── UnknownNameError    unknown-name
    │   │   ├── DuplicateNameError  duplicate-name
    │   │   ├── OutOfScopeError     out-of-scope
    │   │   ├── CycleError          cycle
    │   │   └── WrongTypeError      wrong-type
    │   ├── ExpressionError         expression-invalid
    │   ├── ParameterError          parameter-invalid
    │   └── InvalidWorkflowError    workflow-invalid       several of the above (and missing plugins) at once
    ├── EvaluationError             evaluation-failed      a sound expression met values that it cannot work on
    ├── SettingsError               settings-invalid
    ├── NotFoundError               not-found              a run, step or file that is not there
    ├── ConflictError               conflict               a wish that the present state does not allow
    ├── PluginError                 plugin-error           names the plugin and its distribution
    │   ├── PluginMissingError      plugin-missing
    │   ├── PluginBrokenError       plugin-broken
    │   └── PluginConflictError     plugin-conflict
    ├── BackendError                backend-error          an outside service; says whether a retry helps
    ├── ProtocolError               protocol-error         a peer that does not speak the executor protocol
    ├── ArtifactError               artifact-error
    ├── StoreError                  store-error
    │   ├── SequenceConflictError   sequence-conflict
    │   ├── StoreLockedError        store-locked
    │   ├── StoreVersionError       store-version
    │   └── StoreCorruptError       store-corrupt
    └── EngineError                 engine-error           always a bug in Meson
        └── InvalidTransitionError  invalid-transition     carries the story of the instance

A message says what was asked and what the value was; `where` says in which file and line; `hint` says what to do next.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Where:
    """A place in an author's file.

    Args:
        file: the path as the author would write it.
        line: 1-based; None when only the file is known.
    """

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a reader most likely meant by `name`, or None when nothing comes close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


class MesonError(Exception):
    """Root of the tree.

    Args:
        message: what was asked, and the value that was met.
        where: the place in the author's file, when there is one.
        hint: what to do next.
    """

    code: ClassVar[str] = "meson-error"

    def __init__(self, message: str, *, where: Where | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = self.message if self.where is None else f"{self.where}: {self.message}"
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"

    def _render_traceback_(self) -> list[str]:
        """What notebooks show below a cell: what is wrong, and nothing of where in Meson that was noticed."""
        return [f"error[{self.code}]: {self}"]


class AuthoringError(MesonError):
    """Something in a workflow, its parameters or its expressions is not right; nothing has been run."""

    code = "authoring-error"


class SpecError(AuthoringError):
    """A definition that does not hold together."""

    code = "spec-invalid"


class UnknownNameError(SpecError):
    """A name that nothing in sight has; the hint gives the nearest one that exists."""

    code = "unknown-name"

    def __init__(self, message: str, *, name: str, known: Iterable[str], where: Where | None = None) -> None:
        names = sorted(set(known))
        close = nearest(name, names)
        if close is not None:
            hint = f"did you mean {close!r}?"
        elif names:
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            hint = f"there are: {shown}"
        else:
            hint = "there are none here"
        super().__init__(message, where=where, hint=hint)
        self.name = name
        self.known = tuple(names)


class DuplicateNameError(SpecError):
    """Two things of one name in one namespace."""

    code = "duplicate-name"


class OutOfScopeError(SpecError):
    """A reference to something that exists but can never be seen from there."""

    code = "out-of-scope"


class CycleError(SpecError):
    """Nodes that wait for each other."""

    code = "cycle"


class WrongTypeError(SpecError):
    """A value or reference of another type than is asked for."""

    code = "wrong-type"


class ExpressionError(AuthoringError):
    """An expression that does not parse, or uses what the expression language does not have.

    Args:
        text: the expression.
        column: 1-based, when known.
    """

    code = "expression-invalid"

    def __init__(
        self, message: str, *, text: str, column: int | None = None, where: Where | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.text = text
        self.column = column


class ParameterError(AuthoringError):
    """A parameter value that its declaration refuses."""

    code = "parameter-invalid"


class InvalidWorkflowError(AuthoringError):
    """All problems that were found in one workflow, together."""

    code = "workflow-invalid"

    def __init__(self, name: str, problems: Sequence[MesonError]) -> None:
        count = len(problems)
        lines = "\n".join(str(problem) for problem in problems)
        super().__init__(f"workflow {name!r} has {count} problem{'s' if count != 1 else ''}:\n{lines}")
        self.problems = tuple(problems)


class EvaluationError(MesonError):
    """A sound expression that met values it cannot work on (a division by zero, an index out of range)."""

    code = "evaluation-failed"


class SettingsError(MesonError):
    """A setting that is unknown, of the wrong type, or points nowhere."""

    code = "settings-invalid"


class NotFoundError(MesonError):
    """Something asked for by name or id is not there."""

    code = "not-found"


class ConflictError(MesonError):
    """A wish that the present state of the run does not allow; nothing was changed."""

    code = "conflict"


class PluginError(MesonError):
    """A plugin stands in the way.

    Args:
        plugin: the entry-point name.
        distribution: name and version of what it was installed from, when known.
    """

    code = "plugin-error"

    def __init__(
        self,
        message: str,
        *,
        plugin: str,
        distribution: str | None = None,
        where: Where | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.plugin = plugin
        self.distribution = distribution


class PluginMissingError(PluginError):
    """A workflow or a setting needs a plugin that is not installed, or is disabled."""

    code = "plugin-missing"


class PluginBrokenError(PluginError):
    """A plugin that is installed but does not load or does not keep the contract."""

    code = "plugin-broken"


class PluginConflictError(PluginError):
    """Two plugins of one name, or two that declare the same thing."""

    code = "plugin-conflict"


class BackendError(MesonError):
    """An outside service said no or said nothing. The engine decides on retries; this only classifies.

    Args:
        retryable: whether the same call may go through later.
        after_s: seconds that the service asked to wait.
    """

    code = "backend-error"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        after_s: float | None = None,
        where: Where | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retryable = retryable
        self.after_s = after_s


class ProtocolError(MesonError):
    """A peer sent what the executor protocol does not have, or speaks another version of it."""

    code = "protocol-error"


class ArtifactError(MesonError):
    """Bytes that are missing, or are not what their digest or their artifact type says."""

    code = "artifact-error"


class StoreError(MesonError):
    """The store could not do what was asked; nothing was acted on."""

    code = "store-error"


class SequenceConflictError(StoreError):
    """Somebody else appended to the log of a run; the writer is no longer its owner."""

    code = "sequence-conflict"

    def __init__(self, run_id: str, *, expected: int, found: int) -> None:
        super().__init__(
            f"run {run_id}: the log stands at {found}, expected {expected}",
            hint="another orchestrator has taken over this cell; this one stops",
        )
        self.expected = expected
        self.found = found


class StoreLockedError(StoreError):
    """Another process holds the cell."""

    code = "store-locked"


class StoreVersionError(StoreError):
    """The store was written by another version of Meson."""

    code = "store-version"


class StoreCorruptError(StoreError):
    """The store's file is damaged."""

    code = "store-corrupt"


class EngineError(MesonError):
    """The engine met what its own rules exclude; always a bug in Meson."""

    code = "engine-error"


class InvalidTransitionError(EngineError):
    """A pair of state and event that the transition table does not have.

    Args:
        story: what happened to this instance, oldest first.
    """

    code = "invalid-transition"

    def __init__(self, message: str, *, story: Sequence[str] = ()) -> None:
        told = "".join(f"\n  {line}" for line in story)
        super().__init__(
            message + told, hint="this is a bug in Meson; please report it with `mesonctl show RUN --export`"
        )
        self.story = tuple(story)
