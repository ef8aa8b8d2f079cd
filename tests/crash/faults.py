"""Owns what is done to a run: which process is killed when, and for how long nobody orchestrates."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash.yard import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.crash.services import Person, Services
    from tests.crash.yard import Yard

#: Kinds of faults. "point" is a kill at a chosen point of the orchestrator's loop; "gap" kills the executor with all its
#: processes between a submission to a service that cannot be asked, and its remembering.
KINDS = ("orchestrator", "executor", "worker", "all", "outage", "point", "point", "gap", "gap")
#: Seconds within which anything in a crash run has to happen.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: one of `KINDS`.
        at: the length of the run's log at which it happens.
        point: for "point", which one, counted from the orchestrator's start.
    """

    kind: str
    at: int
    point: int


def plan_faults(rng: random.Random, length: int) -> list[Fault]:
    """One to four faults for a run whose log will have about `length` facts."""
    moments = sorted(rng.randrange(1, max(2, length)) for _ in range(rng.randrange(1, 5)))
    return [Fault(rng.choice(KINDS), at, rng.randrange(1, 60)) for at in moments]


def inflict(yard: Yard, run_id: str, faults: list[Fault], person: Person, happened: list[Fault]) -> None:
    """Let them happen in turn, then let the run end; a person settles what only a person can.

    Args:
        yard: where it runs.
        run_id: the run.
        faults: what is planned.
        person: who looks after outcomes that are unknown.
        happened: gets the faults that happened; a run may end before its later ones.

    Raises:
        TimeoutError: the run did not end.
    """

    def passed(condition: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: condition() or yard.ended(run_id) or (yard.orchestrating and person.settle(run_id) and False)

    yard.start_orchestrator(die_at=next((fault.point for fault in faults[:1] if fault.kind == "point"), None))
    for number, fault in enumerate(faults):
        if fault.kind == "point":
            wait_until(passed(lambda: not yard.orchestrating), PATIENCE_S, "death at a point, or the end")
        else:
            wait_until(passed(lambda at=fault.at: yard.seq(run_id) >= at), PATIENCE_S, f"fact {fault.at}")  # type: ignore[misc]
        if yard.ended(run_id):
            break
        if _happen(yard, fault, person.services, passed):
            happened.append(fault)
        if not yard.orchestrating:
            following = faults[number + 1] if number + 1 < len(faults) else None
            yard.start_orchestrator(die_at=following.point if following and following.kind == "point" else None)
    if not yard.orchestrating:
        yard.start_orchestrator()
    wait_until(passed(lambda: not yard.orchestrating), PATIENCE_S, "the end of the run")
    if not yard.ended(run_id):  # the last orchestrator was to die at a point that it has just reached
        yard.start_orchestrator()
        wait_until(passed(lambda: False), PATIENCE_S, "the end of the run")


def _happen(
    yard: Yard, fault: Fault, services: Services, passed: Callable[[Callable[[], bool]], Callable[[], bool]]
) -> bool:
    """Let one fault happen; False when its moment did not come."""
    if fault.kind == "gap":
        services.hold()
        wait_until(passed(lambda: services.held), PATIENCE_S, "a submission, or the end of the run")
        came = services.held
        if came:
            yard.kill([*yard.workers(), *yard.executors()])
        services.release()
        return came
    if fault.kind in ("orchestrator", "all", "outage"):
        yard.kill_orchestrator()
    if fault.kind in ("executor", "all"):
        yard.kill(yard.executors())
    if fault.kind in ("worker", "all"):
        yard.kill(yard.workers())
    if fault.kind == "outage":
        # Nobody orchestrates until all that was at work has ended by itself.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not yard.busy(), 5.0, "the end of what was at work")
    return True
