"""Owns how errors are told: coloured lines on standard error for people, one JSON document for programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from meson_core.errors import InvalidWorkflowError, MesonError, Where


def tell(error: MesonError, *, root: Path | None, as_json: bool) -> None:
    """Print an error of ours.

    Args:
        error: what to tell.
        root: of the project, to whose folder the places in definitions are relative.
        as_json: for a program, on standard output.
    """
    if as_json:
        click.echo(json.dumps({"error": as_data(error, root)}, ensure_ascii=False))
        return
    if not isinstance(error, InvalidWorkflowError):
        click.echo(_lines(error, root), err=True)
        return
    for problem in error.problems:
        click.echo(_lines(problem, root), err=True)
    if len(error.problems) > 1:
        click.echo(f"{len(error.problems)} problems; nothing was run", err=True)


def tell_misuse(misuse: click.ClickException, *, as_json: bool) -> None:
    """Print what is wrong with a command line."""
    if not as_json:
        misuse.show()
        return
    told = {"code": "usage", "message": misuse.format_message(), "hint": None, "file": None, "line": None}
    click.echo(json.dumps({"error": told}, ensure_ascii=False))


def tell_bug(error: Exception, *, as_json: bool) -> None:
    """Print that Meson itself is wrong."""
    message = f"{type(error).__name__}: {error}"
    hint = "this is a bug in Meson; please report it with what the same command prints with --traceback"
    if as_json:
        told = {"code": "bug", "message": message, "hint": hint, "file": None, "line": None}
        click.echo(json.dumps({"error": told}, ensure_ascii=False))
        return
    click.echo(_headed("bug", message, hint), err=True)


def as_data(error: MesonError, root: Path | None) -> dict[str, Any]:
    """An error as JSON: `code`, `message`, `hint`, `file`, `line`, and the `problems` where it holds several."""
    where = None if error.where is None else place(error.where, root)
    told: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "file": where.file if where else None,
        "line": where.line if where else None,
    }
    if isinstance(error, InvalidWorkflowError):
        told["problems"] = [as_data(problem, root) for problem in error.problems]
    return told


def place(where: Where, root: Path | None) -> Where:
    """A place as it can be opened from here: its file relative to the present folder, where it is below it."""
    file = Path(where.file)
    if not file.is_absolute():
        if root is None or not (root / file).exists():
            return where
        file = root / file
    here = Path.cwd()
    return Where(os.path.relpath(file, here) if file.is_relative_to(here) else str(file), where.line)


def _lines(error: MesonError, root: Path | None) -> str:
    at = "" if error.where is None else f"{place(error.where, root)}: "
    return _headed(error.code, f"{at}{error.message}", error.hint)


def _headed(code: str, message: str, hint: str | None) -> str:
    told = f"{click.style(f'error[{code}]', fg='red', bold=True)}: {message}"
    return f"{told}\n  {click.style('hint', fg='cyan')}: {hint}" if hint else told
