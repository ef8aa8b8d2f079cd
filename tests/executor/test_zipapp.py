"""Owns the tests of the executor as one file, on the oldest Python that is around."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meson_executor import zipapp
from tests.executor.client import DEADLINE_S, Peer, key, order, program, python, wait_for


def _interpreters() -> list[str]:
    """This interpreter, and a 3.9 where there is one."""
    old = [*map(str, Path.home().glob(".pyenv/versions/3.9.*/bin/python")), shutil.which("python3.9")]
    return [sys.executable, *[place for place in old if place is not None][:1]]


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", _interpreters())
def test_one_file_is_enough(tmp_path: Path, interpreter: str) -> None:
    """Nothing is installed, nothing is inherited (`-I`), and Python steps run all the same."""
    archive = tmp_path / "meson-executor.pyz"
    zipapp.build(str(archive))
    project = tmp_path / "project"
    project.mkdir()
    source = "import os, sys\nfrom meson_runtime import ctx, step\n@step\ndef f():\n    ctx.progress(0.5)\n"
    source += "    return {'version': list(sys.version_info[:2]), 'path': os.environ.get('PYTHONPATH')}\n"
    (project / "steps.py").write_text(source)
    directory = tmp_path / "executor"
    command = [interpreter, "-I", str(archive), "--dir", str(directory), "--executor", "zipped", "--idle-exit-s", "60"]
    subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin"}, timeout=DEADLINE_S)
    peer = Peer(directory)
    try:
        pid = peer.hello()["pid"]
        peer.order(
            {"f": python(project, "f", outputs={"version": "list[int]", "path": "any"}), "p": program("true")},
            order("f", 1),
            order("p", 2),
        )
        end = peer.end(key(1))
        assert peer.end(key(2))["f"] == "succeeded"
        peer.send(t="stop")
        peer.gone()
    finally:
        peer.close()

    version = subprocess.run(
        [interpreter, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    assert str(tuple(end["outputs"]["version"])) == version.stdout.strip()
    assert end["outputs"]["path"] is None
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    zipapp.build(str(tmp_path / "one"))
    subprocess.run([sys.executable, "-m", "meson_executor.zipapp", str(tmp_path / "two")], check=True)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_it_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-m", "meson_executor.zipapp"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (2, "usage: python -m meson_executor.zipapp OUT\n")
