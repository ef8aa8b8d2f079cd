"""Tests of which files belong to a project: git's word where there is git, the same rules where there is none."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from meson_core.client.project_files import project_files
from meson_core.errors import AuthoringError

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, *paths: str, text: str = "x") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def git(root: Path, *words: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(("git", *identity, *words), cwd=root, env=env, check=True, capture_output=True)


@pytest.fixture(params=["git", "no git"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project with a bit of everything, in a repository or not."""
    root = tmp_path / "project"
    write(root, "flow.py", "lib/train.py", "lib/deep/er/x.py", "data/small.csv", "notes.md", "run.log", "keep.log")
    write(root, "out/a.txt", "lib/out/b.txt", "lib/secret.env", "ünïcode näme.py", "with\nnewline.py")
    write(root, ".git-is-not-me/x", ".hidden/settings", "lib/.cache.pyc")
    write(root, ".venv/bin/python", "env/pyvenv.cfg", "env/lib/site.py", "node_modules/m/index.js", ".meson/store.db")
    write(root, "lib/__pycache__/train.pyc", "lib/node_modules/y.js", ".mypy_cache/z", "lib/.ipynb_checkpoints/n.ipynb")
    write(root, ".gitignore", text="*.log\n!keep.log\n/out/\n*.pyc\n")
    write(root, "lib/.gitignore", text="secret.env\n!out/\n")
    write(root, ".mesonignore", text="*.csv\n# a comment\n/notes.md\n")
    if request.param == "git":
        git(root, "init", "-q")
        git(root, "add", "flow.py", "lib")
        git(root, "commit", "-q", "-m", "first")
    return root


EXPECTED = [
    ".git-is-not-me/x",
    ".gitignore",
    ".hidden/settings",
    ".mesonignore",
    "flow.py",
    "keep.log",
    "lib/.gitignore",
    "lib/deep/er/x.py",
    "lib/out/b.txt",
    "lib/train.py",
    "with\nnewline.py",
    "ünïcode näme.py",
]


def test_what_belongs_to_a_project(project: Path) -> None:
    assert project_files(project) == EXPECTED


def test_links_are_files(project: Path) -> None:
    """Those to folders too: what they lead to may be anything, and anywhere."""
    (project / "link.py").symlink_to("flow.py")
    (project / "linked").symlink_to(project / "lib")
    (project / "dangling").symlink_to("nowhere")

    assert project_files(project) == sorted([*EXPECTED, "link.py", "linked", "dangling"])


def test_special_files_are_none(project: Path) -> None:
    os.mkfifo(project / "pipe")

    assert project_files(project) == EXPECTED


def test_a_part_of_a_repository_is_a_project(tmp_path: Path) -> None:
    write(tmp_path, "a/flow.py", "a/x/y.py", "b/other.py", "a/big.bin")
    write(tmp_path, ".gitignore", text="*.bin\n")
    git(tmp_path, "init", "-q")

    assert project_files(tmp_path / "a") == ["flow.py", "x/y.py"]


def test_git_knows_what_was_added_by_force_and_what_was_deleted(tmp_path: Path) -> None:
    write(tmp_path, "kept.log", "other.log", "gone.py", "flow.py")
    write(tmp_path, ".gitignore", text="*.log\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-f", "kept.log", "gone.py")
    (tmp_path / "gone.py").unlink()

    assert project_files(tmp_path) == [".gitignore", "flow.py", "kept.log"]


def test_a_repository_inside_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path, "flow.py", "vendored/lib.py", "vendored/x.tmp", "vendored/.venv/y")
    write(tmp_path, "vendored/.gitignore", text="*.tmp\n")
    git(tmp_path, "init", "-q")
    git(tmp_path / "vendored", "init", "-q")
    git(tmp_path / "vendored", "add", "lib.py")
    git(tmp_path / "vendored", "commit", "-q", "-m", "first")

    assert project_files(tmp_path) == ["flow.py", "vendored/.gitignore", "vendored/lib.py"]


def test_git_of_a_hook_does_not_mislead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook's children are told to use the repository of the hook, whatever folder they are in."""
    hooked, project = tmp_path / "hooked", tmp_path / "project"
    for root in (hooked, project):
        write(root, f"{root.name}.py")
        git(root, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(hooked / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(hooked))

    assert project_files(project) == ["project.py"]


@pytest.mark.parametrize("broken", ["no program", "no repository"])
def test_without_gits_help_the_rules_are_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    write(tmp_path, "flow.py", "run.log")
    write(tmp_path, ".gitignore", text="*.log\n")
    if broken == "no program":
        git(tmp_path, "init", "-q")
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        (tmp_path / ".git").write_text("gitdir: /nowhere")

    assert project_files(tmp_path) == [".gitignore", "flow.py"]


def test_too_many_files_are_a_mistake(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{number}.png" for number in range(30)), *(f"lib/{number}.py" for number in range(5)))
    with pytest.raises(AuthoringError) as caught:
        project_files(tmp_path, max_files=20)

    assert str(caught.value) == (
        f"the project {tmp_path} has more than 20 files; most are in images (21)\n"
        "  hint: list what no step needs in .mesonignore; or put a meson.toml into the folder that is the project"
    )


def test_a_folder_that_cannot_be_read_has_no_files(tmp_path: Path) -> None:
    assert project_files(tmp_path / "nowhere") == []
