"""Owns why a step was or was not skipped: its answer, and what differs from the nearest result that there was by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.client.code_bundle import CODE
from meson_core.client.names import show_instance
from meson_core.client.step_code import bundle_files, code_files
from meson_core.dsl.steps import PYTHON
from meson_core.ports import PythonCall
from meson_core.spec.model import Step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from meson_core.spec.plan import Instance, Plan
    from meson_core.store.records import LookupRow, RunRow
    from meson_core.store.store import Store

#: Earlier results of a step among which the nearest is looked for.
_NEAR = 200
#: Python options that say where a function is.
_PLACE = ("function", "module", "file", "source", "path")


class Difference(msgspec.Struct, frozen=True):
    """One thing in which two results differ.

    Args:
        what: "input alpha", "option script", "output model", "artifact id", "step kind", "plugin", "code train.py".
        before: what it was, as JSON or a digest; None when it was not there.
        now: what it is; None when it is not there.
    """

    what: str
    before: str | None
    now: str | None


class Nearest(msgspec.Struct, frozen=True):
    """The earlier result that differs least.

    Args:
        run_id: the run that made it.
        instance: which instance did, as people read it; of that run's workflow version.
        at: when, s since the epoch.
        differences: from what was looked for.
    """

    run_id: str
    instance: str
    at: float
    differences: list[Difference]


class Answer(msgspec.Struct, frozen=True):
    """What came of looking for one result.

    Args:
        instance: as people read it.
        skipped: whether its result was there.
        source: the run that made it, when it was.
        key: under which it was looked for, and kept; "" when it has none.
        why: it was not skipped.
        nearest: when it was not skipped, and there are earlier results of the step.
    """

    instance: str
    skipped: bool
    source: str | None
    key: str
    why: str
    nearest: Nearest | None = None


class Explanation(msgspec.Struct, frozen=True):
    """Why the instances of one step were or were not skipped.

    Args:
        step: its name.
        asks: whether it says `artifact` or `cache`; where it does not, it is always made.
        asked: instances that were looked up.
        skipped: how many of them were.
        answers: some of them; those that were not skipped first.
    """

    step: str
    asks: bool
    asked: int = 0
    skipped: int = 0
    answers: list[Answer] = []


def explain(
    store: Store, row: RunRow, plan: Plan, nodes: Iterable[int], only: Instance | None, folder: Path, limit: int
) -> list[Explanation]:
    """Why steps of a run were or were not skipped.

    Args:
        store: where the answers are.
        row: the run.
        plan: its workflow.
        nodes: the steps that are meant.
        only: just this instance.
        folder: the project's `.meson`.
        limit: instances told of each step.
    """
    found = []
    counts = store.lookup_counts(row.run_id)
    for node in nodes:
        spec = plan.nodes[node].spec
        assert isinstance(spec, Step)
        asked, skipped = counts.get(node, (0, 0))
        rows: list[LookupRow] = []
        if only is not None:
            rows = [each for each in store.lookups(row.run_id, [node], prefix=only[1:]) if each.instance == only]
        elif asked:
            rows = store.lookups(row.run_id, [node], found=False, limit=limit)
            rows += store.lookups(row.run_id, [node], found=True, limit=max(0, limit - len(rows)))
        comparing = _Comparing(store, row.workflow, plan.nodes[node].name, spec, folder / CODE)
        answers = [comparing.answer(each, show_instance(plan, each.instance)) for each in rows]
        found.append(Explanation(plan.nodes[node].name, spec.restorable, asked, skipped, answers))
    return found


class _Comparing:
    """Compares what was looked for with earlier results of one step."""

    def __init__(self, store: Store, workflow: str, step: str, spec: Step, bundles: Path) -> None:
        self._store = store
        self._workflow = workflow
        self._step = step
        self._spec = spec
        self._bundles = bundles

    def answer(self, row: LookupRow, name: str) -> Answer:
        skipped = row.source is not None
        nearest = None if skipped else self._nearest(row)
        return Answer(name, skipped, row.source, row.key, row.why, nearest)

    def _nearest(self, row: LookupRow) -> Nearest | None:
        earlier = self._store.results_of_step(self._workflow, self._step, before=row.at, limit=_NEAR)
        if not earlier:
            return None
        compared = [(differences_of(result.facts, row.facts), result) for result in earlier]
        # Of those that differ least the one of the same item, and of these the latest, which comes first.
        differences, result = min(compared, key=lambda one: (len(one[0]), one[1].instance[1:] != row.instance[1:]))
        told = [one for each in differences for one in self._in_files(each, result.facts, row.facts)]
        indexes = "".join(f"[{index}]" for index in result.instance[1:])
        return Nearest(result.run_id, self._step + indexes, result.at, told)

    def _in_files(self, difference: Difference, before: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
        """A difference of code, file by file where both bundles are still there."""
        bundles = before.get("bundle"), now.get("bundle")
        if difference.what != "code" or None in bundles:
            return [difference]
        try:
            old, new = (self._files(self._bundles / str(bundle)) for bundle in bundles)
        except OSError:
            return [difference]
        changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
        return [Difference(f"code {path}", old.get(path), new.get(path)) for path in changed] or [difference]

    def _files(self, folder: Path) -> dict[str, str]:
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        if self._spec.kind != PYTHON:
            return bundle_files(folder)
        said = {name: value for name, value in self._spec.options.items() if name in _PLACE}
        return code_files(folder, PythonCall(**{name: str(value) for name, value in said.items() if value is not None}))


#: Part of the facts → how its entries are called.
_PARTS = {"inputs": "input", "options": "option", "outputs": "output"}
_WHOLE = {"artifact": "artifact id", "kind": "step kind", "plugin": "plugin", "code": "code"}


def differences_of(before: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    """In what two sets of facts differ; where only one has a part at all, that part says nothing."""
    found = []
    for part, word in _WHOLE.items():
        if part in before and part in now and before[part] != now[part]:
            found.append(Difference(word, before[part], now[part]))
    for part, word in _PARTS.items():
        if part not in before or part not in now:
            continue
        old, new = before[part], now[part]
        names = [*old, *(name for name in new if name not in old)]
        changed = [name for name in names if old.get(name) != new.get(name)]
        found.extend(Difference(f"{word} {name}", old.get(name), new.get(name)) for name in changed)
    return found
