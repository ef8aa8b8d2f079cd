"""Owns what the catalogue of artifacts has to know and the log does not: loop variables and inputs of what has succeeded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.errors import MesonError
from meson_core.events import AttemptSucceeded, OutcomeSettled
from meson_core.orchestrator.context import ArtifactNeededError
from meson_core.store.artifacts import may_have_artifacts
from meson_core.store.records import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meson_core.errors import EvaluationError
    from meson_core.events import AnyEvent
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.spec.plan import Instance

logger = logging.getLogger(__name__)

#: Bytes of JSON of a loop variable that are kept; who finds an artifact by it does so by a date or a name.
MAX_ITEM = 1024
_encode = msgspec.json.Encoder().encode


def origins(
    run: ActiveRun, events: Iterable[AnyEvent], read: Callable[[str], bytes | EvaluationError]
) -> dict[Instance, Origin]:
    """Where the outputs of the successes among these events come from; most have no artifact, and no origin.

    Args:
        run: their run.
        events: of one frame.
        read: the bytes of an artifact that holds the items of a loop.
    """
    found: dict[Instance, Origin] = {}
    for event in events:
        if type(event) is AttemptSucceeded or (type(event) is OutcomeSettled and event.verdict == "succeeded"):
            instance = event.instance
            uses = run.uses.take(instance, run.context.inputs)
            makes = may_have_artifacts(bytes(event.outputs))
            if uses or makes:
                items = _items(run, instance, read) if makes else {}
                key = _key(run, instance) if makes and instance[0] in run.definition.restorable else None
                found[instance] = Origin(items=_encode(items), uses=uses, key=key)
    return found


def _key(run: ActiveRun, instance: Instance) -> str | None:
    """The id that the step declares; it was evaluated before, when the step was looked up."""
    try:
        return run.context.artifact_id(instance)
    except (MesonError, ArtifactNeededError) as error:
        logger.warning("run %s: the artifact id of %s: %s", run.run_id, instance, error)
        return None


def _items(run: ActiveRun, instance: Instance, read: Callable[[str], bytes | EvaluationError]) -> dict[str, Any]:
    """The loop variables of an instance, and its iteration, but for what is large."""
    while True:
        try:
            values = run.context.loop_values(instance)
        except ArtifactNeededError as needed:
            # Its list of items was in memory when it was launched: this is rare, and cannot wait for another turn.
            run.context.supply(needed.digest, read(needed.digest))
        except MesonError as error:
            logger.warning("run %s: the loop variables of %s: %s", run.run_id, instance, error)
            return {}
        else:
            return {name: value for name, value in values.items() if len(_encode(value)) <= MAX_ITEM}
