"""Owns the keys of results: what makes two results of a step the same, and what went into a key, for people.

A key is text: the id that the step declares, a digest of everything that its result depends on, or both. What went into it
(the *facts*) is kept beside it, each value as its JSON while that is short, else as a digest, so that two sets of facts
can be compared without the values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from meson_core.client.step_code import code_files, digest_of
from meson_core.spec.digest import canonical_json
from meson_core.spec.types import is_artifact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meson_core.ports import Work
    from meson_core.spec.model import Step

#: JSON object of texts and objects of texts.
Facts: TypeAlias = "dict[str, Any]"
#: No digest begins so: a key that is a name alone is none that begins with a digest.
_NAMED = "artifact"
#: Characters of a value that is kept as it is.
_SHORT = 80
#: Values that many instances have in common, whose digests are kept.
_SHARED = 256
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What all results of one step of a run have in common.

    Args:
        facts: kind, plugin, options, outputs and code; without what the step leaves out of its keys.
        refusal: why its results cannot be recognised; "" when they can.
    """

    facts: Facts
    refusal: str = ""


def step_facts(
    spec: Step, options: Mapping[str, Any], plugin: str, work: Work | None, *, code: str, folder: Path
) -> StepFacts:
    """What the results of a step have in common; reads the files of the code bundle.

    Args:
        spec: the step.
        options: as the model of its kind has them, in JSON.
        plugin: distribution and version that the run is pinned to.
        work: what it does; None for a step of the host, whose code is its plugin's.
        code: digest of the code bundle; "" when the run has none.
        folder: of the bundle.
    """
    if not spec.cache:
        return StepFacts({})
    facts: Facts = {
        "kind": spec.kind,
        "plugin": plugin,
        "options": {name: told(value) for name, value in options.items()},
        "outputs": dict(spec.outputs),
    }
    if spec.cache is True and work is not None:
        if not code:
            return StepFacts(facts, "the run has no code bundle that could be compared")
        try:
            facts["code"] = digest_of(code_files(folder, work))
        except OSError as error:
            return StepFacts(facts, f"its code cannot be read: {error.strerror or error}")
    return StepFacts(facts)


class Keys:
    """Makes the keys of results."""

    def __init__(self) -> None:
        #: By identity: inputs that many instances have in common are one object.
        self._shared: dict[int, tuple[msgspec.Raw, str]] = {}

    def key(self, step: StepFacts, artifact: str | None, inputs: Mapping[str, Any]) -> tuple[str, Facts]:
        """The key of a result, and what went into it.

        Args:
            step: of its step.
            artifact: the id that it declares, filled in.
            inputs: of the instance.
        """
        facts: Facts = {} if artifact is None else {"artifact": artifact}
        if not step.facts:
            return f"{_NAMED} {artifact}", facts
        made = {**step.facts, "inputs": {name: self._input(value) for name, value in inputs.items()}}
        fingerprint = hashlib.sha256(canonical_json(made).encode("utf-8", "surrogatepass")).hexdigest()
        facts |= made
        return fingerprint if artifact is None else f"{fingerprint} {_NAMED} {artifact}", facts

    def _input(self, value: Any) -> str:
        if type(value) is not msgspec.Raw:
            return told(value)
        known = self._shared.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        text = told(_decode(value))
        if len(self._shared) >= _SHARED:
            self._shared.clear()
        self._shared[id(value)] = (value, text)
        return text


def told(value: Any) -> str:
    """A JSON value as its short canonical text, or as the digest of that; an artifact counts by its digest alone."""
    if is_artifact(value):
        return str(value["$artifact"])
    text = canonical_json(_by_content(value))
    if len(text) <= _SHORT:
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _by_content(value: Any) -> Any:
    if is_artifact(value):
        return {"$artifact": value["$artifact"]}
    if isinstance(value, dict):
        return {key: _by_content(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_by_content(part) for part in value]
    return value
