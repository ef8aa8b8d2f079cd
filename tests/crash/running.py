"""Owns one crash run from its seed to its verdict."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meson_core.spec.check import check
from meson_core.spec.model import Constant, ForEach, Repeat, Step, Subworkflow
from tests.crash.faults import Fault, inflict, plan_faults
from tests.crash.judging import judge
from tests.crash.services import BLIND, Person, Services, open_services
from tests.crash.yard import Yard
from tests.strategies import Style, random_workflow

if TYPE_CHECKING:
    from collections.abc import Callable

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
        settled: outcomes that were unknown, and that a person settled.
        jobs: that outside services ran.
        wrong: what the verdict found.
    """

    seed: int
    faults: list[Fault]
    facts: int
    settled: int
    jobs: int
    wrong: list[str]


def run_seed(seed: int) -> Outcome:
    """One crash run in a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="meson-crash-", ignore_cleanup_errors=True) as folder:
        return crash_run(seed, Path(folder) / "yard")


def crash_run(seed: int, folder: Path) -> Outcome:
    """Run a random workflow, hurt it, and judge how it ended."""
    rng = random.Random(seed)
    faults: list[Fault] = []
    with open_services() as services:
        written = random_workflow(rng, STYLE)
        workflow = check(prepared(written, for_machines_that_fail(rng, services)))
        yard = Yard(folder)
        person = Person(yard, services)
        try:
            run_id = yard.submit(workflow)
            inflict(yard, run_id, plan_faults(rng, 40), person, faults)
            wrong = [*judge(yard, run_id, workflow), *services.wrong()]
            return Outcome(seed, faults, yard.seq(run_id), len(person.settled), services.jobs(), wrong)
        except (TimeoutError, AssertionError) as error:
            return Outcome(seed, faults, 0, 0, 0, [f"{error}\n{yard.complaints()[-4000:]}"])
        finally:
            yard.close()


def prepared(workflow: Workflow, change: Callable[[Step], Step]) -> Workflow:
    """The same with every step changed."""

    def graph(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(one(node) for node in nodes)

    def one(node: Node) -> Node:
        if isinstance(node, Step):
            return change(node)
        if isinstance(node, ForEach | Repeat):
            return node.model_copy(update={"body": graph(node.body)})
        if isinstance(node, Subworkflow):
            return node.model_copy(update={"workflow": prepared(node.workflow, change)})
        branches = tuple(branch.model_copy(update={"body": graph(branch.body)}) for branch in node.branches)
        return node.model_copy(update={"branches": branches, "otherwise": graph(node.otherwise)})

    return workflow.model_copy(update={"body": graph(workflow.body)})


def for_machines_that_fail(rng: random.Random, services: Services) -> Callable[[Step], Step]:
    """As many platform retries as it takes, at once; a third of the steps are jobs of outside services."""

    def change(step: Step) -> Step:
        retry = step.retry.model_copy(update={"platform": None, "backoff_s": 0.0})
        update: dict[str, object] = {"retry": retry}
        if rng.randrange(3) == 0:
            kind = rng.choice(sorted(services.sockets))
            update |= {"kind": kind, "options": {"socket": services.sockets[kind]}}
            if kind == BLIND:
                # A person who settles a job that failed decides whether it was worth a retry; the reference cannot know.
                update["inputs"] = {**step.inputs, "fails": Constant(value=0)}
        return step.model_copy(update=update)

    return change
