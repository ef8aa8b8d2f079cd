"""Owns the tests of how `mesonctl` presents itself: its help, what that costs, the documented codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from meson_core import errors
from meson_core.cli.entry import COMMANDS, mesonctl, run_command_line
from meson_core.cli.exit_codes import MEANING, ExitCode, exit_code

DOCS = Path(__file__).parents[2] / "docs"


def test_help_imports_nothing_that_takes_long() -> None:
    """Help and completion are for people who wait."""
    code = (
        "import sys\n"
        "from meson_core.cli.entry import run_command_line\n"
        "run_command_line(['--help'])\n"
        "heavy = {'pydantic', 'sqlalchemy', 'rich', 'asyncio', 'yaml', 'pluggy', 'msgspec', 'logging'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert all(line in done.stdout for _, line in COMMANDS.values())


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = mesonctl.get_command(click.Context(mesonctl), name)
    assert command is not None
    code = run_command_line([name, "--help"])
    said = capsys.readouterr()

    assert (code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: mesonctl {name}")
    assert (command.help or "").strip()


def test_all_exit_codes_are_explained() -> None:
    assert set(MEANING) == set(ExitCode)


def _classes(root: type[errors.MesonError]) -> list[type[errors.MesonError]]:
    return [root, *(found for child in root.__subclasses__() for found in _classes(child))]


def test_the_documentation_lists_every_error_with_its_exit_code() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    codes = {
        kind.code: exit_code(kind.__new__(kind))
        for kind in _classes(errors.MesonError)
        if kind.__module__ == errors.__name__
    }

    assert [code for code, exit_ in codes.items() if f"| `{code}` | {exit_.value} |" not in text] == []
    assert [code.value for code in ExitCode if f"| {code.value} | {MEANING[code]} |" not in text] == []
