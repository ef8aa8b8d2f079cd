"""Owns the words in which the engine's scenarios are told: events go in by name, changes and commands come out as lines.

    story = Story(step("a"), step("b", after="a"))
    assert story.created() == ["a: waiting → ready", "enqueue a#1"]
    assert story.placed("a") == ["a: ready → starting", "launch a#1 on m1"]

`b[2,0]` is the instance of `b` in item 2, iteration 0; `a#2` is attempt 2 of `a`; `each` is a composite. After every
event the machine is validated, and compared with one that was restored from its snapshot; `story.check()` at the end
compares it with a replay of the log.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from meson_core import events as ev
from meson_core.commands import (
    CancelTimer,
    Change,
    Command,
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
from meson_core.spec.states import Cause, State

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTPUTS = ev.Json(b"{}")
NEVER = Retry(user=0, platform=0, timeout=0)


def _names(after: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(after.split()) if isinstance(after, str) else tuple(after)


def step(name: str, after: str = "", **more: Any) -> Step:
    """A step; `after` names its predecessors with blanks between them."""
    retry = more.pop("retry", None)
    if isinstance(retry, dict):
        retry = Retry(**{"user": 0, "platform": 0, "timeout": 0, "jitter": 0, **retry})
    return Step(name=name, kind="test", after=_names(after), retry=retry or NEVER, **more)


def for_each(name: str, *body: Node, after: str = "", **more: Any) -> ForEach:
    variables = {f"{name}_item": Expression(expr="[1, 2]")}
    return ForEach(name=name, after=_names(after), variables=variables, body=body, **more)


def repeat(name: str, *body: Node, after: str = "", max_iterations: int = 3, **more: Any) -> Repeat:
    return Repeat(name=name, after=_names(after), until="False", max_iterations=max_iterations, body=body, **more)


def choose(name: str, *branches: Node | tuple[Node, ...], after: str = "", otherwise: Any = (), **more: Any) -> Choose:
    bodies = [branch if isinstance(branch, tuple) else (branch,) for branch in branches]
    otherwise = otherwise if isinstance(otherwise, tuple) else (otherwise,)
    return Choose(
        name=name,
        after=_names(after),
        branches=tuple(Branch(when="True", body=body) for body in bodies),
        otherwise=otherwise,
        **more,
    )


def subworkflow(name: str, *body: Node, after: str = "", **more: Any) -> Subworkflow:
    return Subworkflow(name=name, after=_names(after), workflow=Workflow(name=f"{name}_", body=body), **more)


def compiled(*body: Node, **more: Any) -> Plan:
    return compile_plan(Workflow(name="story", body=body, **more))


class Story:
    """A run, told event by event.

    Args:
        body: the nodes of the workflow.
        window: how many items of a for_each are under way at most.
        more: further fields of the workflow.
    """

    def __init__(self, *body: Node, window: int = 100, **more: Any) -> None:
        self.plan = compiled(*body, **more)
        self.machine = RunMachine(self.plan)
        self.window = window
        self.log: list[ev.AnyEvent] = []
        self.changes: list[Change] = []
        self.commands: list[Command] = []
        self.now = 1000.0

    # --- the run ---

    def created(self, fresh: str = "") -> list[str]:
        nodes = tuple(self.plan.by_name[name] for name in _names(fresh))
        return self.tell(ev.RunCreated(self.now, "run", "wf", "", ev.NULL, {}, self.window, fresh=nodes))

    def paused(self) -> list[str]:
        return self.tell(ev.RunPaused(self.now, "ada"))

    def resumed(self) -> list[str]:
        return self.tell(ev.RunResumed(self.now, "ada"))

    def cancelled(self) -> list[str]:
        return self.tell(ev.RunCancelRequested(self.now, "ada"))

    def reopened(self, *names: str, failed: bool = False, fresh: str = "") -> list[str]:
        nodes = tuple(self.plan.by_name[name] for name in _names(fresh))
        selection = self.selection(*names, failed=failed)
        return self.tell(ev.RunReopened(self.now, selection, self.generation + 1, "ada", nodes))

    def skipped(self, *names: str) -> list[str]:
        return self.tell(ev.InstancesSkipped(self.now, self.selection(*names), "ada"))

    def held(self, name: str) -> list[str]:
        return self.tell(ev.StepHeld(self.now, self.plan.by_name[name], "ada"))

    def released(self, name: str) -> list[str]:
        return self.tell(ev.StepReleased(self.now, self.plan.by_name[name], "ada"))

    def timed_out(self) -> list[str]:
        """The timer of the run has come due, if there is one."""
        dues = [command.due for command in self.commands if isinstance(command, SetTimer) and command.key == (-1,)]
        self.now = max(self.now, *dues[-1:], 0)
        return self.tell(ev.TimerFired(self.now, (-1,)))

    def selection(self, *names: str, failed: bool = False) -> ev.Selection:
        """`b` means the node, `b[]` or `b[1]` the one instance."""
        nodes = tuple(self.plan.by_name[name] for name in names if "[" not in name)
        return ev.Selection(failed, nodes, tuple(self.instance(name) for name in names if "[" in name))

    # --- attempts; the present one, when the name does not say which ---

    def placed(self, name: str, machine: str = "m1") -> list[str]:
        return self.tell(ev.AttemptPlaced(self.now, *self.attempt(name), machine))

    def started(self, name: str) -> list[str]:
        return self.tell(ev.AttemptStarted(self.now, *self.attempt(name)))

    def succeeded(self, name: str) -> list[str]:
        return self.tell(ev.AttemptSucceeded(self.now, *self.attempt(name), self.now, OUTPUTS))

    def failed(
        self,
        name: str,
        cause: str = "user",
        signal: str | None = None,
        *,
        final: bool = False,
        message: str = "boo",
        after_s: float = 0.0,
    ) -> list[str]:
        failure = ev.Failure("exit" if signal is None else "signal", message, signal=signal)
        return self.tell(
            ev.AttemptFailed(self.now, *self.attempt(name), self.now, Cause(cause), failure, final, after_s)
        )

    def given_back(self, name: str) -> list[str]:
        return self.tell(ev.AttemptReturned(self.now, *self.attempt(name), "drained"))

    def lost(self, name: str) -> list[str]:
        return self.tell(ev.AttemptLost(self.now, *self.attempt(name), "silent"))

    def found(self, name: str) -> list[str]:
        return self.tell(ev.AttemptFound(self.now, *self.attempt(name)))

    def fenced(self, name: str) -> list[str]:
        return self.tell(ev.AttemptFenced(self.now, *self.attempt(name), "fenced"))

    def killed(self, name: str) -> list[str]:
        return self.tell(ev.AttemptKilled(self.now, *self.attempt(name), None))

    def intended(self, name: str, *, recoverable: bool = False) -> list[str]:
        return self.tell(ev.SubmissionIntended(self.now, *self.attempt(name), "key", recoverable))

    def remembered(self, name: str) -> list[str]:
        return self.tell(ev.JobRemembered(self.now, *self.attempt(name), "job-1"))

    def settled(self, name: str, verdict: str) -> list[str]:
        return self.tell(ev.OutcomeSettled(self.now, self.instance(name), verdict, OUTPUTS, "ada"))

    def sent(self, name: str) -> list[str]:
        return self.tell(ev.MessageSent(self.now, self.instance(name), "stop", ev.NULL, "ada"))

    def waited(self, name: str) -> list[str]:
        """The back-off of the present attempt is over."""
        instance, attempt = self.attempt(name)
        return self.tell(ev.TimerFired(self.now, (*instance, attempt)))

    def works(self, *names: str) -> list[str]:
        """Each is placed and succeeds; what the last success led to."""
        told: list[str] = []
        for name in names:
            self.placed(name)
            told = self.succeeded(name)
        return told

    def fails(self, name: str) -> list[str]:
        """It is placed and fails for good; what that led to."""
        self.placed(name)
        return self.failed(name, final=True)

    # --- answers ---

    def items(self, name: str, count: int) -> list[str]:
        return self.tell(ev.ItemsResolved(self.now, self.instance(name), count))

    def branch(self, name: str, branch: int) -> list[str]:
        return self.tell(ev.BranchChosen(self.now, self.instance(name), branch))

    def judged(self, name: str, iteration: int, *, done: bool) -> list[str]:
        return self.tell(ev.IterationJudged(self.now, self.instance(name), iteration, done))

    def not_evaluated(self, name: str) -> list[str]:
        return self.tell(ev.EvaluationFailed(self.now, self.instance(name), ev.Failure("evaluation", "boo")))

    def present(self, name: str) -> list[str]:
        return self.tell(ev.ResultFound(self.now, *self.attempt(name), "key", "earlier", OUTPUTS, OUTPUTS))

    def absent(self, name: str) -> list[str]:
        return self.tell(ev.ResultMissing(self.now, *self.attempt(name), "key", "nothing", OUTPUTS))

    # --- names ---

    def instance(self, name: str) -> Instance:
        """`b[2,0]` → (node, 2, 0)."""
        match = re.fullmatch(r"([\w.]+)(?:\[([\d,]*)\])?(?:#\d+)?", name)
        assert match is not None, name
        indexes = tuple(int(index) for index in (match[2] or "").split(",") if index)
        return (self.plan.by_name[match[1]], *indexes)

    def attempt(self, name: str) -> tuple[Instance, int]:
        """`b#2` → (instance, 2); without a number the highest there was."""
        instance = self.instance(name)
        if "#" in name:
            return instance, int(name.rpartition("#")[2])
        known = [
            command.attempt
            for command in self.commands
            if isinstance(command, Enqueue | LookUp) and command.instance == instance
        ]
        return instance, max(known, default=1)

    def name(self, instance: Instance, attempt: int = 0) -> str:
        node = self.plan.nodes[instance[0]].name
        indexes = f"[{','.join(map(str, instance[1:]))}]" if len(instance) > 1 else ""
        return f"{node}{indexes}{f'#{attempt}' if attempt else ''}"

    def state(self, name: str) -> str:
        return self.machine.state_of(self.instance(name)).label

    def counts(self, name: str) -> dict[str, int]:
        """By state, without zeros."""
        counts = self.machine.counts(self.plan.by_name[name])
        return {state.label: counts[state] for state in State if counts[state]}

    # --- telling ---

    def tell(self, event: ev.AnyEvent) -> list[str]:
        """Handle an event; everything it led to, as lines."""
        decision = self.machine.handle(event)
        self.log.append(event)
        self.changes += decision.changes
        self.commands += decision.commands
        self.now += 1
        self.machine.validate()
        snapshot = self.machine.snapshot()
        restored = RunMachine.restore(self.plan, snapshot)
        restored.validate()
        assert restored.snapshot() == snapshot
        assert restored.outstanding() == self.machine.outstanding()
        lines = [self.change(change) for change in decision.changes]
        lines += [self.order(command) for command in decision.commands]
        return lines if decision.run_state is None else [*lines, f"run: {decision.run_state.value}"]

    def check(self) -> None:
        """The log tells the same again."""
        encoded = ev.decode_frame(ev.encode_frame(self.log))
        assert RunMachine.replay(self.plan, encoded).snapshot() == self.machine.snapshot()

    def change(self, change: Change) -> str:
        more = f" (and {change.number - 1} more)" if change.number > 1 else ""
        return f"{self.name(change.instance)}{more}: {change.before.label} → {change.after.label}"

    def order(self, command: Command) -> str:
        match command:
            case Enqueue(instance, attempt, job):
                return f"enqueue {self.name(instance, attempt)}{'' if job == attempt else f' job {job}'}"
            case Withdraw(instance, attempt):
                return f"withdraw {self.name(instance, attempt)}"
            case Launch(instance, attempt, job, machine):
                return f"launch {self.name(instance, attempt)}{'' if job == attempt else f' job {job}'} on {machine}"
            case Kill(instance, attempt, _):
                return f"kill {self.name(instance, attempt)}"
            case Fence(instance, attempt):
                return f"fence {self.name(instance, attempt)}"
            case Evaluate(instance, what, iteration):
                return f"evaluate {what} of {self.name(instance)}{f' {iteration}' if iteration >= 0 else ''}"
            case LookUp(instance, attempt, fresh):
                return f"look up {self.name(instance, attempt)}{', fresh' if fresh else ''}"
            case SetTimer((-1,), due):
                return f"timer of the run at {due:g}"
            case SetTimer(key, due):
                return f"timer {self.name(key[:-1], key[-1])} at {due:g}"
            case CancelTimer((-1,)):
                return "no timer of the run"
            case CancelTimer(key):
                return f"no timer {self.name(key[:-1], key[-1])}"
            case Deliver(instance, attempt, name, _):
                return f"deliver {name} to {self.name(instance, attempt)}"
            case EndRun(state):
                return f"end: {state.value}"

    @property
    def generation(self) -> int:
        return self.machine.generation
