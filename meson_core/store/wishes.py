"""Owns what each sort of wish says: the client writes these into the inbox, the orchestrator reads them out of it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from meson_core.events import Selection
from meson_core.spec.plan import Instance


class Start(msgspec.Struct, frozen=True, omit_defaults=True):
    """Create a run; the wish's `run_id` is its id. The definition is in the store already.

    Args:
        workflow: digest of the definition.
        code: digest of the code bundle, "" when it has none.
        params: all parameters by name, defaults filled in.
        owner: who the run belongs to.
        fresh: nodes whose steps are not restored from results that are there already.
    """

    workflow: str
    code: str
    params: dict[str, Any]
    owner: str = ""
    fresh: tuple[int, ...] = ()


class Plain(msgspec.Struct, frozen=True):
    """Nothing more to say: cancel, pause, resume."""


class Step(msgspec.Struct, frozen=True):
    """Hold or release: which step."""

    node: int


class Skip(msgspec.Struct, frozen=True):
    """Count these as done with null outputs."""

    selection: Selection


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Reopen a run.

    Args:
        selection: what to do again.
        code: digest of the code bundle to go on with; None for the one that the run is pinned to.
        fresh: nodes whose steps are not restored from results that are there already, from now on.
    """

    selection: Selection
    code: str | None = None
    fresh: tuple[int, ...] = ()


class Send(msgspec.Struct, frozen=True):
    """A message for the running attempt of an instance."""

    instance: Instance
    name: str
    value: Any


class Settle(msgspec.Struct, frozen=True, omit_defaults=True):
    """Say what became of a submission whose outcome is unknown.

    Args:
        verdict: as in `OutcomeSettled`.
        outputs: with "succeeded": the outputs by name.
    """

    instance: Instance
    verdict: Literal["succeeded", "failed", "retry"]
    outputs: dict[str, Any] = {}


WishKind: TypeAlias = Literal[
    "start", "cancel", "pause", "resume", "hold", "release", "skip", "retry", "send", "settle"
]
WishBody: TypeAlias = Start | Plain | Step | Skip | Retry | Send | Settle

#: What a wish of each sort says.
BODIES: dict[WishKind, type[WishBody]] = {
    "start": Start,
    "cancel": Plain,
    "pause": Plain,
    "resume": Plain,
    "hold": Step,
    "release": Step,
    "skip": Skip,
    "retry": Retry,
    "send": Send,
    "settle": Settle,
}


class Wish(msgspec.Struct, frozen=True, gc=False):
    """Something that a person or a program wants from the orchestrator of a cell.

    Args:
        wish_id: number in the inbox.
        at: when it was made.
        by: who made it.
        what: which sort of wish.
        run_id: the run it is about ("start": the id of the run to create).
        body: what it says: an instance of `BODIES[what]`.
    """

    wish_id: int
    at: float
    by: str
    what: WishKind
    run_id: str
    body: WishBody
