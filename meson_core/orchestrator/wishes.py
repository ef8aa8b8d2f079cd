"""Owns what people wish: each wish becomes events of its run, or is refused with a reason; either way it gets a receipt.

The receipt is written in the same commit as the events, so a wish is carried out once, whatever crashes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core import events as ev
from meson_core.engine import RunMachine
from meson_core.errors import ConflictError, MesonError, NotFoundError
from meson_core.orchestrator.recovery import load_run
from meson_core.orchestrator.runs import ActiveRun
from meson_core.spec.parameters import bind_parameters
from meson_core.spec.states import RunState, State
from meson_core.store.records import WishReceipt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from meson_core.orchestrator.clock import Clock
    from meson_core.orchestrator.feeding import Feeder
    from meson_core.orchestrator.orders import Orders
    from meson_core.orchestrator.placing import Placer
    from meson_core.orchestrator.recovery import Library
    from meson_core.orchestrator.runs import Definition
    from meson_core.store import wishes
    from meson_core.store.store import Store
    from meson_core.store.wishes import Wish

logger = logging.getLogger(__name__)


class _LaterError(Exception):
    """The wish must wait until what is under way is in the log."""


class Wishes:
    """The inbox of a cell.

    Args:
        cell: its name.
        store: where the inbox is.
        library: workflow versions.
        runs: runs under way, by id.
        feeder: takes the events.
        orders: told of runs that begin, and of code that changes.
        placer: told of pauses.
        clock: where time comes from.
        plugins: distribution → version, for runs that begin.
        window: items under way at most, for runs that begin.
    """

    def __init__(
        self,
        *,
        cell: str,
        store: Store,
        library: Library,
        runs: dict[str, ActiveRun],
        feeder: Feeder,
        orders: Orders,
        placer: Placer,
        clock: Clock,
        plugins: Mapping[str, str],
        window: int,
    ) -> None:
        self._cell = cell
        self._store = store
        self._library = library
        self._runs = runs
        self._feeder = feeder
        self._orders = orders
        self._placer = placer
        self._clock = clock
        self._plugins = dict(plugins)
        self._window = window
        #: Carried out or refused; their receipts may not be in the log yet.
        self._handled: set[int] = set()
        #: Whether wishes wait for what is on its way to the log.
        self.waiting = False
        self._by_kind: dict[str, Callable[[Wish, Any], Any]] = {
            "start": self._start,
            "cancel": self._cancel,
            "pause": self._pause,
            "resume": self._resume,
            "hold": self._hold,
            "release": self._release,
            "skip": self._skip,
            "retry": self._retry,
            "send": self._send,
            "settle": self._settle,
        }

    def take(self) -> None:
        """Carry out what is in the inbox."""
        self.waiting = False
        found = self._store.wishes(cell=self._cell)
        self._handled.intersection_update(wish.wish_id for wish in found)
        for wish in found:
            if wish.wish_id in self._handled:
                continue
            try:
                answer = self._by_kind[wish.what](wish, wish.body)
            except _LaterError:
                self.waiting = True
                continue
            except MesonError as error:
                receipt = WishReceipt(wish.wish_id, refusal=str(error))
            else:
                receipt = WishReceipt(wish.wish_id, answer=answer)
            self._handled.add(wish.wish_id)
            self._feeder.batch.receipts.append(receipt)

    # --- one function per sort of wish --------------------------------------------------------------------------------

    def _start(self, wish: Wish, body: wishes.Start) -> Any:
        if wish.run_id in self._runs or self._store.run(wish.run_id) is not None:
            raise ConflictError(f"there is a run {wish.run_id!r} already")
        definition = self._library.definition(body.workflow)
        self._check_fresh(wish.run_id, definition, body.fresh)
        workflow = definition.plan.workflow
        params = bind_parameters(workflow.params, body.params, workflow=workflow.name)
        run = ActiveRun(
            wish.run_id,
            definition,
            RunMachine(definition.plan),
            params,
            code=body.code,
            owner=body.owner or wish.by,
            seq=0,
            plugins=self._plugins,
            store=self._store,
        )
        self._runs[run.run_id] = run
        self._orders.describe(run)
        created = ev.RunCreated(
            self._clock.now(),
            run.run_id,
            body.workflow,
            body.code,
            msgspec.Raw(msgspec.json.encode(params)),
            self._plugins,
            self._window,
            owner=run.owner,
            fresh=body.fresh,
        )
        self._feeder.feed(run, created)
        logger.info("run %s of %s begins, wished for by %s", run.run_id, workflow.name, run.owner)
        return {"run_id": run.run_id}

    def _cancel(self, wish: Wish, _: wishes.Plain) -> Any:
        run = self._under_way(wish.run_id, "cancelled")
        self._feeder.feed(run, ev.RunCancelRequested(self._clock.now(), wish.by))

    def _pause(self, wish: Wish, _: wishes.Plain) -> Any:
        run = self._under_way(wish.run_id, "paused")
        if run.machine.run_state is RunState.cancelling:
            raise ConflictError(f"run {run.run_id} is being cancelled")
        self._feeder.feed(run, ev.RunPaused(self._clock.now(), wish.by))
        self._placer.pause(run.run_id)

    def _resume(self, wish: Wish, _: wishes.Plain) -> Any:
        run = self._under_way(wish.run_id, "resumed")
        self._feeder.feed(run, ev.RunResumed(self._clock.now(), wish.by))
        self._placer.resume(run.run_id)

    def _hold(self, wish: Wish, body: wishes.Step) -> Any:
        run = self._under_way(wish.run_id, "held")
        self._check_node(run, body.node)
        self._feeder.feed(run, ev.StepHeld(self._clock.now(), body.node, wish.by))

    def _release(self, wish: Wish, body: wishes.Step) -> Any:
        run = self._under_way(wish.run_id, "released")
        self._check_node(run, body.node)
        self._feeder.feed(run, ev.StepReleased(self._clock.now(), body.node, wish.by))

    def _skip(self, wish: Wish, body: wishes.Skip) -> Any:
        run = self._under_way(wish.run_id, "skipped")
        self._check_selection(run, body.selection)
        if body.selection.failed:
            raise ConflictError(
                "what has failed cannot be skipped", hint="retry the run without it: skip it, then retry"
            )
        self._feeder.feed(run, ev.InstancesSkipped(self._clock.now(), body.selection, wish.by))

    def _retry(self, wish: Wish, body: wishes.Retry) -> Any:
        run = self._runs.get(wish.run_id)
        if run is not None:
            if run.machine.run_state.ended:
                raise _LaterError  # its end is on its way to the log
            state = run.machine.run_state.value
            raise ConflictError(f"run {wish.run_id} is {state}", hint="a run is retried once it has ended")
        if self._feeder.unwritten(wish.run_id):
            raise _LaterError
        run = load_run(self._store, self._library, wish.run_id)
        self._check_selection(run, body.selection)
        self._check_fresh(run.run_id, run.definition, body.fresh)
        if body.selection.failed and not self._has_failed(run) and not body.selection.nodes + body.selection.instances:
            raise ConflictError(f"nothing of run {run.run_id} has failed or was cancelled")
        self._runs[run.run_id] = run
        now = self._clock.now()
        if body.code is not None and body.code != run.code:
            run.code = body.code
            run.plugins = self._plugins
            self._feeder.feed(run, ev.CodeChanged(now, body.code, wish.by))
        self._orders.describe(run)
        generation = run.machine.generation + 1
        self._feeder.feed(run, ev.RunReopened(now, body.selection, generation, wish.by, body.fresh))
        if run.machine.run_state.ended:
            del self._runs[run.run_id]
            raise ConflictError(f"the selection holds nothing of run {run.run_id} that could be done again")
        return {"run_id": run.run_id, "generation": generation}

    def _send(self, wish: Wish, body: wishes.Send) -> Any:
        run = self._under_way(wish.run_id, "sent anything")
        self._check_instance(run, body.instance)
        state = run.machine.state_of(body.instance)
        if state not in (State.starting, State.running, State.lost):
            name = run.definition.plan.nodes[body.instance[0]].name
            raise ConflictError(f"step {name!r} is {state.label}", hint="only a running attempt receives messages")
        value = msgspec.Raw(msgspec.json.encode(body.value))
        self._feeder.feed(run, ev.MessageSent(self._clock.now(), body.instance, body.name, value, wish.by))

    def _settle(self, wish: Wish, body: wishes.Settle) -> Any:
        run = self._under_way(wish.run_id, "settled")
        self._check_instance(run, body.instance)
        state = run.machine.state_of(body.instance)
        if state is not State.outcome_unknown:
            name = run.definition.plan.nodes[body.instance[0]].name
            raise ConflictError(
                f"step {name!r} is {state.label}", hint="only a step whose outcome is unknown is settled"
            )
        outputs = msgspec.Raw(msgspec.json.encode(body.outputs))
        self._feeder.feed(run, ev.OutcomeSettled(self._clock.now(), body.instance, body.verdict, outputs, wish.by))

    # --- checks -------------------------------------------------------------------------------------------------------

    def _under_way(self, run_id: str, what: str) -> ActiveRun:
        run = self._runs.get(run_id)
        if run is None or run.machine.run_state.ended:
            row = None if run is not None else self._store.run(run_id)
            if run is None and row is None:
                raise NotFoundError(f"there is no run {run_id!r}")
            state = (run.machine.run_state if run is not None else row.state).value  # type: ignore[union-attr]
            raise ConflictError(f"run {run_id} has {state} and cannot be {what} any more".replace("has c", "was c"))
        return run

    def _check_node(self, run: ActiveRun, node: int) -> None:
        if not 0 <= node < len(run.definition.plan.nodes):
            raise NotFoundError(f"run {run.run_id} has no node {node}")

    def _check_fresh(self, run_id: str, definition: Definition, nodes: Iterable[int]) -> None:
        for node in nodes:
            if not 0 <= node < len(definition.plan.nodes):
                raise NotFoundError(f"run {run_id} has no node {node}")

    def _check_instance(self, run: ActiveRun, instance: tuple[int, ...]) -> None:
        self._check_node(run, instance[0] if instance else -1)
        node = run.definition.plan.nodes[instance[0]]
        if not node.is_step:
            raise ConflictError(f"{node.name!r} is no step")
        run.machine.state_of(instance)  # raises where there is no such item or iteration

    def _check_selection(self, run: ActiveRun, selection: ev.Selection) -> None:
        if not (selection.failed or selection.nodes or selection.instances):
            raise ConflictError("nothing is selected")
        for node in selection.nodes:
            self._check_node(run, node)
        for instance in selection.instances:
            self._check_node(run, instance[0] if instance else -1)
            run.machine.state_of(instance)

    def _has_failed(self, run: ActiveRun) -> bool:
        bad = (State.failed, State.upstream_failed, State.cancelled)
        return any(
            counts[state]
            for node in range(len(run.definition.plan.nodes))
            for counts in (run.machine.counts(node),)
            for state in bad
        )
