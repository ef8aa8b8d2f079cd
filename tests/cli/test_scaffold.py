"""Owns the promises of `mesonctl plugins new`: what it writes is a package, green at once where only wheels are installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meson_core.cli.scaffold import KINDS, plugin_name, write_plugin
from meson_core.errors import ConflictError
from tests.cli.wheels import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.command import Project


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A fresh environment with meson-core, meson-executor and pytest, all from wheels."""
    return Site.with_core(tmp_path_factory.mktemp("site"), "pytest")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_green_at_once(kind: str, site: Site, tmp_path: Path) -> None:
    name = f"try-{kind}"
    made = site.run("mesonctl", "plugins", "new", name, "--kind", kind, cwd=tmp_path)
    assert made.returncode == 0, made.stdout
    package = tmp_path / f"meson-{name}"
    site.install(package)
    tested = site.run("pytest", "-q", "-p", "no:cacheprovider", cwd=package)

    assert tested.returncode == 0, tested.stdout
    assert "warning" not in tested.stdout.lower(), tested.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_its_code_has_types_and_style(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    write_plugin(folder, "big-query", kind, "0.1.0")
    module = str(folder / "meson_big_query")
    for command in (
        ["ruff", "check", "--isolated", "--line-length=120", "--select=E,F,UP,B,SIM", "."],
        ["mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), module],
    ):
        done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("text", "name"), [("greet", "greet"), ("meson-greet", "greet"), ("big-query2", "big-query2")])
def test_names(text: str, name: str) -> None:
    assert plugin_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "Greet", "my_plugin", "-x", "x-", "1x", "a b", "../x", "core", "meson-executor", "größe"]
)
def test_what_cannot_be_a_name(text: str) -> None:
    with pytest.raises(ValueError):
        plugin_name(text)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ConflictError):
        write_plugin(tmp_path, "greet", "step", "0.1.0")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_a_name_that_is_taken_is_told(project: Project) -> None:
    done = project.mesonctl("plugins", "new", "shell", "--kind", "step")

    assert done.code == 5
    assert "there is a plugin 'shell' of meson-core" in done.err
    assert not (project.folder / "meson-shell").exists()
