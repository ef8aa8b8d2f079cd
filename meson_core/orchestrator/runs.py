"""Owns a run under way: its machine, its values, its place in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meson_core.errors import NotFoundError
from meson_core.orchestrator.context import Context
from meson_core.orchestrator.launching import request_of
from meson_core.orchestrator.outputs import Outputs
from meson_core.orchestrator.uses import Uses
from meson_core.spec.model import Step
from meson_core.store.outline import Outline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from meson_core.commands import Command, Launch
    from meson_core.engine import RunMachine
    from meson_core.orchestrator.launching import Described
    from meson_core.resources import Request
    from meson_core.spec.plan import Instance, Plan
    from meson_core.spec.references import Resolution
    from meson_core.spec.states import State
    from meson_core.store.store import Store


class Definition:
    """A workflow version as runs use it; shared by all runs of it.

    Args:
        digest: its version.
        plan: compiled.
        resolution: its expressions, bound.
    """

    def __init__(self, digest: str, plan: Plan, resolution: Resolution) -> None:
        self.digest = digest
        self.plan = plan
        self.resolution = resolution
        outline = Outline.of(plan)
        #: The nodes inside each composite.
        self.inside = {node.id: outline.inside(node.id) for node in plan.nodes if node.scopes}
        #: What an attempt of each step asks for; equal requests are one object.
        self.requests: dict[int, Request] = {}
        equal: dict[Request, Request] = {}
        for node in plan.nodes:
            if isinstance(node.spec, Step):
                request = request_of(node.spec)
                self.requests[node.id] = equal.setdefault(request, request)
        #: Equal for all attempts of one step of this version: they take about the same time.
        self.step_keys = {node: (digest, node) for node in self.requests}
        #: Steps whose results are kept to be recognised.
        self.restorable = frozenset(
            node.id for node in plan.nodes if isinstance(node.spec, Step) and node.spec.restorable
        )
        self.priorities = {node.id: node.spec.priority for node in plan.nodes if isinstance(node.spec, Step)}


class StoredOutputs:
    """The outputs of a run that are in the store."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id

    def outputs_below(self, node: int, prefix: tuple[int, ...]) -> Iterable[tuple[tuple[int, ...], bytes]]:
        try:
            found = self._store.outputs_of(self._run_id, node, prefix=prefix)
        except NotFoundError:  # its very first events are not committed yet
            return
        for row in found:
            if row.outputs is not None:
                yield row.indexes, bytes(row.outputs)


class ActiveRun:
    """A run that has not ended.

    Args:
        run_id: its id.
        definition: the workflow version that it is pinned to.
        machine: its state.
        params: its parameters.
        code: digest of its code bundle.
        owner: who asked for it.
        seq: number of events that it has had, also those that are not committed yet.
        plugins: distribution → version that it is pinned to.
        store: where its recorded outputs are.
    """

    def __init__(
        self,
        run_id: str,
        definition: Definition,
        machine: RunMachine,
        params: Mapping[str, Any],
        *,
        code: str,
        owner: str,
        seq: int,
        plugins: Mapping[str, str],
        store: Store,
    ) -> None:
        self.run_id = run_id
        self.definition = definition
        self.machine = machine
        self.code = code
        self.owner = owner
        self.seq = seq
        self.plugins = plugins
        self.outputs = Outputs(StoredOutputs(store, run_id))
        self.context = Context(definition.plan, definition.resolution, params, machine, self.outputs)
        #: How its steps are launched; None while that is being found out.
        self.described: dict[int, Described] | None = None
        #: URI of the folder that its steps share.
        self.scratch = ""
        #: Counts up when the code changes, so that templates of older code are not taken for the present ones.
        self.code_version = 0
        #: Launches that wait for templates, or for an artifact.
        self.parked: list[Launch] = []
        #: Questions after results that wait for templates.
        self.unanswered: list[Command] = []
        #: Keys of the results that are being made, by instance; those since before a restart are only in the store.
        self.keys: dict[Instance, str] = {}
        #: Artifacts that are being read, with what waits for them.
        self.reading: set[str] = set()
        self.asked: list[Any] = []
        #: The artifacts among the inputs of what is under way.
        self.uses = Uses()
        #: External jobs that were remembered since this orchestrator began.
        self.jobs: dict[Instance, str] = {}
        #: Events at the last snapshot.
        self.snapshot_seq = seq
        #: It met a bug of the engine, and is being stopped.
        self.broken = False

    def state_of(self, instance: Instance) -> State | None:
        """The state of an instance; None for an item or iteration that is not there any more."""
        try:
            return self.machine.state_of(instance)
        except NotFoundError:
            return None
