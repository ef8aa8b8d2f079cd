"""Owns one crash run from its seed to its verdict."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.spec.check import check
from meson_core.spec.model import ForEach, Repeat, Step, Subworkflow
from tests.crash.faults import Fault, inflict, plan_faults
from tests.crash.judging import judge
from tests.crash.yard import Yard
from tests.strategies import Style, random_workflow

if TYPE_CHECKING:
    from meson_core.spec.model import Node, Workflow

STYLE = Style(
    depth=4,
    size=24,
    copies=20,
    kind="python",
    options={"module": "behaviours", "function": "act"},
    cpus=(0.5, 1.0),
    failures=True,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one seed.

    Args:
        seed: reproduces workflow and faults.
        faults: those that happened.
        facts: length of the log.
        wrong: what the verdict found.
    """

    seed: int
    faults: list[Fault]
    facts: int
    wrong: list[str]


def run_seed(seed: int) -> Outcome:
    """One crash run in a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="meson-crash-", ignore_cleanup_errors=True) as folder:
        return crash_run(seed, Path(folder) / "yard")


def crash_run(seed: int, folder: Path) -> Outcome:
    """Run a random workflow, hurt it, and judge how it ended."""
    rng = random.Random(seed)
    workflow = check(patient(random_workflow(rng, STYLE)))
    yard = Yard(folder)
    happened: list[Fault] = []
    try:
        run_id = yard.submit(workflow)
        happened = inflict(yard, run_id, plan_faults(rng, 40))
        wrong = judge(yard, run_id, workflow)
        return Outcome(seed, happened, yard.seq(run_id), wrong)
    except (TimeoutError, AssertionError) as error:
        return Outcome(seed, happened, 0, [f"{error}\n{yard.complaints()[-4000:]}"])
    finally:
        yard.close()


def patient(workflow: Workflow) -> Workflow:
    """The same with as many platform retries as it takes, at once: machines fail all the time in these runs."""
    return workflow.model_copy(update={"body": tuple(_patient(node) for node in workflow.body)})


def _patient(node: Node) -> Node:
    if isinstance(node, Step):
        retry = node.retry.model_copy(update={"platform": None, "backoff_s": 0.0})
        return node.model_copy(update={"retry": retry})
    if isinstance(node, ForEach | Repeat):
        return node.model_copy(update={"body": tuple(_patient(inner) for inner in node.body)})
    if isinstance(node, Subworkflow):
        return node.model_copy(update={"workflow": patient(node.workflow)})
    branches = tuple(
        branch.model_copy(update={"body": tuple(_patient(inner) for inner in branch.body)}) for branch in node.branches
    )
    otherwise = tuple(_patient(inner) for inner in node.otherwise)
    return node.model_copy(update={"branches": branches, "otherwise": otherwise})
