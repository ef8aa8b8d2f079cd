"""Owns fresh environments that only wheels are installed into: what somebody gets who has no clone of ours.

Wheels of ours are built once. Those of others come from the cache that the set-up filled, in the versions of the lock, so no index
is asked; where the cache does not have one, the index is.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cli.command import until

ROOT = Path(__file__).parents[2]
DEADLINE_S = 240.0
_UV = Path(sys.executable).with_name("uv")


@functools.cache
def wheels() -> Path:
    """The folder with the wheels of meson-core and meson-executor."""
    folder = _fresh()
    for member in (ROOT, ROOT / "executor"):
        build(member, folder)
    return folder


def build(package: Path, into: Path) -> Path:
    """Build the wheel of a package."""
    before = set(into.glob("*.whl"))
    _uv("build", "--wheel", "--no-build-isolation", "--out-dir", str(into), str(package))
    (wheel,) = set(into.glob("*.whl")) - before
    return wheel


class Site:
    """A virtual environment.

    Args:
        folder: of the environment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def with_core(cls, folder: Path, *more: str | Path) -> Site:
        """A fresh one, with Meson and what else is asked for."""
        _uv("venv", "--python", sys.executable, str(folder / "venv"))
        site = cls(folder / "venv")
        site.install("meson-core", *more)
        return site

    def install(self, *packages: str | Path, dependencies: bool = True) -> None:
        """Install distributions: by name, or the wheel that is built of a folder."""
        names = [
            str(build(package, _fresh()) if isinstance(package, Path) and package.is_dir() else package)
            for package in packages
        ]
        arguments = ["pip", "install", "--python", str(self.folder / "bin" / "python"), "--find-links", str(wheels())]
        arguments += ["--constraint", str(ROOT / "requirements.lock"), *names]
        if not dependencies:
            arguments.append("--no-deps")
        try:
            _uv(*arguments, "--offline")
        except AssertionError:
            _uv(*arguments)

    def uninstall(self, name: str) -> None:
        """Remove a distribution."""
        _uv("pip", "uninstall", "--python", str(self.folder / "bin" / "python"), name)

    def run(self, command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment; what it says, errors included, is in `stdout`."""
        return subprocess.run(
            [str(self.folder / "bin" / command), *arguments],
            cwd=cwd,
            env=bare_environment(COLUMNS="200", NO_COLOR="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def start(self, command: str, *arguments: str, cwd: Path) -> subprocess.Popen[bytes]:
        """Start a command of the environment, and go on."""
        return subprocess.Popen(
            [str(self.folder / "bin" / command), *arguments],
            cwd=cwd,
            env=bare_environment(COLUMNS="200", NO_COLOR="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def until(self, text: str, command: str, *arguments: str, cwd: Path) -> str:
        """What a command says once it says something."""
        done: list[str] = []

        def said() -> bool:
            done.append(self.run(command, *arguments, cwd=cwd).stdout)
            return text in done[-1]

        until(said, text)
        return done[-1]


def _fresh() -> Path:
    """A folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix="meson-built-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [str(_UV), "--quiet", *arguments],
        env=bare_environment(VIRTUAL_ENV=str(Path(sys.executable).parents[1]), UV_SYSTEM_CERTS="1"),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}: {done.stderr}"


def bare_environment(**more: str) -> dict[str, str]:
    """The variables of a command, without what points into our own environment."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTEST_ADDOPTS", "COVERAGE_PROCESS_START")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("MESON_")}
    return {**kept, **more}
