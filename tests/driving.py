"""Owns a small synchronous orchestrator in memory: the real engine and the real context, with steps that are functions.

What is pending is taken in any order that a random generator likes, and the machine may be thrown away at any moment:
a new one is restored from a snapshot, or replayed from the log, and goes on with what is outstanding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meson_core import events as ev
from meson_core.commands import Command, EndRun, Enqueue, Evaluate, Kill, Launch, LookUp, SetTimer
from meson_core.engine import RunMachine
from meson_core.errors import EvaluationError
from meson_core.orchestrator.context import Context
from meson_core.orchestrator.outputs import Outputs
from meson_core.spec.plan import Instance, compile_plan
from meson_core.spec.references import resolve
from meson_core.spec.states import ENDED, RunState, State
from tests.reference import Behaviour, Failed, Key, Names, Result, Shelf, nothing

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from meson_core.spec.model import Workflow

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _NothingStored:
    """All outputs are in memory."""

    def outputs_below(self, node: int, prefix: tuple[int, ...]) -> Iterable[tuple[tuple[int, ...], bytes]]:
        return ()


class Driver:
    """Drives one run to its end.

    Args:
        workflow: a checked one.
        params: all its parameters.
        behaviour: what attempts do.
        rng: decides on every order.
        window: items of a for_each that are under way at most.
        shelf: what is there already, for steps that ask.
    """

    def __init__(
        self,
        workflow: Workflow,
        params: Mapping[str, Any],
        behaviour: Behaviour,
        rng: random.Random,
        window: int = 3,
        *,
        shelf: Shelf = nothing,
    ) -> None:
        self.workflow = workflow
        self.params = params
        self.behaviour = behaviour
        self.shelf = shelf
        self.rng = rng
        self.plan = compile_plan(workflow)
        self.resolution = resolve(self.plan)
        self.machine = RunMachine(self.plan)
        self.outputs: dict[Instance, bytes] = {}
        self.states: dict[Instance, State] = {}
        self.log: list[ev.AnyEvent] = []
        self.executed: list[tuple[Instance, int]] = []
        self.pending: list[Command] = []
        self.inside = {node.id: set(self._below(node.id)) for node in self.plan.nodes}
        self._renew_context()
        self._tell(ev.RunCreated(self._now(), "run", "wf", "", ev.NULL, {}, window))

    # --- driving ------------------------------------------------------------------------------------------------------

    def run(self, crashes: int = 0) -> RunState:
        """Until the end, with the machine lost on the way now and then.

        Args:
            crashes: how often, in a hundred steps.
        """
        while self.pending:
            if self.rng.randrange(100) < crashes:
                self._crash()
            self._carry_out(self.pending.pop(self.rng.randrange(len(self.pending))))
        assert self.machine.run_state.ended, "nothing is pending, and the run has not ended"
        return self.machine.run_state

    def reopen(self, selection: ev.Selection, fresh: tuple[int, ...] = ()) -> None:
        """A person opens the run again."""
        self._tell(ev.RunReopened(self._now(), selection, self.machine.generation + 1, "ada", fresh))
        self._renew_context()

    def result(self) -> Result:
        """How the run ended, in the words of the reference."""
        outputs = {self._key(instance): _decode(data) for instance, data in self.outputs.items()}
        states = {self._key(instance): state for instance, state in self.states.items()}
        names = self.workflow.outputs if self.machine.run_state is RunState.succeeded else ()
        results = {name: self.context.result(name) for name in names}
        return Result(self.machine.run_state, states, outputs, results)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return float(len(self.log))

    def _key(self, instance: Instance) -> Key:
        return self.plan.nodes[instance[0]].path, instance[1:]

    def _below(self, node: int) -> Iterable[int]:
        for scope in self.plan.nodes[node].scopes:
            for inner in self.plan.scopes[scope].nodes:
                yield inner
                yield from self._below(inner)

    def _renew_context(self) -> None:
        outputs = Outputs(_NothingStored())
        for instance, data in self.outputs.items():
            outputs.record(instance[0], instance[1:], data)
        self._recorded = outputs
        self.context = Context(self.plan, self.resolution, self.params, self.machine, outputs)

    def _crash(self) -> None:
        """All that was pending is forgotten; what must be ordered again is known to the machine that comes back."""
        if self.rng.randrange(2):
            self.machine = RunMachine.restore(self.plan, self.machine.snapshot())
        else:
            self.machine = RunMachine.replay(self.plan, ev.decode_frame(ev.encode_frame(self.log)))
        self.pending = self.machine.outstanding()
        self._renew_context()

    def _tell(self, event: ev.AnyEvent) -> None:
        decision = self.machine.handle(event)
        self.log.append(event)
        restored = isinstance(event, ev.ResultFound) and self.machine.state_of(event.instance) is State.skipped
        if isinstance(event, ev.AttemptSucceeded) or restored:
            assert isinstance(event, ev.AttemptSucceeded | ev.ResultFound)
            self.outputs[event.instance] = bytes(event.outputs)
            self._recorded.record(event.instance[0], event.instance[1:], bytes(event.outputs))
        for change in decision.changes:
            for index in range(change.number):
                at = (*change.instance[:-1], change.instance[-1] + index) if index else change.instance
                self.states[at] = change.after
                if change.after is State.waiting:
                    self._void(at)
        self.pending += decision.commands

    def _void(self, instance: Instance) -> None:
        """It is done again: nothing of what it gave is visible any more, nor of what is inside it."""
        node, indexes = instance[0], instance[1:]
        gone = [
            other
            for other in self.states
            if other == instance or (other[0] in self.inside[node] and other[1 : 1 + len(indexes)] == indexes)
        ]
        for other in gone:
            del self.states[other]
            self.outputs.pop(other, None)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Enqueue(instance, attempt, _):
                self._tell(ev.AttemptPlaced(self._now(), instance, attempt, "here"))
            case Launch(instance, attempt, _, _):
                self._execute(instance, attempt)
            case Evaluate():
                self._evaluate(command)
            case LookUp():
                self._look_up(command)
            case SetTimer(key, _):
                self._tell(ev.TimerFired(self._now(), key))
            case Kill(instance, attempt, _):
                self._tell(ev.AttemptKilled(self._now(), instance, attempt, None))
            case EndRun():
                assert not self.pending
            case _:
                pass

    def _execute(self, instance: Instance, attempt: int) -> None:
        state = self.machine.state_of(instance)
        if ENDED[state] or state is State.cancelling:
            return  # stopped meanwhile
        try:
            inputs = _decode(_encode(self.context.inputs(instance)))
        except EvaluationError as error:
            self._tell(ev.EvaluationFailed(self._now(), instance, ev.Failure("evaluation", error.message)))
            return
        if self.rng.randrange(2):
            self._tell(ev.AttemptStarted(self._now(), instance, attempt))
        self.executed.append((instance, attempt))
        outcome: Names | Failed = self.behaviour(*self._key(instance), inputs, attempt)
        if isinstance(outcome, Failed):
            failure = ev.Failure("exception", "boo")
            event: ev.AnyEvent = ev.AttemptFailed(
                self._now(), instance, attempt, None, outcome.cause, failure, outcome.final
            )
        else:
            event = ev.AttemptSucceeded(self._now(), instance, attempt, self._now(), ev.Json(_encode(outcome)))
        self._tell(event)

    def _look_up(self, question: LookUp) -> None:
        instance, attempt, now = question.instance, question.attempt, self._now()
        if self.machine.state_of(instance) is not State.ready:
            return  # skipped or stopped meanwhile
        try:
            inputs = _decode(_encode(self.context.inputs(instance)))
            artifact = self.context.artifact_id(instance)
        except EvaluationError as error:
            self._tell(ev.EvaluationFailed(now, instance, ev.Failure("evaluation", error.message)))
            return
        there = None if question.fresh else self.shelf(artifact, self._key(instance)[0], inputs)
        if there is None:
            self._tell(ev.ResultMissing(now, instance, attempt, "key", "", ev.Json(b"{}")))
        else:
            self._tell(ev.ResultFound(now, instance, attempt, "key", "other", ev.Json(_encode(there)), ev.Json(b"{}")))

    def _evaluate(self, question: Evaluate) -> None:
        instance, now = question.instance, self._now()
        try:
            if question.what == "items":
                event: ev.AnyEvent = ev.ItemsResolved(now, instance, self.context.items(instance))
            elif question.what == "branch":
                event = ev.BranchChosen(now, instance, self.context.branch(instance))
            else:
                done = self.context.judge(instance, question.iteration)
                event = ev.IterationJudged(now, instance, question.iteration, done)
        except EvaluationError as error:
            event = ev.EvaluationFailed(now, instance, ev.Failure("evaluation", error.message))
        self._tell(event)
