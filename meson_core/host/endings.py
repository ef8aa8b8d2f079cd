"""Owns what the end of a step's coroutine means: a result, a failure with its cause, or a kill."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meson_core.errors import BackendError, MesonError
from meson_runtime.failures import describe
from meson_runtime.outputs import OutputError, check, dumps

#: Folders whose frames say nothing to the author of a step.
_OURS = tuple(f"{Path(file).parent}/" for file in (__file__, concurrent.futures.__file__))


def success(outputs: object, declared: dict[str, str]) -> dict[str, Any]:
    """The end of a step that returned.

    Args:
        outputs: what it returned; None counts as nothing.
        declared: output name → type.
    """
    found = {} if outputs is None else outputs
    try:
        if not isinstance(found, Mapping):
            raise OutputError(f"it returned {type(found).__name__}, expected a mapping of outputs by name")  # noqa: TRY301
        text = dumps(dict(found))
        plain = json.loads(text)
        check(plain, declared)
    except OutputError as error:
        return _failed("user", {"reason": "outputs", "message": str(error)})
    return {"f": "succeeded", "outputs": plain}


def failure(error: BaseException) -> dict[str, Any]:
    """The end of a step that raised."""
    if isinstance(error, BackendError):
        asked = "" if error.after_s is None else f" (it asks to wait {error.after_s:g} s)"
        told = {"reason": "exception", "message": f"{error}{asked}"}
        if not error.retryable:
            return _failed("user", told, final=True)
        return _failed("platform", told) | ({} if error.after_s is None else {"after_s": error.after_s})
    if isinstance(error, MesonError):
        # A kind that says what went wrong in our own words has nothing to add by its frames.
        return _failed("user", {"reason": "exception", "message": str(error)})
    return _failed("user", describe(error, _OURS))


def refusal(error: MesonError) -> dict[str, Any]:
    """The end of a step that could not begin; no retry would help."""
    return _failed("user", {"reason": "launch", "message": str(error)}, final=True)


def killed() -> dict[str, Any]:
    """The end of a step that was cancelled."""
    return {"f": "killed"}


def _failed(cause: str, told: dict[str, Any], *, final: bool = False) -> dict[str, Any]:
    return {"f": "failed", "cause": cause, "failure": told, "final": final}
