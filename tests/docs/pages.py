"""Owns executing a page of the documentation: its files are written, its commands run, what they print is compared.

A Python block whose first line is `# NAME.py` is a file. In a console block, a line `$ COMMAND` is run; what follows is
what it prints, standard output and then standard error, where `…` stands for anything: within a line, or, alone on a line,
for any number of lines. `[exit code N]` is its exit code, when that is not 0.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A command that printed something else than the page says."""

    command: str
    expected: str
    printed: str


def execute(page: Path, folder: Path) -> list[Mismatch]:
    """Follow a page from top to bottom in an empty folder."""
    (folder / "meson.toml").touch()
    wrong: list[Mismatch] = []
    for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            named = re.match(r"# (\w+\.py)\n", text)
            if named:
                (folder / named.group(1)).write_text(text, encoding="utf-8")
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            printed = _run(command, folder)
            if not re.fullmatch(_pattern(expected), printed):
                wrong.append(Mismatch(command, expected, printed))
    return wrong


def _run(command: str, folder: Path) -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    environment = os.environ | {"PATH": path, "COLUMNS": "140", "NO_COLOR": "1"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    # Newer versions of Python underline the place in a traceback's line.
    lines = re.sub(
        r"^.*\n",
        lambda line: "" if set(line[0].strip()) - set("│ ") <= set("~^") and "^" in line[0] else line[0],
        done.stdout + done.stderr,
        flags=re.MULTILINE,
    )
    if lines and not lines.endswith("\n"):
        lines += "\n"
    return lines + (f"[exit code {done.returncode}]\n" if done.returncode else "")


def _pattern(expected: str) -> str:
    lines = []
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "…":
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            lines.append(r"\s*" + ".*".join(re.escape(part.strip()) for part in line.split("…")) + r"\s*\n")
    return "".join(lines)
