"""Owns small things that tests of the store are made of: workflows, frames, a store that others have open as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.commands import Change
from meson_core.events import AttemptPlaced, AttemptSucceeded, RunCreated
from meson_core.spec.digest import canonical_json, digest, plain
from meson_core.spec.model import Constant, ForEach, Step, Workflow
from meson_core.spec.states import RunState, State
from meson_core.store.records import Commit, RunCommit

if TYPE_CHECKING:
    from meson_core.events import AnyEvent
    from meson_core.spec.plan import Instance
    from meson_core.store.lease import Lease
    from meson_core.store.store import Store

_ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0


def sweep() -> Workflow:
    """Node 0 is `prepare`, node 1 the for_each `each`, node 2 `train` inside it, node 3 `collect`."""
    each = ForEach(
        name="each",
        variables={"i": Constant(value=[1, 2, 3])},
        after=("prepare",),
        body=(Step(name="train", kind="python"),),
    )
    body = (Step(name="prepare", kind="shell"), each, Step(name="collect", kind="shell", after=("each",)))
    return Workflow(name="sweep", body=body)


def put(store: Store, workflow: Workflow) -> str:
    """Put a definition; its digest."""
    version = digest(workflow)
    store.put_definition(version, canonical_json(plain(workflow)), workflow.name)
    return version


class Log:
    """Writes the log of one run, frame by frame.

    Args:
        store: where.
        lease: of its cell.
        run_id: the run; it is created by the first frame.
        version: digest of its definition.
    """

    def __init__(self, store: Store, lease: Lease, run_id: str, version: str, at: float = NOW) -> None:
        self.store = store
        self.lease = lease
        self.run_id = run_id
        self.seq = 0
        created = RunCreated(at, run_id, version, "code0", msgspec.Raw(b'{"alpha":0.5}'), {}, owner="ada")
        self.write([created])

    def frame(
        self,
        events: list[AnyEvent],
        changes: list[Change] | None = None,
        *,
        counts: dict[int, list[int]] | None = None,
        state: RunState = RunState.running,
        **others: Any,
    ) -> RunCommit:
        return RunCommit(self.run_id, self.seq, events, changes or [], counts or {}, state, **others)

    def write(self, events: list[AnyEvent], changes: list[Change] | None = None, **others: Any) -> None:
        """Commit one frame."""
        self.store.commit(Commit(self.lease.epoch, [self.frame(events, changes, **others)]))
        self.seq += len(events)

    def succeed(self, instance: Instance, outputs: bytes = b"{}", attempt: int = 1, at: float = NOW) -> None:
        """An attempt from ready to succeeded, in one frame."""
        self.write(
            [
                AttemptPlaced(at, instance, attempt, "laptop"),
                AttemptSucceeded(at + 2.0, instance, attempt, at + 1.0, msgspec.Raw(outputs)),
            ],
            [
                Change(instance, State.ready, State.starting, attempt, "laptop"),
                Change(instance, State.starting, State.succeeded, attempt),
            ],
        )


def many(node: int, count: int, attempt: int = 1, first: int = 0) -> RunCommitParts:
    """Placed and succeeded: so many instances of a node inside one for_each."""
    instances = [(node, index) for index in range(first, first + count)]
    placed: list[AnyEvent] = [AttemptPlaced(NOW, instance, attempt, "laptop") for instance in instances]
    done: list[AnyEvent] = [
        AttemptSucceeded(NOW + 2, instance, attempt, NOW + 1, msgspec.Raw(b'{"score":%d}' % instance[1]))
        for instance in instances
    ]
    starting = [Change(instance, State.ready, State.starting, attempt) for instance in instances]
    succeeded = [Change(instance, State.starting, State.succeeded, attempt) for instance in instances]
    return [*placed, *done], [*starting, *succeeded]


RunCommitParts = tuple["list[AnyEvent]", "list[Change]"]


def python(code: str, *args: str | Path) -> subprocess.Popen[str]:
    """Another process with the same interpreter; it is the caller's to end."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
