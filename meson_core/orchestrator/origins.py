"""Owns what the catalogue of artifacts has to know and the log does not: the loop variables and artifact inputs of an instance.

Both are values of the run's context, a pure function of what is recorded. The inputs are noted when the order is made,
which has them at hand; after a restart, those of the attempts that were found in flight are evaluated again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from meson_core.errors import MesonError
from meson_core.events import AttemptSucceeded, OutcomeSettled
from meson_core.orchestrator.context import ArtifactNeededError
from meson_core.store.artifacts import artifacts_in, may_have_artifacts
from meson_core.store.records import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from meson_core.errors import EvaluationError
    from meson_core.events import AnyEvent
    from meson_core.orchestrator.runs import ActiveRun
    from meson_core.spec.plan import Instance

logger = logging.getLogger(__name__)

#: Artifacts among the inputs of one attempt that are noted; nobody follows more of them by eye.
MAX_USES = 1000
#: Bytes of JSON of a loop variable that are kept; who finds an artifact by it does so by a date or a name.
MAX_ITEM = 1024
_Uses = tuple[tuple[str, str], ...]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Uses:
    """The artifacts among the inputs of one run's instances under way."""

    def __init__(self) -> None:
        self._of: dict[Instance, _Uses] = {}
        #: The last value that many instances have in common, by node and input: found once, not once for each.
        self._shared: dict[tuple[int, str], tuple[msgspec.Raw, _Uses]] = {}
        self._unknown: set[Instance] = set()

    def expect(self, instances: Iterable[Instance]) -> None:
        """These are in flight, and their orders were made by an earlier orchestrator."""
        self._unknown.update(instances)

    def note(self, instance: Instance, inputs: Mapping[str, Any]) -> None:
        """An order with these inputs was made."""
        self._unknown.discard(instance)
        found: list[tuple[str, str]] = []
        for name, value in inputs.items():
            if type(value) is msgspec.Raw:
                found.extend(self._in_shared(instance[0], name, value))
            elif type(value) in (dict, list):
                found.extend((place, each["$artifact"]) for place, each in artifacts_in(value, name))
        if found:
            self._of[instance] = tuple(found[:MAX_USES])
        else:
            self._of.pop(instance, None)

    def take(self, instance: Instance, inputs: Callable[[Instance], Mapping[str, Any]]) -> _Uses:
        """What this instance used; it has ended.

        Args:
            instance: which.
            inputs: evaluates its inputs.
        """
        if instance in self._unknown:
            try:
                self.note(instance, inputs(instance))
            except (MesonError, ArtifactNeededError) as error:
                self._unknown.discard(instance)
                logger.warning("what %s used is not known any more: %s", instance, error)
        return self._of.pop(instance, ())

    def _in_shared(self, node: int, name: str, value: msgspec.Raw) -> _Uses:
        known = self._shared.get((node, name))
        if known is not None and known[0] is value:
            return known[1]
        text = bytes(value)
        found: _Uses = ()
        if may_have_artifacts(text):
            found = tuple((place, each["$artifact"]) for place, each in artifacts_in(_decode(text), name))
        self._shared[node, name] = (value, found)
        return found


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
                found[instance] = Origin(items=_encode(items), uses=uses)
    return found


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
