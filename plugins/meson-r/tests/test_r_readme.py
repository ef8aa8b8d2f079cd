"""Owns the proof that the README is true: its workflows run as it says, and its table of values holds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import meson_r

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        shutil.which("Rscript") is None and "CI" not in os.environ,
        reason="R is not installed; on Debian and Ubuntu: apt install r-base-core r-cran-jsonlite",
    ),
]

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+\.\w+)\n")
_ROW = re.compile(r"^\| `([a-z\[\]]+)` \| `(.+?)` \| (.+) \|$", re.MULTILINE)


def _commands() -> Iterator[tuple[str, str]]:
    for kind, text in _BLOCK.findall(README):
        if kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, says = part.partition("\n")
                yield line, says


def _pattern(says: str) -> re.Pattern[str]:
    """What is expected: `…` alone on a line stands for any lines, in a line for anything."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else "[^\n]*?".join(map(re.escape, line.split("…"))) + r"\n"
        for line in says.splitlines()
    ]
    return re.compile("".join(lines))


def test_the_readme_shows_what_mesonctl_says(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    mesonctl = tmp_path / "bin" / "mesonctl"
    mesonctl.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from meson_core.cli import main; main()" "$@"\n')
    mesonctl.chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    project = tmp_path / "project"
    project.mkdir()
    (project / "meson.toml").write_text("[schedulers.local]\nidle_exit_s = 0.5\n")
    for _, text in _BLOCK.findall(README):
        if named := _NAMED.match(text):
            (project / named[1]).write_text(text, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
    ran = []
    for line, says in _commands():
        if not line.startswith("mesonctl"):
            continue
        done = subprocess.run(
            line,
            shell=True,
            cwd=project,
            env={**kept, "PATH": f"{tmp_path / 'bin'}:{kept['PATH']}", "NO_COLOR": "1", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = re.sub(r" {2,}", "  ", done.stdout)
        ran.append(line)

        assert _pattern(re.sub(r" {2,}", "  ", says)).fullmatch(said), f"$ {line}\n{said}\n{done.stderr}"

    assert len(ran) == 4


def test_the_table_of_values_holds() -> None:
    """At a prompt, where `meson` prints what it would put out."""
    rows = [(kind, code.replace("\\|", "|"), shown) for kind, code, shown in _ROW.findall(README)]
    types = {f"x{number}": kind for number, (kind, _, _) in enumerate(rows)}
    script = f"source({json.dumps(str(meson_r.HELPER))})\n" + "\n".join(
        f'tryCatch(meson$output("x{number}", {code}), error = function(e) cat("x{number} = error:", conditionMessage(e), "\\n"))'
        for number, (_, code, _) in enumerate(rows)
    )
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", script],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MESON_OUTPUT_TYPES": json.dumps(types)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = dict(line.split(" = ", 1) for line in done.stdout.splitlines())

    assert "" == done.stderr
    assert len(rows) > 20
    for number, (kind, code, shown) in enumerate(rows):
        got = said[f"x{number}"].strip()
        if shown.startswith("error: "):
            assert got.startswith("error: "), (kind, code)
            assert got.endswith(shown.removeprefix("error: ")) or shown.removeprefix("error: ") in got, (
                kind,
                code,
                got,
            )
        else:
            assert repr(_json(shown.strip("`"))) == repr(_json(got)), (kind, code)


def _json(text: str) -> Any:
    return json.loads(text)
