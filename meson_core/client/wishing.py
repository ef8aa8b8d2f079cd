"""Owns what can be wished for: new runs, and everything that is asked of the orchestrator of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from meson_core.client import asking, names
from meson_core.client.code_bundle import CODE, CodeBundle, bundle
from meson_core.errors import ConflictError
from meson_core.events import Selection
from meson_core.spec.digest import canonical_json, digest, plain
from meson_core.spec.parameters import bind_parameters
from meson_core.spec.plan import compile_plan
from meson_core.store.wishes import Plain, Retry, Send, Settle, Skip, Start, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from meson_core.spec.model import Workflow
    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.records import RunRow
    from meson_core.store.store import Store
    from meson_core.store.wishes import WishBody, WishKind

#: Which code a retry goes on with.
PINNED = "pinned"
CURRENT = "current"
#: Seconds for which the answer to a wish is waited for.
WAIT_S = 30.0


class Wishing(ABC):
    """The half of `Client` that wants something.

    Attributes:
        store: where the wishes go.
        directory: the project's `.meson` folder.
        cell: whose orchestrator new runs are meant for.
        by: who asks.
    """

    store: Store
    directory: Path
    cell: str
    by: str

    @abstractmethod
    def run(self, run: str) -> RunRow:
        """One run."""

    @abstractmethod
    def plan(self, run: str) -> Plan:
        """The compiled workflow that a run is pinned to."""

    def start(
        self,
        workflow: Workflow,
        params: Mapping[str, Any] | None = None,
        *,
        texts: Mapping[str, str] | None = None,
        code: str = "",
        owner: str = "",
        fresh: bool | Sequence[str] = False,
        wait_s: float | None = WAIT_S,
    ) -> str:
        """Start a run of a checked workflow.

        Args:
            workflow: as `meson_core.spec.check.check` returned it.
            params: values by name; what is missing takes its default.
            texts: values as texts, read by the declared type; they win over `params`.
            code: digest of its code bundle (`bundle`); "" when it needs none.
            owner: who the run belongs to; by default who asks.
            fresh: True to make everything anew, also where results are there already; or the names of steps.
            wait_s: seconds to wait until the run exists; None to leave the wish for whoever comes.

        Returns:
            The id of the run.

        Raises:
            ParameterError: parameters are missing, unknown or refused.
            ConflictError: the orchestrator refused it, or there is none.
        """
        bound = bind_parameters(workflow.params, params or {}, texts=texts, workflow=workflow.name)
        version = digest(workflow)
        self.store.put_definition(version, canonical_json(plain(workflow)), workflow.name)
        run_id = asking.new_run_id()
        nodes = names.find_fresh(compile_plan(workflow), fresh) if fresh else ()
        body = Start(workflow=version, code=code, params=bound, owner=owner or self.by, fresh=nodes)
        self._ask("start", run_id, self.cell, body, wait_s)
        return run_id

    def bundle(self) -> CodeBundle:
        """Snapshot the project's files as they are now, for `start` and `retry`.

        Raises:
            AuthoringError: they are too large; the message names the largest.
        """
        return bundle(self.directory.parent, self.directory / CODE)

    def cancel(self, run: str, *, wait_s: float | None = WAIT_S) -> None:
        """Stop everything; attempts get their grace."""
        self._wish("cancel", run, Plain(), wait_s)

    def pause(self, run: str, *, wait_s: float | None = WAIT_S) -> None:
        """Start nothing new; what runs goes on."""
        self._wish("pause", run, Plain(), wait_s)

    def resume(self, run: str, *, wait_s: float | None = WAIT_S) -> None:
        """End a pause."""
        self._wish("resume", run, Plain(), wait_s)

    def hold(self, run: str, step: str, *, wait_s: float | None = WAIT_S) -> None:
        """Start no new attempt of a step until it is released."""
        self._wish("hold", run, Step(names.find_node(self.plan(run), step)), wait_s)

    def release(self, run: str, step: str, *, wait_s: float | None = WAIT_S) -> None:
        """End a hold."""
        self._wish("release", run, Step(names.find_node(self.plan(run), step)), wait_s)

    def skip(
        self,
        run: str,
        *,
        steps: Sequence[str] = (),
        instances: Sequence[Instance] = (),
        wait_s: float | None = WAIT_S,
    ) -> None:
        """Let instances count as done with null outputs; what runs is left alone."""
        self._wish("skip", run, Skip(self._selection(run, False, steps, instances)), wait_s)

    def retry(
        self,
        run: str,
        *,
        failed: bool = False,
        steps: Sequence[str] = (),
        instances: Sequence[Instance] = (),
        code: str = PINNED,
        fresh: bool | Sequence[str] = False,
        wait_s: float | None = WAIT_S,
    ) -> None:
        """Reopen a run that has ended: the selection and everything downstream of it is done again.

        Args:
            run: which run.
            failed: all that failed or were cancelled.
            steps: all instances of these steps.
            instances: just these.
            code: "pinned" to go on with the code that it started with, "current" for the project's files as they are
                now, or the digest of another bundle.
            fresh: True to make all that is done again anew, also where results are there already; or names of steps. What
                is selected by name is made anew in any case.
            wait_s: seconds to wait for the answer.
        """
        selection = self._selection(run, failed, steps, instances)
        taken = None if code == PINNED else self.bundle().digest if code == CURRENT else code
        nodes = names.find_fresh(self.plan(run), fresh) if fresh else ()
        self._wish("retry", run, Retry(selection, taken, nodes), wait_s)

    def send(self, run: str, instance: Instance, name: str, value: Any, *, wait_s: float | None = WAIT_S) -> None:
        """Send a message to the running attempt of an instance."""
        names.check_instance(self.plan(run), instance)
        self._wish("send", run, Send(instance, name, value), wait_s)

    def settle(
        self,
        run: str,
        instance: Instance,
        verdict: Literal["succeeded", "failed", "retry"],
        outputs: Mapping[str, Any] | None = None,
        *,
        wait_s: float | None = WAIT_S,
    ) -> None:
        """Say what became of a submission whose outcome is unknown.

        Args:
            run: which run.
            instance: the one whose outcome is unknown.
            verdict: "succeeded" (with outputs), "failed", or "retry" (as a new job).
            outputs: by name.
            wait_s: seconds to wait for the answer.
        """
        names.check_instance(self.plan(run), instance)
        self._wish("settle", run, Settle(instance, verdict, dict(outputs or {})), wait_s)

    def _selection(self, run: str, failed: bool, steps: Sequence[str], instances: Sequence[Instance]) -> Selection:
        plan = self.plan(run)
        if not (failed or steps or instances):
            raise ConflictError(
                "nothing is selected", hint="say what is meant: what failed, some steps, or some instances"
            )
        nodes = tuple(names.find_node(plan, step) for step in steps)
        for instance in instances:
            names.check_instance(plan, instance)
        return Selection(failed, nodes, tuple(instances))

    def _wish(self, what: WishKind, run: str, body: WishBody, wait_s: float | None) -> None:
        row = self.run(run)
        self._ask(what, row.run_id, row.cell, body, wait_s)

    def _ask(self, what: WishKind, run_id: str, cell: str, body: WishBody, wait_s: float | None) -> Any:
        return asking.ask(self.store, cell, self.by, what, run_id, body, wait_s=wait_s)
