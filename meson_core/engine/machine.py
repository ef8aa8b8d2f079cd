"""Owns `RunMachine`: the one door to the state of a run, and what concerns the run as a whole.

**Handling is atomic.** An event that the table refuses raises `InvalidTransitionError` before anything has changed.
Any other exception out of `handle` is a bug that may have left half a change behind: the machine then refuses all
further events, and the run goes on from its log in a fresh machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meson_core import events as ev
from meson_core.commands import CancelTimer, Change, Command, Decision, EndRun, SetTimer
from meson_core.engine import composites, reopening, scopes, snapshots, validation, views, wishes
from meson_core.engine.attempts import VERDICTS
from meson_core.engine.dispatch import BY_EVENT
from meson_core.engine.identity import RUN_TIMER
from meson_core.engine.memory import Gist, Memory
from meson_core.engine.stopping import stop_scope
from meson_core.engine.table import COMPOSITE_TABLE, RUN_TABLE, STEP_TABLE
from meson_core.errors import EngineError, InvalidTransitionError, NotFoundError
from meson_core.spec.states import RunState, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meson_core.engine.views import LiveAttempt
    from meson_core.spec.plan import Instance, Plan


class RunMachine:
    """The state of one run: a pure function of its events.

    Args:
        plan: the compiled workflow that the run is pinned to.
    """

    __slots__ = ("_broken", "_memory")

    def __init__(self, plan: Plan) -> None:
        self._memory = Memory(plan)
        self._broken = False

    @classmethod
    def replay(cls, plan: Plan, events: Iterable[ev.Event]) -> RunMachine:
        """The machine that has handled these events."""
        machine = cls(plan)
        for event in events:
            machine.handle(event)
        return machine

    @classmethod
    def restore(cls, plan: Plan, data: bytes) -> RunMachine:
        """The machine that wrote this snapshot.

        Raises:
            EngineError: a snapshot of another version, or of another plan; replay the log instead.
        """
        machine = cls(plan)
        snapshots.restore(machine._memory, data)
        return machine

    def snapshot(self) -> bytes:
        """The whole state; two machines are equal exactly when their snapshots are."""
        return snapshots.snapshot(self._memory)

    def handle(self, event: ev.Event) -> Decision:
        """Take in one fact.

        Raises:
            InvalidTransitionError: the transition table refuses it; nothing has changed.
            EngineError: the machine is broken by an earlier bug, or the run needs another version of the engine.
        """
        m = self._memory
        if self._broken:
            message = "this machine met a bug and stands still"
            raise EngineError(message, hint="replay the log of the run into a fresh one")
        before = m.run_state if m.created else None
        m.now = event.at
        changes: list[Change] = []
        commands: list[Command] = []
        m.changes, m.commands = changes, commands
        handler = HANDLERS[type(event)]
        finished = False
        try:
            handler(m, event)
            if m.ended or m.starts:
                finished = _settle(m)
        except InvalidTransitionError as error:
            raise self._told(event, error) from None
        except BaseException:
            self._broken = True
            raise
        m.recent.append(_gist(event))
        return Decision(changes, commands, m.run_state if finished or m.run_state is not before else None)

    def outstanding(self) -> list[Command]:
        """What must be ordered again after a restart; every order is idempotent."""
        return views.outstanding(self._memory)

    def live(self) -> list[LiveAttempt]:
        """The attempts that may be at work somewhere."""
        return list(views.live(self._memory))

    def counts(self, node: int) -> list[int]:
        """How many instances of this node are in each state, indexable by `State`; items not opened yet are waiting."""
        return self._memory.counts[node].copy()

    def state_of(self, instance: Instance) -> State:
        """The present state of any instance.

        Raises:
            NotFoundError: no such item or iteration exists, now.
        """
        found = views.find(self._memory, instance) if self._fits(instance) else None
        if found is None:
            message = f"there is no instance {instance}"
            raise NotFoundError(message)
        return State(found[0])

    def total_of(self, instance: Instance) -> int:
        """How many items a for_each has, or how many iterations a repeat has begun; 0 before, 1 for other composites."""
        return views.total_of(self._memory, instance) if self._fits(instance) else 0

    @property
    def run_id(self) -> str:
        """The run's id; "" before it is created."""
        return self._memory.run_id

    @property
    def run_state(self) -> RunState:
        """The state of the run."""
        return self._memory.run_state

    @property
    def generation(self) -> int:
        """How often the run was reopened."""
        return self._memory.generation

    def story(self, instance: Instance) -> list[str]:
        """What is known of an instance, oldest first; for people."""
        return views.story(self._memory, instance) if self._fits(instance) else []

    def validate(self) -> None:
        """Check everything that must hold between events. For tests: it looks at every instance.

        Raises:
            AssertionError: what does not hold.
        """
        validation.validate(self._memory)

    def _fits(self, instance: Instance) -> bool:
        return _fits(self._memory, instance)

    def _told(self, event: ev.Event, error: InvalidTransitionError) -> InvalidTransitionError:
        m = self._memory
        m.ended.clear()
        m.starts.clear()
        instance: Instance | None = getattr(event, "instance", None)
        story = [] if instance is None else self.story(instance)
        return InvalidTransitionError(f"run {m.run_id}: {event} is refused: {error.message}", story=story)


def _fits(m: Memory, instance: Instance) -> bool:
    return (
        0 <= instance[0] < len(m.shapes.nodes)
        and len(instance) == 1 + m.shapes.depth(instance[0])
        and all(index >= 0 for index in instance[1:])
    )


def _gist(event: ev.Event) -> Gist:
    """What is kept of an event for the story of its instance; not the event, whose values may be large."""
    return type(event), event.at, getattr(event, "instance", None), getattr(event, "attempt", 0)


def _settle(m: Memory) -> bool:
    """Draw all consequences: of what has ended first, so that what is stopped is not started before.

    Returns:
        Whether the run has ended.
    """
    ended, starts = m.ended, m.starts
    finished = False
    while ended or starts:
        if not ended:
            composites.start(m, *starts.popleft())
            continue
        scope, position = ended.popleft()
        if scopes.after_end(m, scope, position):
            if scope.owner is None:
                _finish(m)
                finished = True
            else:
                composites.scope_ended(m, scope)
    return finished


# --- the run ------------------------------------------------------------------------------------------------------


def _on_created(m: Memory, event: ev.RunCreated) -> None:
    if m.created:
        message = RUN_TABLE["RunCreated"][m.run_state].why
        raise InvalidTransitionError(message)
    if event.engine > ev.ENGINE_VERSION:
        message = f"run {event.run_id} is pinned to engine version {event.engine}; this Meson has {ev.ENGINE_VERSION}"
        raise EngineError(message, hint="upgrade Meson")
    _check_nodes(m, event.fresh, "the list of what is to be fresh")
    m.created = True
    m.run_id = event.run_id
    m.window = max(1, event.window)
    wishes.make_fresh(m, event.fresh)
    _set_timeout(m)
    m.exist(m.shapes.root.members)
    scopes.begin(m, m.root)


def _set_timeout(m: Memory) -> None:
    timeout_s = m.shapes.plan.workflow.timeout_s
    if timeout_s is not None:
        m.due = m.now + timeout_s
        m.commands.append(SetTimer(RUN_TIMER, m.due))


def _forget_timeout(m: Memory) -> None:
    if m.due is not None:
        m.due = None
        m.commands.append(CancelTimer(RUN_TIMER))


def _finish(m: Memory) -> None:
    """Nothing is left to do. A cancel that came too late to stop anything has cancelled nothing."""
    if m.timed_out or (m.root.failed and m.run_state is not RunState.cancelling):
        m.run_state = RunState.failed
    elif m.root.failed or m.root.cancelled:
        m.run_state = RunState.cancelled
    else:
        m.run_state = RunState.succeeded
    _forget_timeout(m)
    m.hungry.clear()
    m.commands.append(EndRun(m.run_state))


def _pause(m: Memory, event: ev.RunPaused) -> None:
    m.run_state = RunState.paused


def _resume(m: Memory, event: ev.RunResumed) -> None:
    m.run_state = RunState.running


def _cancel(m: Memory, event: ev.RunCancelRequested) -> None:
    m.run_state = RunState.cancelling
    _forget_timeout(m)
    stop_scope(m, m.root)


def _time_out(m: Memory, event: ev.TimerFired) -> None:
    if m.due is None:
        return  # it was cancelled
    if event.at < m.due:  # set for the time before a reopening
        m.commands.append(SetTimer(RUN_TIMER, m.due))
    else:
        m.due = None
        m.timed_out = True
        m.run_state = RunState.cancelling
        stop_scope(m, m.root)


def _reopen(m: Memory, event: ev.RunReopened) -> None:
    selection = event.selection
    kept = m.fresh_nodes.copy(), m.fresh_instances.copy()
    # What a person names is to be made, not found.
    wishes.make_fresh(m, (*event.fresh, *selection.nodes), selection.instances)
    if not reopening.reopen(m, selection):
        m.fresh_nodes, m.fresh_instances = kept
        return
    m.run_state = RunState.running
    m.generation = event.generation
    m.timed_out = False
    _set_timeout(m)


def _ignore(m: Memory, event: ev.Event) -> None:
    pass


_RUN_ACTIONS: Final[dict[str, Callable[[Memory, Any], None]]] = {
    "pause": _pause, "resume": _resume, "cancel": _cancel, "time_out": _time_out, "reopen": _reopen,
    "hold": wishes.hold, "release": wishes.release, "skip": wishes.skip, "ignore": _ignore,
}  # fmt: skip


def _on_run(m: Memory, event: ev.Event) -> None:
    """An event of the run as a whole: the table of runs decides."""
    _check_created(m)
    _RUN_ACTIONS[RUN_TABLE[type(event).__name__][m.run_state].action](m, event)


def _check_created(m: Memory) -> None:
    if not m.created:
        message = "the first event of a run is RunCreated"
        raise InvalidTransitionError(message)


def _on_wish(m: Memory, event: ev.StepHeld | ev.StepReleased) -> None:
    if not 0 <= event.node < len(m.shapes.nodes):
        message = f"there is no node {event.node}"
        raise InvalidTransitionError(message)
    _on_run(m, event)


def _on_selection(m: Memory, event: ev.InstancesSkipped | ev.RunReopened) -> None:
    selection = event.selection
    _check_nodes(m, selection.nodes, "the selection")
    if not all(_fits(m, instance) for instance in selection.instances):
        message = "the selection names what the workflow does not have"
        raise InvalidTransitionError(message)
    if isinstance(event, ev.RunReopened):
        _check_nodes(m, event.fresh, "the list of what is to be fresh")
    _on_run(m, event)


def _check_nodes(m: Memory, nodes: Iterable[int], what: str) -> None:
    if not all(0 <= node < len(m.shapes.nodes) for node in nodes):
        message = f"{what} names what the workflow does not have"
        raise InvalidTransitionError(message)


# --- instances ----------------------------------------------------------------------------------------------------


def _on_attempt(m: Memory, event: Any) -> None:
    """An event of an attempt: the table decides for the present one; others are late."""
    step = m.steps.get(event.instance)
    if step is None:
        _on_late(m, event)
    elif event.attempt == step.attempt:
        _BY_EVENT[type(event)][step.scope.states[step.position]](m, step, event)
    elif event.attempt > step.attempt:
        message = f"attempt {event.attempt} was never made"
        raise InvalidTransitionError(message)


def _on_late(m: Memory, event: Any) -> None:
    """No attempt of this instance is under way: late news of one that was, or a bug."""
    _check_step(m, event)
    found = views.find(m, event.instance)
    if found is None:
        return  # an item or iteration that is no longer there
    state, attempts = found
    cell = STEP_TABLE[type(event).__name__][State(state)]
    if cell.action == "late" and not 0 < event.attempt <= attempts:
        message = f"attempt {event.attempt} was never made"
        raise InvalidTransitionError(message)


def _check_step(m: Memory, event: Any) -> None:
    _check_created(m)
    if not _fits(m, event.instance) or m.shapes.nodes[event.instance[0]].scopes:
        message = f"{event.instance} is not an instance of a step of this workflow"
        raise InvalidTransitionError(message)


def _on_step(m: Memory, event: Any) -> None:
    """An event of a step instance that names no attempt."""
    step = m.steps.get(event.instance)
    if step is not None:
        _BY_EVENT[type(event)][step.scope.states[step.position]](m, step, event)
        return
    _check_step(m, event)
    found = views.find(m, event.instance)
    cell = None if found is None else STEP_TABLE[type(event).__name__][State(found[0])]
    if cell is not None and cell.action == "refuse":
        raise InvalidTransitionError(cell.why)


def _on_settled(m: Memory, event: ev.OutcomeSettled) -> None:
    if event.verdict not in VERDICTS:
        message = f"verdict {event.verdict!r} is none of {', '.join(VERDICTS)}"
        raise InvalidTransitionError(message)
    _on_step(m, event)


def _on_timer(m: Memory, event: ev.TimerFired) -> None:
    if event.key == RUN_TIMER:
        _on_run(m, event)
        return
    *instance, attempt = event.key
    step = m.steps.get(tuple(instance))
    if step is not None and step.attempt == attempt:
        _BY_EVENT[ev.TimerFired][step.scope.states[step.position]](m, step, event)


def _on_answer(m: Memory, event: Any) -> None:
    """An answer to `Evaluate`."""
    composite = m.composites.get(event.instance)
    kind, action = composites.ANSWERS[type(event).__name__]
    if composite is None:
        _check_created(m)
        if not _fits(m, event.instance) or m.shapes.nodes[event.instance[0]].kind != kind:
            message = f"{event.instance} never asked for it"
            raise InvalidTransitionError(message)
        return
    if composite.node.kind != kind:
        message = f"{event.instance} never asked for it"
        raise InvalidTransitionError(message)
    if composite.pending:
        action(m, composite, event)


def _on_evaluation_failed(m: Memory, event: ev.EvaluationFailed) -> None:
    composite = m.composites.get(event.instance)
    if composite is not None:
        state = State(composite.scope.states[composite.position])
        if COMPOSITE_TABLE["EvaluationFailed"][state].action == "doom":
            composites.doom(m, composite, event)
    elif not _fits(m, event.instance) or m.shapes.nodes[event.instance[0]].scopes:
        _check_created(m)
        if not _fits(m, event.instance):
            message = f"there is no instance {event.instance}"
            raise InvalidTransitionError(message)
    else:
        _on_step(m, event)


#: What takes in each kind of event.
HANDLERS: Final[dict[type[ev.Event], Callable[[Memory, Any], None]]] = {
    ev.RunCreated: _on_created,
    ev.RunPaused: _on_run,
    ev.RunResumed: _on_run,
    ev.RunCancelRequested: _on_run,
    ev.RunReopened: _on_selection,
    ev.CodeChanged: _on_run,
    ev.StepHeld: _on_wish,
    ev.StepReleased: _on_wish,
    ev.InstancesSkipped: _on_selection,
    ev.TimerFired: _on_timer,
    ev.ItemsResolved: _on_answer,
    ev.BranchChosen: _on_answer,
    ev.IterationJudged: _on_answer,
    ev.EvaluationFailed: _on_evaluation_failed,
    ev.ResultFound: _on_attempt,
    ev.ResultMissing: _on_attempt,
    ev.AttemptPlaced: _on_attempt,
    ev.AttemptStarted: _on_attempt,
    ev.AttemptSucceeded: _on_attempt,
    ev.AttemptFailed: _on_attempt,
    ev.AttemptReturned: _on_attempt,
    ev.AttemptLost: _on_attempt,
    ev.AttemptFound: _on_attempt,
    ev.AttemptFenced: _on_attempt,
    ev.AttemptKilled: _on_attempt,
    ev.SubmissionIntended: _on_attempt,
    ev.JobRemembered: _on_attempt,
    ev.ValueEmitted: _on_step,
    ev.LinkShown: _on_step,
    ev.MessageSent: _on_step,
    ev.OutcomeSettled: _on_settled,
}

_BY_EVENT: Final = {event: BY_EVENT[event.__name__] for event in HANDLERS if event.__name__ in BY_EVENT}
