"""Owns the tests of what the local scheduler finds on its machine, and of what it is told in the settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from meson_core.builtin.local import Options
from meson_core.builtin.local.daemon import Daemon
from meson_core.builtin.local.machine import capacity
from meson_core.errors import BackendError

if TYPE_CHECKING:
    from pathlib import Path

CORES = float(len(os.sched_getaffinity(0)))


class Machine:
    """A made-up `/proc` and `/sys/fs/cgroup`."""

    def __init__(self, root: Path, groups: str, memory_kb: int = 64_000_000) -> None:
        self.proc, self.cgroup = root / "proc", root / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroup.mkdir()
        (self.proc / "meminfo").write_text(f"MemTotal:       {memory_kb} kB\nMemFree:  1 kB\n")
        (self.proc / "self" / "cgroup").write_text(groups)

    def write(self, path: str, text: str) -> None:
        file = self.cgroup / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def capacity(self) -> dict[str, float]:
        return capacity(self.proc, self.cgroup)


def test_without_limits_it_is_what_the_machine_has(tmp_path: Path) -> None:
    """The cores that this process may use, and all memory."""
    machine = Machine(tmp_path, "0::/user.slice/session\n")

    assert {"cpus": CORES, "memory": 64_000_000 * 1024} == machine.capacity()


def test_every_group_around_us_limits_in_version_2(tmp_path: Path) -> None:
    """The tightest one counts, however far out it is."""
    machine = Machine(tmp_path, "0::/a/b/c\n")
    machine.write("a/b/c/cpu.max", "max 100000")
    machine.write("a/b/cpu.max", "50000 100000")
    machine.write("a/cpu.max", "400000 100000")
    machine.write("a/b/c/memory.max", "max")
    machine.write("a/b/memory.max", "2000000000")
    machine.write("a/memory.max", "1000000000")

    assert {"cpus": 0.5, "memory": 1e9} == machine.capacity()


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    """Its limits lie in other files, and no limit is a huge number."""
    machine = Machine(tmp_path, "5:cpu,cpuacct:/job/1\n7:memory:/job/1\n1:name=systemd:/x\n")
    machine.write("cpu,cpuacct/job/1/cpu.cfs_quota_us", "-1")
    machine.write("cpu,cpuacct/job/1/cpu.cfs_period_us", "100000")
    machine.write("cpu,cpuacct/job/cpu.cfs_quota_us", "25000")
    machine.write("cpu,cpuacct/job/cpu.cfs_period_us", "100000")
    machine.write("memory/job/1/memory.limit_in_bytes", "9223372036854771712")
    machine.write("memory/job/memory.limit_in_bytes", "500000000")

    assert {"cpus": 0.25, "memory": 5e8} == machine.capacity()


def test_sizes_are_written_with_units() -> None:
    """As everywhere else."""
    assert 8_000_000_000 == Options(memory="8 GB").memory


@pytest.mark.parametrize("wrong", [{"cpus": 0}, {"memory": "much"}, {"cpu": 2}, {"replace_after_s": 1.0}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    """A misspelt option would otherwise offer the whole machine."""
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["/nowhere/python", "-m", "meson_executor"], "/nowhere/python: No such file or directory"),
        (["sh", "-c", "echo no module named meson_executor >&2; exit 1"], "no module named meson_executor"),
        (["sh", "-c", "exit 9"], "exit code 9"),
    ],
)
def test_an_executor_that_does_not_start_says_why(tmp_path: Path, command: list[str], told: str) -> None:
    """With what it said, and where the interpreter is chosen."""
    with pytest.raises(BackendError) as error:
        Daemon(tmp_path / "executor", command).start()

    assert told in str(error.value)
    assert "[schedulers.local]" in str(error.value)
    assert not error.value.retryable


def test_a_process_is_ended_only_while_it_is_watched() -> None:
    """Its number may belong to somebody else by then."""
    daemon = Daemon(None, [])  # type: ignore[arg-type]

    assert not daemon.kill()

    pid = os.posix_spawnp("sleep", ["sleep", "600"], {})
    daemon.watch(pid)

    assert daemon.kill()
    assert not daemon.kill()
    assert 9 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) * -1
