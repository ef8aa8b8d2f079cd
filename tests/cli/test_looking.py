"""Owns the tests of the commands that look at a run that has ended: `runs`, `show`, `logs`, `why`, `db check`."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import DEADLINE_S, MESONCTL, Project, environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_runs_are_listed(ended: Project) -> None:
    (row,) = ended.mesonctl("runs", "--json").json
    told = ended.mesonctl("runs", "--state", "failed").out
    others = ended.mesonctl("runs", "--state", "succeeded")
    prefixed = ended.mesonctl("show", row["run_id"][:4], "--json").json

    assert (row["workflow"], row["state"], row["params"]) == ("recommend", "failed", {"rows": 4})
    assert re.fullmatch(
        r"run +workflow +state +created +took +owner\n"
        rf"{row['run_id']} +recommend +failed +\d\d:\d\d:\d\d +[\d.]+ s +\S+\n",
        told,
    )
    assert (others.code, others.out) == (0, "there are no runs like that\n")
    assert prefixed["run_id"] == row["run_id"]


def test_a_run_is_shown_as_a_tree(ended: Project) -> None:
    done = ended.mesonctl("show", "last")
    lines = [re.sub(r" +[\d.]+ s", "", line) for line in done.out.splitlines()]

    assert done.code == 0
    assert re.fullmatch(r"recommend  run \w+  failed  \d\d:\d\d:\d\d  by \S+", lines[0])
    assert lines[1:7] == [
        "├─ ✓ regions",
        "├─ ✗ each_region  1 of 4 items failed",
        "│  └─ ✗ train     ████████████████████ 4/4  1 failed  attempt 1 failed: ValueError: no ratings in region 2",
        "└─ ↯ select       each_region failed",
        "  train  1 failed: ValueError: no ratings in region 2 (train[2])",
        "  select  upstream failed",
    ]


def test_instances_come_in_pages(ended: Project) -> None:
    first = ended.mesonctl("show", "last", "--step", "train", "--limit", "2")
    second = ended.mesonctl("show", "last", "--step", "train", "--after", "train[1]")
    failed = ended.mesonctl("show", "last", "--failed", "--step", "train", "--json").json

    assert [line.split()[:2] for line in first.out.splitlines()] == [
        ["instance", "state"],
        ["train[0]", "succeeded"],
        ["train[1]", "succeeded"],
    ]
    assert first.err == "more: --after 'train[1]'\n"
    assert [line.split()[:2] for line in second.out.splitlines()[1:]] == [
        ["train[2]", "failed"],
        ["train[3]", "succeeded"],
    ]
    assert second.err == ""
    assert [each["indexes"] for each in failed] == [[2]]


def test_one_instance_tells_its_attempts(ended: Project) -> None:
    done = ended.mesonctl("show", "last", "--step", "train[2]")
    data = ended.mesonctl("show", "last", "--step", "train[2]", "--json").json

    assert "train[2]  failed  attempt 1 failed: ValueError: no ratings in region 2\n" in done.out
    assert re.search(r"\n +1 +user +here +\S+ +[\d.]+ s +ValueError: no ratings in region 2\n", done.out)
    assert "  │ ValueError: no ratings in region 2\n" in done.out
    assert [each["outcome"] for each in data["attempts"]] == ["user"]


def test_values_are_shown(ended: Project) -> None:
    told = ended.mesonctl("show", "last", "--outputs")
    data = ended.mesonctl("show", "last", "--outputs", "--json").json
    regions = ended.mesonctl("show", "last", "--outputs", "--step", "regions").out

    assert told.out.startswith("parameters\n  rows = 4\nregions\n  result = [")
    assert "  [0] result = 0.5\n  [1] result = 0.5\n  [3] result = 0.5\n" in told.out
    assert data["params"] == {"rows": 4}
    assert data["steps"]["train"] == [[[0], {"result": 0.5}], [[1], {"result": 0.5}], [[3], {"result": 0.5}]]
    assert regions == 'regions\n  result = ["region 0","region 1","region 2","region 3"]\n'


def test_everything_is_exported(ended: Project) -> None:
    data = ended.mesonctl("show", "last", "--export").json
    events = [event[0] for _, event in data["events"]]

    assert data["run"]["state"] == "failed"
    assert data["definition"]["name"] == "recommend"
    assert events[0] == "RunCreated"
    assert events.count("AttemptSucceeded") == 4
    assert [seq for seq, _ in data["events"]] == list(range(1, len(events) + 1))


def test_logs_of_all_attempts_are_merged(ended: Project) -> None:
    everything = ended.mesonctl("logs", "last")
    failed = ended.mesonctl("logs", "last", "--failed", "--raw")
    one = ended.mesonctl("logs", "last", "--step", "train[3]", "--json")
    tail = ended.mesonctl("logs", "last", "-n", "1", "--raw")
    none = ended.mesonctl("logs", "last", "--step", "select")
    two = ended.mesonctl("logs", "last", "--step", "train[3]", "--step", "select")

    assert len(everything.out.splitlines()) == 4
    assert re.search(r"^\d\d:\d\d:\d\d train\[2\] │ training region 2$", everything.out, re.MULTILINE)
    assert failed.out == "training region 2\n"
    assert [json.loads(line)["text"] for line in one.out.splitlines()] == ["training region 3"]
    assert len(tail.out.splitlines()) == 1
    assert (none.out, none.err) == ("", "nothing was written by them\n")
    assert two.code == 2


def test_why_of_a_run_that_has_ended(ended: Project) -> None:
    run = ended.mesonctl("runs", "--json").json[0]["run_id"]
    nothing = ended.mesonctl("why", "last")
    select = ended.mesonctl("why", "last", "select")
    unknown = ended.mesonctl("why", "last", "selct")

    assert nothing.out == f"run {run} has failed: nothing waits\n"
    assert select.out == "select\n  upstream failed: each_region failed\n"
    assert unknown.err == (
        "error[unknown-name]: workflow 'recommend' has no step 'selct'\n  hint: did you mean 'select'?\n"
    )


def test_a_run_is_named_by_what_is_there(ended: Project) -> None:
    run = ended.mesonctl("runs", "--json").json[0]["run_id"]
    done = ended.mesonctl("show", f"{run[:-1]}0")

    assert (done.code, done.err) == (
        4,
        (f"error[not-found]: there is no run '{run[:-1]}0' in this store\n  hint: did you mean '{run}'?\n"),
    )


def test_the_shell_completes_runs(ended: Project) -> None:
    run = ended.mesonctl("runs", "--json").json[0]["run_id"]
    completed = ended.mesonctl(
        env={"_MESONCTL_COMPLETE": "bash_complete", "COMP_WORDS": f"mesonctl show {run[:2]}", "COMP_CWORD": "2"}
    )
    elsewhere = ended.mesonctl(
        env={"_MESONCTL_COMPLETE": "bash_complete", "COMP_WORDS": "mesonctl --project / show l", "COMP_CWORD": "4"}
    )

    assert completed.out == f"plain,{run}\n"
    assert (elsewhere.out.strip(), elsewhere.err) == ("", "")


def test_a_store_is_examined(ended: Project, tmp_path: Path) -> None:
    done = ended.mesonctl("db", "check", "--json")
    same = ended.mesonctl("db", "upgrade")

    assert (done.code, done.json["runs"], done.json["definitions"]) == (0, 1, 1)
    assert done.json["events"] == len(ended.mesonctl("show", "last", "--export").json["events"])
    assert re.fullmatch(r"\S+store.db is of this version already \(\d+\)\n", same.out)


def test_a_gap_in_a_log_is_found(ended: Project, tmp_path: Path) -> None:
    """A copy of the store, from which a frame was taken away."""
    with Project.made(tmp_path / "copy") as copy:
        (copy.folder / ".meson").mkdir()
        target = sqlite3.connect(copy.folder / ".meson" / "store.db")
        source = sqlite3.connect(ended.folder / ".meson" / "store.db")
        source.backup(target)
        source.close()
        target.execute("delete from frames where position = (select max(position) from frames)")
        target.commit()
        target.close()
        done = copy.mesonctl("db", "check")

    assert done.code == 6
    assert re.search(r"the log of run \w+ is damaged: its log ends with event \d+, and should with \d+\n", done.err)


def test_a_reader_who_has_seen_enough_is_no_failure(ended: Project) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shlex.join(MESONCTL)} show last --failed | head -c 1"],
        cwd=ended.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "i", "")
