"""Owns following the guide for plugin authors to the letter: in an empty folder, in environments of wheels, with its own commands.

`python3 -m venv` and `pip` are stood in for by what takes wheels from the cache (see `wheels`): no index is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.pages import NAMED, assert_says, blocks_of, commands_of
from tests.cli.wheels import DEADLINE_S, ROOT, bare_environment, wheels

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = "publish-a-plugin.md"
_BIN = Path(sys.executable).parent
PYTHON3 = f"""#!/bin/sh
here=$(dirname "$0")
if [ "$1 $2" != "-m venv" ]; then exec "$here/python" "$@"; fi
{_BIN}/uv --quiet --offline venv --python {sys.executable} "$3" &&
rm "$3/bin/python3" && cp "$here/python3" "$here/pip" "$3/bin"
"""
PIP = f"""#!/bin/sh
command=$1; shift
here=$(dirname "$0")
export VIRTUAL_ENV={_BIN.parent} UV_SYSTEM_CERTS=1
if [ "$command" = wheel ]; then
  [ "$1 $2 $3 $4" = "--no-deps --wheel-dir dist ." ] && exec {_BIN}/uv build --quiet --wheel --no-build-isolation --out-dir dist .
  exit 1
fi
index="--find-links @WHEELS@ --constraint {ROOT}/requirements.lock"
{_BIN}/uv pip install --quiet --offline --python "$here/python" $index hatchling editables &&
exec {_BIN}/uv pip install --quiet --offline --no-build-isolation --python "$here/python" $index "$@"
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_guide_can_be_followed_to_the_letter(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("python3", PYTHON3), ("pip", PIP)):
        (tools / name).write_text(text.replace("@WHEELS@", str(wheels())))
        (tools / name).chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    shell = Shell(tmp_path, {**bare_environment(COLUMNS="200", NO_COLOR="1"), "PATH": f"{tools}:{os.environ['PATH']}"})
    ran = 0
    for kind, text in blocks_of(PAGE):
        named = NAMED.match(text)
        if kind == "console":
            for command in commands_of(text):
                assert_says(command, shell.run(command.line))
                ran += 1
        elif named:
            (shell.cwd / named[1]).write_text(text, encoding="utf-8")

    assert ran > 20


class Shell:
    """A shell as somebody has it open: the folder and the variables stay from command to command.

    Args:
        cwd: where it begins.
        env: its variables.
    """

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self.cwd = cwd
        self._env = dict(env)
        self._state = cwd / "state"

    def run(self, line: str) -> str:
        """Run one command; what it says, errors included."""
        script = f'{line}\n{{ pwd; env; }} > "{self._state}"'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.cwd,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        cwd, _, variables = self._state.read_text().partition("\n")
        self.cwd = Path(cwd)
        self._env |= dict(pair.split("=", 1) for pair in variables.splitlines() if "=" in pair)
        return done.stdout
