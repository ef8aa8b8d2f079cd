"""Owns the tests of the live view, on a pseudo-terminal: what a person sees, and what Ctrl-C does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import FLOW
from tests.cli.terminal import in_terminal

if TYPE_CHECKING:
    from tests.cli.command import Project

pytestmark = pytest.mark.slow

TALKING = """
from pathlib import Path
import select
from meson_core import ctx, param, step, workflow

gate = param("gate", str)

@step
def train(gate: str) -> float:
    ctx.progress(0.5, "epoch 3, loss 0.125")
    while not Path(gate).exists():
        select.select([], [], [], 0.02)
    return 0.5

@step
def publish() -> str:
    return "published"

wf = workflow("talking", train(gate=gate) >> publish)
"""


def _quiet(text: str) -> list[str]:
    """The lines of a picture without what differs from run to run."""
    text = re.sub(r"run \w{10}|(?<=--failed )\w{10}|\b\w{10}(?= --)", "…", text)
    text = re.sub(r" *\b[\d.]+ s\b(, [\d.]+ s to go)?", "", text)
    return re.sub(r"(ValueError: no) r\S*…", r"\1…", text).splitlines()


def test_the_tree_stays_when_the_run_has_ended(project: Project) -> None:
    project.write("flow.py", FLOW)
    with in_terminal(project, "run", "flow.py") as terminal:
        code = terminal.wait()
    lines = _quiet(terminal.picture.text)

    assert code == 1
    assert lines[0] == "✗ train[2]  failed: ValueError: no ratings in region 2"
    assert lines[1:3] == ["  │ training region 2", "  │ Traceback (most recent call last):"]
    at = lines.index("✗ recommend  …  failed")
    assert lines[at:] == [
        "✗ recommend  …  failed",
        "├─ ✓ regions",
        "├─ ✗ each_region  1 of 4 items failed",
        "│  └─ ✗ train     ████████████████████ 4/4  1 failed  attempt 1 failed: ValueError: no…",
        "└─ ↯ select       each_region failed",
        "",
        "  train  1 failed: ValueError: no ratings in region 2 (train[2])",
        "  select  upstream failed",
        "  the logs of what failed:           mesonctl logs … --failed",
        "  run that again, and what follows:  mesonctl retry … --failed",
    ]


def test_progress_and_messages_are_seen_while_it_runs(project: Project) -> None:
    gate = project.folder / "gate"
    project.write("flow.py", TALKING)
    with in_terminal(project, "run", "flow.py", "-p", f"gate={gate}") as terminal:
        seen = terminal.wait_for("epoch 3")
        gate.touch()
        code = terminal.wait()

    assert code == 0
    assert re.search(r"● talking  run \w+  running  [\d.]+ s  ━+ \d+ %", seen)
    assert re.search(r"├─ ● train    ██████████░░░░░░░░░░  50%  [\d.]+ s.*  epoch 3, loss 0\.125\n", seen)
    assert re.search(r"└─ · publish  python\n\nCtrl-C: finish what runs, then stop", seen)
    assert "\x1b[38;2;251;188;4m" in terminal.written  # the colour of what runs
    assert "Ctrl-C" not in terminal.picture.text
    assert terminal.written.rindex("\x1b[?25h") > terminal.written.rindex("\x1b[?25l")  # the cursor is back


def test_ctrl_c_drains_and_says_how_to_go_on(project: Project) -> None:
    gate = project.folder / "gate"
    project.write("flow.py", TALKING)
    with in_terminal(project, "run", "flow.py", "-p", f"gate={gate}") as terminal:
        terminal.wait_for("epoch 3")
        terminal.press("\x03")
        terminal.wait_for("nothing new starts, what runs finishes; Ctrl-C again cancels the run")
        gate.touch()
        code = terminal.wait()
    resumed = project.mesonctl("resume", "last", "--json")

    assert code == 75
    assert re.search(
        r"talking  is drained: nothing of it runs  run \w+\n  go on: +mesonctl resume", terminal.picture.text
    )
    assert (resumed.code, resumed.json["state"]) == (0, "succeeded")


def test_ctrl_c_twice_cancels(project: Project) -> None:
    project.write("flow.py", TALKING)
    with in_terminal(project, "run", "flow.py", "-p", "gate=never") as terminal:
        terminal.wait_for("epoch 3")
        terminal.press("\x03")
        terminal.wait_for("Ctrl-C again cancels the run")
        terminal.press("\x03")
        code = terminal.wait()

    assert code == 8
    assert re.search(r"⊘ talking  run \w+  cancelled", terminal.picture.text)


def test_a_tall_tree_is_folded_and_follows_the_size_of_the_window(project: Project) -> None:
    gate = project.folder / "gate"
    steps = "".join(f"  - step_{number}: {{kind: shell, script: 'true'}}\n" for number in range(30))
    waits = f"  - wait: {{kind: shell, script: 'until [ -e \"$GATE\" ]; do sleep 0.05; done', env: {{GATE: {gate}}}}}\n"
    project.write("flow.yaml", f"name: tall\nsequence:\n{steps}{waits}{steps.replace('step', 'more')}")
    with in_terminal(project, "run", "flow.yaml", columns=60, rows=12) as terminal:
        seen = terminal.wait_for(r"├─ ⋮ 30 succeeded\n├─ ● wait .*\n├─ · more_0 [^⋮]*⋮ \d+ waiting")
        terminal.resize(70, 20)
        wider = terminal.wait_for(r"· more_11 ")
        gate.touch()
        code = terminal.wait()

    assert code == 0
    assert len(seen.splitlines()) <= 12
    assert wider.count("tall  run") == 1


def test_plain_lines_are_there_for_those_who_ask(project: Project) -> None:
    project.write("flow.yaml", "name: plain\nbody: {a: {kind: shell, script: 'true'}}\n")
    with in_terminal(project, "run", "flow.yaml", "--plain") as terminal:
        code = terminal.wait()

    assert code == 0
    assert re.search(r"^\d\d:\d\d:\d\d  ✓ a  succeeded", terminal.picture.text, re.MULTILINE)
