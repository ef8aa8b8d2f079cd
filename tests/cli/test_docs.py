"""Owns running the commands of the documentation: what a page shows is what `mesonctl` says; `pages` says how it is read."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import DEADLINE_S, environment
from tests.cli.pages import BLOCK, DOCS, NAMED, assert_says, blocks_of, commands_of

if TYPE_CHECKING:
    from tests.cli.command import Project


def test_the_readmes_example_is_a_workflow() -> None:
    blocks = BLOCK.findall((DOCS.parent / "README.md").read_text(encoding="utf-8"))
    (code,) = [text for kind, text in blocks if kind == "python"]
    namespace: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), namespace)

    assert namespace["wf"].name == "training"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "page",
    [
        "artifacts.md",
        "artifact-types.md",
        "visualizers.md",
        "getting-started.md",
        "running.md",
        "sweeps.md",
        "skipping.md",
    ],
)
def test_a_page_shows_what_mesonctl_says(page: str, project: Project) -> None:
    bin_folder = project.folder.parent / "bin"
    bin_folder.mkdir()
    mesonctl = bin_folder / "mesonctl"
    mesonctl.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from meson_core.cli import main; main()" "$@"\n')
    mesonctl.chmod(0o755)
    surroundings = environment(LOGNAME="you", USER="you")
    surroundings["PATH"] = f"{bin_folder}:{surroundings['PATH']}"
    settings = (project.folder / "meson.toml").read_text().replace('"here"', '"laptop"')
    run = 0
    for kind, text in blocks_of(page):
        named = NAMED.match(text)
        if kind == "console":
            for command in commands_of(text):
                done = subprocess.run(
                    command.line,
                    shell=True,
                    cwd=project.folder,
                    env=surroundings,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=DEADLINE_S,
                    check=False,
                )
                run += 1
                assert_says(command, done.stdout)
        elif named:
            # The settings of a page come on top of those that let what a test starts leave soon.
            project.write(named[1], text + settings if named[1] == "meson.toml" else text)

    assert run > 5
