"""Owns the reference page of exit codes and errors: made of the classes themselves (`python -m meson_core.cli.reference`)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from meson_core.cli.exit_codes import MEANING, exit_code
from meson_core.errors import MesonError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """# Errors and exit codes

Every error says what was asked, the value that was met, where, and what to do next. Its code stands in brackets and never
changes: `error[unknown-name]: …`. With `--json`, an error is `{"error": {"code": …, "message": …, "hint": …, "file": …, "line": …}}`.

## Exit codes of mesonctl

| Code | Meaning |
| --- | --- |
"""


def page() -> str:
    """The page as Markdown."""
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANING.items())
    rows = "".join(
        f"| `{kind.code}` | {exit_code(kind.__new__(kind)).value} | {' '.join((kind.__doc__ or '').split('Args:')[0].split())} |\n"
        for kind in _all(MesonError)
    )
    return f"{_HEAD}{codes}\n## Errors\n\n| Code | Exit code | When |\n| --- | --- | --- |\n{rows}"


def _all(kind: type[MesonError]) -> Iterator[type[MesonError]]:
    for below in kind.__subclasses__():
        if below.__module__ == MesonError.__module__:
            yield below
            yield from _all(below)


if __name__ == "__main__":
    sys.stdout.write(page())
