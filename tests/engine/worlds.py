"""Owns a simulated world around a machine: whatever may happen to a run out there, in any order, at any moment.

`World.options(kind)` lists what could happen now, `World.happen(kind, which)` lets it happen. The world keeps its own
books from commands and changes alone (what is queued, at work, being killed, to be fenced, which timers are set, in
which state everything is), and compares them with the machine after every event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meson_core import events as ev
from meson_core.commands import (
    CancelTimer,
    Change,
    Command,
    Decision,
    Deliver,
    EndRun,
    Enqueue,
    Evaluate,
    Fence,
    Kill,
    Launch,
    LookUp,
    SetTimer,
    Withdraw,
)
from meson_core.engine import RunMachine
from meson_core.spec.model import Branch, Choose, Expression, ForEach, Node, Repeat, Retry, Step, Subworkflow, Workflow
from meson_core.spec.plan import Instance, Plan, compile_plan
from meson_core.spec.states import ENDED, Cause, FailureMode, Join, State

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

#: What may happen.
WORKING = ("place", "start", "succeed", "answer", "look_up", "fire")
TROUBLE = (
    "fail", "give_back", "lose", "find", "fence", "kill", "intend", "remember", "again", "not_evaluated",
    "pause", "resume", "cancel", "time_out", "reopen", "skip", "hold", "release", "settle", "send", "restart",
)  # fmt: skip
#: Of these a few are enough.
SELDOM = ("cancel", "time_out", "skip", "hold", "pause", "not_evaluated")


# --- workflows of any shape, without values -------------------------------------------------------------------------


def random_plan(rng: random.Random, size: int = 10, depth: int = 3) -> Plan:
    """A plan with nodes of all kinds, joins, modes and budgets."""
    left = [size]

    def graph(level: int) -> tuple[Node, ...]:
        nodes: list[Node] = []
        for _ in range(rng.randrange(1, 4) if level else size):
            if left[0] <= 0 and nodes:
                break
            left[0] -= 1
            node = one(level)
            before = rng.sample([other.name for other in nodes], rng.randrange(0, min(3, len(nodes)) + 1))
            modes = [FailureMode.finish, FailureMode.finish, FailureMode.fail_at_once, FailureMode.ignore]
            update = {"after": tuple(before), "join": rng.choice(list(Join)), "on_failure": rng.choice(modes)}
            nodes.append(node.model_copy(update=update))
        return tuple(nodes)

    def one(level: int) -> Node:
        name = f"n{size - left[0]}"
        kind = rng.randrange(10) if level < depth and left[0] > 0 else 0
        if kind < 4:
            budgets: dict[str, Any] = {cause.value: rng.randrange(3) for cause in Cause}
            retry = Retry(backoff_s=rng.choice((0, 1, 4)), **budgets)
            return Step(name=name, kind="x", retry=retry, cache=rng.choice((False, False, True)))
        body = graph(level + 1)
        if kind < 6:
            variables = {"x": Expression(expr="[]")}
            parallel = rng.choice((None, 1, 2))
            return ForEach(
                name=name, variables=variables, max_parallel=parallel, max_failed=rng.choice((0, 0, 1)), body=body
            )
        if kind < 8:
            exhausted: Any = rng.choice(("continue", "fail"))
            return Repeat(
                name=name, until="False", max_iterations=rng.randrange(1, 4), on_exhausted=exhausted, body=body
            )
        if kind == 8:
            otherwise = graph(level + 1) if rng.randrange(2) else ()
            return Choose(name=name, branches=(Branch(when="True", body=body),), otherwise=otherwise)
        return Subworkflow(name=name, workflow=Workflow(name=f"w{name}", body=body))

    timeout = rng.choice((None, None, 500.0))
    return compile_plan(Workflow(name="random", body=graph(0), timeout_s=timeout))


@dataclass
class Physical:
    """An attempt as it is out there, from the launch to its end."""

    instance: Instance
    attempt: int
    started: bool = False
    lost: bool = False
    killed: bool = False


def live(rng: random.Random, size: int, steps: int) -> World:
    """So many things happen to a random run; what would bring it to an early end happens seldom."""
    world = World(random_plan(rng, size), window=rng.randrange(1, 5))
    for _ in range(steps):
        kind = rng.choice(WORKING) if rng.randrange(3) else rng.choice(TROUBLE)
        if world.ended and rng.randrange(3):
            kind = "reopen"
        if kind not in SELDOM or not rng.randrange(6):
            world.happen(kind, rng.randrange(10_000))
    return world


class World:
    """A run and all that happens around it.

    Args:
        plan: the workflow.
        window: items of a for_each that are under way at most.
    """

    def __init__(self, plan: Plan, window: int = 2) -> None:
        self.plan = plan
        self.machine = RunMachine(plan)
        self.log: list[ev.AnyEvent] = []
        self.now = 100.0
        self.queue: dict[tuple[Instance, int], int] = {}
        self.physical: dict[tuple[Instance, int], Physical] = {}
        self.timers: dict[tuple[int, ...], float] = {}
        self.questions: list[Evaluate] = []
        self.asked: dict[tuple[Instance, int], LookUp] = {}
        self.states: dict[Instance, State] = {}
        self.attempts: dict[Instance, int] = {}
        self.ended = False
        self.tell(ev.RunCreated(self.now, "run", "wf", "", ev.NULL, {}, window))

    # --- what may happen --------------------------------------------------------------------------------------------

    def options(self, kind: str) -> list[ev.AnyEvent]:
        """The events of this kind that could come now."""
        return list(getattr(self, f"_{kind}")())

    def happen(self, kind: str, which: int) -> Decision | None:
        """One of them comes; None when there is none."""
        if kind == "restart":
            self.machine = RunMachine.restore(self.plan, self.machine.snapshot())
            return None
        options = self.options(kind)
        return self.tell(options[which % len(options)]) if options else None

    def _place(self) -> Iterator[ev.AnyEvent]:
        for instance, attempt in self.queue:
            yield ev.AttemptPlaced(self.now, instance, attempt, f"m{sum(instance) % 3}")

    def _start(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            if not p.started:
                yield ev.AttemptStarted(self.now, p.instance, p.attempt)

    def _succeed(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            yield ev.AttemptSucceeded(self.now, p.instance, p.attempt, self.now, ev.Json(b"{}"))

    def _fail(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            for cause in Cause:
                for signal, final in ((None, False), ("SIGSEGV", False), (None, True)):
                    failure = ev.Failure("exit", "boo", signal=signal)
                    yield ev.AttemptFailed(self.now, p.instance, p.attempt, None, cause, failure, final)

    def _give_back(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            if not p.started:
                yield ev.AttemptReturned(self.now, p.instance, p.attempt, "drained")

    def _lose(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            if not p.lost:
                yield ev.AttemptLost(self.now, p.instance, p.attempt, "silent")

    def _find(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            if p.lost:
                yield ev.AttemptFound(self.now, p.instance, p.attempt)

    def _fence(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            yield ev.AttemptFenced(self.now, p.instance, p.attempt, "gone")

    def _kill(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            yield ev.AttemptKilled(self.now, p.instance, p.attempt, None)

    def _intend(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            for recoverable in (False, True):
                yield ev.SubmissionIntended(self.now, p.instance, p.attempt, "key", recoverable)

    def _remember(self) -> Iterator[ev.AnyEvent]:
        for p in self.physical.values():
            yield ev.JobRemembered(self.now, p.instance, p.attempt, "id")

    def _again(self) -> Iterator[ev.AnyEvent]:
        """Anything that was told about an attempt, a timer or a question may be told once more, late."""
        for event in self.log:
            if type(event).__name__.startswith(("Attempt", "Items", "Branch", "Iteration", "Result", "Timer")):
                yield event

    def _not_evaluated(self) -> Iterator[ev.AnyEvent]:
        failure = ev.Failure("evaluation", "boo")
        for instance, _ in (*self.queue, *self.asked):
            yield ev.EvaluationFailed(self.now, instance, failure)
        for instance, state in self.states.items():
            if state is State.running and not self.plan.nodes[instance[0]].is_step:
                yield ev.EvaluationFailed(self.now, instance, failure)

    def _answer(self) -> Iterator[ev.AnyEvent]:
        for question in self.questions:
            if question.what == "items":
                for count in (2, 3, 1, 0):
                    yield ev.ItemsResolved(self.now, question.instance, count)
            elif question.what == "branch":
                ways = len(self.plan.nodes[question.instance[0]].scopes)
                for branch in range(-1, ways):
                    yield ev.BranchChosen(self.now, question.instance, branch)
            else:
                for done in (False, True):
                    yield ev.IterationJudged(self.now, question.instance, question.iteration, done)

    def _look_up(self) -> Iterator[ev.AnyEvent]:
        for instance, attempt in self.asked:
            yield ev.ResultMissing(self.now, instance, attempt, "key", "none", ev.Json(b"{}"))
            yield ev.ResultFound(self.now, instance, attempt, "key", "other", ev.Json(b"{}"), ev.Json(b"{}"))

    def _fire(self) -> Iterator[ev.AnyEvent]:
        for key in self.timers:
            if key != (-1,):
                yield ev.TimerFired(self.now, key)  # also too early: the engine has no clock

    def _time_out(self) -> Iterator[ev.AnyEvent]:
        if (-1,) in self.timers:
            yield ev.TimerFired(self.timers[-1,], (-1,))
            yield ev.TimerFired(self.now, (-1,))

    def _pause(self) -> Iterator[ev.AnyEvent]:
        yield ev.RunPaused(self.now, "ada")

    def _resume(self) -> Iterator[ev.AnyEvent]:
        yield ev.RunResumed(self.now, "ada")

    def _cancel(self) -> Iterator[ev.AnyEvent]:
        yield ev.RunCancelRequested(self.now, "ada")

    def _selections(self) -> Iterator[ev.Selection]:
        yield ev.Selection(failed=True)
        for node in self.plan.nodes:
            yield ev.Selection(nodes=(node.id,))
        for instance in self.states:
            yield ev.Selection(instances=(instance,))
        instances = list(self.states)
        yield ev.Selection(instances=tuple(instances[::3]))

    def _reopen(self) -> Iterator[ev.AnyEvent]:
        for selection in self._selections():
            yield ev.RunReopened(self.now, selection, self.machine.generation + 1, "ada")
        fresh = tuple(node.id for node in self.plan.nodes[::2])
        yield ev.RunReopened(self.now, ev.Selection(failed=True), self.machine.generation + 1, "ada", fresh)

    def _skip(self) -> Iterator[ev.AnyEvent]:
        for selection in self._selections():
            yield ev.InstancesSkipped(self.now, selection, "ada")

    def _hold(self) -> Iterator[ev.AnyEvent]:
        for node in self.plan.nodes:
            yield ev.StepHeld(self.now, node.id, "ada")

    def _release(self) -> Iterator[ev.AnyEvent]:
        for node in self.plan.nodes:
            yield ev.StepReleased(self.now, node.id, "ada")

    def _settle(self) -> Iterator[ev.AnyEvent]:
        for instance, state in self.states.items():
            if state is State.outcome_unknown:
                for verdict in ("retry", "succeeded", "failed"):
                    yield ev.OutcomeSettled(self.now, instance, verdict, ev.Json(b"{}"), "ada")

    def _send(self) -> Iterator[ev.AnyEvent]:
        for instance in self.states:
            if self.plan.nodes[instance[0]].is_step:
                yield ev.MessageSent(self.now, instance, "x", ev.NULL, "ada")

    # --- telling the machine, and keeping the books ---------------------------------------------------------------------

    def tell(self, event: ev.AnyEvent) -> Decision:
        decision = self.machine.handle(event)
        self.log.append(event)
        self.now += 1.0
        self._note_event(event, decision)
        for change in decision.changes:
            self._note_change(change)
        for command in decision.commands:
            self._note_command(command)
        self._compare(decision)
        return decision

    def _note_event(self, event: ev.AnyEvent, decision: Decision) -> None:
        match event:
            case ev.TimerFired(at, key):
                if key != (-1,) or at >= self.timers.get(key, at):
                    self.timers.pop(key, None)
            case ev.AttemptStarted(_, instance, attempt) | ev.AttemptFound(_, instance, attempt):
                p = self.physical.get((instance, attempt))
                if p is not None:
                    p.started = True
                    p.lost = p.lost and isinstance(event, ev.AttemptStarted)
            case ev.RunReopened():
                self.ended = self.ended and not decision.changes
            case _:
                pass

    def _note_change(self, change: Change) -> None:
        instance = change.instance
        for index in range(change.number):
            at = (*instance[:-1], instance[-1] + index) if index else instance
            known = self.states.get(at, State.waiting)
            assert known == change.before, f"{at} was {known.label}, not {change.before.label}"
            assert change.before != change.after, change
            self.states[at] = change.after
            if change.after is State.waiting:
                self._void(at)
        if change.before is State.ready:
            self.asked.pop((instance, change.attempt), None)
        if ENDED[change.after] or change.after in (State.ready, State.paused, State.retrying, State.outcome_unknown):
            for attempt in [key for key in self.physical if key[0] == instance]:
                del self.physical[attempt]

    def _void(self, instance: Instance) -> None:
        """It waits again, and what was inside it is told anew."""
        del self.states[instance]
        inside, indexes = self._inside(instance[0]), instance[1:]
        for other in list(self.states):
            if other[0] in inside and other[1 : 1 + len(indexes)] == indexes:
                del self.states[other]

    def _inside(self, node: int) -> list[int]:
        scopes = set(self.plan.nodes[node].scopes)
        inner = [other.id for other in self.plan.nodes if other.scope in scopes]
        return [*inner, *(number for other in inner for number in self._inside(other))]

    def _note_command(self, command: Command) -> None:
        match command:
            case Enqueue(instance, attempt, job):
                key = (instance, attempt)
                assert key not in self.queue
                assert job <= attempt
                self.asked.pop(key, None)
                self._note_attempt(instance, attempt)
                self.queue[key] = job
            case LookUp(instance, attempt, _):
                key = (instance, attempt)
                assert key not in self.queue
                assert key not in self.asked
                self._note_attempt(instance, attempt)
                self.asked[key] = command
            case Withdraw(instance, attempt):
                del self.queue[instance, attempt]
            case Launch(instance, attempt, job, _):
                assert self.queue.pop((instance, attempt)) == job
                assert all(other != instance for other, _ in self.physical), f"{instance} is at work twice"
                self.physical[instance, attempt] = Physical(instance, attempt)
            case Kill(instance, attempt, _):
                self.physical[instance, attempt].killed = True
            case Fence(instance, attempt):
                self.physical[instance, attempt].lost = True
            case Evaluate():
                self.questions.append(command)
            case SetTimer(key, due):
                assert self.timers.get(key, due) == due
                self.timers[key] = due
            case CancelTimer(key):
                del self.timers[key]
            case Deliver(instance, attempt, _, _):
                assert (instance, attempt) in self.physical
            case EndRun(state):
                assert not self.ended
                assert state is self.machine.run_state
                self.ended = True

    def _note_attempt(self, instance: Instance, attempt: int) -> None:
        last = self.attempts.get(instance, 0)
        assert attempt == last + 1 or attempt >= last, f"{instance}: attempt {attempt} after {last}"
        self.attempts[instance] = attempt

    def _compare(self, decision: Decision) -> None:
        machine = self.machine
        machine.validate()
        assert self.ended == machine.run_state.ended
        self._compare_orders()
        for instance, state in self.states.items():
            assert machine.state_of(instance) is state

    def _compare_orders(self) -> None:
        orders = self.machine.outstanding()
        if self.ended:
            assert orders == [EndRun(self.machine.run_state)]
            assert not self.queue
            assert not self.asked
            assert not self.physical
            assert not self.timers
            return
        assert {(o.instance, o.attempt): o.job for o in orders if isinstance(o, Enqueue)} == self.queue
        assert {o.key: o.due for o in orders if isinstance(o, SetTimer)} == self.timers
        assert {(o.instance, o.attempt): o for o in orders if isinstance(o, LookUp)} == self.asked
        pending = [o for o in orders if isinstance(o, Evaluate)]
        assert all(question in self.questions for question in pending)
        self.questions = pending
        at_work = self.physical.values()
        launched = {(p.instance, p.attempt) for p in at_work if not p.lost and not p.killed}
        assert {(o.instance, o.attempt) for o in orders if isinstance(o, Launch)} == launched
        killed = {(p.instance, p.attempt) for p in at_work if p.killed}
        assert {(o.instance, o.attempt) for o in orders if isinstance(o, Kill)} == killed
        lost = {(p.instance, p.attempt) for p in at_work if p.lost}
        assert {(o.instance, o.attempt) for o in orders if isinstance(o, Fence)} == lost
        assert {(a.instance, a.attempt) for a in self.machine.live()} == set(self.physical)

    # --- the end --------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """From now on everything goes well: whatever has happened, the run must end."""
        self.happen("resume", 0)
        for node in self.plan.nodes:
            if not self.ended:
                self.tell(ev.StepReleased(self.now, node.id, "ada"))
        for _ in range(20_000):
            if self.ended:
                break
            for kind in ("answer", "look_up", "settle", "fire", "place"):
                self.happen(kind, 0)
            for key, p in list(self.physical.items()):
                if key not in self.physical:
                    continue  # the end of another one stopped it
                if p.killed:
                    self.tell(ev.AttemptKilled(self.now, p.instance, p.attempt, None))
                else:
                    self.tell(ev.AttemptSucceeded(self.now, p.instance, p.attempt, self.now, ev.Json(b"{}")))
        assert self.ended, f"the run never ends: {self.machine.outstanding()}"

    def check_replay(self) -> None:
        """The log, read again from its bytes, makes the same state."""
        again = ev.decode_frame(ev.encode_frame(self.log))
        assert RunMachine.replay(self.plan, again).snapshot() == self.machine.snapshot()
