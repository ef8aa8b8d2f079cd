"""Owns how a history is recorded and read: the definition, the log, and per event the changes and commands it led to."""

from __future__ import annotations

import hashlib
import random
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.engine.snapshots import SNAPSHOT_VERSION
from meson_core.spec.model import Workflow
from meson_core.spec.plan import Plan, compile_plan
from meson_core.spec.states import FailureMode, Join
from tests.engine.stories import Story, choose, for_each, repeat, step, subworkflow
from tests.engine.worlds import World, live

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent


class History(NamedTuple):
    """A run as it was recorded.

    Args:
        plan: what was run.
        log: its events.
        told: per event, what it led to.
        snapshot: digest of the last state; "" when this Meson writes another version of snapshots.
    """

    plan: Plan
    log: list[ev.AnyEvent]
    told: list[Any]
    snapshot: str


def told_by(machine: RunMachine, event: ev.AnyEvent) -> Any:
    """What an event leads to, as plain data."""
    decision = machine.handle(event)
    changes = [
        [list(c.instance), c.before.name, c.after.name, c.attempt, *([c.number] if c.number > 1 else [])]
        for c in decision.changes
    ]
    commands = [[type(c).__name__, *msgspec.json.decode(msgspec.json.encode(c)).values()] for c in decision.commands]
    return [changes, commands, decision.run_state and decision.run_state.value]


def digest(machine: RunMachine) -> str:
    return hashlib.sha256(machine.snapshot()).hexdigest()


def write(name: str, plan: Plan, log: list[ev.AnyEvent]) -> Path:
    """Record a history."""
    machine = RunMachine(plan)
    rows = [[msgspec.json.decode(ev.encode(event)), told_by(machine, event)] for event in log]
    header = {
        "engine": ev.ENGINE_VERSION,
        "snapshot": [SNAPSHOT_VERSION, digest(machine)],
        "workflow": plan.workflow.model_dump(mode="json"),
    }
    path = FOLDER / f"{name}.jsonl"
    lines = [header, *rows]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def read(path: Path) -> History:
    """A recorded history."""
    header, *rows = (msgspec.json.decode(line) for line in path.read_bytes().splitlines())
    log = ev.decode_frame(msgspec.json.encode([event for event, _ in rows]))
    version, snapshot = header["snapshot"]
    plan = compile_plan(Workflow.model_validate(header["workflow"]))
    return History(plan, log, [told for _, told in rows], snapshot if version == SNAPSHOT_VERSION else "")


# --- the runs that are recorded -------------------------------------------------------------------------------------


def flagship() -> Story:
    """The recommender: two branches, a regional for_each with failures, two iterations, a publication."""
    body = (
        step("get_users"),
        step("wrangle", "get_users"),
        step("train_global", "wrangle", retry={"user": 1, "backoff_s": 2}),
        step("validate_global", "train_global"),
        for_each("regions", step("train"), step("validate", "train"), after="wrangle", max_failed=1),
        step("select", "validate_global regions"),
        step("stable", "select"),
    )
    story = Story(
        repeat("loop", *body), choose("better", step("publish"), otherwise=step("keep"), after="loop"), window=3
    )
    story.created()
    for iteration in (0, 1):
        story.works(f"get_users[{iteration}]", f"wrangle[{iteration}]")
        story.items(f"regions[{iteration}]", 5)
        story.placed(f"train_global[{iteration}]")
        if iteration == 0:
            story.started("train_global[0]")
            story.failed("train_global[0]")
            story.waited("train_global[0]")
            story.placed("train_global[0]")
        story.succeeded(f"train_global[{iteration}]")
        for item in range(5):
            if (iteration, item) == (0, 3):
                story.fails("train[0,3]")
            else:
                story.works(f"train[{iteration},{item}]", f"validate[{iteration},{item}]")
        story.works(f"validate_global[{iteration}]", f"select[{iteration}]", f"stable[{iteration}]")
        story.judged("loop", iteration, done=iteration == 1)
    story.branch("better", 0)
    story.works("publish")
    return story


def sweep() -> Story:
    """Three hundred items, some fail, the failed ones are done again."""
    story = Story(for_each("sweep", step("train"), step("score", "train")), step("best", "sweep"), window=20)
    story.created()
    story.items("sweep", 300)
    for item in range(300):
        if item % 100 == 17:
            story.fails(f"train[{item}]")
        else:
            story.works(f"train[{item}]", f"score[{item}]")
    story.reopened(failed=True)
    for item in (17, 117, 217):
        story.works(f"train[{item}]", f"score[{item}]")
    story.works("best")
    return story


def external_jobs() -> Story:
    """Jobs at a service: lost and attached to again, in the gap, settled."""
    story = Story(
        step("hive", retry={"user": 1, "platform": 2, "backoff_s": 1}),
        step("spark", "hive", retry={"platform": 1, "backoff_s": 0}),
        step("docker", "spark"),
    )
    story.created()
    story.placed("hive")
    story.intended("hive", recoverable=True)
    story.remembered("hive")
    story.lost("hive")
    story.fenced("hive")
    story.waited("hive")
    story.placed("hive")
    story.succeeded("hive")
    story.placed("spark")
    story.intended("spark")
    story.lost("spark")
    story.fenced("spark")
    story.settled("spark", "retry")
    story.placed("spark")
    story.lost("spark")
    story.found("spark")
    story.succeeded("spark")
    story.placed("docker")
    story.given_back("docker")
    story.placed("docker")
    story.cancelled()
    story.lost("docker")
    story.fenced("docker")
    return story


def wishes() -> Story:
    """Holding, skipping, pausing, cancelling, and going on after each end."""
    at_once = FailureMode.fail_at_once
    story = Story(
        step("a"),
        step("b"),
        subworkflow("sub", step("c", on_failure=at_once), step("d"), step("e", "c d"), after="a"),
        step("f", "a b", join=Join.any),
        for_each("each", choose("fork", step("g"), otherwise=step("h")), after="b"),
        window=2,
    )
    story.created()
    story.held("b")
    story.works("a")
    story.skipped("f")
    story.placed("sub.d")
    story.fails("sub.c")
    story.killed("sub.d")
    story.paused()
    story.released("b")
    story.resumed()
    story.works("b")
    story.items("each", 4)
    story.branch("fork[0]", 1)
    story.branch("fork[1]", 0)
    story.works("h[0]")
    story.branch("fork[2]", -1)
    story.placed("g[1]")
    story.cancelled()
    story.killed("g[1]")
    story.reopened(failed=True)
    story.works("sub.c", "sub.d", "sub.e", "g[1]")
    story.branch("fork[3]", 0)
    story.works("g[3]")
    story.reopened("b")
    story.works("b")
    story.items("each", 1)
    story.branch("fork[0]", -1)
    return story


def restored() -> Story:
    """Dates of which some were done before; a fresh retry; a beginning that is done again; questions in a hold and a cancel."""
    story = Story(
        step("cohort", cache=True),
        for_each("dates", step("train", "", artifact="model"), step("score", "train", cache="inputs"), after="cohort"),
        step("report", "dates", cache=True),
        window=2,
    )
    story.created()
    story.absent("cohort")
    story.works("cohort")
    story.items("dates", 3)
    story.present("train[0]")
    story.present("score[0]")
    story.held("train")
    story.released("train")
    story.absent("train[1]")
    story.works("train[1]")
    story.absent("score[1]")
    story.fails("score[1]")
    story.present("train[2]")
    story.cancelled()
    story.reopened(failed=True, fresh="dates")
    story.absent("score[1]")
    story.works("score[1]")
    story.absent("score[2]")
    story.works("score[2]")
    story.present("report")
    story.reopened("cohort")
    story.absent("cohort")
    story.works("cohort")
    story.items("dates", 1)
    story.absent("train[0]")
    story.works("train[0]")
    story.absent("score[0]")
    story.works("score[0]")
    story.present("report")
    return story


def life(seed: int) -> World:
    """Anything at all, three hundred times."""
    world = live(random.Random(seed), size=25, steps=400)
    world.finish()
    return world


RUNS: dict[str, Callable[[], Story | World]] = {
    "flagship": flagship,
    "sweep": sweep,
    "external-jobs": external_jobs,
    "wishes": wishes,
    "restored": restored,
    **{f"life-{seed}": partial(life, seed) for seed in (2, 3, 5, 7, 11, 13)},
}
