"""Owns one run in a notebook: its view below the cell, which follows it, and what it came to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from meson_core.artifacts import TableView
from meson_core.errors import ConflictError
from meson_core.notebook import markup
from meson_core.notebook.views import Shown
from meson_core.spec.states import RunState, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meson_core.artifacts import ArtifactRecord
    from meson_core.client import Client, RunTree, StepInstance
    from meson_core.store.records import RunRow

#: Seconds between two looks at a run.
_LOOK_S = 0.3
#: Failures that are named.
_FAILURES = 5


class Run:
    """A run. As the value of a cell it is shown as it stands; `show()` follows it to its end.

    Args:
        client: to the project's store.
        run_id: which run.
        driven: sees that somebody drives the cell.
    """

    def __init__(self, client: Client, run_id: str, driven: Callable[[], None]) -> None:
        self._client = client
        self._driven = driven
        self.run_id = run_id

    # --- how it stands ------------------------------------------------------------------------------------------------

    @property
    def row(self) -> RunRow:
        """What the store has of it."""
        return self._client.run(self.run_id)

    @property
    def state(self) -> RunState:
        """Its state now."""
        return self.row.state

    @property
    def tree(self) -> RunTree:
        """All its nodes, with counts, percent complete and time to go."""
        return self._client.tree(self.run_id)

    @property
    def failures(self) -> list[StepInstance]:
        """The first step instances that have failed."""
        found = self._client.instances(self.run_id, states=(State.failed,), limit=_FAILURES * 4)
        return [each for each in found if each.failure is not None][:_FAILURES]

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs of the workflow.

        Raises:
            ConflictError: it has not succeeded; the message says how far it is, or what went wrong.
        """
        row = self.row
        if row.state is RunState.succeeded:
            return dict(row.results or {})
        first = next(iter(self.failures), None)
        wrong = f": {first.step}: {first.failure.message}" if first is not None and first.failure is not None else ""
        hint = "wait for it: run.show()" if not row.state.ended else "what went wrong: run.failures, run.logs()"
        raise ConflictError(f"run {self.run_id} has no outputs: it is {row.state.value}{wrong}", hint=hint)

    def output(self, step: str) -> Any:
        """What one step has put out; of a step in a loop `[indexes, outputs]` of each instance."""
        return self._client.outputs(self.run_id, steps=[step]).steps.get(step)

    def artifacts(self, **wanted: Any) -> list[ArtifactRecord]:
        """What it has made; arguments are those of `Client.artifacts`."""
        return self._client.artifacts(run_id=self.run_id, **wanted)

    def logs(self, *steps: str, failed: bool = False) -> str:
        """What its steps have written, as text."""
        found = self._client.logs(self.run_id, steps=steps, failed=failed)
        return "\n".join(f"{line.step}{list(line.instance[1:]) or ''} {line.text}" for line in found)

    def sweep(
        self, name: str | None = None, *, by: str | None = None, lowest: bool | None = None, limit: int = 10
    ) -> Shown:
        """The best items of a sweep as a table; arguments are those of `Client.sweep`."""
        found = self._client.sweep(self.run_id, name, by=by, lowest=lowest, limit=limit)
        columns = ["item", *found.variables, "state", "seconds", found.by or "value"]
        items = [*found.best, *found.failures]
        lines = [
            [
                ".".join(map(str, each.indexes)),
                *(each.point.get(variable) for variable in found.variables),
                each.state,
                None if each.seconds is None else round(each.seconds, 3),
                each.value if each.value is not None else each.why,
            ]
            for each in items
        ]
        title = f"{found.name}: {found.succeeded:,} succeeded, {found.failed:,} failed"
        return Shown(TableView(columns, lines, max(found.begun, len(lines)), title))

    # --- what is wished -----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop everything; attempts get their grace."""
        self._driven()
        self._client.cancel(self.run_id)

    def retry(self, *, code: str = "current") -> Run:
        """Do again what failed, and what follows, and show it."""
        self._driven()
        self._client.retry(self.run_id, failed=True, code=code)
        return self.show()

    def wait(self, timeout_s: float | None = None) -> Run:
        """Until it has ended, or so many seconds have passed."""
        for _ in self._looks(timeout_s):
            pass
        return self

    def show(self) -> Run:
        """Show it below the cell, and follow it until it has ended.

        Interrupting the cell ends the showing and not the run: `cancel()` does that.
        """
        handle = _display(self)
        shown = self._markup()
        for _ in self._looks(None):
            present = self._markup()
            if handle is not None and present != shown:
                shown = present
                handle.update(self)
        if handle is not None:
            handle.update(self)
        return self

    def _looks(self, timeout_s: float | None) -> Iterator[None]:
        """Comes back now and then while the run goes on."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            row = self._client.wait(self.run_id, timeout_s=_LOOK_S)
            if row.state.ended or (until is not None and time.monotonic() >= until):
                return
            self._driven()
            yield

    # --- how it looks -------------------------------------------------------------------------------------------------

    def _markup(self) -> str:
        return markup.run_markup(self.tree, self._client.plan(self.run_id), self.failures, self.row.results)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What Jupyter asks for."""
        return {"text/html": self._markup(), "text/plain": markup.run_text(self.tree)}

    def __repr__(self) -> str:
        return f"<run {self.run_id}: {self.state.value}>"


def _display(run: Run) -> Any:
    """A place below the cell that can be written again; None where there is no notebook."""
    try:
        from IPython.core.getipython import get_ipython  # noqa: PLC0415  not there where there are no notebooks
        from IPython.display import display  # noqa: PLC0415
    except ImportError:
        return None
    place: Any = display  # it has no types of its own
    return place(run, display_id=True) if get_ipython() is not None else None
