"""Owns what may be said about any step: its resources and policies, from the words of authors to fields of the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from meson_core.dsl.durations import parse_duration
from meson_core.dsl.words import NODE_POLICIES
from meson_core.errors import SpecError, UnknownNameError, Where
from meson_core.resources import CPUS, DISK, GPUS, MEMORY, parse_size
from meson_core.spec.states import FailureMode, Join

_DEFAULT_PLATFORM_RETRIES = 3


def step_fields(said: Mapping[str, Any], owner: str, where: Where | None) -> dict[str, Any]:
    """Fields of `spec.model.Step` for what was said of it, without those that were left at their default.

    Args:
        said: word → value, words of `STEP_POLICIES` only.
        owner: how messages call the step.
        where: where it was said.

    Raises:
        SpecError: a value that makes no sense, with the word and the value.
    """
    fields = node_fields({word: said[word] for word in NODE_POLICIES if word in said}, owner, where)
    refuse = _refuser(owner, where)
    resources = _resources(said, refuse)
    if resources:
        fields["resources"] = resources
    if "retries" in said:
        fields["retry"] = _retry(said["retries"], refuse)
    for word, name in (("timeout", "timeout_s"), ("grace", "grace_s")):
        if said.get(word) is not None:
            fields[name] = _parsed(parse_duration, word, said[word], refuse)
            if fields[name] == 0 and word == "timeout":
                refuse(word, said[word], "must be more than 0 seconds")
    if "priority" in said:
        if type(said["priority"]) is not int:
            refuse("priority", said["priority"], "must be a whole number")
        fields["priority"] = said["priority"]
    if "isolate" in said:
        if type(said["isolate"]) is not bool:
            refuse("isolate", said["isolate"], "must be true or false")
        fields["isolate"] = said["isolate"]
    if said.get("artifact") is not None:
        if not isinstance(said["artifact"], str) or not said["artifact"]:
            refuse("artifact", said["artifact"], "must be an id like 'importance/${date}'")
        fields["artifact"] = said["artifact"]
    if "cache" in said:
        if type(said["cache"]) is not bool and said["cache"] != "inputs":
            refuse("cache", said["cache"], "must be true, false or 'inputs'")
        fields["cache"] = said["cache"]
    return fields


def node_fields(said: Mapping[str, Any], owner: str, where: Where | None) -> dict[str, Any]:
    """Fields that any node has, for what was said of it; None counts as not said.

    Raises:
        UnknownNameError: a join or failure mode that there is not.
    """
    fields: dict[str, Any] = {}
    for word, choices in (("join", Join), ("on_failure", FailureMode)):
        value = said.get(word)
        if value is not None:
            fields[word] = _chosen(word, value, choices, owner, where)
    return fields


def _chosen(word: str, value: Any, choices: type[Join | FailureMode], owner: str, where: Where | None) -> Any:
    try:
        return choices(value)
    except ValueError:
        msg = f"{owner}: {word} cannot be {value!r}"
        raise UnknownNameError(msg, name=str(value), known=[choice.value for choice in choices], where=where) from None


_Refuse = Callable[[str, Any, str], NoReturn]


def _refuser(owner: str, where: Where | None) -> _Refuse:
    def refuse(word: str, value: Any, why: str) -> NoReturn:
        msg = f"{owner}: {word} {why}, got {value!r}"
        raise SpecError(msg, where=where)

    return refuse


def _parsed(parse: Callable[[Any], float], word: str, value: Any, refuse: _Refuse) -> float:
    try:
        return parse(value)
    except ValueError as error:
        return refuse(word, value, f"is not understood ({error})")


def _number(word: str, value: Any, refuse: _Refuse) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        refuse(word, value, "must be a number, 0 or more")
    return float(value)


def _resources(said: Mapping[str, Any], refuse: _Refuse) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "cpus" in said:
        found[CPUS] = _number("cpus", said["cpus"], refuse)
    for word in (MEMORY, DISK):
        if word in said:
            found[word] = _parsed(parse_size, word, said[word], refuse)
    other: dict[str, float] = {}
    if said.get("gpus"):
        other[GPUS] = _number("gpus", said["gpus"], refuse)
    more = said.get("resources") or {}
    if not isinstance(more, Mapping):
        refuse("resources", more, "must be a mapping of names to amounts")
    for name, amount in more.items():
        if name in (CPUS, MEMORY, DISK):
            refuse("resources", name, "is for further quantities; this one has a word of its own")
        other[str(name)] = _number(f"resources[{name!r}]", amount, refuse)
    if other:
        found["other"] = dict(sorted(other.items()))
    where = said.get("where") or ()
    constraints = [where] if isinstance(where, str) else where
    if not isinstance(constraints, list | tuple) or not all(isinstance(text, str) for text in constraints):
        refuse("where", where, "must be a constraint like 'zone == \"a\"', or a list of such")
    if constraints:
        found["constraints"] = tuple(constraints)
    return found


def _retry(value: Any, refuse: _Refuse) -> Any:
    """A number means: after any failure. The platform's own budget never shrinks by it."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bool):
        refuse("retries", value, "must be a number, or a Retry(...)")
    if isinstance(value, int):
        if value < 0:
            refuse("retries", value, "must be 0 or more")
        return {"user": value, "timeout": value, "platform": max(value, _DEFAULT_PLATFORM_RETRIES)}
    if hasattr(value, "model_dump"):
        # A Retry of the spec. It is not imported here: modules of steps are imported in workers, which start faster
        # without pydantic.
        return value.model_dump()
    return refuse("retries", value, "must be a number, or a Retry(...)")
