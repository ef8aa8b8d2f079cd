"""Owns what a case finds when it begins: nothing, or a project in which something was run; each made once and copied."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING

from tests.badinput.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Three steps; the second one waits for as long as there is a pipe that nobody writes to.
FLOW = """
import os

from meson_core import param, sequence, step, workflow

gate = param("gate", str, default="")


@step
def prepare() -> int:
    return 3


@step
def train(rows: int, gate: str) -> float:
    print("training with", rows)
    if gate and os.path.exists(gate):
        open(gate).read()
    return rows / 2


@step
def report(score: float) -> str:
    return f"the score is {score}"


rows = prepare()
score = train(rows=rows.output, gate=gate)
wf = workflow("recommend", rows >> score >> report(score=score.output), params=[gate])
"""


def succeeded(stage: Stage) -> None:
    """A run that has succeeded."""
    said = stage.command("run flow.py")
    assert said.code == 0, said.text


def interrupted(stage: Stage) -> None:
    """A run whose orchestrator and executor were killed while its second step was at work."""
    _interrupt(stage, lambda: None)


def executor_knows_more(stage: Stage) -> None:
    """The same, but the second step has ended between the two kills: only the executor's spool knows."""

    def let_it_end() -> None:
        # Opening waits for the step that reads; it ends when everybody has closed the pipe.
        os.close(os.open(stage.folder / "gate", os.O_WRONLY))
        spool = stage.folder / ".meson/executor/spool"
        # The first step's end may still be in there; nobody acknowledges it any more.
        _until(lambda: _ENDED.search(spool.read_bytes()) is not None, "the end of the second step in the spool")

    _interrupt(stage, let_it_end)


def _interrupt(stage: Stage, between: Callable[[], None]) -> None:
    gate = stage.folder / "gate"
    os.mkfifo(gate)
    orchestrator = stage.start(f"run flow.py -p gate={gate}")
    try:
        _until(lambda: _at_work(stage), "the second step at work")
    finally:
        orchestrator.kill()
        orchestrator.communicate()
    between()
    for process in stage.executors():
        os.kill(process, signal.SIGKILL)
    _until(lambda: not stage.executors(), "the end of the executor")
    gate.unlink()


def _at_work(stage: Stage) -> bool:
    return any(
        event[0] == "AttemptStarted" and event[2] == [1]
        for _, events in stage.recorded() or ()
        for event in json.loads(events)
    )


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not within 30 s: {what}"
        pause.wait(0.01)


GIVEN: dict[str, Callable[[Stage], None]] = {
    "a run that has succeeded": succeeded,
    "a run that was interrupted": interrupted,
    "an executor that knows more than the log": executor_knows_more,
}


#: The end of step 1, as the executor keeps it.
_ENDED = re.compile(rb'"f":"succeeded"[^{}]*"outputs":\{[^{}]*\},"k":\["\w+",\[1\],1\]')


class Stages:
    """Makes stages.

    Args:
        folder: where; each stage gets a folder of its own in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}
        self._count = 0

    def make(self, given: str | None) -> Stage:
        """A new stage; `given` is a word of `GIVEN`, or None for an empty project."""
        stage = self._new()
        if given is not None:
            if given not in self._made:
                first = self._new()
                first.write("flow.py", FLOW)
                GIVEN[given](first)
                _until(lambda: not first.executors(), "the end of the executor")
                self._made[given] = first.folder
            shutil.copytree(
                self._made[given], stage.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("socket", "wake")
            )
        return stage

    def _new(self) -> Stage:
        self._count += 1
        folder = self._folder / f"{self._count}" / "project"
        folder.mkdir(parents=True)
        return Stage(folder)
