"""Owns the proof that no look at the process table misses a process that can be seen."""

from __future__ import annotations

import subprocess
from pathlib import Path

from meson_executor.fencing import look
from tests.executor.client import alive

#: Takes its own place again and again, so that most looks meet it while it is given a program.
_RESTLESS = '[ "$1" -gt 0 ] && exec sh -c "$0" "$0" "$(($1 - 1))"; read -r line'


def test_a_process_that_is_just_given_a_program_keeps_its_environment() -> None:
    """A sweep that meets an `exec` must not take the process for a stranger, and leave it behind."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _RESTLESS, _RESTLESS, "400"], env={"MARKER": "mine"}, stdin=subprocess.PIPE
    ) as process:
        command = Path(f"/proc/{process.pid}/cmdline")
        looks = [look(process.pid)]
        while not command.read_bytes().endswith(b"\0000\0"):
            looks.append(look(process.pid))

        assert process.stdin is not None
        process.stdin.close()
    assert len(looks) > 10
    assert [] == [found for found in looks if found is None or b"MARKER=mine" not in found.environment]
    assert not alive(process.pid)


def test_a_process_without_an_environment_is_seen_at_once() -> None:
    with subprocess.Popen(["/bin/cat"], env={}, stdin=subprocess.PIPE) as process:
        found = look(process.pid)

        assert process.stdin is not None
        process.stdin.close()
    assert found is not None
    assert [b""] == found.environment
