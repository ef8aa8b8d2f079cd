"""Owns the stage of one case: a project in a folder of its own, what is installed beside it, `mesonctl` as people start it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.plugins.installed import hide_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MESONCTL = Path(sys.executable).with_name("mesonctl")
#: Seconds that a command may take.
PATIENCE_S = 50.0
STORE = Path(".meson/store.db")
_FRAMES = "select runs.run_id, frames.body from frames join runs on runs.number = frames.run"

# Of a user whom file permissions bind, also where the tests are run by root.
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2

#: What is different every time, and what stands for it in the table.
_VARYING = (
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<date>"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s)(?: to go)?(?=\b)"), "<n> s"),
    # What has begun by a moment is news, and differs with the load of the machine; how it ended does not.
    (re.compile(r"^<time>  ● .*\n", re.MULTILINE), ""),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"/logs/[0-9a-hjkmnp-tv-z]{10}\b"), "/logs/<run>"),
    (re.compile(r"\b\d+ of \d+ records"), "<n> of <n> records"),
    (re.compile(r"\b\d+ bytes of \d+ are"), "<n> bytes of <n> are"),
    (re.compile(r"\bprocess \d+ on \S+,"), "process <n> on <host>,"),
    (re.compile(r"\brun [0-9a-hjkmnp-tv-z]{10}\b"), "run <run>"),
    (re.compile(r"\bthis one knows \d{4}"), "this one knows <n>"),
    (re.compile(r"\bthe number \d{10,}"), "the number <n>"),
    (re.compile(r"\b(show|logs|retry|resume|why|cancel|resolve) [0-9a-hjkmnp-tv-z]{10}\b"), r"\1 <run>"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command has said, as it stands in the table.

    Args:
        code: its exit code.
        text: standard output, then standard error, with what differs from time to time replaced.
    """

    code: int
    text: str

    def without(self, beginnings: Sequence[str]) -> Said:
        """The same, less the lines that begin so."""
        lines = [line for line in self.text.splitlines(keepends=True) if not line.startswith(tuple(beginnings))]
        return Said(self.code, "".join(lines))


class Stage:
    """A project that is about to meet something bad.

    Args:
        folder: its root; beside it lies `site`, where plugins are installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder.with_name("site")
        self.site.mkdir(parents=True, exist_ok=True)
        hide_others(self.site)
        self.environment: dict[str, str] = {}
        #: Whether file permissions bind whoever runs a command.
        self.bound = False
        #: Bytes beyond which no file grows; None: any size.
        self.largest_file: int | None = None
        #: Words before every command: the way into another mount namespace.
        self.inside: tuple[str, ...] = ()

    def write(self, name: str, text: str) -> Path:
        """A file of the project, or of the site beside it (`../site/…`)."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    # --- commands -----------------------------------------------------------------------------------------------------

    def command(self, line: str) -> Said:
        """Run `mesonctl` with these arguments, written as in a shell."""
        done = subprocess.run(
            [*self.inside, str(MESONCTL), *shlex.split(line)],
            cwd=self.folder,
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            preexec_fn=self._limits(),
        )
        text = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        return Said(done.returncode, self._told(text))

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """Start a command, and go on."""
        return subprocess.Popen(
            [*self.inside, str(MESONCTL), *shlex.split(line)],
            cwd=self.folder,
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MESON_", "PYTHON"))}
        return {
            **kept,
            "PATH": f"{MESONCTL.parent}:/usr/bin:/bin",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "LOGNAME": "ada",
            "PYTHONPATH": str(self.site),
            "MESON_SCHEDULERS_LOCAL_CPUS": "2",
            "MESON_SCHEDULERS_LOCAL_NAME": "here",
            "MESON_SCHEDULERS_LOCAL_IDLE_EXIT_S": "0.2",
            **self.environment,
        }

    def _limits(self) -> Callable[[], None] | None:
        bound, largest = self.bound and os.geteuid() == 0, self.largest_file
        if not bound and largest is None:
            return None
        libc = ctypes.CDLL(None, use_errno=True)

        def limit() -> None:
            if bound:
                for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
                    libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
            if largest is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        return limit

    def _told(self, text: str) -> str:
        text = text.replace(str(self.folder), "<project>").replace(str(self.site), "<site>")
        text = text.replace(str(MESONCTL.parent.parent), "<environment>")
        text = re.sub(rf"\b{re.escape(socket.gethostname())}\b", "<host>", text)
        for pattern, stands in _VARYING:
            text = pattern.sub(stands, text)
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n" if text else ""

    # --- what is recorded -----------------------------------------------------------------------------------------------

    def recorded(self) -> set[tuple[str, bytes]] | None:
        """Run and events of every frame of the log; None when the store cannot be read.

        It is read without Meson, and from a copy: looking changes nothing, and a mistake of ours hides nothing.
        """
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name)
            try:
                for path in (self.folder / STORE.parent).glob(f"{STORE.name}*"):
                    if path.is_file():
                        shutil.copyfile(path, copy / path.name)
                if not (copy / STORE.name).exists():
                    return set()
                with contextlib.closing(sqlite3.connect(copy / STORE.name)) as database:
                    return set(database.execute(_FRAMES))
            except (OSError, sqlite3.Error):
                return None

    def store_bytes(self) -> bytes | None:
        """The store's file as it is; None when there is none that can be read."""
        try:
            return (self.folder / STORE).read_bytes()
        except OSError:
            return None

    # --- processes ------------------------------------------------------------------------------------------------------

    def executors(self) -> list[int]:
        """Processes that were started by `mesonctl` in this project."""
        home = str(self.folder / ".meson").encode()
        return [number for number, line in _processes() if home in line]

    def close(self) -> None:
        """End what is still there."""
        for number in self.executors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes()


def install(stage: Stage, name: str, plugin: Mapping[str, str]) -> None:
    """Install a plugin in the site beside the project.

    Args:
        stage: where.
        name: of the entry point.
        plugin: `code` of its module; `distribution`, `version` and `requires` where they differ from the usual.
    """
    distribution = plugin.get("distribution", f"meson-{name}")
    version = plugin.get("version", "1.0")
    module = f"{distribution.replace('-', '_')}_{name}"
    stage.write(f"../site/{module}.py", plugin["code"])
    info = f"../site/{distribution.replace('-', '_')}-{version}.dist-info"
    requires = plugin.get("requires", "meson-core>=0.1")
    stage.write(
        f"{info}/METADATA",
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\nRequires-Dist: {requires}\n",
    )
    stage.write(f"{info}/entry_points.txt", f"[meson.plugins]\n{name} = {plugin.get('target', module)}\n")
