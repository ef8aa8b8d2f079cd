"""Owns the proof that the README is true: its workflow runs as it says, its tables hold, and it leaves no option out."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from http_project import DEADLINE_S, Project, until
from meson_core.errors import BackendError
from meson_http import HttpOptions
from meson_http.options import Cancel, Find, Poll, Tls
from meson_http.templates import Values
from meson_http.urls import fill_url

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+\.\w+)\n")
_URL_ROW = re.compile(r"^\| [^|]+ \| `([^`]*)` \| `([^`]*)` \| `?([^`|]*?)`? \|$", re.MULTILINE)


def _pattern(says: str) -> re.Pattern[str]:
    """What is expected: `…` alone on a line stands for any lines, in a line for anything."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else "[^\n]*?".join(map(re.escape, line.split("…"))) + r"\n"
        for line in says.splitlines()
    ]
    return re.compile("".join(lines))


def _commands(readme: str) -> Iterator[tuple[str, str]]:
    for kind, text in _BLOCK.findall(readme):
        if kind == "console" and "pip install" not in text:
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, says = part.partition("\n")
                yield line, says


@contextlib.contextmanager
def _registry(folder: Path, port: int) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "registry.py"], cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(port), "the registry listens")
            yield
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_readme_shows_what_mesonctl_says(tmp_path: Path) -> None:
    port = _free_port()
    readme = README.replace("8765", str(port))
    mesonctl = tmp_path / "bin" / "mesonctl"
    mesonctl.parent.mkdir()
    mesonctl.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from meson_core.cli import main; main()" "$@"\n')
    mesonctl.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MESON_")}
    environment = {**kept, "PATH": f"{mesonctl.parent}:{kept['PATH']}", "NO_COLOR": "1", "COLUMNS": "200"}
    ran = []
    with Project.made(tmp_path / "project") as project, contextlib.ExitStack() as registry:
        for _, text in _BLOCK.findall(readme):
            if named := _NAMED.match(text):
                project.write(named[1], text)
        for line, says in _commands(readme):
            ran.append(line)
            if line == "python registry.py &":
                registry.enter_context(_registry(project.folder, port))
                continue
            # Each run has an executor of its own, for it is that which gets the secrets.
            until(lambda: not project.processes("meson_executor"), "the executor before has left")
            done = subprocess.run(
                line,
                shell=True,
                cwd=project.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            said = re.sub(r" {2,}", "  ", done.stdout)

            assert _pattern(re.sub(r" {2,}", "  ", says)).fullmatch(said), f"$ {line}\n{said}\n{done.stderr}"

    assert len(ran) == 3


def test_the_table_of_urls_holds() -> None:
    rows = _URL_ROW.findall(README)

    assert len(rows) == 7
    for template, value, becomes in rows:
        values = Values({"x": value}, {})
        if becomes == "refused":
            with pytest.raises(BackendError):
                fill_url(template, values)
        else:
            assert fill_url(template, values) == becomes


@pytest.mark.parametrize("model", [HttpOptions, Poll, Find, Cancel, Tls])
def test_no_option_is_left_out(model: Any) -> None:
    names = {field.alias or name for name, field in model.model_fields.items()}

    assert {name for name in names if not re.search(rf"[`\"]{name}\b|\b{name}[=:]", README)} == set()
