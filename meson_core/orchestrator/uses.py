"""Owns the artifacts among the inputs of what is under way in a run, until it has ended.

They are noted when an order is made, which has the inputs at hand. The inputs of attempts that an earlier orchestrator
ordered are evaluated again: they are a function of what is recorded, and come out the same.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from meson_core.errors import MesonError
from meson_core.orchestrator.context import ArtifactNeededError
from meson_core.store.artifacts import artifacts_in, may_have_artifacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from meson_core.spec.plan import Instance

logger = logging.getLogger(__name__)

#: Artifacts among the inputs of one attempt that are noted; nobody follows more of them by eye.
MAX_USES = 1000
#: Place among the inputs, and digest.
_Uses: TypeAlias = tuple[tuple[str, str], ...]
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
